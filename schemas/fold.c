/* See fold.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/fold.h"
#include "schemas/mutant.h"

/* Position of an event within its attempt. */
static uint32_t phase_of(enum job_event_kind kind)
{
    switch (kind) {
    case JOB_EVENT_STARTED:
        return 1;
    case JOB_EVENT_PROGRESS:
        return 2;
    case JOB_EVENT_RETRYING:
    case JOB_EVENT_HELD:
        return 3;
    case JOB_EVENT_SUCCEEDED:
    case JOB_EVENT_FAILED:
    case JOB_EVENT_CANCELLED:
    case JOB_EVENT_EXPIRED:
    case JOB_EVENT_END:
        break;
    }
    return 4;
}

/* A job that is held where it is keeps turn and attempt: after that, what follows the hold's end is
 * news, another hold too. */
static bool follows_hold(const struct job_event *event, const struct job_record *record)
{
    if (record->state != JOB_HELD)
        return false;
    if (event->kind == JOB_EVENT_STARTED)
        return event->started_at_ms >= record->next_at_ms;
    if (event->kind == JOB_EVENT_HELD)
        return event->next_at_ms > record->next_at_ms;
    return event->kind == JOB_EVENT_RETRYING;
}

static bool is_newer(const struct job_event *event, const struct job_record *record)
{
    if (event->turn != record->turn)
        return event->turn > record->turn;
    if (event->attempt != record->attempt)
        return event->attempt > record->attempt;
    return phase_of(event->kind) > record->phase || follows_hold(event, record);
}

/* The id of an idempotency key comes again when its job is forgotten: that is another job. */
static bool is_over(const struct job_facts *life, const struct job_facts *other)
{
    return life->created_at_ms < other->created_at_ms &&
           life->forget_at_ms <= other->created_at_ms && !MUTANT(one_life_an_id);
}

bool fold_event(const struct job_record *record, const struct job_event *event, int64_t offset,
                struct job_record *ret_record)
{
    enum job_state state = job_event_state(event->kind);
    bool terminal = job_state_is_terminal(state);
    if (record) {
        if (offset <= record->version) /* the log is read again */
            return false;
        if (is_over(&event->facts, &record->facts))
            return false;
        if (is_over(&record->facts, &event->facts))
            record = NULL;
    }
    if (record) {
        if (!job_state_may_move(record->state, state) && !(terminal && MUTANT(last_terminal_wins)))
            return false;
        if (!terminal && !is_newer(event, record))
            return false;
    }
    struct job_record next = {
        .facts = event->facts,
        .state = state,
        .turn = event->turn,
        .attempt = event->attempt,
        .phase = phase_of(event->kind),
        .version = offset,
        .started_at_ms = event->started_at_ms,
        .finished_at_ms = terminal ? event->at_ms : 0,
        .next_at_ms = event->next_at_ms,
        .result = event->result,
        .result_kind = event->result_kind,
        .failure = event->failure,
        .command_partition = event->command_partition,
        .command_offset = event->command_offset,
    };
    if (record) { /* a live job keeps showing what its last attempt met */
        if (!terminal && next.failure.code.size == 0)
            next.failure = record->failure;
        if (!terminal && next.started_at_ms == 0)
            next.started_at_ms = record->started_at_ms;
    }
    if (terminal) { /* of use to further attempts only, and most records are of jobs that ended */
        next.facts.request_id = next.facts.tracestate = (struct span){ 0 };
    }
    *ret_record = next;
    return true;
}

enum job_state fold_command_state(const struct job_facts *facts)
{
    return facts->run_at_ms > facts->created_at_ms ? JOB_SCHEDULED : JOB_QUEUED;
}

bool fold_command(const struct job_record *record, const struct job_command *command,
                  int32_t partition, int64_t offset, struct job_record *ret_record)
{
    if (command->turn != 0 || (record && !is_over(&record->facts, &command->facts)))
        return false;
    *ret_record = (struct job_record){
        .facts = command->facts,
        .state = fold_command_state(&command->facts),
        .version = -1,
        .command_partition = partition,
        .command_offset = offset,
    };
    ret_record->facts.origin_partition = partition;
    ret_record->facts.origin_offset = offset;
    return true;
}

const struct job_record *fold_merge(const struct job_record *from_command,
                                    const struct job_record *from_events)
{
    return from_events ? from_events : from_command;
}
