/* Ordered queues: the jobs of a key run one at a time, in the order of their offsets. Only the
 * first in the line of its key is begun; it leaves the line when Kafka has acknowledged its
 * outcome. A job that is to be tried again, or is held, waits where it is, a timer at its own
 * offset: its number and the time it is due are kept in the gate, so that whoever gets the command
 * after a crash goes on from there. See worker_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "schemas/mutant.h"

#include <stdint.h>

void order_open(struct worker *worker)
{
    struct metrics *metrics = service_metrics(worker->service);
    worker->keys_blocked =
        metrics_gauge(metrics, "errand_ordered_keys_blocked",
                      "Ordering keys whose first job waits for a retry or a hold.", NULL);
    worker->head_age = metrics_gauge(metrics, "errand_ordered_head_age_seconds",
                                     "Age of the oldest job that blocks its key.", NULL);
    worker->unkept = metrics_counter(
        metrics, "errand_ordered_unkept_total",
        "Waits of ordered jobs that the gate did not keep: a crash would forget them.", NULL);
}

/* --- partitions --- */

void order_assigned(struct worker_partition *partition)
{
    struct worker *worker = partition->worker;
    if (!partition->queue->ordered)
        return;
    uint8_t secret[SIPHASH_SECRET_SIZE];
    siphash_secret(secret);
    partition->lines = key_lines_new(secret);
    worker->ordered_partitions++;
}

void order_revoked(struct worker_partition *partition)
{
    if (partition->lines)
        partition->worker->ordered_partitions--;
}

size_t order_share(const struct worker_partition *partition)
{
    const struct worker *worker = partition->worker;
    if (!partition->lines || worker->ordered_partitions == 0)
        return SIZE_MAX;
    return (size_t)worker->config->worker.held_bytes_max / 2 / worker->ordered_partitions;
}

void order_abort(struct worker_partition *partition)
{
    for (struct attempt *attempt = partition->attempts; attempt;) {
        struct attempt *next = attempt->sibling;
        if (attempt->state == ATTEMPT_RUNNING && order_keeps(attempt)) {
            attempt->cancelled = true;
            dispatch_abort(attempt);
        }
        attempt = next;
    }
}

/* --- lines --- */

bool order_keeps(const struct attempt *attempt)
{
    return attempt->place.owner != NULL;
}

bool order_join(struct attempt *attempt)
{
    struct key_lines *lines = attempt->partition->lines;
    struct span key = attempt->command->facts.key;
    if (!lines || key.size == 0) /* none: a stranger's command, which has no order to keep */
        return true;
    attempt->place = (struct key_place){ .key = key, .owner = attempt };
    if (key_lines_join(lines, &attempt->place))
        return true;
    attempt->state = ATTEMPT_IN_LINE;
    return false;
}

void order_unblock(struct attempt *attempt)
{
    if (!attempt->blocked)
        return;
    attempt->blocked = false;
    attempt_list_remove(&attempt->partition->worker->blocked, attempt);
}

struct attempt *order_leave(struct attempt *attempt)
{
    if (!order_keeps(attempt))
        return NULL;
    order_unblock(attempt);
    const struct key_place *next = key_lines_leave(attempt->partition->lines, &attempt->place);
    attempt->place.owner = NULL;
    return next ? next->owner : NULL;
}

/* --- waiting in place --- */

/* The command is the attempt's own copy: its number goes up there, for all who read it. */
static void set_number(struct attempt *attempt, uint32_t number)
{
    attempt->envelope->command.attempt = number;
}

static void wait_until(struct attempt *attempt, int64_t due_at_ms)
{
    struct worker *worker = attempt->partition->worker;
    int64_t not_after_ms = attempt->command->facts.not_after_ms;
    if (not_after_ms && due_at_ms > not_after_ms)
        due_at_ms = not_after_ms + 1; /* there it expires */
    attempt->blocked = true;
    attempt_list_append(&worker->blocked, attempt);
    dispatch_at(attempt, due_at_ms);
}

void order_wait(struct attempt *attempt)
{
    struct worker_partition *partition = attempt->partition;
    if (partition->revoking || partition->worker->closed) {
        partition_attempt_drop(attempt); /* its next owner goes on from what the gate has kept */
        return;
    }
    int64_t due_at_ms = attempt->called_off ? 0 : attempt->next_at_ms; /* then the gate ends it */
    partition->under_way--;
    set_number(attempt, attempt->next_attempt);
    attempt->failure = (struct err){ 0 };
    attempt->failure_status = 0;
    attempt->started_at_ms = attempt->next_at_ms = 0;
    attempt->started_told = false;
    wait_until(attempt, due_at_ms);
}

static struct gate_question claim_of(const struct attempt *attempt)
{
    return (struct gate_question){
        .id = &attempt->command->facts.id,
        .partition = attempt->partition->number,
        .turn = attempt->command->turn,
        .offset = attempt->offset,
    };
}

/* A claim that is gone is either taken over, which the gate says before the next attempt, or lost
 * with Redis's memory. */
static void count_unkept(struct worker *worker, enum gate_claim claim)
{
    if (claim == GATE_CLAIM_GONE || claim == GATE_CLAIM_UNKNOWN)
        metric_add(worker->unkept, 1);
}

static void on_kept(void *arg, enum gate_claim claim)
{
    struct attempt *attempt = arg;
    struct worker *worker = attempt->partition->worker;
    count_unkept(worker, claim);
    if (worker->closed) {
        partition_attempt_drop(attempt);
    } else if (claim == GATE_CLAIM_CANCELLED) {
        attempt->next_at_ms = 0;
        outcome_cancelled(attempt, attempt->begun);
    } else {
        outcome_postponed(attempt);
    }
}

void order_postpone(struct attempt *attempt, enum job_event_kind event, uint32_t next_attempt,
                    int64_t until_ms)
{
    struct worker_partition *partition = attempt->partition;
    if (attempt->state < ATTEMPT_ASKED)
        partition->under_way++;
    attempt->state = ATTEMPT_PUBLISHING;
    attempt->event = event;
    attempt->next_attempt = next_attempt;
    attempt->next_at_ms = until_ms;
    attempt->recalled = true;
    struct gate_question claim = claim_of(attempt);
    struct gate_kept kept = { next_attempt, until_ms, attempt->begun };
    gate_keep(partition->worker->gate, &claim, &kept, on_kept, attempt);
}

/* --- after a crash --- */

static void on_kept_again(void *arg, enum gate_claim claim)
{
    count_unkept(arg, claim);
}

bool order_recall(struct attempt *attempt, const struct gate_answer *answer)
{
    struct worker *worker = attempt->partition->worker;
    uint32_t number = attempt->command->attempt;
    if (answer->attempt > number && !MUTANT(kept_attempt_ignored))
        set_number(attempt, answer->attempt);
    if (attempt->recalled && answer->verdict == GATE_GO) { /* Redis was emptied meanwhile */
        struct gate_question claim = claim_of(attempt);
        struct gate_kept kept = { number, clock_wall_ms(), attempt->begun };
        gate_keep(worker->gate, &claim, &kept, on_kept_again, worker);
    }
    if (attempt->recalled || !order_keeps(attempt) || answer->due_at_ms <= clock_wall_ms())
        return false;
    attempt->recalled = true;
    attempt->partition->under_way--;
    wait_until(attempt, answer->due_at_ms);
    return true;
}

/* --- metrics --- */

void order_tell(struct worker *worker)
{
    int64_t now_ms = clock_wall_ms();
    int64_t oldest_ms = now_ms;
    for (const struct attempt *attempt = worker->blocked.first; attempt; attempt = attempt->next) {
        if (attempt->command->facts.created_at_ms < oldest_ms)
            oldest_ms = attempt->command->facts.created_at_ms;
    }
    metric_set(worker->keys_blocked, (double)worker->blocked.count);
    metric_set(worker->head_age, (double)(now_ms - oldest_ms) / 1000);
}
