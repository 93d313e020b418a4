/* A worker's targets: what the fleet's limits and breakers let start, the exchanges that tell it,
 * what is held for them, and what operators see of it. See target_lease.h and worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void plan(struct worker_target *target);

static int64_t now_of(const struct worker_target *target)
{
    return loop_now_ms(target->worker->loop);
}

/* --- what may start --- */

bool targets_let(const struct worker_type *type)
{
    return !type->target ||
           target_lease_blocked(&type->target->lease, now_of(type->target)) == HOLD_NONE;
}

/* What waits for the fleet's limits is held after a while; what waits for this worker's own is not:
 * that gives way by itself. */
enum hold_reason targets_hold(const struct worker_type *type)
{
    const struct worker_target *target = type->target;
    if (!target)
        return HOLD_NONE;
    int64_t now_ms = now_of(target);
    enum hold_reason reason = target_lease_blocked(&target->lease, now_ms);
    if (reason == HOLD_NONE || reason == HOLD_UNKNOWN || reason == HOLD_OPEN)
        return reason == HOLD_OPEN ? reason : HOLD_NONE;
    int64_t since_ms = type->ready.first->ready_at_ms;
    if (target->limited_at_ms > since_ms)
        since_ms = target->limited_at_ms;
    bool long_enough =
        target->limited_at_ms && now_ms - since_ms >= target->worker->config->worker.hold_after_ms;
    return long_enough ? reason : HOLD_NONE;
}

void targets_take(struct attempt *attempt)
{
    if (attempt->type->target && !attempt->type->target->lease.unlimited)
        attempt->call = target_lease_take(&attempt->type->target->lease);
}

void targets_give_back(struct attempt *attempt)
{
    if (attempt->type->target)
        target_lease_give_back(&attempt->type->target->lease, attempt->call);
    attempt->call = (struct target_ticket){ 0 };
}

/* No answer, 5xx and 429 speak against the target, whatever the type's `retry` says; other answers
 * for it, also those that refuse the payload. What ended before it was called, or because the job's
 * own deadline came, says nothing. */
static enum target_result result_of(const struct attempt *attempt, const struct outcome *outcome)
{
    int64_t deadline_ms = attempt->command->facts.deadline_ms;
    if (outcome->code == ERR_TARGET_TIMEOUT && deadline_ms && clock_wall_ms() >= deadline_ms)
        return TARGET_SAID_NOTHING;
    if (outcome->code == ERR_TARGET_TIMEOUT || outcome->code == ERR_TARGET_UNREACHABLE ||
        outcome->status >= 500 || outcome->status == 429)
        return TARGET_FAILED;
    if (outcome->code == ERR_TARGET_STATUS && outcome->class_ == ERR_CLASS_RETRY)
        return TARGET_FAILED;
    return outcome->code == ERR_OK || outcome->status ? TARGET_SUCCEEDED : TARGET_SAID_NOTHING;
}

void targets_end(struct attempt *attempt, const struct outcome *outcome)
{
    if (!attempt->call.taken)
        return;
    target_lease_end(&attempt->type->target->lease, attempt->call, result_of(attempt, outcome));
    attempt->call = (struct target_ticket){ 0 };
}

/* --- holds --- */

/* `open_until_ms`: of an open circuit. */
static void explain(const struct worker_target *target, const struct hold *hold,
                    int64_t open_until_ms, struct err *ret_why)
{
    const struct config_target *config = target->config;
    char open_until[TIMEFMT_RFC3339_SIZE];
    char until[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(open_until_ms, open_until);
    timefmt_rfc3339(hold->due_at_ms, until);
    if (hold->reason == HOLD_OPEN)
        err_set(ret_why, ERR_TARGET_HELD, "target %s: circuit open until %s; held until %s",
                config->name, open_until, until);
    else if (hold->reason == HOLD_PROBING)
        err_set(ret_why, ERR_TARGET_HELD,
                "target %s: circuit half-open, its probes are under way; held until %s",
                config->name, until);
    else if (hold->reason == HOLD_RATE)
        err_set(ret_why, ERR_TARGET_HELD, "target %s: rate limit of %s reached; held until %s",
                config->name, config->rate, until);
    else
        err_set(ret_why, ERR_TARGET_HELD,
                "target %s: concurrency limit of %" PRId64 " calls reached; held until %s",
                config->name, config->concurrency_max, until);
}

void targets_decide(struct attempt *attempt, struct hold *ret_hold)
{
    struct worker *worker = attempt->partition->worker;
    const struct worker_target *target = attempt->type->target;
    const struct job_facts *facts = &attempt->command->facts;
    struct hold_case of = {
        .reason = attempt->hold,
        .holds = attempt->command->holds,
        .now_ms = clock_wall_ms(),
        .wait_ms_max = worker->config->worker.hold_ms_max,
        .not_after_ms = facts->not_after_ms,
        .random = outcome_random(worker),
    };
    if (target) {
        of.open_ms = target->config->breaker.open_ms;
        of.until_ms = of.now_ms + target->lease.until_ms - now_of(target);
        metric_add(target->holds[attempt->hold], 1);
    }
    ret_hold->reason = attempt->hold;
    ret_hold->due_at_ms = hold_due_ms(&of);
    ret_hold->why = attempt->failure; /* of an attempt that ended so */
    if (target && attempt->hold != HOLD_OUTCOME)
        explain(target, ret_hold, of.until_ms, &ret_hold->why);
}

/* --- exchanges --- */

/* Once for each change that this worker hears of. */
static void tell_change(struct worker_target *target)
{
    const struct target_lease *lease = &target->lease;
    if (!target->state_gauge)
        return;
    metric_set(target->state_gauge, (double)lease->state);
    bool news = lease->epoch != target->told_epoch &&
                (lease->state != BREAKER_CLOSED || target->told_state != BREAKER_CLOSED);
    target->told_epoch = lease->epoch;
    target->told_state = lease->state;
    if (!news)
        return;
    struct buf wait = BUF_INIT(64);
    if (lease->state == BREAKER_OPEN) {
        buf_add_text(&wait, " for ");
        timefmt_duration(lease->wait_ms, &wait);
    }
    log_write(target->worker->log, lease->state == BREAKER_OPEN ? LOG_WARN : LOG_INFO, "worker",
              NULL, "target %s: circuit %s%s%s", target->config->name,
              breaker_state_text(lease->state), wait.size ? wait.data : "",
              lease->shared ? "" : " (this worker's own: redis is away)");
    buf_free(&wait);
}

static void count_waiting(struct worker_target *target)
{
    const struct worker *worker = target->worker;
    target->waiting = 0;
    for (size_t i = 0; !worker->draining && i < worker->type_count; i++) {
        if (worker->types[i].target == target)
            target->waiting += (int64_t)worker->types[i].ready.count;
    }
}

static void go_on(struct worker_target *target)
{
    tell_change(target);
    if (target->waiting)
        dispatch_soon(target->worker);
    plan(target);
}

static void on_grant(void *arg, const struct target_grant *grant)
{
    struct worker_target *target = arg;
    target->asking = false;
    if (target->worker->closed)
        return;
    if (grant)
        target_lease_apply(&target->lease, now_of(target), grant);
    else
        target_lease_alone(&target->lease, now_of(target), &target->report);
    go_on(target);
}

static void exchange(struct worker_target *target)
{
    struct worker *worker = target->worker;
    count_waiting(target);
    target->asked_at_ms = now_of(target);
    target->report = target_lease_report(&target->lease, target->asked_at_ms, target->waiting);
    target->asking = true;
    if (redis_ready(worker->redis)) {
        target_exchange(&worker->exchange, target->config, &target->report, on_grant, target);
    } else {
        on_grant(target, NULL);
    }
}

static void on_timer(void *arg)
{
    struct worker_target *target = arg;
    target->next_at_ms = 0;
    if (!target->asking)
        exchange(target);
}

/* Sees to it that the next exchange comes in time. */
static void plan(struct worker_target *target)
{
    if (target->asking)
        return;
    int64_t at_ms =
        target_lease_next_ms(&target->lease, target->asked_at_ms, target->waiting, target->blocked);
    if (at_ms < 0 || (target->next_at_ms && target->next_at_ms <= at_ms))
        return;
    int64_t left_ms = at_ms - now_of(target);
    if (left_ms <= 0) {
        exchange(target);
        return;
    }
    target->next_at_ms = at_ms;
    loop_timer_start(target->timer, left_ms, 0);
}

/* Whether only the fleet's limits keep the type's jobs from starting. */
static bool is_blocked(const struct worker *worker, const struct worker_type *type)
{
    return type->ready.first && worker->in_flight < (size_t)worker->config->worker.in_flight_max &&
           type->in_flight < (size_t)type->config->in_flight_max &&
           type->target->in_flight < (size_t)type->target->config->in_flight_max &&
           !targets_let(type);
}

void targets_review(struct worker *worker)
{
    for (size_t i = 0; i < worker->config->target_count; i++) {
        worker->targets[i].waiting = 0;
        worker->targets[i].blocked = false;
    }
    for (size_t i = 0; i < worker->type_count; i++) {
        const struct worker_type *type = &worker->types[i];
        if (!type->target)
            continue;
        type->target->waiting += (int64_t)type->ready.count;
        type->target->blocked = type->target->blocked || is_blocked(worker, type);
    }
    for (size_t i = 0; i < worker->config->target_count; i++) {
        struct worker_target *target = &worker->targets[i];
        if (target->lease.unlimited)
            continue;
        if (!target->blocked)
            target->limited_at_ms = 0;
        else if (!target->limited_at_ms)
            target->limited_at_ms = now_of(target);
        plan(target);
    }
}

/* --- open and close --- */

static struct metric *gauge(struct worker_target *target, const char *name, const char *help)
{
    struct buf labels = BUF_INIT(256);
    metrics_label(&labels, "target", span_of(target->config->name));
    struct metric *metric =
        metrics_gauge(service_metrics(target->worker->service), name, help, labels.data);
    buf_free(&labels);
    return metric;
}

static void open_metrics(struct worker_target *target)
{
    target->in_flight_gauge =
        gauge(target, "errand_target_in_flight", "Calls of this worker to the target now.");
    if (target->config->breaker.enabled) {
        target->state_gauge = gauge(
            target, "errand_breaker_state",
            "The target's circuit: 0 closed, 1 half-open, 2 open; as this worker last heard.");
        metric_unset(target->state_gauge);
    }
    for (int reason = HOLD_OPEN; reason < HOLD_REASON_COUNT; reason++) {
        struct buf labels = BUF_INIT(256);
        metrics_label(&labels, "target", span_of(target->config->name));
        metrics_label(&labels, "reason", span_of(hold_reason_text((enum hold_reason)reason)));
        target->holds[reason] =
            metrics_counter(service_metrics(target->worker->service), "errand_holds_total",
                            "Jobs put aside without spending an attempt.", labels.data);
        buf_free(&labels);
    }
}

void targets_open(struct worker *worker)
{
    const struct config *config = worker->config;
    worker->exchange = (struct target_exchange){
        .redis = worker->redis,
        .namespace_ = config->namespace_,
        .worker = service_incarnation(worker->service),
    };
    worker->targets = mem_zalloc(config->target_count, sizeof *worker->targets);
    for (size_t i = 0; i < config->target_count; i++) {
        struct worker_target *target = &worker->targets[i];
        target->config = &config->targets[i];
        target->worker = worker;
        target_lease_init(&target->lease, target->config);
        target->timer = loop_timer_new(worker->loop, on_timer, target);
        open_metrics(target);
    }
}

void targets_close(struct worker *worker)
{
    for (size_t i = 0; worker->targets && i < worker->config->target_count; i++)
        loop_timer_free(worker->targets[i].timer);
    free(worker->targets);
}
