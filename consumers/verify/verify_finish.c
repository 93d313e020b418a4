/* What is decided when all is known. See verify_judge.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>

static bool in_log(const struct verify_job *job)
{
    return job->flags & (VERIFY_COMMAND | VERIFY_EVENT);
}

/* --- existence --- */

static void check_ghost(struct verify_judge *judge, struct verify_job *job)
{
    const struct verify_place place = { job->newest_topic, job->newest_partition,
                                        job->newest_offset };
    struct verify_where where = { .line = job->line,
                                  .place = job->flags & VERIFY_COMMAND ? &place : NULL };
    if (job->flags & VERIFY_REFUSED)
        verify_find(judge, job, VERIFY_GHOST, where,
                    "in the log, and its client was told that it was not accepted");
    else
        verify_find(judge, job, VERIFY_GHOST, where, "in the log, and nobody submitted it");
}

static void check_end(struct verify_judge *judge, struct verify_job *job)
{
    const struct verify_place place = { job->newest_topic, job->newest_partition,
                                        job->newest_offset };
    const struct verify_where where = { .line = job->line, .place = &place };
    if (job->flags & VERIFY_ENDED)
        return;
    if (!(job->flags & VERIFY_COMMAND)) {
        if ((job->flags & VERIFY_ACCEPTED) || !judge->options.partial)
            verify_find(judge, job, VERIFY_LOST, (struct verify_where){ .line = job->line },
                        "told to exist, and the log has no command of it");
    } else if (job->flags & VERIFY_PASSED) {
        verify_find(judge, job, VERIFY_COMMIT, where,
                    "turn %u has no outcome, and its group has committed an offset beyond it",
                    job->newest_turn);
    } else {
        verify_find(judge, job, VERIFY_LOST, where, "turn %u waits there: the job has not ended",
                    job->newest_turn);
    }
}

/* --- what was told --- */

static void check_founded(struct verify_judge *judge, struct verify_job *job)
{
    if (verify_has(job, VERIFY_FLIPPED) || verify_has(job, VERIFY_DOUBLED) ||
        verify_has(job, VERIFY_WENT_BACK) || verify_has(job, VERIFY_LOST) ||
        verify_has(job, VERIFY_COMMIT))
        return;
    const struct verify_place end = { job->end_topic, job->end_partition, job->end_offset };
    if (job->read_line && (job->read_state != job->end_state ||
                           (job->read_version >= 0 && job->read_version != job->end_offset)))
        verify_find(judge, job, VERIFY_UNFOUNDED,
                    (struct verify_where){ .line = job->read_line, .place = &end },
                    "told as %s at version %" PRId64 "; the log has %s at offset %" PRId64,
                    job_state_text((enum job_state)job->read_state), job->read_version,
                    job_state_text((enum job_state)job->end_state), job->end_offset);
    for (uint32_t i = job->steps; i; i = verify_jobs_step(judge->jobs, i)->next) {
        const struct verify_step *step = verify_jobs_step(judge->jobs, i);
        if (step->rank > 1 && step->rank != VERIFY_RANK_ENDED && !step->found)
            verify_find(judge, job, VERIFY_UNFOUNDED, (struct verify_where){ .line = step->line },
                        "told as %s at version %" PRId64 "; the log has no such event there",
                        job_state_text((enum job_state)step->state), step->rank - 1);
    }
}

static void check_absent(struct verify_judge *judge, struct verify_job *job)
{
    if (job->absent_line && (!job->forget_ms || job->absent_ms < job->forget_ms))
        verify_find(judge, job, VERIFY_ABSENT, (struct verify_where){ .line = job->absent_line },
                    "told that there is no such job; line %u had told of it", job->line);
}

/* --- dead letters --- */

static void check_buried(struct verify_judge *judge, struct verify_job *job)
{
    const struct verify_place end = { job->end_topic, job->end_partition, job->end_offset };
    if ((job->end_state != JOB_FAILED && job->end_state != JOB_EXPIRED) ||
        (job->flags & VERIFY_DEAD))
        return;
    if (judge->unnamed_dead)
        judge->unnamed_dead--;
    else
        verify_find(judge, job, VERIFY_UNBURIED, (struct verify_where){ .place = &end },
                    "%s, and there is no dead letter",
                    job_state_text((enum job_state)job->end_state));
}

/* --- calls --- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* How many of the sorted times are below `limit`. */
static size_t count_below(const int64_t *sorted, size_t count, int64_t limit)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (sorted[middle] < limit)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* Faults that began before the outcome was acknowledged and were not over before the first call. */
static size_t count_excuses(const struct verify_judge *judge, int64_t first_call_ms,
                            int64_t outcome_ms)
{
    const struct verify_options *options = &judge->options;
    size_t begun = outcome_ms ? count_below(judge->begins, judge->fault_count,
                                            outcome_ms + options->ack_ms + 1)
                              : judge->fault_count;
    size_t over = count_below(judge->ends, judge->fault_count, first_call_ms - options->grace_ms);
    return begun > over ? begun - over : 0;
}

/* `first` is the attempt's first leg: it has its calls. */
static void check_repeats(struct verify_judge *judge, struct verify_job *job,
                          const struct verify_leg *first)
{
    size_t announced = 0;
    int64_t outcome_ms = first->outcome_ms;
    const struct verify_leg *leg = NULL;
    for (uint32_t i = job->legs; i; i = leg->next) {
        leg = verify_jobs_leg(judge->jobs, i);
        if (leg->attempt != first->attempt)
            continue;
        announced++;
        if (!leg->outcome_ms || (outcome_ms && leg->outcome_ms > outcome_ms))
            outcome_ms = leg->outcome_ms;
    }
    announced *= (size_t)job->heirs + 1;
    if (job->heirs)
        outcome_ms = 0; /* its heirs' outcomes are kept with them */
    size_t excused = count_excuses(judge, first->first_call_ms, outcome_ms);
    size_t repeats = first->calls > announced ? first->calls - announced : 0;
    judge->counts.bound += excused;
    judge->counts.repeats += repeats;
    if (repeats > excused)
        verify_find(judge, job, VERIFY_REPEATED, (struct verify_where){ .line = job->line },
                    "attempt %u was called %u times; %zu announced, %zu excused by faults",
                    first->attempt, first->calls, announced, excused);
}

static void check_calls(struct verify_judge *judge, struct verify_job *job)
{
    for (uint32_t i = job->legs; i; i = verify_jobs_leg(judge->jobs, i)->next) {
        const struct verify_leg *leg = verify_jobs_leg(judge->jobs, i);
        if (leg->calls)
            check_repeats(judge, job, leg);
    }
}

static void check_called(struct verify_judge *judge, struct verify_job *job)
{
    const struct verify_place end = { job->end_topic, job->end_partition, job->end_offset };
    const struct verify_leg *leg = verify_leg_of_attempt(judge, job, job->end_attempt);
    if (!judge->options.ledger || !(job->flags & VERIFY_CALLS) || job->end_state != JOB_SUCCEEDED ||
        (leg && leg->calls))
        return;
    verify_find(judge, job, VERIFY_UNCALLED, (struct verify_where){ .place = &end },
                "succeeded at attempt %u, of which the third party knows no call",
                job->end_attempt);
}

/* --- order --- */

static void check_order(struct verify_judge *judge)
{
    size_t count = 0;
    const struct verify_ordered *ordered = verify_jobs_ordered(judge->jobs, &count);
    const struct verify_job *last = NULL; /* the one of the key that ended last so far */
    for (size_t i = 0; i < count; i++) {
        struct verify_job *job = verify_jobs_at(judge->jobs, ordered[i].job);
        bool same = i > 0 && ordered[i].key_hash == ordered[i - 1].key_hash && last &&
                    last->origin_topic == job->origin_topic &&
                    last->origin_partition == job->origin_partition;
        if (!same)
            last = NULL;
        const struct verify_place place = { job->origin_topic, job->origin_partition,
                                            job->origin_offset };
        if (last && job->started_ms && job->started_ms < last->ended_ms)
            verify_find(judge, job, VERIFY_ORDER,
                        (struct verify_where){ .line = job->line, .place = &place },
                        "began %" PRId64 " ms before the job of its key at offset %" PRId64
                        " had ended",
                        last->ended_ms - job->started_ms, last->origin_offset);
        if ((job->flags & VERIFY_ENDED) && (!last || job->ended_ms > last->ended_ms))
            last = job;
    }
}

/* --- the verdict --- */

static void finish_job(struct verify_judge *judge, struct verify_job *job)
{
    const unsigned told = VERIFY_ACCEPTED | VERIFY_POSSIBLE | VERIFY_REFUSED | VERIFY_SEEN;
    if ((job->flags & VERIFY_FOREIGN) || (judge->options.told && !(job->flags & told)))
        return;
    if (in_log(job) && !(job->flags & (VERIFY_ACCEPTED | VERIFY_POSSIBLE))) {
        check_ghost(judge, job);
        return;
    }
    if (!in_log(job) && !(job->flags & (VERIFY_ACCEPTED | VERIFY_SEEN))) {
        check_calls(judge, job); /* of its heirs */
        return;                  /* nobody was told that it exists, and it does not */
    }
    judge->counts.jobs++;
    check_end(judge, job);
    check_absent(judge, job);
    check_calls(judge, job);
    if (!(job->flags & VERIFY_ENDED))
        return;
    check_founded(judge, job);
    check_buried(judge, job);
    if (!(job->flags & VERIFY_HEIR))
        check_called(judge, job);
}

enum err_code verify_judge_finish(struct verify_judge *judge, struct err *err)
{
    verify_enter(judge, VERIFY_OVER);
    qsort(judge->begins, judge->fault_count, sizeof *judge->begins, compare);
    qsort(judge->ends, judge->fault_count, sizeof *judge->ends, compare);
    for (uint32_t i = 1; i <= verify_jobs_count(judge->jobs); i++)
        finish_job(judge, verify_jobs_at(judge->jobs, i));
    check_order(judge);
    judge->counts.bytes_peak = verify_jobs_peak(judge->jobs);
    if (verify_jobs_full(judge->jobs))
        return err_set(err, ERR_LIMIT,
                       "the jobs do not fit into the judge's %zu bytes: judge a part of the log, "
                       "from later offsets on",
                       judge->options.bytes_max);
    return ERR_OK;
}
