/* What runs when: lanes by job type, limits by worker, target, type and fleet, the gate in batches.
 * See worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <stdlib.h>

/* Attempts asked for in one Lua call. */
struct batch {
    struct worker *worker;
    size_t count, asks;
    struct attempt *attempts[GATE_QUESTIONS_MAX];
};

void dispatch_soon(struct worker *worker)
{
    loop_defer(worker->loop, &worker->dispatch);
}

void dispatch_ready(struct attempt *attempt)
{
    order_unblock(attempt);
    attempt->state = ATTEMPT_READY;
    attempt->ready_at_ms = loop_now_ms(attempt->partition->worker->loop);
    attempt_list_append(&attempt->type->ready, attempt);
    dispatch_soon(attempt->partition->worker);
}

/* A timer counts from when the loop's turn began, so it may ring before its moment. */
static void on_due(void *arg)
{
    struct attempt *attempt = arg;
    int64_t left_ms = attempt->due_at_ms - clock_wall_ms();
    if (left_ms > 0) {
        loop_timer_start(attempt->due, left_ms, 0);
        return;
    }
    loop_timer_free(attempt->due);
    attempt->due = NULL;
    dispatch_ready(attempt);
}

void dispatch_at(struct attempt *attempt, int64_t due_at_ms)
{
    struct loop *loop = attempt->partition->worker->loop;
    int64_t left_ms = due_at_ms - clock_wall_ms();
    attempt->state = ATTEMPT_WAITING;
    attempt->due_at_ms = due_at_ms;
    attempt->due = loop_timer_new(loop, on_due, attempt);
    loop_timer_start(attempt->due, left_ms > 0 ? left_ms : 0, 0);
}

/* --- limits --- */

static bool has_room(const struct worker *worker, const struct worker_type *type)
{
    return worker->in_flight < (size_t)worker->config->worker.in_flight_max &&
           type->in_flight < (size_t)type->config->in_flight_max &&
           (!type->target ||
            type->target->in_flight < (size_t)type->target->config->in_flight_max) &&
           targets_let(type);
}

static void take_room(struct worker *worker, struct worker_type *type, int by)
{
    worker->in_flight += (size_t)by;
    type->in_flight += (size_t)by;
    if (type->target) {
        type->target->in_flight += (size_t)by;
        metric_set(type->target->in_flight_gauge, (double)type->target->in_flight);
    }
    metric_set(worker->in_flight_gauge, (double)worker->in_flight);
}

/* --- running --- */

static void give_room(struct attempt *attempt)
{
    if (!attempt->has_room) /* to be held */
        return;
    attempt->has_room = false;
    targets_give_back(attempt);
    take_room(attempt->partition->worker, attempt->type, -1);
    dispatch_soon(attempt->partition->worker);
}

static void arm_started(struct worker *worker)
{
    const struct attempt *oldest = worker->untold;
    if (!oldest)
        return;
    int64_t waited_ms = (clock_monotonic_us() - oldest->started_monotonic_us) / 1000;
    int64_t left_ms = worker->config->worker.started_after_ms - waited_ms;
    loop_timer_start(worker->started_timer, left_ms > 1 ? left_ms : 1, 0);
    worker->started_armed = true;
}

void dispatch_tell_started(void *arg)
{
    struct worker *worker = arg;
    worker->started_armed = false;
    int64_t now_us = clock_monotonic_us();
    struct attempt *attempt = worker->untold;
    for (; attempt; attempt = attempt->next) {
        if (now_us - attempt->started_monotonic_us < worker->config->worker.started_after_ms * 1000)
            break;
        attempt->started_told = true;
        outcome_started(attempt);
    }
    worker->untold = attempt;
    arm_started(worker);
}

static void run(struct attempt *attempt);

static void on_handler(void *arg, const struct outcome *outcome)
{
    static unsigned ended; /* for a mutant */
    struct attempt *attempt = arg;
    struct worker *worker = attempt->partition->worker;
    attempt->run = NULL;
    if (worker->untold == attempt)
        worker->untold = attempt->next;
    attempt_list_remove(&worker->running, attempt);
    if (MUTANT(call_made_twice) && ++ended % 20 == 0) {
        run(attempt);
        return;
    }
    metric_observe(attempt->type->attempt_seconds,
                   (double)(clock_monotonic_us() - attempt->started_monotonic_us) / 1e6);
    targets_end(attempt, outcome);
    give_room(attempt);
    if (attempt->cancelled) { /* given up by a shutdown: it will be delivered again */
        partition_attempt_drop(attempt);
        return;
    }
    if (cancel_decides(attempt, outcome))
        outcome_cancelled(attempt, true);
    else if (outcome->code == ERR_EXPIRED) /* a suspect that no child has had */
        outcome_expired(attempt);
    else
        outcome_of_handler(attempt, outcome);
}

static bool is_over(const struct attempt *attempt, int64_t now_ms)
{
    int64_t not_after_ms = attempt->command->facts.not_after_ms;
    return not_after_ms && now_ms > not_after_ms && !MUTANT(not_after_ignored);
}

/* The gate may have taken its time: the last moment counts when the attempt begins. */
static void run(struct attempt *attempt)
{
    struct worker *worker = attempt->partition->worker;
    int64_t now_ms = clock_wall_ms();
    if (is_over(attempt, now_ms)) {
        give_room(attempt);
        outcome_expired(attempt);
        return;
    }
    attempt->state = ATTEMPT_RUNNING;
    attempt->begun = true;
    attempt->started_at_ms = now_ms;
    attempt->started_monotonic_us = clock_monotonic_us();
    worker_metrics_began(attempt);
    attempt_list_append(&worker->running, attempt);
    if (!worker->untold)
        worker->untold = attempt;
    if (!worker->started_armed)
        arm_started(worker);
    attempt->in_child = attempt->suspect && !MUTANT(suspects_at_home);
    if (attempt->in_child) {
        struct suspects_place place = { attempt->partition->topic, attempt->partition->number,
                                        attempt->offset };
        attempt->run =
            suspects_start(worker->suspects, attempt->command, &place, on_handler, attempt);
        return;
    }
    struct handler *handler = attempt->type->handler;
    attempt->run = handler->start(handler, attempt->command, on_handler, attempt);
}

void dispatch_abort(struct attempt *attempt)
{
    if (attempt->in_child)
        suspects_cancel(attempt->run);
    else
        attempt->type->handler->cancel(attempt->run);
}

/* Passed the gate: nobody else has this turn, so that what is held has one successor only. */
static void run_or_hold(struct attempt *attempt)
{
    if (attempt->hold == HOLD_NONE) {
        run(attempt);
        return;
    }
    struct hold hold;
    targets_decide(attempt, &hold);
    outcome_held(attempt, &hold);
}

/* --- the gate --- */

/* A process that was stopped (SIGSTOP, a swapped-out machine) may have lost its partitions: it
 * starts nothing until its clock has ticked again, by when Kafka has been polled. */
static bool was_away(const struct worker *worker)
{
    return clock_monotonic_ms() - worker->ticked_at_ms >
           worker->config->kafka.session_timeout_ms / 3;
}

/* What the gate allowed before that may be another's by now: it is asked once more, then. */
static bool ask_anew(struct attempt *attempt, const struct gate_answer *answer)
{
    enum gate_verdict verdict = answer->verdict;
    bool allows = verdict == GATE_GO || verdict == GATE_AGAIN || verdict == GATE_AGAIN_OTHER ||
                  verdict == GATE_SUSPECT || verdict == GATE_UNKNOWN;
    if (!allows || !was_away(attempt->partition->worker))
        return false;
    give_room(attempt);
    attempt->hold = HOLD_NONE;
    attempt->partition->under_way--;
    dispatch_ready(attempt);
    return true;
}

static bool may_begin(const struct attempt *attempt)
{
    return !attempt->partition->revoking && !attempt->partition->worker->draining;
}

/* Only the first verdict tells of a redelivery: an ordered job that has waited is asked for again.
 */
static void begin(struct attempt *attempt, const struct gate_answer *answer)
{
    if (answer->verdict != GATE_UNKNOWN)
        attempt->suspect = answer->verdict == GATE_SUSPECT;
    bool waits = redelivery_waits(attempt, answer->verdict);
    attempt->waited = true;
    if (waits || order_recall(attempt, answer))
        give_room(attempt);
    else
        run_or_hold(attempt);
}

static void apply(struct attempt *attempt, const struct gate_answer *answer)
{
    struct worker *worker = attempt->partition->worker;
    metric_add(worker->gate_verdicts[answer->verdict], 1);
    if (answer->emptied) /* told once: whatever becomes of this attempt */
        redelivery_anew(attempt->partition->queue);
    if (!may_begin(attempt)) {
        give_room(attempt);
        partition_attempt_drop(attempt);
        return;
    }
    if (partition_is_forgotten(attempt)) { /* meanwhile: the gate knows nothing of it any more */
        give_room(attempt);
        partition_attempt_done(attempt);
        return;
    }
    if (ask_anew(attempt, answer))
        return;
    bool begun = false;
    if (cancel_before_run(attempt, answer, &begun)) {
        give_room(attempt);
        outcome_cancelled(attempt, begun);
        return;
    }
    switch (answer->verdict) {
    case GATE_GO:
    case GATE_AGAIN:
    case GATE_AGAIN_OTHER:
    case GATE_SUSPECT:
    case GATE_UNKNOWN:
        begin(attempt, answer);
        return;
    case GATE_STALE:
        give_room(attempt);
        attempt->hold = HOLD_NONE;
        attempt->partition->under_way--;
        partition_stale(attempt->partition);
        partition_wait_for_epoch(attempt);
        return;
    case GATE_OUTCOME:
        give_room(attempt);
        if (MUTANT(dead_letter_not_repaired)) {
            partition_attempt_done(attempt);
            return;
        }
        outcome_repair(attempt, answer->failure);
        return;
    case GATE_CANCELLED:
        if (MUTANT(mark_ignored)) {
            run(attempt);
            return;
        }
        give_room(attempt);
        outcome_cancelled(attempt, answer->begun);
        return;
    case GATE_SUPERSEDED:
        if (MUTANT(superseded_begun)) {
            run(attempt);
            return;
        }
        break;
    case GATE_DUPLICATE:
    case GATE_TERMINAL:
    case GATE_VERDICT_COUNT:
        break;
    }
    give_room(attempt);
    partition_attempt_done(attempt);
}

static void ask(struct batch *batch);

static void on_answer(void *arg, size_t index, const struct gate_answer *answer)
{
    struct batch *batch = arg;
    bool last = index + 1 == batch->count;
    if (answer->verdict == GATE_UNKNOWN && batch->asks < GATE_ASKS_MAX && !batch->worker->closed &&
        redis_ready(batch->worker->redis)) { /* then all of the batch are unknown */
        if (last)
            ask(batch);
        return;
    }
    apply(batch->attempts[index], answer);
    if (last)
        free(batch);
}

struct gate_question dispatch_question(const struct attempt *attempt)
{
    return (struct gate_question){
        .id = &attempt->command->facts.id,
        .topic = attempt->partition->topic,
        .partition = attempt->partition->number,
        .offset = attempt->offset,
        .turn = MUTANT(gate_by_attempt) ? attempt->command->attempt : attempt->command->turn,
        .epoch = attempt->partition->epoch,
        .forget_at_ms = attempt->command->facts.forget_at_ms,
    };
}

static void ask(struct batch *batch)
{
    struct worker *worker = batch->worker;
    batch->asks++;
    if (!redis_ready(worker->redis) || MUTANT(gate_off)) { /* go on without the gate */
        for (size_t i = 0, count = batch->count; i < count; i++)
            on_answer(batch, i, &(struct gate_answer){ .verdict = GATE_UNKNOWN });
        return;
    }
    struct gate_question questions[GATE_QUESTIONS_MAX];
    for (size_t i = 0; i < batch->count; i++)
        questions[i] = dispatch_question(batch->attempts[i]);
    gate_ask(worker->gate, questions, batch->count, on_answer, batch);
}

/* Those whose partition has no epoch yet wait with it, so that no other partition's jobs wait
 * behind them; the others join the batch, and take room unless they are to be held or to expire.
 * What is over asks the gate too: a command that comes again late, of a job that has ended, must
 * leave no dead letter. */
static void pick(struct worker *worker, struct worker_type *type, enum hold_reason hold,
                 struct batch *batch)
{
    struct attempt *attempt = type->ready.first;
    attempt_list_remove(&type->ready, attempt);
    if (partition_waits_for_epoch(attempt->partition)) {
        partition_wait_for_epoch(attempt);
        return;
    }
    bool over = is_over(attempt, clock_wall_ms());
    if (over && MUTANT(expired_unasked)) {
        outcome_expired(attempt);
        return;
    }
    attempt->hold = over ? HOLD_NONE : hold;
    if (attempt->hold == HOLD_NONE && !over) {
        take_room(worker, type, 1);
        attempt->has_room = true;
        targets_take(attempt);
    }
    attempt->state = ATTEMPT_ASKED;
    attempt->partition->under_way++;
    if (attempt->partition->epoch == EPOCH_UNKNOWN)
        apply(attempt, &(struct gate_answer){ .verdict = GATE_UNKNOWN });
    else
        batch->attempts[batch->count++] = attempt;
}

static bool take_from_lanes(struct worker *worker, struct batch *batch)
{
    size_t idle = 0;
    /* Who turns out to have been away puts back what is answered at once: that must end. */
    while (batch->count < GATE_QUESTIONS_MAX && idle < worker->type_count && !was_away(worker)) {
        struct worker_type *type = &worker->types[worker->next_lane];
        worker->next_lane = (worker->next_lane + 1) % worker->type_count;
        enum hold_reason hold = type->ready.first ? targets_hold(type) : HOLD_NONE;
        if (!type->ready.first || (hold == HOLD_NONE && !has_room(worker, type))) {
            idle++;
            continue;
        }
        idle = 0;
        pick(worker, type, hold, batch);
    }
    return batch->count > 0;
}

void dispatch_run(void *arg)
{
    struct worker *worker = arg;
    if (worker->draining || was_away(worker))
        return; /* the tick looks again */
    bool more = true;
    while (more) {
        struct batch *batch = MEM_NEW(*batch);
        batch->worker = worker;
        more = take_from_lanes(worker, batch);
        if (more)
            ask(batch);
        else
            free(batch);
    }
    targets_review(worker);
}
