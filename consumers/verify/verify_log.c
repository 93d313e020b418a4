/* The log and the ledger: each record is held against what is known of its job, and kept as far as
 * the verdict needs it. See verify_judge.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_judge_internal.h"

#include <inttypes.h>

/* A job that is not judged: it began before what is read, and no submission of the history speaks
 * of it. */
static bool is_others(struct verify_judge *judge, const struct id *id, bool foreign)
{
    if (!foreign)
        return false;
    const struct verify_job *job = verify_jobs_find(judge->jobs, id, NULL);
    if (job && (job->flags & (VERIFY_ACCEPTED | VERIFY_POSSIBLE)))
        return false;
    judge->counts.foreign++;
    return true;
}

/* A submission that got no id is known by the request id that its job carries. */
static void adopt(struct verify_judge *judge, struct verify_job *job, struct span request)
{
    struct verify_submission *submission =
        request.size ? verify_jobs_submission(judge->jobs, history_digest(request)) : NULL;
    if (!submission)
        return;
    job->flags |= (uint16_t)submission->flags;
    if (!job->line)
        job->line = submission->line;
}

static void take_facts(struct verify_job *job, const struct job_facts *facts, bool foreign)
{
    job->flags |= facts->key.size ? VERIFY_ORDERED : 0;
    job->not_after_ms = facts->not_after_ms;
    job->forget_ms = facts->forget_at_ms;
    if (foreign)
        job->flags |= VERIFY_FOREIGN;
}

/* --- commands --- */

static void take_first(struct verify_judge *judge, struct verify_job *job, uint32_t number,
                       const struct verify_told_command *told)
{
    const struct job_facts *facts = &told->command->facts;
    adopt(judge, job, facts->request_id);
    if (job->flags & VERIFY_COMMAND)
        return; /* the same command twice: the first one counts */
    job->origin_topic = told->place.topic;
    job->origin_partition = told->place.partition;
    job->origin_offset = told->place.offset;
    if (facts->key.size)
        verify_jobs_ordered_add(judge->jobs, history_digest(facts->key), number);
}

static void take_newest(struct verify_job *job, const struct verify_told_command *told)
{
    uint32_t turn = told->command->turn;
    if ((job->flags & VERIFY_COMMAND) && turn < job->newest_turn)
        return;
    bool first = !(job->flags & VERIFY_COMMAND) || turn > job->newest_turn;
    if (first)
        job->flags |= VERIFY_PASSED;
    if (!told->committed)
        job->flags &= (uint16_t)~VERIFY_PASSED;
    if (!first && told->committed)
        return; /* the copy that is not done yet is the one to look at */
    job->newest_turn = turn;
    job->newest_topic = told->place.topic;
    job->newest_partition = told->place.partition;
    job->newest_offset = told->place.offset;
}

/* The calls of a job are counted at the job whose id they carry. */
static struct verify_job *effect_of(struct verify_judge *judge, struct verify_job *job,
                                    const struct job_facts *facts)
{
    if (id_same(&facts->effect_id, &facts->id))
        return job;
    struct verify_job *effect = verify_jobs_take(judge->jobs, &facts->effect_id, NULL);
    if (effect && !(job->flags & VERIFY_COMMAND))
        effect->heirs = verify_u16((uint64_t)effect->heirs + 1);
    job->flags |= VERIFY_HEIR;
    return effect;
}

void verify_judge_command(struct verify_judge *judge, const struct verify_told_command *told)
{
    const struct job_command *command = told->command;
    uint32_t number = 0;
    verify_enter(judge, VERIFY_LOG);
    judge->counts.commands++;
    if (is_others(judge, &command->facts.id, told->foreign))
        return;
    struct verify_job *job = verify_jobs_take(judge->jobs, &command->facts.id, &number);
    if (!job)
        return;
    struct verify_job *effect = effect_of(judge, job, &command->facts);
    if (!effect)
        return;
    take_facts(job, &command->facts, told->foreign);
    if (command->turn == 0)
        take_first(judge, job, number, told);
    take_newest(job, told);
    job->flags |= VERIFY_COMMAND | (told->calls ? VERIFY_CALLS : 0);
    const struct verify_leg leg = { .due_ms = command->due_at_ms,
                                    .turn = command->turn,
                                    .attempt = verify_u16(command->attempt) };
    verify_leg_of_due(judge, effect, &leg);
    if (effect != job)
        verify_leg_of_due(judge, job, &leg);
}

/* --- events --- */

/* Whether `leg` fits the event better than `best`, both being of its attempt. */
static bool is_nearer(const struct verify_leg *leg, const struct verify_leg *best,
                      const struct job_event *event)
{
    if (leg->turn != best->turn)
        return leg->turn > best->turn;
    return leg->due_ms <= event->started_at_ms && leg->due_ms > best->due_ms;
}

/* The leg that an event is of: the last one of its attempt that begins no later than its turn; of
 * several in one turn (holds of an ordered job) the last that was due when it began. */
static struct verify_leg *leg_of_turn(const struct verify_judge *judge,
                                      const struct verify_job *job, const struct job_event *event)
{
    struct verify_leg *best = NULL;
    for (uint32_t i = job->legs; i; i = verify_jobs_leg(judge->jobs, i)->next) {
        struct verify_leg *leg = verify_jobs_leg(judge->jobs, i);
        if (leg->attempt == event->attempt && leg->turn <= event->turn &&
            (!best || is_nearer(leg, best, event)))
            best = leg;
    }
    return best;
}

/* What an ordered job does next is announced by its event: it waits at its own offset. An attempt
 * whose announcement a crash has swallowed (the gate had it) is announced by its own event. */
static void take_ordered(struct verify_judge *judge, struct verify_job *job,
                         const struct job_event *event)
{
    const struct verify_leg *known = leg_of_turn(judge, job, event);
    struct verify_leg leg = { .turn = event->turn, .attempt = verify_u16(event->attempt) };
    if (!known && event->started_at_ms)
        verify_leg_of_due(judge, job, &leg);
    if (event->kind != JOB_EVENT_RETRYING && event->kind != JOB_EVENT_HELD)
        return;
    leg.due_ms = event->next_at_ms;
    leg.attempt = verify_u16((uint64_t)event->attempt + (event->kind == JOB_EVENT_RETRYING));
    verify_leg_of_due(judge, job, &leg);
}

static void check_start(struct verify_judge *judge, struct verify_job *job,
                        const struct verify_place *place, const struct job_event *event)
{
    const struct verify_leg *leg = leg_of_turn(judge, job, event);
    int64_t started_ms = event->started_at_ms;
    struct verify_where where = { .place = place };
    if (!started_ms)
        return;
    int64_t due_ms =
        leg && leg->due_ms > event->facts.run_at_ms ? leg->due_ms : event->facts.run_at_ms;
    if (started_ms < due_ms)
        verify_find(judge, job, VERIFY_EARLY, where,
                    "attempt %u of turn %u began %" PRId64 " ms before its time", event->attempt,
                    event->turn, due_ms - started_ms);
    if (event->facts.not_after_ms && started_ms > event->facts.not_after_ms)
        verify_find(judge, job, VERIFY_LATE, where,
                    "attempt %u began %" PRId64 " ms after its last moment", event->attempt,
                    started_ms - event->facts.not_after_ms);
    if (!job->started_ms || started_ms < job->started_ms)
        job->started_ms = started_ms;
}

static void check_second(struct verify_judge *judge, struct verify_job *job,
                         const struct verify_place *place, enum job_state state)
{
    bool told = job->read_line &&
                (job->read_version >= 0
                     ? job->read_version == place->offset && place->partition == job->end_partition
                     : job->read_state == state && state != job->end_state);
    bool elsewhere = job->end_topic != place->topic || job->end_partition != place->partition;
    if (told)
        verify_find(judge, job, VERIFY_DOUBLED,
                    (struct verify_where){ .line = job->read_line, .place = place },
                    "told as %s, a later end than the %s at offset %" PRId64, job_state_text(state),
                    job_state_text((enum job_state)job->end_state), job->end_offset);
    else if (elsewhere)
        verify_find(judge, job, VERIFY_DOUBLED, (struct verify_where){ .place = place },
                    "a second end, in another partition than the %s at %s/%u@%" PRId64,
                    job_state_text((enum job_state)job->end_state),
                    verify_judge_topic_name(judge, job->end_topic), job->end_partition,
                    job->end_offset);
}

/* Answers that were told of this very event. */
static void confirm_steps(struct verify_judge *judge, const struct verify_job *job,
                          const struct verify_place *place, enum job_state state)
{
    for (uint32_t i = job->steps; i; i = verify_jobs_step(judge->jobs, i)->next) {
        struct verify_step *step = verify_jobs_step(judge->jobs, i);
        if (step->rank == place->offset + 1 && step->state == state)
            step->found = 1;
    }
}

bool verify_judge_event(struct verify_judge *judge, const struct verify_place *place,
                        const struct job_event *event, bool foreign)
{
    enum job_state state = job_event_state(event->kind);
    verify_enter(judge, VERIFY_LOG);
    judge->counts.events++;
    if (is_others(judge, &event->facts.id, foreign))
        return false;
    struct verify_job *job = verify_jobs_take(judge->jobs, &event->facts.id, NULL);
    if (!job)
        return false;
    take_facts(job, &event->facts, foreign);
    job->flags |= VERIFY_EVENT;
    check_start(judge, job, place, event);
    confirm_steps(judge, job, place, state);
    if (job->flags & VERIFY_ORDERED)
        take_ordered(judge, job, event);
    struct verify_leg *leg = leg_of_turn(judge, job, event);
    if (leg && !leg->outcome_ms && state != JOB_RUNNING)
        leg->outcome_ms = event->at_ms;
    if (!job_state_is_terminal(state))
        return false;
    if (job->flags & VERIFY_ENDED) {
        check_second(judge, job, place, state);
        return false;
    }
    job->flags |= VERIFY_ENDED;
    job->end_state = (uint8_t)state;
    job->end_topic = place->topic;
    job->end_partition = place->partition;
    job->end_offset = place->offset;
    job->end_attempt = verify_u16(event->attempt);
    job->ended_ms = event->at_ms;
    return true;
}

void verify_judge_dead(struct verify_judge *judge, const struct id *id)
{
    verify_enter(judge, VERIFY_LOG);
    judge->counts.dead++;
    struct verify_job *job = id ? verify_jobs_find(judge->jobs, id, NULL) : NULL;
    if (job)
        job->flags |= VERIFY_DEAD;
    else if (!id)
        judge->unnamed_dead++;
}

/* --- the ledger --- */

/* The leg of a call's attempt; NULL when nothing announces it. Of an ordered job both announcement
 * and outcome may have been lost in crashes, when it has gone on to later attempts since. */
static struct verify_leg *leg_of_call(struct verify_judge *judge, struct verify_job *job,
                                      const struct verify_call *call)
{
    uint16_t attempt = verify_u16((uint64_t)call->attempt);
    struct verify_leg *leg = verify_leg_of_attempt(judge, job, attempt);
    bool passed = false;
    for (uint32_t i = job->legs; i; i = verify_jobs_leg(judge->jobs, i)->next)
        passed = passed || verify_jobs_leg(judge->jobs, i)->attempt > attempt;
    if (leg || !passed || !(job->flags & VERIFY_ORDERED))
        return leg;
    return verify_leg_of_due(judge, job, &(struct verify_leg){ .attempt = attempt });
}

static void check_call(struct verify_judge *judge, struct verify_job *job,
                       const struct verify_call *call)
{
    const struct verify_leg *leg = NULL;
    int64_t due_ms = INT64_MAX;
    for (uint32_t i = job->legs; i; i = leg->next) {
        leg = verify_jobs_leg(judge->jobs, i);
        if (leg->attempt == call->attempt && leg->due_ms < due_ms)
            due_ms = leg->due_ms;
    }
    if (due_ms != INT64_MAX && call->started_ms < due_ms)
        verify_find(judge, job, VERIFY_EARLY, (struct verify_where){ 0 },
                    "call %" PRId64 " of attempt %" PRId64 " came %" PRId64 " ms before its time",
                    call->seq, call->attempt, due_ms - call->started_ms);
}

void verify_judge_call(struct verify_judge *judge, const struct verify_call *call)
{
    verify_enter(judge, VERIFY_LEDGER);
    struct verify_job *job = verify_jobs_find(judge->jobs, &call->effect, NULL);
    judge->counts.calls++;
    if (!job || call->attempt < 1 || !job->legs || (job->flags & VERIFY_FOREIGN)) {
        judge->counts.foreign++;
        return;
    }
    judge->counts.calls_judged++;
    struct verify_leg *leg = leg_of_call(judge, job, call);
    if (!leg) {
        verify_find(judge, job, VERIFY_REPEATED, (struct verify_where){ 0 },
                    "call %" PRId64 " is of attempt %" PRId64 ", which nothing in the log asks for",
                    call->seq, call->attempt);
        return;
    }
    check_call(judge, job, call);
    uint32_t path_hash = (uint32_t)history_digest(call->path) | 1;
    if (!leg->path_hash)
        leg->path_hash = path_hash;
    if (leg->path_hash != path_hash)
        return; /* where the target redirected to: the same attempt */
    if (!leg->first_call_ms || call->started_ms < leg->first_call_ms)
        leg->first_call_ms = call->started_ms;
    leg->calls = verify_u16((uint64_t)leg->calls + 1);
    if (!job->started_ms || call->started_ms < job->started_ms)
        job->started_ms = call->started_ms;
}
