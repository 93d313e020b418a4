/* Wiring of the recorder: its clients, readiness, start and end. See recorder_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS           1000
#define REDIS_TIMEOUT_MS  5000
#define REDIS_PENDING_MAX 100000
#define FETCH_BYTES_MAX   ((size_t)32 * 1024 * 1024) /* of all readers */
#define PATIENCE_MS_MAX   500 /* for commands: their view is at most so late */
#define CLOSE_DEADLINE_MS 3000
#define DRAIN_MS          2000

void recorder_each_field(const struct recorder *recorder,
                         void (*fn)(void *arg, const char *topic, int32_t partition, bool commands),
                         void *arg)
{
    const struct config *config = recorder->config;
    for (size_t i = 0; i < config->queue_count; i++) {
        for (int commands = 0; commands < 2; commands++) {
            struct buf topic = BUF_INIT(TOPIC_NAME_MAX);
            topic_name(&topic, config->namespace_, commands ? TOPIC_COMMANDS : TOPIC_REPLIES,
                       config->queues[i].name);
            for (int32_t partition = 0; partition < config->queues[i].partitions; partition++)
                fn(arg, topic.data, partition, commands);
            buf_free(&topic);
        }
    }
}

struct recorder_reader *recorder_reader_of(const struct recorder_partition *partition)
{
    return &partition->recorder->readers[partition->commands ? RECORDER_COMMANDS : RECORDER_EVENTS];
}

static void on_redis(void *arg, bool ready)
{
    struct recorder *recorder = arg;
    service_condition_set(recorder->redis_ready, ready, redis_last_error(recorder->redis));
    log_write(recorder->log, ready ? LOG_INFO : LOG_WARN, "recorder", NULL, "redis %s",
              ready ? "connected" : redis_last_error(recorder->redis));
    recorder->certified = recorder->replies_certified = false;
    if (ready)
        recorder_restart_all(recorder);
    else
        service_condition_set(recorder->view_ready, false, "redis is away");
}

static void on_identity(void *arg)
{
    struct recorder *recorder = arg;
    log_write(recorder->log, LOG_INFO, "recorder", NULL, "folds the view of %s",
              view_identity_text(recorder->identity));
    loop_defer(recorder->loop, &recorder->locate);
}

static void commit_of(const struct recorder *recorder, const struct recorder_reader *reader)
{
    struct kafka_offset offsets[128];
    size_t count = 0;
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next) {
        if (recorder_reader_of(p) != reader || !p->handle || p->state != RECORDER_FOLDING ||
            p->applied == p->committed)
            continue;
        offsets[count++] = (struct kafka_offset){ .topic = p->topic,
                                                  .partition = p->number,
                                                  .offset = p->applied };
        p->committed = p->applied;
        if (count == sizeof offsets / sizeof *offsets) {
            kafka_consumer_commit(reader->consumer, offsets, count);
            count = 0;
        }
    }
    if (count)
        kafka_consumer_commit(reader->consumer, offsets, count);
}

/* For other people's lag tools; never read back. */
static void commit(struct recorder *recorder)
{
    for (int side = 0; side < RECORDER_SIDES; side++)
        commit_of(recorder, &recorder->readers[side]);
}

/* What Kafka refused is committed anew at the next look. */
static void on_committed(void *arg, const char *topic, int32_t number, int64_t offset,
                         enum err_code code, const char *text)
{
    struct recorder *recorder = arg;
    if (code == ERR_OK)
        return;
    log_write(recorder->log, LOG_WARN, "recorder", NULL, "commit of %s/%d at %lld: %s", topic,
              number, (long long)offset, text);
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next) {
        if (p->number == number && p->committed == offset && strcmp(p->topic, topic) == 0)
            p->committed = -1;
    }
}

static bool has_joined(const struct recorder *recorder)
{
    return kafka_consumer_joined(recorder->readers[RECORDER_EVENTS].consumer) &&
           kafka_consumer_joined(recorder->readers[RECORDER_COMMANDS].consumer);
}

static void on_look_timer(void *arg)
{
    struct recorder *recorder = arg;
    const char *why = kafka_watch_why(recorder->watch);
    if (!has_joined(recorder))
        why = "has not joined its groups yet";
    else if (!view_identity_text(recorder->identity)[0])
        why = view_identity_why(recorder->identity);
    service_condition_set(recorder->kafka_ready, !why, why);
    commit(recorder);
    recorder_metrics_tick(recorder);
    recorder_look(recorder);
    loop_defer(recorder->loop, &recorder->locate);
}

/* Some command's time has come. */
static void on_due_timer(void *arg)
{
    struct recorder *recorder = arg;
    recorder->due_at_ms = 0;
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next) {
        if (p->commands)
            recorder_pump(p);
    }
}

static void open_metrics(struct recorder *recorder)
{
    struct metrics *metrics = service_metrics(recorder->service);
    static const char applied[] = "Records applied to the view.";
    recorder->applied_commands =
        metrics_counter(metrics, "errand_recorder_applied_total", applied, "kind=\"command\"");
    recorder->applied_events =
        metrics_counter(metrics, "errand_recorder_applied_total", applied, "kind=\"event\"");
    recorder->applied_letters =
        metrics_counter(metrics, "errand_recorder_applied_total", applied, "kind=\"letter\"");
    recorder->letters_gone =
        metrics_counter(metrics, "errand_dead_letters_gone_total",
                        "Dead letters that retention deleted before anybody resolved them.", NULL);
    recorder->batches =
        metrics_counter(metrics, "errand_recorder_batches_total", "Batches applied.", NULL);
    recorder->refused = metrics_counter(metrics, "errand_recorder_refused_total",
                                        "Batches that Redis refused.", NULL);
    recorder->refolds = metrics_counter(metrics, "errand_recorder_refolds_total",
                                        "Partitions begun on a view that is not certified.", NULL);
    recorder->poison = metrics_counter(metrics, "errand_poison_records_total",
                                       "Records that cannot be folded.", NULL);
    recorder->held =
        metrics_counter(metrics, "errand_recorder_held_total",
                        "Records of a newer version put aside with the dead letters.", NULL);
    recorder->lost = metrics_counter(metrics, "errand_recorder_lost_total",
                                     "Offsets deleted from the log before they were folded.", NULL);
    recorder->certified_gauge =
        metrics_gauge(metrics, "errand_view_certified", "1 while the view is whole.", NULL);
}

static enum err_code open_producer(struct recorder *recorder, struct err *err)
{
    struct kafka_producer_options options = {
        .config = &recorder->config->kafka,
        .client_id = service_name(recorder->service),
        .queue_bytes_max = (size_t)recorder->config->kafka.send_queue_bytes,
        .metrics = service_metrics(recorder->service),
        .log = recorder->log,
    };
    struct buf source = BUF_INIT(256);
    buf_printf(&source, "/errand/%s", service_name(recorder->service));
    recorder->source = buf_take(&source);
    enum err_code code = kafka_producer_open(recorder->loop, &options, &recorder->producer, err);
    recorder->publish = (struct publish){
        .producer = recorder->producer,
        .namespace_ = recorder->config->namespace_,
        .source = recorder->source,
    };
    return code;
}

/* Of all queues; given away, as each name is. */
static char **topics_of(const struct config *config, const enum topic_kind *kinds,
                        size_t kind_count)
{
    char **topics = mem_zalloc(kind_count * config->queue_count, sizeof *topics);
    for (size_t i = 0; i < kind_count * config->queue_count; i++)
        topics[i] = topic_name_dup(config->namespace_, kinds[i % kind_count],
                                   config->queues[i / kind_count].name);
    return topics;
}

static void topics_free(char **topics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(topics[i]);
    free(topics);
}

static int64_t patience_ms(const struct config *config)
{
    int64_t ms = config->recorder.queued_after_ms;
    return ms < PATIENCE_MS_MAX ? ms : PATIENCE_MS_MAX;
}

static enum err_code open_reader(struct recorder *recorder, enum recorder_side side,
                                 struct err *err)
{
    static const enum topic_kind events[] = { TOPIC_REPLIES, TOPIC_DEAD };
    static const enum topic_kind commands[] = { TOPIC_COMMANDS };
    const struct config *config = recorder->config;
    bool patient = side == RECORDER_COMMANDS;
    size_t kind_count = patient ? 1 : 2;
    char **topics = topics_of(config, patient ? commands : events, kind_count);
    struct buf group = BUF_INIT(TOPIC_NAME_MAX);
    (patient ? topic_group_recorder_commands : topic_group_recorder)(&group, config->namespace_);
    struct kafka_consumer_options options = {
        .config = &config->kafka,
        .client_id = service_name(recorder->service),
        .group = group.data,
        .topics = (const char *const *)topics,
        .topic_count = kind_count * config->queue_count,
        .fetch_bytes_max = FETCH_BYTES_MAX / RECORDER_SIDES,
        .patience_ms = patient ? patience_ms(config) : 0,
        .metrics = service_metrics(recorder->service),
        .log = recorder->log,
        .arg = recorder,
        .on_assign = recorder_assign,
        .on_revoke = recorder_revoke,
        .on_revoked = recorder_revoked,
        .on_record = recorder_record,
        .on_committed = on_committed,
    };
    enum err_code code =
        kafka_consumer_open(recorder->loop, &options, &recorder->readers[side].consumer, err);
    buf_free(&group);
    topics_free(topics, options.topic_count);
    return code;
}

static enum err_code open_readers(struct recorder *recorder, struct err *err)
{
    static const enum topic_kind kinds[] = { TOPIC_COMMANDS, TOPIC_REPLIES, TOPIC_DEAD };
    size_t kind_count = sizeof kinds / sizeof *kinds;
    size_t count = kind_count * recorder->config->queue_count;
    char **topics = topics_of(recorder->config, kinds, kind_count);
    recorder->watch = kafka_watch_start(recorder->loop, recorder->producer,
                                        (const char *const *)topics, count, NULL, NULL);
    topics_free(topics, count);
    enum err_code code = open_reader(recorder, RECORDER_EVENTS, err);
    return code ? code : open_reader(recorder, RECORDER_COMMANDS, err);
}

enum err_code recorder_open(struct service *service, struct recorder **ret_recorder,
                            struct err *err)
{
    struct recorder *recorder = MEM_NEW(*recorder);
    recorder->service = service;
    recorder->config = service_config(service);
    recorder->loop = service_loop(service);
    recorder->log = service_log(service);
    recorder->kafka_ready = service_condition_new(service, "kafka");
    recorder->redis_ready = service_condition_new(service, "redis");
    recorder->view_ready = service_condition_new(service, "view");
    recorder->locate = (struct loop_task){ .fn = recorder_locate, .arg = recorder };
    recorder->look_timer = loop_timer_new(recorder->loop, on_look_timer, recorder);
    recorder->due_timer = loop_timer_new(recorder->loop, on_due_timer, recorder);
    struct buf key = BUF_INIT(256);
    view_hash_key(&key, recorder->config->namespace_);
    recorder->hash_key = buf_take(&key);
    siphash_secret(recorder->secret);
    open_metrics(recorder);
    recorder_metrics_open(recorder);
    recorder_list_open(recorder);
    struct redis_options redis = {
        .config = &recorder->config->redis,
        .timeout_ms = REDIS_TIMEOUT_MS,
        .pending_max = REDIS_PENDING_MAX,
        .on_state = on_redis,
        .arg = recorder,
    };
    recorder->redis = redis_open(recorder->loop, &redis);
    enum err_code code =
        kafka_admin_open(&recorder->config->kafka, service_name(service), &recorder->admin, err);
    if (code == ERR_OK) {
        recorder->identity = view_identity_new(recorder->loop, recorder->config, recorder->admin,
                                               on_identity, recorder);
        code = open_producer(recorder, err);
    }
    if (code == ERR_OK)
        code = open_readers(recorder, err);
    if (code) {
        recorder_close(recorder);
        return code;
    }
    loop_timer_start(recorder->look_timer, LOOK_MS, LOOK_MS);
    *ret_recorder = recorder;
    return ERR_OK;
}

static bool is_busy(const struct recorder *recorder)
{
    for (const struct recorder_partition *p = recorder->partitions; p; p = p->next) {
        if (p->busy)
            return true;
    }
    return recorder->locating;
}

static void leave(struct recorder *recorder)
{
    for (int side = 0; side < RECORDER_SIDES; side++) {
        kafka_consumer_close(recorder->readers[side].consumer, CLOSE_DEADLINE_MS);
        recorder->readers[side].consumer = NULL;
    }
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next)
        p->handle = NULL;
    recorder_revoked(recorder);
}

static void on_drain(void *arg)
{
    struct recorder *recorder = arg;
    if (is_busy(recorder) && loop_now_ms(recorder->loop) < recorder->drain_until_ms)
        return;
    loop_timer_stop(recorder->drain_timer);
    loop_timer_stop(recorder->look_timer);
    commit(recorder);
    leave(recorder);
    service_drained(recorder->service);
}

void recorder_drain(struct recorder *recorder)
{
    if (recorder->draining)
        return;
    recorder->draining = true;
    recorder->drain_until_ms = loop_now_ms(recorder->loop) + DRAIN_MS;
    recorder->drain_timer = loop_timer_new(recorder->loop, on_drain, recorder);
    loop_timer_start(recorder->drain_timer, 0, 10);
}

void recorder_close(struct recorder *recorder)
{
    if (!recorder)
        return;
    recorder->draining = true;
    leave(recorder);
    recorder_metrics_close(recorder);
    redis_close(recorder->redis);
    recorder_list_close(recorder);
    view_identity_free(recorder->identity);
    kafka_admin_close(recorder->admin);
    kafka_producer_close(recorder->producer);
    kafka_watch_stop(recorder->watch);
    recorder->closed = true;
    loop_undefer(recorder->loop, &recorder->locate);
    loop_timer_free(recorder->look_timer);
    loop_timer_free(recorder->due_timer);
    loop_timer_free(recorder->drain_timer);
    if (!recorder->asking_ranges)
        recorder_free(recorder);
}

void recorder_free(struct recorder *recorder)
{
    free(recorder->hash_key);
    free(recorder->source);
    free(recorder);
}
