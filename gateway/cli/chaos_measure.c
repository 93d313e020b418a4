/* See chaos_measure.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_measure.h"

#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <stdlib.h>

#define UNDER_WAY_MS                                                                               \
    1000 /* submitted so long before a fault, a job may still have been under way */
#define FELT_MAX_MS 20000 /* after a fault's end: what comes later is not its doing */
#define SLOTS_MIN   1024

struct job {
    struct id id;
    int64_t begin_ms, answered_ms, ended_ms; /* ended_ms 0: not seen */
    uint8_t kind;
    uint8_t state;
    bool accepted, answered;
};

struct chaos_measure {
    const struct drill_plan *plan;
    bool calls[DRILL_JOBS_MAX];
    const struct chaos_fault *faults;
    size_t fault_count;
    struct job *jobs; /* in the order of their answers */
    size_t count, capacity;
    uint32_t *slots; /* index + 1 of accepted jobs, by their ids */
    size_t slot_count, used;
};

struct chaos_measure *chaos_measure_new(const struct drill_plan *plan)
{
    struct chaos_measure *measure = MEM_NEW(*measure);
    measure->plan = plan;
    measure->slot_count = SLOTS_MIN;
    measure->slots = mem_zalloc(SLOTS_MIN, sizeof *measure->slots);
    return measure;
}

void chaos_measure_free(struct chaos_measure *measure)
{
    if (!measure)
        return;
    free(measure->jobs);
    free(measure->slots);
    free(measure);
}

void chaos_measure_calls(struct chaos_measure *measure, size_t kind)
{
    measure->calls[kind] = true;
}

void chaos_measure_faults(struct chaos_measure *measure, const struct chaos_fault *faults,
                          size_t count)
{
    measure->faults = faults;
    measure->fault_count = count;
}

/* --- jobs by their ids --- */

static uint32_t *slot_of(const struct chaos_measure *measure, const struct id *id)
{
    uint64_t hash = history_digest((struct span){ id->bytes, ID_IDENTITY_BYTES });
    size_t at = hash & (measure->slot_count - 1);
    while (measure->slots[at] && !id_same(&measure->jobs[measure->slots[at] - 1].id, id))
        at = (at + 1) & (measure->slot_count - 1);
    return &measure->slots[at];
}

static void grow_slots(struct chaos_measure *measure)
{
    free(measure->slots);
    measure->slot_count *= 2;
    measure->slots = mem_zalloc(measure->slot_count, sizeof *measure->slots);
    for (size_t i = 0; i < measure->count; i++) {
        if (measure->jobs[i].accepted)
            *slot_of(measure, &measure->jobs[i].id) = (uint32_t)i + 1;
    }
}

static void take_answer(struct chaos_measure *measure, size_t kind, const struct history_line *line)
{
    struct job job = {
        .begin_ms = line->begin_ms,
        .answered_ms = line->end_ms,
        .kind = (uint8_t)kind,
        .accepted = line->has_id && line->status >= 200 && line->status < 300,
        .answered = line->status != 0,
    };
    if (line->has_id)
        job.id = line->id;
    if (measure->count == measure->capacity) {
        measure->capacity = measure->capacity ? 2 * measure->capacity : SLOTS_MIN;
        measure->jobs = mem_resize(measure->jobs, measure->capacity, sizeof *measure->jobs);
    }
    measure->jobs[measure->count++] = job;
    if (!job.accepted)
        return;
    if (2 * ++measure->used > measure->slot_count)
        grow_slots(measure);
    else
        *slot_of(measure, &job.id) = (uint32_t)measure->count;
}

void chaos_measure_take(struct chaos_measure *measure, size_t kind, const struct history_line *line)
{
    if (line->kind == HISTORY_SUBMITTED)
        take_answer(measure, kind, line);
    if (line->kind != HISTORY_READ || !line->has_id || !line->has_state ||
        !job_state_is_terminal(line->state))
        return;
    uint32_t found = *slot_of(measure, &line->id);
    if (found && measure->jobs[found - 1].ended_ms == 0) {
        measure->jobs[found - 1].ended_ms = line->end_ms;
        measure->jobs[found - 1].state = (uint8_t)line->state;
    }
}

bool chaos_measure_open_job(const struct chaos_measure *measure, size_t i, struct id *ret_id,
                            size_t *ret_kind)
{
    for (size_t at = 0; at < measure->count; at++) {
        const struct job *job = &measure->jobs[at];
        if (!job->accepted || job->ended_ms || i-- > 0)
            continue;
        *ret_id = job->id;
        *ret_kind = job->kind;
        return true;
    }
    return false;
}

/* --- counts --- */

static bool is_excused(const struct chaos_measure *measure, const struct job *job)
{
    if (!measure->calls[job->kind] || job->state == JOB_CANCELLED)
        return false;
    for (size_t i = 0; i < measure->fault_count; i++) {
        const struct chaos_fault *fault = &measure->faults[i];
        bool fails = fault->act == DRILL_THIRD_PARTY && strcmp(fault->name, "slow") != 0;
        bool over = fault->end_ms && fault->end_ms < job->begin_ms;
        if (fails && fault->begin_ms <= job->ended_ms && (!over || MUTANT(chaos_excuse_lasts)))
            return true;
    }
    return false;
}

static bool is_wrong(const struct chaos_measure *measure, const struct job *job)
{
    return job->ended_ms && job->state != measure->plan->jobs[job->kind].ends &&
           !is_excused(measure, job);
}

static void count_job(const struct chaos_measure *measure, const struct job *job,
                      struct chaos_counts *counts)
{
    counts->submitted++;
    counts->accepted += job->accepted;
    counts->refused += job->answered && !job->accepted;
    counts->unanswered += !job->answered;
    counts->ended += job->ended_ms != 0;
    counts->wrong += is_wrong(measure, job);
}

struct chaos_counts chaos_measure_counts(const struct chaos_measure *measure)
{
    struct chaos_counts counts = { 0 };
    for (size_t i = 0; i < measure->count; i++)
        count_job(measure, &measure->jobs[i], &counts);
    return counts;
}

struct chaos_counts chaos_measure_counts_of(const struct chaos_measure *measure, size_t kind)
{
    struct chaos_counts counts = { 0 };
    for (size_t i = 0; i < measure->count; i++) {
        if (measure->jobs[i].kind == kind)
            count_job(measure, &measure->jobs[i], &counts);
    }
    return counts;
}

/* --- latencies --- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The smallest that `percent` of the sorted values do not exceed. */
static int64_t percentile(const int64_t *sorted, size_t count, size_t percent)
{
    size_t rank = (count * percent + 99) / 100;
    return sorted[rank ? rank - 1 : 0];
}

static struct chaos_percentiles percentiles(int64_t *values, size_t count)
{
    if (count == 0)
        return (struct chaos_percentiles){ 0 };
    qsort(values, count, sizeof *values, compare);
    return (struct chaos_percentiles){ .p50 = percentile(values, count, 50),
                                       .p99 = percentile(values, count, 99),
                                       .max = values[count - 1],
                                       .count = count };
}

static struct chaos_percentiles latencies(const struct chaos_measure *measure, bool until_ended)
{
    int64_t *values = mem_zalloc(measure->count, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < measure->count; i++) {
        const struct job *job = &measure->jobs[i];
        if (job->accepted && (!until_ended || job->ended_ms))
            values[count++] = (until_ended ? job->ended_ms : job->answered_ms) - job->begin_ms;
    }
    struct chaos_percentiles found = percentiles(values, count);
    free(values);
    return found;
}

struct chaos_percentiles chaos_measure_accept(const struct chaos_measure *measure)
{
    return latencies(measure, false);
}

struct chaos_percentiles chaos_measure_end(const struct chaos_measure *measure)
{
    return latencies(measure, true);
}

int64_t chaos_measure_silence(const struct chaos_measure *measure)
{
    int64_t *times = mem_zalloc(measure->count + 2, sizeof *times);
    size_t count = 0;
    int64_t first = INT64_MAX;
    int64_t last = 0;
    int64_t longest = 0;
    for (size_t i = 0; i < measure->count; i++) {
        const struct job *job = &measure->jobs[i];
        first = job->begin_ms < first ? job->begin_ms : first;
        last = job->begin_ms > last ? job->begin_ms : last;
        if (job->accepted)
            times[count++] = job->answered_ms;
    }
    if (measure->count) {
        times[count++] = first;
        times[count++] = last;
    }
    qsort(times, count, sizeof *times, compare);
    for (size_t i = 1; i < count; i++) {
        if (times[i] - times[i - 1] > longest)
            longest = times[i] - times[i - 1];
    }
    free(times);
    return longest;
}

/* --- faults --- */

/* Done at once when nothing is broken: neither retried on purpose nor in the line of a key. */
static bool is_plain(const struct chaos_measure *measure, const struct job *job)
{
    const struct drill_jobs *kind = &measure->plan->jobs[job->kind];
    return !kind->key && !strstr(kind->payload, "\"simulate\"");
}

static int64_t felt_ms(const struct chaos_measure *measure, const struct chaos_fault *fault,
                       int64_t until_ms)
{
    int64_t felt = CHAOS_UNKNOWN;
    for (size_t i = 0; i < measure->count; i++) {
        const struct job *job = &measure->jobs[i];
        int64_t done_ms = job->accepted ? job->ended_ms : job->answered_ms;
        if (!is_plain(measure, job) || !done_ms || job->begin_ms < fault->begin_ms - UNDER_WAY_MS ||
            job->begin_ms > until_ms || done_ms < fault->begin_ms)
            continue;
        if (felt == CHAOS_UNKNOWN)
            felt = 0;
        bool usual = job->accepted && done_ms - job->begin_ms <= CHAOS_USUAL_MS;
        if (!usual && done_ms - fault->begin_ms > felt)
            felt = done_ms - fault->begin_ms;
    }
    return felt;
}

struct chaos_percentiles chaos_measure_recover(const struct chaos_measure *measure,
                                               struct chaos_fault *faults, size_t count)
{
    int64_t *values = mem_zalloc(count, sizeof *values);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        const struct chaos_fault *fault = &faults[i];
        bool dies = fault->act == DRILL_KILL || fault->act == DRILL_RESTART;
        int64_t over_ms = dies ? fault->back_ms : fault->end_ms; /* 0: not before the run's end */
        int64_t until_ms = over_ms ? over_ms + FELT_MAX_MS : INT64_MAX;
        if (i + 1 < count && faults[i + 1].begin_ms < until_ms)
            until_ms = faults[i + 1].begin_ms;
        faults[i].recover_ms = felt_ms(measure, &faults[i], until_ms);
        if (faults[i].recover_ms != CHAOS_UNKNOWN)
            values[known++] = faults[i].recover_ms;
    }
    struct chaos_percentiles found = percentiles(values, known);
    free(values);
    return found;
}

/* --- over time --- */

static size_t second_of(int64_t at_ms, int64_t begin_ms, size_t count)
{
    if (at_ms < begin_ms)
        return 0;
    size_t at = (size_t)((at_ms - begin_ms) / CHAOS_STEP_MS);
    return at < count ? at : count - 1;
}

/* Jobs by the second of their submission, then by how long they took. */
struct timed {
    size_t second;
    int64_t took_ms;
};

static int compare_timed(const void *a, const void *b)
{
    const struct timed *x = a;
    const struct timed *y = b;
    if (x->second != y->second)
        return x->second < y->second ? -1 : 1;
    return (x->took_ms > y->took_ms) - (x->took_ms < y->took_ms);
}

static void add_latencies(struct chaos_second *seconds, struct timed *timed, size_t count)
{
    qsort(timed, count, sizeof *timed, compare_timed);
    for (size_t from = 0, to = 0; from < count; from = to) {
        while (to < count && timed[to].second == timed[from].second)
            to++;
        size_t half = ((to - from) * 50 + 99) / 100;
        size_t most = ((to - from) * 99 + 99) / 100;
        seconds[timed[from].second].p50_ms = timed[from + half - 1].took_ms;
        seconds[timed[from].second].p99_ms = timed[from + most - 1].took_ms;
    }
}

struct chaos_second *chaos_measure_seconds(const struct chaos_measure *measure, int64_t begin_ms,
                                           size_t count)
{
    struct chaos_second *seconds = mem_zalloc(count, sizeof *seconds);
    struct timed *timed = mem_zalloc(measure->count, sizeof *timed);
    size_t timed_count = 0;
    for (size_t i = 0; i < count; i++)
        seconds[i].p50_ms = seconds[i].p99_ms = -1;
    for (size_t i = 0; i < measure->count && count; i++) {
        const struct job *job = &measure->jobs[i];
        struct chaos_second *answered = &seconds[second_of(job->answered_ms, begin_ms, count)];
        answered->accepted += job->accepted;
        answered->refused += !job->accepted;
        if (!job->ended_ms)
            continue;
        seconds[second_of(job->ended_ms, begin_ms, count)].ended++;
        timed[timed_count++] = (struct timed){ second_of(job->begin_ms, begin_ms, count),
                                               job->ended_ms - job->begin_ms };
    }
    add_latencies(seconds, timed, timed_count);
    free(timed);
    return seconds;
}
