/* Deliveries, windows and commits of the worker's partitions. See worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* An attempt costs this much beside its record's bytes. */
#define ATTEMPT_OVERHEAD_BYTES 3072
#define EPOCH_RETRY_MS         1000 /* after Redis gave none */

void attempt_list_insert(struct attempt_list *list, struct attempt *after, struct attempt *attempt)
{
    attempt->next = after ? after->next : list->first;
    attempt->previous = after;
    if (after)
        after->next = attempt;
    else
        list->first = attempt;
    if (attempt->next)
        attempt->next->previous = attempt;
    else
        list->last = attempt;
    list->count++;
}

void attempt_list_append(struct attempt_list *list, struct attempt *attempt)
{
    attempt_list_insert(list, list->last, attempt);
}

void attempt_list_remove(struct attempt_list *list, struct attempt *attempt)
{
    if (attempt->previous)
        attempt->previous->next = attempt->next;
    else
        list->first = attempt->next;
    if (attempt->next)
        attempt->next->previous = attempt->previous;
    else
        list->last = attempt->previous;
    attempt->next = attempt->previous = NULL;
    list->count--;
}

/* --- partitions --- */

void partition_unref(struct worker_partition *partition)
{
    if (--partition->references)
        return;
    assert(!partition->attempts);
    if (partition->departed)
        adopt_forget(partition);
    window_free(partition->window);
    key_lines_free(partition->lines);
    loop_timer_free(partition->drain);
    free(partition->topic);
    free(partition);
}

static void commit_partition(struct worker_partition *partition)
{
    int64_t watermark = window_watermark(partition->window);
    if (!partition->handle || watermark == partition->committed)
        return;
    struct kafka_offset offset = { .topic = partition->topic,
                                   .partition = partition->number,
                                   .offset = watermark };
    kafka_consumer_commit(partition->queue->consumer, &offset, 1);
    partition->committed = watermark;
}

/* Commits what has moved in the queue; returns its widest window. */
static int64_t commit_queue(struct worker_queue *queue)
{
    struct kafka_offset offsets[128]; /* one request holds at most this many */
    size_t count = 0;
    int64_t widest = 0;
    for (struct worker_partition *p = queue->partitions; p; p = p->next) {
        int64_t watermark = window_watermark(p->window);
        if (window_span(p->window) > widest)
            widest = window_span(p->window);
        if (!p->handle || watermark == p->committed)
            continue;
        offsets[count++] =
            (struct kafka_offset){ .topic = p->topic, .partition = p->number, .offset = watermark };
        p->committed = watermark;
        if (count == sizeof offsets / sizeof *offsets) {
            kafka_consumer_commit(queue->consumer, offsets, count);
            count = 0;
        }
    }
    if (count)
        kafka_consumer_commit(queue->consumer, offsets, count);
    return widest;
}

void partition_commit_all(struct worker *worker)
{
    int64_t widest = 0;
    for (size_t i = 0; i < worker->queue_count; i++) {
        int64_t span = commit_queue(&worker->queues[i]);
        if (span > widest)
            widest = span;
    }
    metric_set(worker->window_gauge, (double)widest);
}

static void ask_epoch(struct worker_partition *partition);

/* Without an epoch (Redis is away, full, or refuses writes) the attempts go on without the gate. */
static void on_epoch(void *arg, int64_t epoch)
{
    struct worker_partition *partition = arg;
    const struct worker *worker = partition->worker;
    partition->epoch_asked = false;
    partition->epoch_asks = epoch < 0 ? partition->epoch_asks + 1 : 0;
    if (epoch < 0 && partition->epoch_asks < GATE_ASKS_MAX && !partition->revoking &&
        !worker->closed && redis_ready(worker->redis)) {
        ask_epoch(partition);
        partition_unref(partition);
        return;
    }
    partition->epoch_asks = 0;
    partition->stale = false;
    partition->epoch = epoch >= 0 ? epoch : EPOCH_UNKNOWN;
    if (epoch < 0)
        partition->epoch_at_ms = clock_monotonic_ms() + EPOCH_RETRY_MS;
    while (partition->early.first) {
        struct attempt *attempt = partition->early.first;
        attempt_list_remove(&partition->early, attempt);
        dispatch_ready(attempt);
    }
    partition_unref(partition);
}

static void ask_epoch(struct worker_partition *partition)
{
    partition->epoch_asked = true;
    partition->epoch_at_ms = 0;
    partition->references++;
    gate_raise_epoch(partition->worker->gate, partition->topic, partition->number, on_epoch,
                     partition);
}

void partition_ask_epochs(struct worker *worker)
{
    int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < worker->queue_count; i++) {
        for (struct worker_partition *p = worker->queues[i].partitions; p; p = p->next) {
            if (p->epoch_at_ms && now_ms >= p->epoch_at_ms && !p->revoking)
                ask_epoch(p);
        }
    }
}

bool partition_waits_for_epoch(const struct worker_partition *partition)
{
    return partition->epoch_asked || partition->stale;
}

void partition_wait_for_epoch(struct attempt *attempt)
{
    attempt->state = ATTEMPT_EARLY;
    attempt_list_append(&attempt->partition->early, attempt);
}

void partition_stale(struct worker_partition *partition)
{
    if (partition_waits_for_epoch(partition))
        return;
    partition->stale = true;
    /* Two heartbeats. */
    partition->epoch_at_ms =
        clock_monotonic_ms() + partition->worker->config->kafka.session_timeout_ms / 2;
}

/* Where the group left off, or where the log begins, is right as it is: the offset is only read. */
/* NOLINTBEGIN(readability-non-const-parameter) */
void partition_assign(void *arg, struct kafka_partition *handle, const struct kafka_start *start,
                      int64_t *ret_offset)
/* NOLINTEND(readability-non-const-parameter) */
{
    struct worker_queue *queue = arg;
    struct worker *worker = queue->worker;
    struct worker_partition *partition = MEM_NEW(*partition);
    *partition = (struct worker_partition){
        .worker = worker,
        .queue = queue,
        .handle = handle,
        .topic = mem_dup_text(kafka_partition_topic(handle)),
        .number = kafka_partition_number(handle),
        .window = window_new(*ret_offset),
        .committed = start->committed,
        .old_end = start->log_end,
        .epoch = EPOCH_UNKNOWN,
        .references = 1,
        .next = queue->partitions,
    };
    queue->partitions = partition;
    kafka_partition_set_context(handle, partition);
    order_assigned(partition);
    redelivery_assigned(partition);
    ask_epoch(partition);
    if (start->lost || start->reset)
        log_write(
            worker->log, LOG_ERROR, "worker", NULL,
            "%s/%d: %s: reading from %" PRId64 " (committed %" PRId64 ", log start %" PRId64 ")",
            partition->topic, partition->number,
            start->lost ? "records were deleted before they were read" : "no committed offset",
            *ret_offset, start->committed, start->log_start);
    else
        log_write(worker->log, LOG_INFO, "worker", NULL, "%s/%d assigned from %" PRId64,
                  partition->topic, partition->number, *ret_offset);
}

static void release(struct worker_partition *partition)
{
    if (!partition->holding)
        return;
    partition->holding = false;
    loop_timer_stop(partition->drain);
    commit_partition(partition);
    kafka_consumer_release_revoke(partition->queue->consumer);
}

static void on_drain_over(void *arg)
{
    order_abort(arg);
    release(arg);
}

/* What has not begun is dropped: it will be delivered to the partition's next owner. */
static void drop_unbegun(struct worker_partition *partition)
{
    for (struct attempt *attempt = partition->attempts; attempt;) {
        struct attempt *next = attempt->sibling;
        if (attempt->state == ATTEMPT_EARLY)
            attempt_list_remove(&partition->early, attempt);
        else if (attempt->state == ATTEMPT_REDELIVERED)
            redelivery_forget(attempt);
        else if (attempt->state == ATTEMPT_READY)
            attempt_list_remove(&attempt->type->ready, attempt);
        if (attempt->state <= ATTEMPT_READY)
            partition_attempt_drop(attempt);
        attempt = next;
    }
}

void partition_revoke(void *arg, struct kafka_partition *handle, bool lost)
{
    struct worker_queue *queue = arg;
    struct worker *worker = queue->worker;
    struct worker_partition *partition = kafka_partition_context(handle);
    if (!partition)
        return;
    partition->revoking = true;
    drop_unbegun(partition);
    if (partition->under_way && !lost && !worker->closed) {
        partition->holding = true;
        kafka_consumer_hold_revoke(partition->queue->consumer);
        partition->drain = loop_timer_new(worker->loop, on_drain_over, partition);
        loop_timer_start(partition->drain, worker->config->worker.drain_ms, 0);
    } else if (!lost) {
        commit_partition(partition);
    }
    if (lost)
        order_abort(partition);
}

void partition_revoked(void *arg)
{
    struct worker_queue *queue = arg;
    struct worker_partition **link = &queue->partitions;
    while (*link) {
        struct worker_partition *partition = *link;
        if (!partition->revoking) {
            link = &partition->next;
            continue;
        }
        *link = partition->next;
        partition->handle = NULL;
        if (partition->holding) { /* the consumer was closed without waiting for us */
            partition->holding = false;
            loop_timer_stop(partition->drain);
        }
        log_write(queue->worker->log, LOG_INFO, "worker", NULL,
                  "%s/%d revoked, %zu attempts under way", partition->topic, partition->number,
                  partition->under_way);
        order_revoked(partition);
        if (partition->under_way)
            adopt_departed(partition);
        partition_unref(partition);
    }
}

/* --- attempts --- */

/* Half of the room for commands is divided among the queues, the other half is for whoever needs
 * more: so a queue in which much waits cannot take the room of the others. */
struct room {
    size_t most;        /* worker.held_max */
    size_t part;        /* of each queue */
    size_t common;      /* the rest */
    size_t common_used; /* what queues hold beyond their parts */
    size_t held;        /* by all of them */
};

static struct room room_of(const struct worker *worker)
{
    size_t most = (size_t)worker->config->worker.held_bytes_max;
    struct room room = { .most = most, .part = most / 2 / worker->queue_count };
    room.common = most - room.part * worker->queue_count;
    for (size_t i = 0; i < worker->queue_count; i++) {
        size_t held = worker->queues[i].held_bytes;
        room.held += held;
        room.common_used += held > room.part ? held - room.part : 0;
    }
    return room;
}

/* What is paused has to be fetched anew when it is resumed, which may be many times what fits. So
 * near the limit a queue is slowed, and only at the limit paused: when work goes on, little comes
 * between the two. */
static void balance_queue(struct worker_queue *queue, const struct room *room)
{
    bool needs = queue->held_bytes > room->part || MUTANT(held_together);
    size_t used = needs ? room->common_used : 0;
    bool little = used <= room->common - room->most / 8 * 3;
    bool slowed = used > room->common - room->most / 4 || (queue->slowed && !little);
    bool paused = used > room->common || (queue->paused && !little);
    if (slowed != queue->slowed && queue->consumer) { /* else it has been closed */
        queue->slowed = slowed;
        kafka_consumer_slow(queue->consumer, slowed);
    }
    if (paused == queue->paused)
        return;
    queue->paused = paused;
    for (struct worker_partition *p = queue->partitions; p; p = p->next)
        partition_balance(p);
}

static void balance_all(struct worker *worker)
{
    struct room room = room_of(worker);
    metric_set(worker->held_gauge, (double)room.held);
    if (MUTANT(held_unbounded))
        return;
    for (size_t i = 0; i < worker->queue_count; i++)
        balance_queue(&worker->queues[i], &room);
}

void partition_balance(struct worker_partition *partition)
{
    if (!partition->handle || partition->revoking)
        return;
    int64_t span = window_span(partition->window);
    int64_t span_max = partition->worker->config->worker.window_span;
    size_t share = order_share(partition);
    bool paused = kafka_partition_is_paused(partition->handle);
    if (!paused && (partition->queue->paused || span >= span_max || partition->held_bytes > share))
        kafka_partition_pause(partition->handle);
    else if (paused && !partition->queue->paused && span <= span_max / 2 &&
             partition->held_bytes <= share / 2)
        kafka_partition_resume(partition->handle);
}

void partition_link(struct worker_partition *partition, struct attempt *attempt)
{
    attempt->partition = partition;
    attempt->sibling_previous = NULL;
    attempt->sibling = partition->attempts;
    if (partition->attempts)
        partition->attempts->sibling_previous = attempt;
    partition->attempts = attempt;
    partition->references++;
}

void partition_unlink(struct attempt *attempt)
{
    if (attempt->sibling_previous)
        attempt->sibling_previous->sibling = attempt->sibling;
    else
        attempt->partition->attempts = attempt->sibling;
    if (attempt->sibling)
        attempt->sibling->sibling_previous = attempt->sibling_previous;
}

/* Returns who is first in the line of its key by that, or NULL. */
static struct attempt *attempt_free(struct attempt *attempt)
{
    struct worker_partition *partition = attempt->partition;
    struct worker *worker = partition->worker;
    struct attempt *next = order_leave(attempt);
    partition_unlink(attempt);
    partition->queue->held_bytes -= attempt->bytes;
    partition->held_bytes -= attempt->bytes;
    if (attempt->command)
        cancel_index_remove(attempt);
    loop_timer_free(attempt->due);
    envelope_free(attempt->envelope);
    free(attempt->result);
    mem_free_const(attempt->value.data);
    mem_free_const(attempt->key.data);
    bool was_under_way = attempt->state >= ATTEMPT_ASKED;
    free(attempt);
    balance_all(worker);
    partition_balance(partition);
    if (was_under_way && --partition->under_way == 0)
        release(partition);
    partition_unref(partition);
    return next;
}

void partition_attempt_counts_as_done(struct attempt *attempt)
{
    struct worker *worker = attempt->partition->worker;
    window_done(attempt->partition->window, attempt->ticket);
    if (!worker->commit_due && attempt->partition->handle) {
        worker->commit_due = true;
        loop_timer_start(worker->commit_timer, worker->config->worker.commit_interval_ms, 0);
    }
}

void partition_attempt_done(struct attempt *attempt)
{
    if (!MUTANT(done_before_acknowledged))
        partition_attempt_counts_as_done(attempt);
    struct attempt *next = attempt_free(attempt);
    if (next)
        partition_begin(next);
}

void partition_attempt_drop(struct attempt *attempt)
{
    attempt_free(attempt);
}

static struct worker_type *find_type(const struct worker *worker, struct span name)
{
    for (size_t i = 0; i < worker->type_count; i++) {
        if (span_is(name, worker->types[i].config->name))
            return &worker->types[i];
    }
    return NULL;
}

void partition_begin(struct attempt *attempt)
{
    struct worker *worker = attempt->partition->worker;
    const struct job_facts *facts = &attempt->command->facts;
    int64_t now_ms = clock_wall_ms();
    attempt->type = find_type(worker, facts->type);
    if (!attempt->type) {
        struct err err;
        err_field(&err, ERR_UNKNOWN_TYPE, "type",
                  "this worker's configuration has no type \"%.*s\"", SPAN_ARG(facts->type));
        outcome_failed(attempt, &err);
    } else if (!order_keeps(attempt) &&
               topic_tier_for(worker->publish.tiers, worker->publish.tier_count,
                              attempt->command->due_at_ms - now_ms)) {
        outcome_wait(attempt);
    } else if (attempt->command->due_at_ms > now_ms && !MUTANT(due_ignored)) {
        dispatch_at(attempt, attempt->command->due_at_ms);
    } else {
        dispatch_ready(attempt);
    }
}

bool partition_is_forgotten(const struct attempt *attempt)
{
    int64_t forget_at_ms = attempt->command->facts.forget_at_ms;
    if (MUTANT(job_dropped) && attempt->offset % 20 == 7)
        return true;
    if (!forget_at_ms || clock_wall_ms() < forget_at_ms || MUTANT(forgotten_begun))
        return false;
    metric_add(attempt->partition->worker->forgotten, 1);
    return true;
}

bool partition_comes_again(const struct attempt *attempt)
{
    return attempt->offset < attempt->partition->old_end || attempt->command->again;
}

/* A readable command: forgotten, behind others of its key, or to begin. */
static void admit(struct attempt *attempt)
{
    if (partition_is_forgotten(attempt)) {
        attempt->partition->under_way++;
        attempt->state = ATTEMPT_PUBLISHING;
        partition_attempt_done(attempt);
    } else if (order_join(attempt)) {
        partition_begin(attempt);
    }
}

void partition_record(void *arg, const struct kafka_record *record)
{
    struct worker_queue *queue = arg;
    struct worker *worker = queue->worker;
    struct worker_partition *partition = kafka_partition_context(record->partition);
    if (!partition || partition->revoking)
        return;
    if (queue->departed && adopt_running(partition, record->offset)) {
        partition_balance(partition);
        return;
    }
    struct attempt *attempt = MEM_NEW(*attempt);
    partition_link(partition, attempt);
    attempt->offset = record->offset;
    attempt->ticket = window_add(partition->window, record->offset);
    attempt->bytes = record->value.size + ATTEMPT_OVERHEAD_BYTES;
    queue->held_bytes += attempt->bytes;
    partition->held_bytes += attempt->bytes;

    struct err err;
    enum err_code code = envelope_decode(record->value, &attempt->envelope, &err);
    if (code == ERR_OK && attempt->envelope->kind != ENVELOPE_COMMAND)
        code = err_set(&err, ERR_ENVELOPE_INVALID, "an event on a command topic");
    if (code == ERR_OK && !span_is(attempt->envelope->command.facts.queue, queue->name))
        code = err_field(&err, ERR_ENVELOPE_INVALID, "queue", "a command of another queue");
    if (code == ERR_OK) {
        attempt->command = &attempt->envelope->command;
        cancel_index_add(attempt);
        admit(attempt);
    } else {
        attempt->value = (struct span){ mem_dup(record->value), record->value.size };
        attempt->key = (struct span){ mem_dup(record->key), record->key.size };
        outcome_poison(attempt, &err);
    }
    balance_all(worker);
    partition_balance(partition);
}
