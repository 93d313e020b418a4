/* Wiring of the worker: its clients, its types, start and end. See worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "schemas/digest.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <stdio.h>
#include <stdlib.h>

#define TICK_MS           500
#define CLOSE_DEADLINE_MS 3000
#define SETTLE_MS         8000 /* a rebalance is over by then, unless the session is long */
#define RECOMMIT_MS       1000 /* after a commit was refused */
#define REDIS_PENDING_MAX 100000
#define FETCH_BYTES_MAX   ((size_t)16 * 1024 * 1024)
#define HTTP_SHARDS       8

/* --- queues and topics --- */

static bool serves(const struct config *config, const char *queue)
{
    const struct config_strings *queues = &config->worker.queues;
    for (size_t i = 0; i < queues->count; i++) {
        if (strcmp(queues->items[i], queue) == 0)
            return true;
    }
    return queues->count == 0;
}

static void open_queues(struct worker *worker)
{
    const struct config *config = worker->config;
    worker->queues = mem_zalloc(config->queue_count, sizeof *worker->queues);
    for (size_t i = 0; i < config->queue_count; i++) {
        if (serves(config, config->queues[i].name))
            worker->queues[worker->queue_count++] =
                (struct worker_queue){ .worker = worker,
                                       .name = config->queues[i].name,
                                       .ordered = config->queues[i].ordered };
    }
}

static char *topic_of(const struct worker *worker, enum topic_kind kind, const char *suffix)
{
    struct buf name = BUF_INIT(TOPIC_NAME_MAX);
    topic_name(&name, worker->config->namespace_, kind, suffix);
    return buf_take(&name);
}

/* --- callbacks of the clients --- */

static void on_redis(void *arg, bool ready)
{
    struct worker *worker = arg;
    service_condition_set(worker->redis_ready, ready, redis_last_error(worker->redis));
    log_write(worker->log, ready ? LOG_INFO : LOG_WARN, "worker", NULL, "redis %s",
              ready ? "connected" : redis_last_error(worker->redis));
    if (!ready)
        return;
    /* It may have been emptied, which only the question that comes first is told. */
    for (size_t i = 0; i < worker->queue_count; i++)
        redelivery_anew(&worker->queues[i]);
    worker_registry_beat(worker->registry);
    dispatch_soon(worker);
    cancel_recheck(worker);
}

static void on_committed(void *arg, const char *topic, int32_t partition, int64_t offset,
                         enum err_code code, const char *text)
{
    struct worker_queue *queue = arg;
    if (code == ERR_OK)
        return;
    log_write(queue->worker->log, LOG_WARN, "worker", NULL, "commit of %s/%d at %lld: %s", topic,
              partition, (long long)offset, text);
    for (struct worker_partition *p = queue->partitions; p; p = p->next) {
        if (p->number == partition && strcmp(p->topic, topic) == 0 && p->committed == offset)
            p->committed = -1;
    }
    if (!queue->worker->commit_due) { /* with nothing more to do there might be no other commit */
        queue->worker->commit_due = true;
        loop_timer_start(queue->worker->commit_timer, RECOMMIT_MS, 0);
    }
}

static void on_commit_timer(void *arg)
{
    struct worker *worker = arg;
    worker->commit_due = false;
    partition_commit_all(worker);
}

static void on_tick(void *arg)
{
    struct worker *worker = arg;
    worker->ticked_at_ms = clock_monotonic_ms();
    partition_ask_epochs(worker);
    order_tell(worker);
    cancel_listen(worker);
    worker_metrics_tick(worker);
    bool joined = true;
    for (size_t i = 0; i < worker->queue_count; i++)
        joined = joined && worker->queues[i].consumer &&
                 kafka_consumer_joined(worker->queues[i].consumer);
    const char *why = joined ? kafka_watch_why(worker->watch) : "has not joined its group yet";
    service_condition_set(worker->kafka_ready, !why, why);
    for (size_t i = 0; i < worker->type_count; i++) {
        if (worker->types[i].ready.first) {
            dispatch_soon(worker);
            break;
        }
    }
}

/* --- what is told of this worker --- */

static struct worker_registry_state tell_state(void *arg)
{
    const struct worker *worker = arg;
    struct worker_registry_state state = { .in_flight = worker->in_flight };
    for (size_t i = 0; i < worker->queue_count; i++) {
        for (const struct worker_partition *p = worker->queues[i].partitions; p; p = p->next)
            state.partitions += p->handle && !p->revoking;
    }
    return state;
}

static void open_registry(struct worker *worker)
{
    worker->queue_names = mem_zalloc(worker->queue_count, sizeof *worker->queue_names);
    for (size_t i = 0; i < worker->queue_count; i++)
        worker->queue_names[i] = worker->queues[i].name;
    struct worker_registry_options options = {
        .loop = worker->loop,
        .redis = worker->redis,
        .namespace_ = worker->config->namespace_,
        .name = service_name(worker->service),
        .incarnation = service_incarnation(worker->service),
        .queues = worker->queue_names,
        .queue_count = worker->queue_count,
        .session_timeout_ms = worker->config->kafka.session_timeout_ms,
        .state = tell_state,
        .arg = worker,
    };
    worker->registry = worker_registry_start(&options);
}

static void open_suspects(struct worker *worker)
{
    struct suspects_options options = {
        .loop = worker->loop,
        .log = worker->log,
        .metrics = service_metrics(worker->service),
        .config_path = service_config_path(worker->service),
        .children_max = (size_t)worker->config->worker.children_max,
    };
    worker->suspects = suspects_new(&options);
}

/* --- types --- */

static struct worker_target *find_target(struct worker *worker, const char *name)
{
    for (size_t i = 0; i < worker->config->target_count; i++) {
        if (strcmp(worker->targets[i].config->name, name) == 0)
            return &worker->targets[i];
    }
    return NULL;
}

static struct metric *job_counter(struct worker *worker, const char *type, const char *outcome)
{
    struct buf labels = BUF_INIT(512);
    metrics_label(&labels, "type", span_of(type));
    metrics_label(&labels, "outcome", span_of(outcome));
    struct metric *metric =
        metrics_counter(service_metrics(worker->service), "errand_attempts_total",
                        "Attempts by what became of them.", labels.data);
    buf_free(&labels);
    return metric;
}

static void open_type_metrics(struct worker *worker, struct worker_type *type)
{
    const char *name = type->config->name;
    type->succeeded = job_counter(worker, name, "succeeded");
    type->failed = job_counter(worker, name, "failed");
    type->retried = job_counter(worker, name, "retried");
    type->expired = job_counter(worker, name, "expired");
    type->cancelled = job_counter(worker, name, "cancelled");
    struct buf labels = BUF_INIT(512);
    metrics_label(&labels, "type", span_of(name));
    type->attempt_seconds = metrics_histogram(
        service_metrics(worker->service), "errand_attempt_seconds", "Time an attempt ran.",
        labels.data, metrics_latency_bounds, metrics_latency_bound_count);
    buf_free(&labels);
}

static enum err_code open_types(struct worker *worker, struct err *err)
{
    const struct config *config = worker->config;
    targets_open(worker);
    worker->types = mem_zalloc(config->type_count, sizeof *worker->types);
    for (size_t i = 0; i < config->type_count; i++) {
        const struct config_type *type = &config->types[i];
        if (!serves(config, type->queue))
            continue;
        struct worker_type *mine = &worker->types[worker->type_count];
        mine->config = type;
        enum err_code code = handler_new(&worker->tools, type, &mine->handler, err);
        if (code)
            return code;
        worker->type_count++;
        if (type->handler == CONFIG_HANDLER_CALL)
            mine->target = find_target(worker, type->call.target);
        open_type_metrics(worker, mine);
    }
    return ERR_OK;
}

static void open_metrics(struct worker *worker)
{
    struct metrics *metrics = service_metrics(worker->service);
    for (int verdict = 0; verdict < GATE_VERDICT_COUNT; verdict++) {
        struct buf labels = BUF_INIT(128);
        metrics_label(&labels, "verdict", span_of(gate_verdict_text((enum gate_verdict)verdict)));
        worker->gate_verdicts[verdict] = metrics_counter(metrics, "errand_gate_verdicts_total",
                                                         "Answers of the gate.", labels.data);
        buf_free(&labels);
    }
    worker->in_flight_gauge =
        metrics_gauge(metrics, "errand_attempts_in_flight", "Attempts that run now.", NULL);
    worker->held_gauge = metrics_gauge(metrics, "errand_worker_held_bytes",
                                       "Bytes of commands delivered and not done.", NULL);
    worker->window_gauge = metrics_gauge(metrics, "errand_worker_window_span",
                                         "Widest window of a partition, in offsets.", NULL);
    worker->poison = metrics_counter(metrics, "errand_poison_records_total",
                                     "Records on command topics that are no commands.", NULL);
    worker->forgotten =
        metrics_counter(metrics, "errand_forgotten_commands_total",
                        "Commands dropped because their job's record may be gone.", NULL);
    worker->redelivery_waits = metrics_counter(
        metrics, "errand_redelivery_waits_total",
        "Redelivered commands that waited until the view knew what had finished before.", NULL);
    worker->adopted = metrics_counter(
        metrics, "errand_adopted_total",
        "Attempts that outlived a revoke and went on when the partition came back.", NULL);
}

/* --- clients --- */

static enum err_code open_producer(struct worker *worker, struct err *err)
{
    const struct config *config = worker->config;
    struct kafka_producer_options options = {
        .config = &config->kafka,
        .client_id = service_name(worker->service),
        .timeout_ms = 0,
        .queue_bytes_max = (size_t)config->kafka.send_queue_bytes,
        .metrics = service_metrics(worker->service),
        .log = worker->log,
    };
    enum err_code code = kafka_producer_open(worker->loop, &options, &worker->producer, err);
    if (code)
        return code;
    struct buf source = BUF_INIT(256);
    buf_printf(&source, "/errand/%s", service_name(worker->service));
    worker->source = buf_take(&source);
    worker->publish = (struct publish){
        .producer = worker->producer,
        .namespace_ = config->namespace_,
        .source = worker->source,
        .tiers = config->delayer.tiers,
        .tier_count = config->delayer.tier_count,
    };
    static const enum topic_kind kinds[] = { TOPIC_COMMANDS, TOPIC_REPLIES, TOPIC_DEAD };
    size_t count = 0;
    char **names = mem_zalloc(3 * worker->queue_count, sizeof *names);
    for (size_t i = 0; i < worker->queue_count; i++) {
        for (size_t kind = 0; kind < 3; kind++)
            names[count++] = topic_of(worker, kinds[kind], worker->queues[i].name);
    }
    worker->watch = kafka_watch_start(worker->loop, worker->producer, (const char *const *)names,
                                      count, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return ERR_OK;
}

static enum err_code open_consumer(struct worker *worker, struct worker_queue *queue,
                                   struct err *err)
{
    char *topic = topic_of(worker, TOPIC_COMMANDS, queue->name);
    struct buf group = BUF_INIT(TOPIC_NAME_MAX);
    topic_group_worker(&group, worker->config->namespace_, queue->name);
    struct kafka_consumer_options options = {
        .config = &worker->config->kafka,
        .client_id = service_name(worker->service),
        .group = group.data,
        .topics = (const char *const *)&topic,
        .topic_count = 1,
        .fetch_bytes_max = FETCH_BYTES_MAX,
        .metrics = service_metrics(worker->service),
        .log = worker->log,
        .arg = queue,
        .on_assign = partition_assign,
        .on_revoke = partition_revoke,
        .on_revoked = partition_revoked,
        .on_record = partition_record,
        .on_committed = on_committed,
    };
    enum err_code code = kafka_consumer_open(worker->loop, &options, &queue->consumer, err);
    buf_free(&group);
    free(topic);
    return code;
}

static enum err_code open_clients(struct worker *worker, struct err *err)
{
    struct redis_options redis = {
        .config = &worker->config->redis,
        .timeout_ms = worker->config->redis.gate_timeout_ms,
        .pending_max = REDIS_PENDING_MAX,
        .on_state = on_redis,
        .arg = worker,
    };
    worker->redis = redis_open(worker->loop, &redis);
    worker->gate =
        gate_new(worker->redis, worker->config->namespace_, service_incarnation(worker->service));
    open_registry(worker);
    open_suspects(worker);
    for (size_t i = 0; i < worker->queue_count; i++)
        redelivery_open(&worker->queues[i]);
    cancel_open(worker, &redis);
    struct http_client_options http = { .shards = HTTP_SHARDS,
                                        .connections_max =
                                            (size_t)worker->config->worker.in_flight_max };
    enum err_code code = http_client_open(worker->loop, &http, &worker->http, err);
    if (code == ERR_OK) {
        worker->tools = (struct handler_tools){
            .loop = worker->loop,
            .http = worker->http,
            .config = worker->config,
            .rule_threads_max = (size_t)worker->config->worker.rule_threads_max,
        };
        code = open_types(worker, err);
        worker_metrics_open(worker);
    }
    if (code == ERR_OK)
        code = kafka_admin_open(&worker->config->kafka, service_name(worker->service),
                                &worker->admin, err);
    if (code == ERR_OK)
        code = open_producer(worker, err);
    for (size_t i = 0; code == ERR_OK && i < worker->queue_count; i++)
        code = open_consumer(worker, &worker->queues[i], err);
    return code;
}

enum err_code worker_open(struct service *service, struct worker **ret_worker, struct err *err)
{
    struct worker *worker = MEM_NEW(*worker);
    worker->service = service;
    worker->config = service_config(service);
    worker->loop = service_loop(service);
    worker->log = service_log(service);
    worker->kafka_ready = service_condition_new(service, "kafka");
    worker->redis_ready = service_condition_new(service, "redis");
    worker->dispatch = (struct loop_task){ .fn = dispatch_run, .arg = worker };
    worker->started_timer = loop_timer_new(worker->loop, dispatch_tell_started, worker);
    worker->commit_timer = loop_timer_new(worker->loop, on_commit_timer, worker);
    worker->stuck_timer = loop_timer_new(worker->loop, outcome_retry_stuck, worker);
    worker->tick_timer = loop_timer_new(worker->loop, on_tick, worker);
    worker->ticked_at_ms = clock_monotonic_ms();
    if (!digest_random(&worker->random, sizeof worker->random) || worker->random == 0)
        worker->random = 1;
    loop_pool_more((size_t)worker->config->worker.rule_threads_max);
    open_queues(worker);
    open_metrics(worker);
    order_open(worker);
    enum err_code code = open_clients(worker, err);
    if (code) {
        worker_close(worker);
        return code;
    }
    loop_timer_start(worker->tick_timer, 0, TICK_MS);
    *ret_worker = worker;
    return ERR_OK;
}

/* --- the end --- */

static bool is_under_way(const struct worker_partition *partitions)
{
    while (partitions && !partitions->under_way)
        partitions = partitions->next;
    return partitions != NULL;
}

static bool is_idle(const struct worker *worker)
{
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (is_under_way(worker->queues[i].partitions) || is_under_way(worker->queues[i].departed))
            return false;
    }
    return true;
}

/* Whoever gets the partitions begins behind all that was done here. */
static bool is_committed(const struct worker *worker)
{
    for (size_t i = 0; i < worker->queue_count; i++) {
        const struct worker_queue *queue = &worker->queues[i];
        if (kafka_consumer_is_committing(queue->consumer))
            return false;
        for (const struct worker_partition *p = queue->partitions; p; p = p->next) {
            if (p->handle && p->committed != window_watermark(p->window))
                return false;
        }
    }
    return true;
}

/* Finished what runs, and Kafka has the offsets: so that a stop makes no call twice. A refused
 * commit (a rebalance is going on) is made again by the timer of all commits. */
static bool is_done(struct worker *worker)
{
    if (!is_idle(worker))
        return false;
    if (!worker->drain_committed) {
        worker->drain_committed = true;
        partition_commit_all(worker);
    }
    return is_committed(worker);
}

/* Nothing more is to be waited for: what runs, or its time, is over. */
static bool is_finished(struct worker *worker)
{
    return loop_now_ms(worker->loop) >= worker->drain_until_ms || is_done(worker) ||
           MUTANT(left_undone);
}

/* Whoever asks to leave while it joins is heard when all have joined and before they know what is
 * theirs: they would have to begin anew, and wait again for everybody, the dead included. */
static bool is_joining(const struct worker_queue *queue)
{
    const struct worker *worker = queue->worker;
    return !MUTANT(rebalance_broken_off) && !kafka_watch_why(worker->watch) &&
           kafka_consumer_is_joining(queue->consumer);
}

/* What was assigned is revoked without waiting. Accepts one that was left before. */
static void leave_queue(struct worker_queue *queue)
{
    kafka_consumer_close(queue->consumer, CLOSE_DEADLINE_MS);
    queue->consumer = NULL;
    partition_revoked(queue);
}

static void leave(struct worker *worker)
{
    worker->closed = true;
    for (size_t i = 0; i < worker->queue_count; i++)
        leave_queue(&worker->queues[i]);
}

/* Each group by itself, as soon as it is not joined: while many come and go there is no moment at
 * which none is. False while some are to be left. */
static bool leave_settled(struct worker *worker)
{
    bool over = loop_now_ms(worker->loop) >= worker->settle_until_ms;
    bool all = true;
    for (size_t i = 0; i < worker->queue_count; i++) {
        struct worker_queue *queue = &worker->queues[i];
        if (queue->consumer && (over || !is_joining(queue)))
            leave_queue(queue);
        all = all && !queue->consumer;
    }
    return all;
}

static void on_left(void *arg)
{
    struct worker *worker = arg;
    worker->has_left = true;
}

static void on_drain(void *arg)
{
    struct worker *worker = arg;
    if (!worker->leaving && is_finished(worker)) {
        worker->leaving = true;
        partition_commit_all(worker);
        /* Before the groups know: whoever gets the partitions must not take their jobs for
         * suspects. */
        worker_registry_leave(worker->registry, on_left, worker);
    }
    if (!worker->has_left || !leave_settled(worker))
        return;
    loop_timer_stop(worker->drain_timer);
    worker->closed = true;
    service_drained(worker->service);
}

void worker_drain(struct worker *worker)
{
    if (worker->draining)
        return;
    worker->draining = true;
    worker->drain_until_ms = loop_now_ms(worker->loop) + worker->config->worker.drain_ms;
    worker->settle_until_ms = loop_now_ms(worker->loop) + SETTLE_MS;
    worker->drain_timer = loop_timer_new(worker->loop, on_drain, worker);
    loop_timer_start(worker->drain_timer, 0, 10);
}

static void drop_stuck(struct worker *worker)
{
    while (worker->stuck.first) {
        struct attempt *attempt = worker->stuck.first;
        attempt_list_remove(&worker->stuck, attempt);
        partition_attempt_drop(attempt);
    }
}

static void close_clients(struct worker *worker)
{
    worker->draining = true;
    for (struct attempt *attempt = worker->running.first; attempt; attempt = attempt->next)
        attempt->cancelled = true;
    leave(worker);
    cancel_deafen(worker);
    http_client_close(worker->http);
    suspects_stop(worker->suspects);
    redis_close(worker->redis);
    for (size_t i = 0; i < worker->queue_count; i++)
        redelivery_close(&worker->queues[i]);
    kafka_admin_close(worker->admin);
    drop_stuck(worker);
    kafka_producer_close(worker->producer);
    drop_stuck(worker); /* its last acknowledgements led to a step that it did not take any more */
    kafka_watch_stop(worker->watch);
}

void worker_close(struct worker *worker)
{
    if (!worker)
        return;
    close_clients(worker);
    for (size_t i = 0; i < worker->type_count; i++) /* what rules still run is dropped */
        worker->types[i].handler->free(worker->types[i].handler);
    cancel_close(worker);
    gate_free(worker->gate);
    worker_registry_free(worker->registry);
    suspects_free(worker->suspects);
    loop_undefer(worker->loop, &worker->dispatch);
    loop_timer_free(worker->started_timer);
    loop_timer_free(worker->commit_timer);
    loop_timer_free(worker->stuck_timer);
    loop_timer_free(worker->tick_timer);
    loop_timer_free(worker->drain_timer);
    free(worker->types);
    targets_close(worker);
    free(worker->queues);
    free(worker->queue_names);
    free(worker->source);
    free(worker);
}
