/* See why.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/why.h"

#include "schemas/mutant.h"
#include "schemas/timefmt.h"

#include <inttypes.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)

enum case_ {
    CASE_ACCEPTED,
    CASE_SCHEDULED,
    CASE_TAKEN,
    CASE_WORKER_LOST,
    CASE_NO_WORKER,
    CASE_BEHIND_KEY,
    CASE_BEHIND_OTHERS,
    CASE_NEXT,
    CASE_PASSED,
    CASE_WAITING,
    CASE_RUNNING,
    CASE_RETRYING,
    CASE_HELD,
    CASE_SUCCEEDED,
    CASE_FAILED,
    CASE_CANCELLED,
    CASE_EXPIRED,
    CASE_COUNT
};

static const char *const codes[CASE_COUNT] = {
    [CASE_ACCEPTED] = "accepted",
    [CASE_SCHEDULED] = "scheduled",
    [CASE_TAKEN] = "taken",
    [CASE_WORKER_LOST] = "worker_lost",
    [CASE_NO_WORKER] = "no_worker",
    [CASE_BEHIND_KEY] = "behind_key",
    [CASE_BEHIND_OTHERS] = "behind_others",
    [CASE_NEXT] = "next",
    [CASE_PASSED] = "passed",
    [CASE_WAITING] = "waiting",
    [CASE_RUNNING] = "running",
    [CASE_RETRYING] = "retrying",
    [CASE_HELD] = "held",
    [CASE_SUCCEEDED] = "succeeded",
    [CASE_FAILED] = "failed",
    [CASE_CANCELLED] = "cancelled",
    [CASE_EXPIRED] = "expired",
};

/* --- which case it is --- */

static enum case_ case_of_queued(const struct why_facts *facts)
{
    if (facts->claimed)
        return facts->worker_beats ? CASE_TAKEN : CASE_WORKER_LOST;
    if (facts->workers == 0)
        return CASE_NO_WORKER;
    if (facts->key_before > 0)
        return CASE_BEHIND_KEY;
    if (facts->before > 0)
        return CASE_BEHIND_OTHERS;
    if (facts->before == WHY_PASSED)
        return CASE_PASSED;
    return facts->before == 0 ? CASE_NEXT : CASE_WAITING;
}

/* A pause that is over is a job that waits for a worker like any other. */
static enum case_ case_of_pause(const struct why_facts *facts, enum case_ pause)
{
    if (facts->record->next_at_ms > facts->now_ms)
        return pause;
    if (facts->claimed && facts->worker_beats)
        return CASE_TAKEN;
    return facts->workers == 0 ? CASE_NO_WORKER : CASE_WAITING;
}

static enum case_ case_of(const struct why_facts *facts)
{
    const struct job_record *record = facts->record;
    if (!record)
        return CASE_ACCEPTED;
    switch (record->state) {
    case JOB_SCHEDULED:
        if (record->facts.run_at_ms > facts->now_ms)
            return CASE_SCHEDULED;
        return case_of_queued(facts);
    case JOB_QUEUED:
        return case_of_queued(facts);
    case JOB_RUNNING:
        return facts->claimed && !facts->worker_beats && !MUTANT(why_believes_the_dead)
                   ? CASE_WORKER_LOST
                   : CASE_RUNNING;
    case JOB_RETRYING:
        return case_of_pause(facts, CASE_RETRYING);
    case JOB_HELD:
        return case_of_pause(facts, CASE_HELD);
    case JOB_SUCCEEDED:
        return CASE_SUCCEEDED;
    case JOB_FAILED:
        return CASE_FAILED;
    case JOB_CANCELLED:
        return CASE_CANCELLED;
    case JOB_EXPIRED:
    case JOB_STATE_COUNT:
        break;
    }
    return CASE_EXPIRED;
}

const char *why_code(const struct why_facts *facts)
{
    return codes[case_of(facts)];
}

/* --- words --- */

/* A duration in the two units that count, "1m30s". */
static void add_duration(struct buf *out, int64_t ms)
{
    int64_t unit_ms = ms < 10 * SECOND_MS ? 100 : ms < HOUR_MS ? SECOND_MS : MINUTE_MS;
    timefmt_duration(ms > 0 ? ms - ms % unit_ms : 0, out);
}

static void add_ago(const struct why_facts *facts, int64_t at_ms, struct buf *out)
{
    add_duration(out, facts->now_ms - at_ms);
    buf_add_text(out, " ago");
}

/* " in 12s, at 2026-11-24T01:02:03.004Z" */
static void add_in(const struct why_facts *facts, int64_t at_ms, struct buf *out)
{
    char time[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(at_ms, time);
    buf_add_text(out, " in ");
    add_duration(out, at_ms - facts->now_ms);
    buf_printf(out, ", at %s", time);
}

static void add_attempts(const struct job_record *record, struct buf *out)
{
    if (record->attempt > 0)
        buf_printf(out, " at attempt %" PRIu32, record->attempt);
}

static void add_failure(const struct job_record *record, struct buf *out)
{
    const struct job_failure *failure = &record->failure;
    if (failure->code.size == 0)
        return;
    buf_add_text(out, ": ");
    buf_add_span(out, failure->code);
    if (failure->detail.size) {
        const char *detail = failure->detail.data;
        size_t size = failure->detail.size;
        buf_add_text(out, " (");
        buf_add(out, detail, detail[size - 1] == '.' ? size - 1 : size);
        buf_add_char(out, ')');
    }
}

static void add_worker(const struct why_facts *facts, struct buf *out)
{
    if (facts->worker.size)
        buf_add_span(out, facts->worker);
    else
        buf_add_text(out, "a worker");
}

static void say_key(const struct why_facts *facts, struct buf *out)
{
    char id[ID_TEXT_SIZE];
    id_text(&facts->key_first, id);
    buf_printf(out, "It waits behind %s%" PRId64 " earlier job%s of its key '%.*s': %s is ",
               facts->key_more ? "at least " : "", facts->key_before,
               facts->key_before == 1 ? "" : "s", SPAN_ARG(facts->record->facts.key), id);
    buf_add_text(out, job_state_text(facts->key_first_state));
}

static void say_waiting(const struct why_facts *facts, enum case_ which, struct buf *out)
{
    const struct job_record *record = facts->record;
    switch (which) {
    case CASE_TAKEN:
        add_worker(facts, out);
        buf_add_text(out, " has taken it and works on it");
        break;
    case CASE_WORKER_LOST:
        add_worker(facts, out);
        buf_add_text(out, " had taken it and gives no sign of life; Kafka gives it to another one");
        break;
    case CASE_NO_WORKER:
        buf_printf(out, "No worker serves its queue, '%.*s'", SPAN_ARG(record->facts.queue));
        break;
    case CASE_BEHIND_KEY:
        say_key(facts, out);
        break;
    case CASE_BEHIND_OTHERS:
        buf_printf(out,
                   "It waits for its turn: at most %" PRId64
                   " records before it in its partition are not done, or a limit is reached",
                   facts->before);
        break;
    case CASE_NEXT:
        buf_add_text(out,
                     "It is the first of its partition that is not done, and begins as soon as "
                     "the limits of its worker, type and target allow");
        break;
    case CASE_PASSED:
        buf_add_text(out,
                     "A worker is done with its command; what became of it is on its way to the "
                     "view");
        break;
    default:
        buf_add_text(out, record->state == JOB_QUEUED || record->state == JOB_SCHEDULED
                              ? "It waits for a worker"
                              : "Its pause is over, and it waits for a worker");
        break;
    }
}

static void say_under_way(const struct why_facts *facts, enum case_ which, struct buf *out)
{
    const struct job_record *record = facts->record;
    if (which == CASE_RUNNING) {
        buf_printf(out, "Attempt %" PRIu32 " runs", record->attempt);
        if (facts->worker.size) {
            buf_add_text(out, " on ");
            buf_add_span(out, facts->worker);
        }
        if (record->started_at_ms) {
            buf_add_text(out, ", begun ");
            add_ago(facts, record->started_at_ms, out);
        }
        return;
    }
    if (which == CASE_RETRYING) {
        buf_add_text(out, "The next attempt begins");
        add_in(facts, record->next_at_ms, out);
        buf_add_text(out, "; the last one failed");
        add_failure(record, out);
        return;
    }
    buf_add_text(out, "It is held, and looked at again");
    add_in(facts, record->next_at_ms, out);
    add_failure(record, out);
}

static void say_ended(const struct why_facts *facts, enum case_ which, struct buf *out)
{
    const struct job_record *record = facts->record;
    static const char *const verbs[CASE_COUNT] = {
        [CASE_SUCCEEDED] = "It succeeded ",
        [CASE_FAILED] = "It failed ",
        [CASE_CANCELLED] = "It was cancelled ",
        [CASE_EXPIRED] = "It expired ",
    };
    buf_add_text(out, verbs[which]);
    add_ago(facts, record->finished_at_ms, out);
    if (which == CASE_SUCCEEDED || which == CASE_FAILED)
        add_attempts(record, out);
    if (which == CASE_SUCCEEDED)
        return;
    if (record->failure.code.size)
        add_failure(record, out);
    else if (which == CASE_CANCELLED)
        buf_add_text(out, ", before any attempt had begun");
    else if (which == CASE_EXPIRED)
        buf_add_text(out, ": its last moment came before its turn");
}

void why_sentence(const struct why_facts *facts, struct buf *out)
{
    enum case_ which = case_of(facts);
    if (which == CASE_ACCEPTED) {
        buf_add_text(out, "It was accepted a moment ago; the view does not show it yet");
    } else if (which == CASE_SCHEDULED) {
        buf_add_text(out, "Its time comes");
        add_in(facts, facts->record->facts.run_at_ms, out);
    } else if (job_state_is_terminal(facts->record->state)) {
        say_ended(facts, which, out);
    } else if (which == CASE_RUNNING || which == CASE_RETRYING || which == CASE_HELD) {
        say_under_way(facts, which, out);
    } else {
        say_waiting(facts, which, out);
    }
    if (facts->record && facts->cancel_marked && !job_state_is_terminal(facts->record->state))
        buf_add_text(out, "; it is to be cancelled");
    buf_add_char(out, '.');
}
