/* See verify_books.h: the log. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_internal.h"

#include "schemas/digest.h"
#include "schemas/envelope.h"
#include "schemas/fold.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[VERIFY_BOOKS_KIND_COUNT] = {
    "lost", "phantom", "flip", "absent", "differs", "stray", "behind",
};

const char *verify_books_kind_text(enum verify_books_kind kind)
{
    return kinds[kind];
}

/* --- life --- */

struct verify_books *verify_books_new(const struct verify_books_options *options)
{
    struct verify_books *books = MEM_NEW(*books);
    books->options = *options;
    books->jobs = verify_jobs_new(options->bytes_max);
    books->findings = mem_zalloc(VERIFY_BOOKS_FINDINGS_MAX, sizeof *books->findings);
    books->types = mem_zalloc(VERIFY_BOOKS_TYPES_MAX, sizeof *books->types);
    books->record = (struct buf)BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    return books;
}

void verify_books_free(struct verify_books *books)
{
    if (!books)
        return;
    for (uint32_t i = 0; i < books->live_count; i++)
        free(books->lives[i].bytes);
    for (uint16_t i = 0; i < books->type_count; i++)
        free(books->types[i].name);
    for (uint16_t i = 0; i < books->range_count; i++)
        free(books->ranges[i].topic);
    verify_jobs_free(books->jobs);
    buf_free(&books->record);
    free(books->lives);
    free(books->sorted);
    free(books->types);
    free(books->ranges);
    free(books->findings);
    free(books);
}

const struct verify_books_options *verify_books_window(const struct verify_books *books)
{
    return &books->options;
}

uint16_t verify_books_range_add(struct verify_books *books, const char *topic, int32_t partition,
                                bool replies)
{
    books->ranges =
        mem_resize(books->ranges, (size_t)books->range_count + 1, sizeof *books->ranges);
    books->ranges[books->range_count] = (struct verify_books_range){
        .topic = mem_dup_text(topic),
        .partition = partition,
        .replies = replies,
        .committed = -1,
    };
    return books->range_count++;
}

struct verify_books_range *verify_books_range_at(const struct verify_books *books, uint16_t range)
{
    return &books->ranges[range];
}

size_t verify_books_range_count(const struct verify_books *books)
{
    return books->range_count;
}

/* --- findings --- */

/* Mutants for what the view is found to tell; those for what the log tells stand where it is found.
 */
static bool is_passed_over(enum verify_books_kind kind)
{
    return (kind == VERIFY_BOOKS_ABSENT && MUTANT(books_absent_unseen)) ||
           (kind == VERIFY_BOOKS_DIFFERS && MUTANT(books_differs_unseen)) ||
           (kind == VERIFY_BOOKS_STRAY && MUTANT(books_stray_unseen)) ||
           (kind == VERIFY_BOOKS_BEHIND && MUTANT(books_behind_unseen));
}

void verify_books_find(struct verify_books *books, enum verify_books_kind kind, const struct id *id,
                       const struct verify_books_place *place, const char *format, ...)
{
    if (is_passed_over(kind))
        return;
    books->counts.findings++;
    books->counts.by_kind[kind]++;
    if (books->finding_count == VERIFY_BOOKS_FINDINGS_MAX)
        return;
    struct verify_books_finding *finding = &books->findings[books->finding_count++];
    *finding = (struct verify_books_finding){ .kind = kind, .place = { .offset = -1 } };
    if (id) {
        finding->job = *id;
        finding->has_job = true;
    }
    if (place)
        finding->place = *place;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, list);
    va_end(list);
}

bool verify_books_is_in_window(const struct verify_books *books, const struct verify_job *job)
{
    return job->told_ms >= books->options.from_ms && job->told_ms < books->options.to_ms;
}

/* The same for a job, unless it has one of this kind or does not count. */
void verify_books_find_of(struct verify_books *books, struct verify_job *job,
                          enum verify_books_kind kind, const struct verify_books_place *place,
                          const char *text)
{
    struct id id;
    uint16_t bit = (uint16_t)(1u << kind);
    if ((job->found & bit) || !verify_books_is_in_window(books, job))
        return;
    job->found |= bit;
    verify_jobs_identity(job, &id);
    verify_books_find(books, kind, &id, place, "%s", text);
}

/* --- which job --- */

static uint16_t type_of(struct verify_books *books, struct span name)
{
    for (uint16_t i = 0; i < books->type_count; i++) {
        if (span_is(name, books->types[i].name))
            return i;
    }
    if (books->type_count == VERIFY_BOOKS_TYPES_MAX)
        return VERIFY_BOOKS_TYPES_MAX - 1;
    bool last = books->type_count == VERIFY_BOOKS_TYPES_MAX - 1;
    books->types[books->type_count].name = last ? mem_dup_text("(others)") : mem_dup(name);
    return books->type_count++;
}

/* As the fold has it: an id stands for another job once the one before is to be forgotten. */
static bool is_over(int64_t created_ms, int64_t forget_ms, int64_t other_created_ms)
{
    return created_ms < other_created_ms && forget_ms <= other_created_ms;
}

static bool is_same_life(const struct verify_job *job, const struct job_facts *facts)
{
    return !is_over(job->told_ms, job->forget_ms, facts->created_at_ms) &&
           !is_over(facts->created_at_ms, facts->forget_at_ms, job->told_ms);
}

/* NULL when full. */
static struct verify_job *take(struct verify_books *books, const struct job_facts *facts)
{
    uint32_t number = 0;
    struct verify_job *job = verify_jobs_find(books->jobs, &facts->id, &number);
    while (job && !is_same_life(job, facts) && job->next_life)
        job = verify_jobs_at(books->jobs, job->next_life);
    if (job && is_same_life(job, facts))
        return job;
    job = job ? verify_jobs_add_life(books->jobs, job, &number)
              : verify_jobs_take(books->jobs, &facts->id, &number);
    if (!job)
        return NULL;
    job->told_ms = facts->created_at_ms;
    job->forget_ms = facts->forget_at_ms;
    job->type = type_of(books, facts->type);
    return job;
}

/* --- commands --- */

uint64_t verify_books_digest(struct span bytes)
{
    uint8_t whole[DIGEST_SIZE];
    uint64_t digest;
    digest_sha256(&bytes, 1, whole);
    memcpy(&digest, whole, sizeof digest);
    return digest;
}

static bool encode(struct verify_books *books, const struct job_record *record)
{
    buf_reset(&books->record);
    return envelope_encode_record(record, &books->record, NULL) == ERR_OK;
}

static void take_first(struct verify_books *books, struct verify_job *job,
                       const struct verify_books_place *place, const struct job_command *command)
{
    struct job_record record;
    if (job->flags & VERIFY_ACCEPTED)
        return; /* the same command twice: the first one counts */
    job->flags |= VERIFY_ACCEPTED;
    job->told_ms = command->facts.created_at_ms;
    job->forget_ms = command->facts.forget_at_ms;
    job->origin_topic = place->range;
    job->origin_offset = place->offset;
    int32_t partition = books->ranges[place->range].partition;
    if (fold_command(NULL, command, partition, place->offset, &record) && encode(books, &record))
        job->read_digest = verify_books_digest(buf_span(&books->record));
}

/* Whether any copy of its newest command is still to be done. */
static void take_newest(struct verify_job *job, const struct verify_books_place *place,
                        uint32_t turn, bool committed)
{
    bool first = !(job->flags & VERIFY_COMMAND) || turn > job->newest_turn;
    if (!first && (turn < job->newest_turn || committed))
        return;
    job->flags |= VERIFY_COMMAND | VERIFY_PASSED;
    if (!committed)
        job->flags &= (uint16_t)~VERIFY_PASSED;
    job->newest_turn = turn;
    job->newest_topic = place->range;
    job->newest_offset = place->offset;
}

void verify_books_command(struct verify_books *books, const struct verify_books_place *place,
                          const struct job_command *command, bool committed)
{
    books->counts.commands++;
    struct verify_job *job = take(books, &command->facts);
    if (!job)
        return;
    if (command->turn == 0)
        take_first(books, job, place, command);
    take_newest(job, place, command->turn, committed);
}

void verify_books_outside(struct verify_books *books, bool beyond)
{
    books->counts.before += !beyond;
    books->counts.beyond += beyond;
}

/* --- events --- */

static void live_drop(struct verify_books *books, struct verify_job *job)
{
    if (!job->steps)
        return;
    struct verify_books_live *live = &books->lives[job->steps - 1];
    (void)verify_jobs_charge(books->jobs, -(int64_t)(live->size + sizeof *live));
    free(live->bytes);
    *live = (struct verify_books_live){ .next_free = books->free_live };
    books->free_live = job->steps;
    job->steps = 0;
}

static void live_keep(struct verify_books *books, struct verify_job *job, struct span bytes)
{
    live_drop(books, job);
    if (!verify_jobs_charge(books->jobs, (int64_t)(bytes.size + sizeof(struct verify_books_live))))
        return;
    uint32_t number = books->free_live;
    if (number) {
        books->free_live = books->lives[number - 1].next_free;
    } else {
        if (!(books->live_count & (books->live_count - 1))) /* a power of two: twice as many */
            books->lives =
                mem_resize(books->lives, books->live_count ? (size_t)2 * books->live_count : 1,
                           sizeof *books->lives);
        number = ++books->live_count;
    }
    books->lives[number - 1] =
        (struct verify_books_live){ .bytes = mem_dup(bytes), .size = bytes.size };
    job->steps = number;
}

/* What the view has to say of the job from here on. */
static void fold(struct verify_books *books, struct verify_job *job, const struct job_event *event,
                 int64_t offset)
{
    struct envelope_record *before = NULL;
    struct job_record next;
    if (job->steps) {
        const struct verify_books_live *live = &books->lives[job->steps - 1];
        struct span bytes = { live->bytes, live->size };
        if (envelope_decode_record(bytes, &before, NULL) != ERR_OK)
            return;
    }
    if (fold_event(before ? &before->record : NULL, event, offset, &next) && encode(books, &next)) {
        job->read_version = offset;
        job->read_digest = verify_books_digest(buf_span(&books->record));
        job->forget_ms = event->facts.forget_at_ms;
        if (job_state_is_terminal(next.state))
            live_drop(books, job);
        else
            live_keep(books, job, buf_span(&books->record));
    }
    envelope_record_free(before);
}

static void take_second(struct verify_books *books, struct verify_job *job,
                        const struct verify_books_place *place, enum job_state state)
{
    enum job_state first = (enum job_state)job->end_state;
    char text[120];
    if (state == first || state == JOB_CANCELLED || first == JOB_CANCELLED ||
        MUTANT(books_flip_unseen)) {
        books->counts.superseded++;
        return;
    }
    (void)snprintf(text, sizeof text, "%s, after it had ended as %s at offset %" PRId64,
                   job_state_text(state), job_state_text(first), job->end_offset);
    verify_books_find_of(books, job, VERIFY_BOOKS_FLIP, place, text);
}

void verify_books_event(struct verify_books *books, const struct verify_books_place *place,
                        const struct job_event *event)
{
    enum job_state state = job_event_state(event->kind);
    books->counts.events++;
    struct verify_job *job = take(books, &event->facts);
    if (!job)
        return;
    if ((job->flags & VERIFY_EVENT) && job->end_topic != place->range) {
        verify_books_find_of(books, job, VERIFY_BOOKS_FLIP, place,
                             "its events lie in two partitions");
        return;
    }
    if (job->flags & VERIFY_ENDED) {
        if (job_state_is_terminal(state))
            take_second(books, job, place, state);
        return;
    }
    job->flags |= VERIFY_EVENT;
    job->end_topic = place->range;
    job->end_offset = place->offset;
    fold(books, job, event, place->offset);
    if (job_state_is_terminal(state)) {
        job->flags |= VERIFY_ENDED;
        job->end_state = (uint8_t)state;
    }
}

/* --- the end of the log --- */

void verify_books_add_end(struct verify_books_sums *sums, enum job_state state)
{
    sums->succeeded += state == JOB_SUCCEEDED;
    sums->failed += state == JOB_FAILED;
    sums->cancelled += state == JOB_CANCELLED;
    sums->expired += state == JOB_EXPIRED;
}

static void take_phantom(struct verify_books *books, struct verify_job *job)
{
    bool event = job->flags & VERIFY_EVENT;
    const struct verify_books_place place = {
        .range = event ? job->end_topic : job->newest_topic,
        .offset = event ? job->end_offset : job->newest_offset,
    };
    if (MUTANT(books_phantom_unseen))
        return;
    books->types[job->type].sums.phantom++;
    verify_books_find_of(books, job, VERIFY_BOOKS_PHANTOM, &place,
                         event ? "an event of a job whose first command is not in the log"
                               : "a later turn of a job whose first command is not in the log");
}

static void take_unended(struct verify_books *books, struct verify_job *job)
{
    const struct verify_books_place place = { job->newest_topic, job->newest_offset };
    char text[120];
    if (!(job->flags & VERIFY_PASSED) || MUTANT(books_lost_is_live)) {
        books->types[job->type].sums.live++;
        return;
    }
    (void)snprintf(text, sizeof text,
                   "turn %u has no outcome, and its group has committed offset %" PRId64,
                   job->newest_turn, books->ranges[job->newest_topic].committed);
    books->types[job->type].sums.lost++;
    verify_books_find_of(books, job, VERIFY_BOOKS_LOST, &place, text);
}

static void close_job(struct verify_books *books, struct verify_job *job)
{
    struct verify_books_sums *sums = &books->types[job->type].sums;
    bool accepted = job->flags & VERIFY_ACCEPTED;
    if (!verify_books_is_in_window(books, job))
        return;
    sums->accepted += accepted && !(MUTANT(books_count_short) && !(job->flags & VERIFY_ENDED));
    if (!accepted)
        take_phantom(books, job);
    if (job->flags & VERIFY_ENDED)
        verify_books_add_end(sums, (enum job_state)job->end_state);
    else if (accepted)
        take_unended(books, job);
}

static int64_t residual_of(const struct verify_books_sums *sums)
{
    return (int64_t)sums->accepted -
           (int64_t)(sums->succeeded + sums->failed + sums->cancelled + sums->expired + sums->live);
}

static int by_name(const void *a, const void *b, void *arg)
{
    const struct verify_books_type *types = arg;
    return strcmp(types[*(const uint16_t *)a].name, types[*(const uint16_t *)b].name);
}

enum err_code verify_books_finish(struct verify_books *books, struct err *err)
{
    books->counts.bytes_peak = verify_jobs_peak(books->jobs);
    if (verify_jobs_full(books->jobs))
        return err_set(err, ERR_LIMIT,
                       "the books of %" PRIu32 " jobs take more than the %zu bytes they may",
                       verify_jobs_count(books->jobs), books->options.bytes_max);
    for (uint32_t i = 1; i <= verify_jobs_count(books->jobs); i++)
        close_job(books, verify_jobs_at(books->jobs, i));
    books->sorted = mem_zalloc(books->type_count, sizeof *books->sorted);
    for (uint16_t i = 0; i < books->type_count; i++) {
        books->sorted[i] = i;
        books->types[i].sums.residual = residual_of(&books->types[i].sums);
    }
    qsort_r(books->sorted, books->type_count, sizeof *books->sorted, by_name, books->types);
    return ERR_OK;
}

/* --- the books --- */

bool verify_books_balance(const struct verify_books *books)
{
    return books->counts.findings == 0;
}

const struct verify_books_counts *verify_books_counts(const struct verify_books *books)
{
    return &books->counts;
}

const struct verify_books_sums *verify_books_type(const struct verify_books *books, size_t i,
                                                  struct span *ret_name)
{
    if (i >= books->type_count)
        return NULL;
    const struct verify_books_type *type = &books->types[books->sorted[i]];
    *ret_name = span_of(type->name);
    return &type->sums;
}

void verify_books_total(const struct verify_books *books, struct verify_books_sums *ret_sums)
{
    struct verify_books_sums total = { 0 };
    for (uint16_t i = 0; i < books->type_count; i++) {
        const struct verify_books_sums *sums = &books->types[i].sums;
        total.accepted += sums->accepted;
        total.succeeded += sums->succeeded;
        total.failed += sums->failed;
        total.cancelled += sums->cancelled;
        total.expired += sums->expired;
        total.live += sums->live;
        total.lost += sums->lost;
        total.phantom += sums->phantom;
        total.residual += sums->residual;
        total.view.succeeded += sums->view.succeeded;
        total.view.failed += sums->view.failed;
        total.view.cancelled += sums->view.cancelled;
        total.view.expired += sums->view.expired;
        total.view.live += sums->view.live;
        total.view.none += sums->view.none;
    }
    *ret_sums = total;
}

const struct verify_books_finding *verify_books_finding(const struct verify_books *books, size_t i)
{
    return i < books->finding_count ? &books->findings[i] : NULL;
}
