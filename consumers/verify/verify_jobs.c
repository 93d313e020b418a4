/* See verify_jobs.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_jobs.h"

#include "schemas/mem.h"

#include <stdlib.h>

#define PAGE_BITS   12
#define PAGE_ITEMS  ((uint32_t)1 << PAGE_BITS)
#define PAGES_MIN   64
#define SLOTS_MIN   1024
#define NUMBERS_MAX (UINT32_MAX - PAGE_ITEMS)

/* Items of one size in pages; item 0 is never given away. */
struct pages {
    size_t item_size;
    char **list;
    uint32_t list_size; /* pages there is room to name */
    uint32_t count;     /* items, with item 0 */
};

struct verify_jobs {
    size_t bytes, peak, bytes_max;
    bool full;
    struct pages jobs, legs, steps, ordered;
    uint8_t secret[SIPHASH_SECRET_SIZE]; /* of both tables */
    uint32_t *slots;                     /* numbers of jobs by their identities' hash; 0: empty */
    uint32_t slot_count;
    struct verify_submission *submissions;
    uint32_t submission_slots, submission_count;
    struct verify_ordered *sorted;
};

/* --- memory, counted --- */

static void *take(struct verify_jobs *jobs, size_t count, size_t size)
{
    size_t bytes = count * size;
    if (jobs->full || bytes > jobs->bytes_max - jobs->bytes) {
        jobs->full = true;
        return NULL;
    }
    jobs->bytes += bytes;
    if (jobs->bytes > jobs->peak)
        jobs->peak = jobs->bytes;
    return mem_zalloc(count, size);
}

static void give(struct verify_jobs *jobs, void *memory, size_t count, size_t size)
{
    jobs->bytes -= memory ? count * size : 0;
    free(memory);
}

bool verify_jobs_charge(struct verify_jobs *jobs, int64_t size)
{
    if (size > 0 && (jobs->full || (size_t)size > jobs->bytes_max - jobs->bytes)) {
        jobs->full = true;
        return false;
    }
    jobs->bytes += (size_t)size;
    if (jobs->bytes > jobs->peak)
        jobs->peak = jobs->bytes;
    return true;
}

/* --- pages --- */

static void *page_item(const struct pages *pages, uint32_t number)
{
    return pages->list[number >> PAGE_BITS] +
           (size_t)(number & (PAGE_ITEMS - 1)) * pages->item_size;
}

static bool grow_list(struct verify_jobs *jobs, struct pages *pages)
{
    uint32_t size = pages->list_size ? 2 * pages->list_size : PAGES_MIN;
    char **list = take(jobs, size, sizeof *list);
    if (!list)
        return false;
    if (pages->list)
        memcpy(list, pages->list, pages->list_size * sizeof *list);
    give(jobs, pages->list, pages->list_size, sizeof *list);
    pages->list = list;
    pages->list_size = size;
    return true;
}

/* 0 when full. */
static uint32_t page_new(struct verify_jobs *jobs, struct pages *pages)
{
    uint32_t number = pages->count ? pages->count : 1;
    uint32_t page = number >> PAGE_BITS;
    if (number >= NUMBERS_MAX)
        jobs->full = true;
    if (jobs->full || (page >= pages->list_size && !grow_list(jobs, pages)))
        return 0;
    if (!pages->list[page] && !(pages->list[page] = take(jobs, PAGE_ITEMS, pages->item_size)))
        return 0;
    pages->count = number + 1;
    return number;
}

static void pages_free(struct pages *pages)
{
    for (uint32_t i = 0; i < pages->list_size; i++)
        free(pages->list[i]);
    free(pages->list);
}

/* --- life --- */

struct verify_jobs *verify_jobs_new(size_t bytes_max)
{
    struct verify_jobs *jobs = MEM_NEW(*jobs);
    jobs->bytes_max = bytes_max;
    siphash_secret(jobs->secret);
    jobs->jobs.item_size = sizeof(struct verify_job);
    jobs->legs.item_size = sizeof(struct verify_leg);
    jobs->steps.item_size = sizeof(struct verify_step);
    jobs->ordered.item_size = sizeof(struct verify_ordered);
    return jobs;
}

void verify_jobs_free(struct verify_jobs *jobs)
{
    if (!jobs)
        return;
    pages_free(&jobs->jobs);
    pages_free(&jobs->legs);
    pages_free(&jobs->steps);
    pages_free(&jobs->ordered);
    free(jobs->slots);
    free(jobs->submissions);
    free(jobs->sorted);
    free(jobs);
}

bool verify_jobs_full(const struct verify_jobs *jobs)
{
    return jobs->full;
}

size_t verify_jobs_peak(const struct verify_jobs *jobs)
{
    return jobs->peak;
}

/* --- jobs --- */

uint32_t verify_jobs_count(const struct verify_jobs *jobs)
{
    return jobs->jobs.count ? jobs->jobs.count - 1 : 0;
}

struct verify_job *verify_jobs_at(const struct verify_jobs *jobs, uint32_t number)
{
    return page_item(&jobs->jobs, number);
}

/* The slot where the identity is, or where it belongs. */
static uint32_t find_slot(const struct verify_jobs *jobs, const uint8_t *identity)
{
    uint32_t mask = jobs->slot_count - 1;
    uint32_t slot = (uint32_t)id_hash(jobs->secret, identity) & mask;
    while (jobs->slots[slot] && memcmp(verify_jobs_at(jobs, jobs->slots[slot])->identity, identity,
                                       ID_IDENTITY_BYTES) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

static bool grow_slots(struct verify_jobs *jobs)
{
    uint32_t old_count = jobs->slot_count;
    uint32_t *old = jobs->slots;
    uint32_t count = old_count ? 2 * old_count : SLOTS_MIN;
    uint32_t *slots = take(jobs, count, sizeof *slots);
    if (!slots)
        return false;
    jobs->slots = slots;
    jobs->slot_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i])
            slots[find_slot(jobs, verify_jobs_at(jobs, old[i])->identity)] = old[i];
    }
    give(jobs, old, old_count, sizeof *old);
    return true;
}

struct verify_job *verify_jobs_find(const struct verify_jobs *jobs, const struct id *id,
                                    uint32_t *ret_number)
{
    uint32_t number = jobs->slot_count ? jobs->slots[find_slot(jobs, id->bytes)] : 0;
    if (ret_number)
        *ret_number = number;
    return number ? verify_jobs_at(jobs, number) : NULL;
}

struct verify_job *verify_jobs_take(struct verify_jobs *jobs, const struct id *id,
                                    uint32_t *ret_number)
{
    struct verify_job *job = verify_jobs_find(jobs, id, ret_number);
    if (job)
        return job;
    if (4 * (uint64_t)(verify_jobs_count(jobs) + 1) > 3 * (uint64_t)jobs->slot_count &&
        !grow_slots(jobs))
        return NULL;
    uint32_t number = page_new(jobs, &jobs->jobs);
    if (!number)
        return NULL;
    job = verify_jobs_at(jobs, number);
    memcpy(job->identity, id->bytes, ID_IDENTITY_BYTES);
    job->read_version = -1;
    jobs->slots[find_slot(jobs, id->bytes)] = number;
    if (ret_number)
        *ret_number = number;
    return job;
}

struct verify_job *verify_jobs_add_life(struct verify_jobs *jobs, struct verify_job *job,
                                        uint32_t *ret_number)
{
    uint32_t number = page_new(jobs, &jobs->jobs);
    if (!number)
        return NULL;
    struct verify_job *next = verify_jobs_at(jobs, number);
    memcpy(next->identity, job->identity, sizeof next->identity);
    next->read_version = -1;
    job->next_life = number;
    *ret_number = number;
    return next;
}

void verify_jobs_identity(const struct verify_job *job, struct id *ret_id)
{
    *ret_id = (struct id){ 0 };
    memcpy(ret_id->bytes, job->identity, ID_IDENTITY_BYTES);
}

/* --- legs and steps --- */

struct verify_leg *verify_jobs_leg(const struct verify_jobs *jobs, uint32_t number)
{
    return page_item(&jobs->legs, number);
}

uint32_t verify_jobs_leg_new(struct verify_jobs *jobs)
{
    return page_new(jobs, &jobs->legs);
}

struct verify_step *verify_jobs_step(const struct verify_jobs *jobs, uint32_t number)
{
    return page_item(&jobs->steps, number);
}

uint32_t verify_jobs_step_new(struct verify_jobs *jobs)
{
    return page_new(jobs, &jobs->steps);
}

/* --- submissions: open addressing; a removed one leaves no gap --- */

static uint32_t submission_slot(const struct verify_jobs *jobs, uint64_t hash)
{
    uint32_t mask = jobs->submission_slots - 1;
    uint32_t slot = (uint32_t)siphash(jobs->secret, (struct span){ &hash, sizeof hash }) & mask;
    while (jobs->submissions[slot].request_hash && jobs->submissions[slot].request_hash != hash)
        slot = (slot + 1) & mask;
    return slot;
}

struct verify_submission *verify_jobs_submission(struct verify_jobs *jobs, uint64_t request_hash)
{
    if (!jobs->submission_slots)
        return NULL;
    struct verify_submission *found = &jobs->submissions[submission_slot(jobs, request_hash)];
    return found->request_hash ? found : NULL;
}

static bool grow_submissions(struct verify_jobs *jobs)
{
    uint32_t old_slots = jobs->submission_slots;
    struct verify_submission *old = jobs->submissions;
    uint32_t slots = old_slots ? 2 * old_slots : SLOTS_MIN;
    struct verify_submission *submissions = take(jobs, slots, sizeof *submissions);
    if (!submissions)
        return false;
    jobs->submissions = submissions;
    jobs->submission_slots = slots;
    for (uint32_t i = 0; i < old_slots; i++) {
        if (old[i].request_hash)
            submissions[submission_slot(jobs, old[i].request_hash)] = old[i];
    }
    give(jobs, old, old_slots, sizeof *old);
    return true;
}

struct verify_submission *verify_jobs_submission_new(struct verify_jobs *jobs,
                                                     uint64_t request_hash)
{
    if (4 * (uint64_t)(jobs->submission_count + 1) > 3 * (uint64_t)jobs->submission_slots &&
        !grow_submissions(jobs))
        return NULL;
    struct verify_submission *made = &jobs->submissions[submission_slot(jobs, request_hash)];
    jobs->submission_count += made->request_hash == 0;
    *made = (struct verify_submission){ .request_hash = request_hash };
    return made;
}

void verify_jobs_submission_remove(struct verify_jobs *jobs, struct verify_submission *submission)
{
    uint32_t mask = jobs->submission_slots - 1;
    uint32_t gap = (uint32_t)(submission - jobs->submissions);
    jobs->submissions[gap].request_hash = 0;
    jobs->submission_count--;
    for (uint32_t at = (gap + 1) & mask; jobs->submissions[at].request_hash; at = (at + 1) & mask) {
        struct verify_submission moved = jobs->submissions[at];
        jobs->submissions[at].request_hash = 0;
        jobs->submissions[submission_slot(jobs, moved.request_hash)] = moved;
    }
}

/* --- ordered --- */

void verify_jobs_ordered_add(struct verify_jobs *jobs, uint64_t key_hash, uint32_t job)
{
    uint32_t number = page_new(jobs, &jobs->ordered);
    if (number)
        *(struct verify_ordered *)page_item(&jobs->ordered, number) =
            (struct verify_ordered){ .key_hash = key_hash, .job = job };
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct verify_ordered *left = a;
    const struct verify_ordered *right = b;
    const struct verify_jobs *jobs = arg;
    const struct verify_job *x = verify_jobs_at(jobs, left->job);
    const struct verify_job *y = verify_jobs_at(jobs, right->job);
    int by = order(left->key_hash, right->key_hash);
    if (!by)
        by = order(x->origin_topic, y->origin_topic);
    if (!by)
        by = order(x->origin_partition, y->origin_partition);
    return by ? by : order((uint64_t)x->origin_offset, (uint64_t)y->origin_offset);
}

const struct verify_ordered *verify_jobs_ordered(struct verify_jobs *jobs, size_t *ret_count)
{
    size_t count = jobs->ordered.count ? jobs->ordered.count - 1 : 0;
    *ret_count = 0;
    if (!jobs->sorted && count)
        jobs->sorted = take(jobs, count, sizeof *jobs->sorted);
    if (!jobs->sorted)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        jobs->sorted[i] = *(struct verify_ordered *)page_item(&jobs->ordered, i + 1);
    qsort_r(jobs->sorted, count, sizeof *jobs->sorted, compare, jobs);
    *ret_count = count;
    return jobs->sorted;
}
