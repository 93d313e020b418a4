/* What became of an attempt, published. Order of hand-offs: the next command first, then `retrying`
 * or `held`; `failed` first, then the dead letter. Each record waits for the acknowledgement of
 * the one before; the attempt is done with the last one's. A crash in between leaves a half-done
 * pair, which the redelivered command completes. See worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/retry.h"
#include "schemas/trace.h"

#include <stdio.h>
#include <stdlib.h>

#define STUCK_RETRY_MS 100

static void publish_step(struct attempt *attempt);
static void publish_later(struct attempt *attempt);

static void on_acknowledged(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct attempt *attempt = arg;
    if (code == ERR_OK && attempt->partition->departed &&
        attempt->plan[attempt->step] == PUBLISH_EVENT)
        redelivery_anew(attempt->partition->queue);
    if (code == ERR_OK) {
        if (attempt->plan[attempt->step] == PUBLISH_DEAD)
            worker_metrics_dead(attempt);
        attempt->step++;
        publish_step(attempt);
    } else if (attempt->partition->worker->closed) {
        partition_attempt_drop(attempt);
    } else { /* Kafka refuses it for good (a missing right): until somebody has seen to that */
        publish_later(attempt);
    }
}

static struct job_event event_of(const struct attempt *attempt, enum job_event_kind kind)
{
    const struct worker_partition *partition = attempt->partition;
    struct job_event event = {
        .facts = attempt->command->facts,
        .kind = kind,
        .turn = attempt->command->turn,
        .attempt = attempt->command->attempt,
        .at_ms = attempt->at_ms,
        .started_at_ms = attempt->started_at_ms,
        .next_at_ms = attempt->next_at_ms,
        .worker = span_of(service_name(partition->worker->service)),
        .command_partition = partition->number,
        .command_offset = attempt->offset,
    };
    if (event.facts.origin_offset < 0) {
        event.facts.origin_partition = partition->number;
        event.facts.origin_offset = attempt->offset;
    }
    return event;
}

static enum err_code publish_outcome(struct attempt *attempt, struct err *err)
{
    struct job_event event = event_of(attempt, attempt->event);
    event.handed_on = attempt->plan[0] == PUBLISH_NEXT; /* which is acknowledged by now */
    if (attempt->result) {
        event.result = (struct span){ attempt->result, attempt->result_size };
        event.result_kind = attempt->result_kind;
    }
    if (attempt->failure.code) {
        event.failure = (struct job_failure){
            .code = span_of(err_code_text(attempt->failure.code)),
            .class_ = span_of(err_class_text(attempt->failure_class)),
            .detail = span_of(attempt->failure.text),
            .attempt = attempt->command->attempt,
            .status = attempt->failure_status,
        };
    }
    return publish_event(&attempt->partition->worker->publish, &event, on_acknowledged, attempt,
                         err);
}

/* The job's next command: of the next attempt, or of the same one when it only has to wait. */
static enum err_code publish_next(struct attempt *attempt, struct err *err)
{
    struct job_command next = *attempt->command;
    next.turn++;
    if (attempt->event == JOB_EVENT_RETRYING) {
        next.attempt++;
        next.holds = 0;
    } else if (attempt->event == JOB_EVENT_HELD) {
        next.holds++;
        if (MUTANT(hold_spends_attempt))
            next.attempt++;
    }
    next.due_at_ms = attempt->next_at_ms;
    next.again = partition_comes_again(attempt);
    if (next.facts.origin_offset < 0) {
        next.facts.origin_partition = attempt->partition->number;
        next.facts.origin_offset = attempt->offset;
    }
    return publish_handoff(&attempt->partition->worker->publish, &next, on_acknowledged, attempt,
                           err);
}

static enum err_code publish_dead_letter(struct attempt *attempt, struct err *err)
{
    struct worker_partition *partition = attempt->partition;
    char id[ID_TEXT_SIZE] = "";
    char identity[IDENTITY_TEXT_SIZE] = "";
    struct publish_dead dead = {
        .queue = span_of(partition->queue->name),
        .key = attempt->key,
        .value = attempt->value,
        .topic = partition->topic,
        .partition = partition->number,
        .offset = attempt->offset,
        .reason = span_of(err_code_text(attempt->failure.code)),
        .detail = span_of(attempt->failure.text),
    };
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    enum err_code code = ERR_OK;
    if (attempt->command) {
        id_text(&attempt->command->facts.id, id);
        id_identity_text(&attempt->command->facts.id, identity);
        code = envelope_encode_command(attempt->command, &value, err);
        dead.value = buf_span(&value);
        dead.key = span_of(identity);
        dead.job_id = span_of(id);
        dead.turn = attempt->command->turn;
        dead.status = attempt->failure_status;
        if (attempt->type && attempt->type->config->handler == CONFIG_HANDLER_CALL)
            dead.target = span_of(attempt->type->config->call.target);
        dead.traceparent = attempt->command->facts.traceparent;
    }
    if (code == ERR_OK)
        code = publish_dead(&partition->worker->publish, &dead, on_acknowledged, attempt, err);
    buf_free(&value);
    return code;
}

static enum err_code publish_current(struct attempt *attempt, struct err *err)
{
    switch (attempt->plan[attempt->step]) {
    case PUBLISH_EVENT:
        return publish_outcome(attempt, err);
    case PUBLISH_NEXT:
        return publish_next(attempt, err);
    case PUBLISH_DEAD:
        return publish_dead_letter(attempt, err);
    case PUBLISH_NOTHING:
    case PUBLISH_WAIT:
        break;
    }
    return ERR_OK;
}

/* What is too large for a topic becomes smaller: a result that just passed its own limit is left
 * out of a failure, a command that has no room for another turn is given up. */
static void shorten(struct attempt *attempt, const struct err *why)
{
    if (attempt->result) {
        free(attempt->result);
        attempt->result = NULL;
        err_set(&attempt->failure, ERR_RESULT_TOO_LARGE, "%s", why->text);
        attempt->failure_class = ERR_CLASS_REJECT;
    }
    if (!attempt->failure.code) {
        attempt->failure = *why;
        attempt->failure_class = ERR_CLASS_REJECT;
    }
    attempt->event = JOB_EVENT_FAILED;
    attempt->plan[0] = PUBLISH_EVENT;
    attempt->plan[1] = PUBLISH_DEAD;
    attempt->step = 0;
}

static void publish_later(struct attempt *attempt)
{
    struct worker *worker = attempt->partition->worker;
    attempt_list_append(&worker->stuck, attempt);
    if (worker->stuck.count == 1)
        loop_timer_start(worker->stuck_timer, STUCK_RETRY_MS, 0);
}

static void publish_step(struct attempt *attempt)
{
    struct worker *worker = attempt->partition->worker;
    size_t steps = sizeof attempt->plan / sizeof *attempt->plan;
    if (attempt->step == steps || attempt->plan[attempt->step] == PUBLISH_NOTHING) {
        if (!cancel_release(attempt)) {
            worker_metrics_ended(attempt);
            partition_attempt_done(attempt);
        }
        return;
    }
    if (attempt->plan[attempt->step] == PUBLISH_WAIT) {
        order_wait(attempt);
        return;
    }
    struct err err;
    enum err_code code = publish_current(attempt, &err);
    if (code == ERR_LIMIT && attempt->step == 0 && attempt->plan[0] != PUBLISH_DEAD) {
        shorten(attempt, &err);
        code = publish_current(attempt, &err);
    }
    if (code == ERR_OK)
        return;
    if (code != ERR_OVERLOADED)
        log_write(worker->log, LOG_ERROR, "worker", &(struct log_about){ .err = &err },
                  "cannot publish the outcome of %s/%d at %lld", attempt->partition->topic,
                  attempt->partition->number, (long long)attempt->offset);
    if (code == ERR_LIMIT) { /* as small as it gets: a poison command blocks nobody */
        attempt->step++;
        publish_step(attempt);
    } else {
        publish_later(attempt);
    }
}

void outcome_retry_stuck(void *arg)
{
    struct worker *worker = arg;
    struct attempt_list stuck = worker->stuck;
    worker->stuck = (struct attempt_list){ 0 };
    while (stuck.first) {
        struct attempt *attempt = stuck.first;
        attempt_list_remove(&stuck, attempt);
        publish_step(attempt);
    }
}

static void begin(struct attempt *attempt, enum publication first, enum publication second)
{
    if (attempt->state < ATTEMPT_ASKED)
        attempt->partition->under_way++;
    attempt->state = ATTEMPT_PUBLISHING;
    attempt->at_ms = clock_wall_ms();
    attempt->plan[0] = first;
    attempt->plan[1] = second;
    attempt->step = 0;
    if (MUTANT(done_before_acknowledged))
        partition_attempt_counts_as_done(attempt);
    if (MUTANT(next_of_key_before_acknowledged) && second != PUBLISH_WAIT) {
        struct attempt *next = order_leave(attempt);
        if (next)
            partition_begin(next);
    }
    publish_step(attempt);
}

/* --- the verdicts --- */

static void log_failure(const struct attempt *attempt, enum log_level level, const char *what)
{
    const struct job_facts *facts = &attempt->command->facts;
    char id[ID_TEXT_SIZE];
    id_text(&facts->id, id);
    struct log_about about = {
        .job_id = span_of(id),
        .trace_id = trace_id_in(facts->traceparent),
        .request_id = facts->request_id,
        .err = &attempt->failure,
    };
    log_write(attempt->partition->worker->log, level, "worker", &about, "%.*s attempt %u %s",
              SPAN_ARG(facts->type), attempt->command->attempt, what);
}

static void give_up(struct attempt *attempt)
{
    attempt->event = JOB_EVENT_FAILED;
    if (attempt->type)
        metric_add(attempt->type->failed, 1);
    log_failure(attempt, LOG_WARN, "failed; given up");
    begin(attempt, PUBLISH_EVENT, PUBLISH_DEAD);
}

uint64_t outcome_random(struct worker *worker)
{
    uint64_t x = worker->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    worker->random = x;
    return x * 0x2545f4914f6cdd1dULL;
}

static int64_t backoff_ms(const struct attempt *attempt, int64_t retry_after_ms)
{
    const struct config_retry *retry = &attempt->type->config->retry;
    return retry_wait_ms(retry->backoff_ms, retry->backoff_ms_max, attempt->command->attempt,
                         retry_after_ms, outcome_random(attempt->partition->worker));
}

void outcome_held(struct attempt *attempt, const struct hold *hold)
{
    attempt->event = JOB_EVENT_HELD;
    attempt->failure = hold->why;
    attempt->failure_class = ERR_CLASS_HOLD;
    attempt->next_at_ms = hold->due_at_ms;
    log_failure(attempt, LOG_DEBUG, "held");
    if (order_keeps(attempt)) {
        attempt->envelope->command.holds++;
        order_postpone(attempt, JOB_EVENT_HELD, attempt->command->attempt, hold->due_at_ms);
    } else {
        begin(attempt, PUBLISH_NEXT, PUBLISH_EVENT);
    }
}

static void fail_or_retry(struct attempt *attempt, const struct outcome *outcome)
{
    const struct job_command *command = attempt->command;
    bool again = outcome->class_ == ERR_CLASS_RETRY;
    bool spent = command->attempt >= (uint32_t)attempt->type->config->retry.attempts_max;
    int64_t next_at_ms = clock_wall_ms() + backoff_ms(attempt, outcome->retry_after_ms);
    if (!again || spent ||
        (command->facts.not_after_ms && next_at_ms >= command->facts.not_after_ms)) {
        give_up(attempt);
        return;
    }
    attempt->event = JOB_EVENT_RETRYING;
    attempt->next_at_ms = next_at_ms;
    metric_add(attempt->type->retried, 1);
    log_failure(attempt, LOG_INFO, "failed; to be tried again");
    if (order_keeps(attempt))
        attempt->envelope->command.holds = 0;
    if (order_keeps(attempt) && !MUTANT(ordered_retry_handed_on))
        order_postpone(attempt, JOB_EVENT_RETRYING, command->attempt + 1, next_at_ms);
    else
        begin(attempt, PUBLISH_NEXT, PUBLISH_EVENT);
}

static bool result_fits(struct attempt *attempt, const struct outcome *outcome)
{
    size_t size_max = (size_t)attempt->type->config->result_bytes_max;
    if (outcome->result.size <= size_max)
        return true;
    err_set(&attempt->failure, ERR_RESULT_TOO_LARGE,
            "the result has %zu bytes; types.%s.result_max allows %zu", outcome->result.size,
            attempt->type->config->name, size_max);
    attempt->failure_class = ERR_CLASS_REJECT;
    return false;
}

void outcome_of_handler(void *arg, const struct outcome *outcome)
{
    struct attempt *attempt = arg;
    if (outcome->code == ERR_OK && !result_fits(attempt, outcome)) {
        give_up(attempt);
        return;
    }
    if (outcome->code == ERR_OK) {
        attempt->event = JOB_EVENT_SUCCEEDED;
        attempt->result = mem_dup(outcome->result);
        attempt->result_size = outcome->result.size;
        attempt->result_kind = outcome->result_kind;
        metric_add(attempt->type->succeeded, 1);
        begin(attempt, PUBLISH_EVENT, PUBLISH_NOTHING);
        return;
    }
    err_set(&attempt->failure, outcome->code, "%s", outcome->detail);
    attempt->failure_class = outcome->class_;
    attempt->failure_status = outcome->status;
    if (outcome->class_ == ERR_CLASS_HOLD) {
        struct hold hold;
        attempt->hold = HOLD_OUTCOME;
        targets_decide(attempt, &hold);
        outcome_held(attempt, &hold);
        return;
    }
    fail_or_retry(attempt, outcome);
}

void outcome_failed(struct attempt *attempt, const struct err *err)
{
    attempt->failure = *err;
    attempt->failure_class = err_class_of(err->code);
    give_up(attempt);
}

void outcome_wait(struct attempt *attempt)
{
    attempt->next_at_ms = attempt->command->due_at_ms;
    begin(attempt, PUBLISH_NEXT, PUBLISH_NOTHING);
}

void outcome_postponed(struct attempt *attempt)
{
    begin(attempt, PUBLISH_EVENT, PUBLISH_WAIT);
}

void outcome_expired(struct attempt *attempt)
{
    attempt->event = JOB_EVENT_EXPIRED;
    err_set(&attempt->failure, ERR_EXPIRED, "not begun before its last moment");
    attempt->failure_class = ERR_CLASS_REJECT;
    metric_add(attempt->type->expired, 1);
    begin(attempt, PUBLISH_EVENT, PUBLISH_DEAD);
}

void outcome_poison(struct attempt *attempt, const struct err *err)
{
    struct worker *worker = attempt->partition->worker;
    attempt->failure = *err;
    metric_add(worker->poison, 1);
    log_write(worker->log, LOG_ERROR, "worker", &(struct log_about){ .err = err },
              "%s/%d: the record at offset %lld is no command; to the dead letters",
              attempt->partition->topic, attempt->partition->number, (long long)attempt->offset);
    begin(attempt, PUBLISH_DEAD, PUBLISH_NOTHING);
}

void outcome_repair(struct attempt *attempt, const struct job_failure *failure)
{
    enum err_code code = err_code_parse(failure->code);
    err_set(&attempt->failure, code == ERR_COUNT ? ERR_INTERNAL : code, "%.*s",
            SPAN_ARG(failure->detail));
    attempt->failure_status = failure->status;
    begin(attempt, PUBLISH_DEAD, PUBLISH_NOTHING);
}

void outcome_cancelled(struct attempt *attempt, bool begun)
{
    attempt->event = JOB_EVENT_CANCELLED;
    attempt->next_at_ms = 0;
    attempt->failure = (struct err){ .code = ERR_OK };
    attempt->failure_status = 0;
    if (begun) {
        err_set(&attempt->failure, ERR_CANCELLED, "%s", JOB_CANCELLED_BEGUN);
        attempt->failure_class = ERR_CLASS_REJECT;
    }
    if (attempt->type)
        metric_add(attempt->type->cancelled, 1);
    begin(attempt, PUBLISH_EVENT, PUBLISH_NOTHING);
}

static void on_started_acknowledged(void *arg, enum err_code code, int32_t partition,
                                    int64_t offset)
{
    (void)arg;
    (void)code;
    (void)partition;
    (void)offset;
}

void outcome_started(struct attempt *attempt)
{
    struct job_event event = event_of(attempt, JOB_EVENT_STARTED);
    event.at_ms = clock_wall_ms();
    /* Only news: when the producer is full it is left out, the outcome carries the start time
     * anyway. */
    struct err err;
    if (publish_event(&attempt->partition->worker->publish, &event, on_started_acknowledged, NULL,
                      &err))
        return;
}
