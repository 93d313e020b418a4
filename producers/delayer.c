/* See delayer.h.
 * A record lies in its partition's queue until its tier's delay has passed since the broker stored
 * it; then it is published to where what is left belongs: a shorter tier, or its command topic. Its
 * offset is done when Kafka has acknowledged that. SPDX-License-Identifier: Apache-2.0 */
#include "producers/delayer.h"

#include "infra/clock.h"
#include "infra/kafka_consumer.h"
#include "infra/kafka_watch.h"
#include "producers/publish.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/topic.h"
#include "schemas/window.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_BYTES_MAX     ((size_t)8 * 1024 * 1024)
#define HELD_BYTES_MAX      ((size_t)2 * 1024 * 1024) /* of one partition */
#define HELD_OVERHEAD_BYTES 2560
#define CLOSE_DEADLINE_MS   3000
#define DRAIN_MS            2000
#define TICK_MS             500
#define AGAIN_MS            100  /* after the producer's limit refused a record */
#define REFUSED_AGAIN_MS    1000 /* after Kafka refused a record */

struct held {
    struct held *next;
    struct tier_partition *partition;
    uint64_t ticket;
    int64_t offset;
    int64_t release_at_ms;
    size_t bytes;
    struct envelope *envelope; /* NULL: no command; `value` goes to the dead letters */
    struct err why;
    struct span key, value; /* owned, only for what could not be read */
};

struct tier_partition {
    struct tier_partition *next;
    struct delayer *delayer;
    struct kafka_partition *handle; /* NULL once revoked */
    char *topic;
    int32_t number;
    int64_t delay_ms;
    struct window *window;
    int64_t committed;
    struct held *first, *last; /* waiting for their time */
    struct held *refused;      /* by Kafka: tried again, behind nobody */
    size_t held_bytes;         /* of both */
    struct loop_timer *timer;
    size_t references; /* records under way, and the assignment */
};

struct delayer {
    struct service *service;
    const struct config *config;
    struct loop *loop;
    struct log *log;
    struct kafka_consumer *consumer;
    struct kafka_producer *producer;
    struct publish publish;
    char *source;
    struct tier_partition *partitions;
    struct loop_timer *tick, *drain_timer, *refused_timer;
    int64_t drain_until_ms;
    size_t under_way;
    bool draining, closing;
    struct kafka_watch *watch;
    struct service_condition *kafka_ready;
    struct metric *handed_on, *poison, *waiting;
};

static void release_due(void *arg);

/* --- partitions --- */

static void held_free(struct held *held)
{
    union {
        const void *from;
        void *to;
    } key = { .from = held->key.data }, value = { .from = held->value.data };
    envelope_free(held->envelope);
    free(key.to);
    free(value.to);
    free(held);
}

static void unref(struct tier_partition *partition)
{
    if (--partition->references)
        return;
    window_free(partition->window);
    loop_timer_free(partition->timer);
    free(partition->topic);
    free(partition);
}

static void drop_list(struct tier_partition *partition, struct held *list)
{
    while (list) {
        struct held *next = list->next;
        held_free(list);
        list = next;
        metric_add(partition->delayer->waiting, -1);
    }
}

static void drop_held(struct tier_partition *partition)
{
    drop_list(partition, partition->first);
    drop_list(partition, partition->refused);
    partition->first = partition->last = partition->refused = NULL;
    partition->held_bytes = 0;
}

static int64_t delay_of(const struct config *config, struct span suffix)
{
    for (size_t i = 0; i < config->delayer.tier_count; i++) {
        if (span_is(suffix, config->delayer.tiers[i].name))
            return config->delayer.tiers[i].delay_ms;
    }
    return 0; /* a tier that is no longer configured: nothing is held back by it */
}

/* Where the group left off, or where the log begins, is right as it is: the offset is only read. */
/* NOLINTBEGIN(readability-non-const-parameter) */
static void on_assign(void *arg, struct kafka_partition *handle, const struct kafka_start *start,
                      int64_t *ret_offset)
/* NOLINTEND(readability-non-const-parameter) */
{
    struct delayer *delayer = arg;
    struct tier_partition *partition = MEM_NEW(*partition);
    *partition = (struct tier_partition){
        .next = delayer->partitions,
        .delayer = delayer,
        .handle = handle,
        .topic = mem_dup_text(kafka_partition_topic(handle)),
        .number = kafka_partition_number(handle),
        .window = window_new(*ret_offset),
        .committed = start->committed,
        .references = 1,
    };
    enum topic_kind kind;
    struct span suffix;
    if (topic_parse(span_of(partition->topic), delayer->config->namespace_, &kind, &suffix))
        partition->delay_ms = delay_of(delayer->config, suffix);
    partition->timer = loop_timer_new(delayer->loop, release_due, partition);
    delayer->partitions = partition;
    kafka_partition_set_context(handle, partition);
    if (start->lost || start->reset)
        log_write(delayer->log, LOG_ERROR, "delayer", NULL, "%s/%d: %s: reading from %" PRId64,
                  partition->topic, partition->number,
                  start->lost ? "records were deleted before they were read"
                              : "no committed offset",
                  *ret_offset);
}

static void commit(struct delayer *delayer)
{
    struct kafka_offset offsets[128];
    size_t count = 0;
    for (struct tier_partition *p = delayer->partitions; p; p = p->next) {
        int64_t watermark = window_watermark(p->window);
        if (!p->handle || watermark == p->committed)
            continue;
        offsets[count++] =
            (struct kafka_offset){ .topic = p->topic, .partition = p->number, .offset = watermark };
        p->committed = watermark;
        if (count == sizeof offsets / sizeof *offsets) {
            kafka_consumer_commit(delayer->consumer, offsets, count);
            count = 0;
        }
    }
    if (count)
        kafka_consumer_commit(delayer->consumer, offsets, count);
}

static void on_revoke(void *arg, struct kafka_partition *handle, bool lost)
{
    struct tier_partition *partition = kafka_partition_context(handle);
    if (!partition)
        return;
    loop_timer_stop(partition->timer);
    drop_held(partition);
    if (!lost)
        commit(arg); /* what is under way will be handed on twice at worst, and deduplicated */
    partition->handle = NULL;
}

static void on_revoked(void *arg)
{
    struct delayer *delayer = arg;
    struct tier_partition **link = &delayer->partitions;
    while (*link) {
        struct tier_partition *partition = *link;
        if (partition->handle) {
            link = &partition->next;
            continue;
        }
        *link = partition->next;
        unref(partition);
    }
}

static void on_committed(void *arg, const char *topic, int32_t number, int64_t offset,
                         enum err_code code, const char *text)
{
    struct delayer *delayer = arg;
    if (code == ERR_OK)
        return;
    log_write(delayer->log, LOG_WARN, "delayer", NULL, "commit of %s/%d at %" PRId64 ": %s", topic,
              number, offset, text);
    for (struct tier_partition *p = delayer->partitions; p; p = p->next) {
        if (p->number == number && strcmp(p->topic, topic) == 0 && p->committed == offset)
            p->committed = -1;
    }
}

/* --- records --- */

static void balance(struct tier_partition *partition)
{
    if (!partition->handle)
        return;
    if (partition->held_bytes > HELD_BYTES_MAX)
        kafka_partition_pause(partition->handle);
    else if (kafka_partition_is_paused(partition->handle) &&
             partition->held_bytes <= HELD_BYTES_MAX / 2)
        kafka_partition_resume(partition->handle);
}

/* Kafka refuses it for good (a missing right, a topic's own limit): until somebody has seen to
 * that. Whoever is not our partition any more is delivered to its next owner. */
static void keep_refused(struct held *held)
{
    struct tier_partition *partition = held->partition;
    struct delayer *delayer = partition->delayer;
    if (delayer->closing || !partition->handle) {
        held_free(held);
        return;
    }
    held->next = partition->refused;
    partition->refused = held;
    partition->held_bytes += held->bytes;
    metric_add(delayer->waiting, 1);
    loop_timer_start(delayer->refused_timer, REFUSED_AGAIN_MS, 0);
    balance(partition);
}

static void on_acknowledged(void *arg, enum err_code code, int32_t number, int64_t offset)
{
    (void)number;
    (void)offset;
    struct held *held = arg;
    struct tier_partition *partition = held->partition;
    struct delayer *delayer = partition->delayer;
    delayer->under_way--;
    if (code == ERR_OK) {
        window_done(partition->window, held->ticket);
        metric_add(held->envelope ? delayer->handed_on : delayer->poison, 1);
        held_free(held);
    } else {
        keep_refused(held);
    }
    unref(partition);
}

static enum err_code bury(struct held *held, struct err *err)
{
    const struct tier_partition *partition = held->partition;
    const struct delayer *delayer = partition->delayer;
    struct publish_dead dead = {
        .queue = span_of(delayer->config->queues[0].name), /* whose it was cannot be read */
        .key = held->key,
        .value = held->value,
        .topic = partition->topic,
        .partition = partition->number,
        .offset = held->offset,
        .reason = span_of(err_code_text(held->why.code)),
        .detail = span_of(held->why.text),
    };
    return publish_dead(&delayer->publish, &dead, on_acknowledged, held, err);
}

/* From now on it is no command any more, but what goes to the dead letters. */
static void condemn(struct held *held, struct span key, struct span value)
{
    held->key = (struct span){ mem_dup(key), key.size };
    held->value = (struct span){ mem_dup(value), value.size };
    envelope_free(held->envelope);
    held->envelope = NULL;
    log_write(held->partition->delayer->log, LOG_ERROR, "delayer",
              &(struct log_about){ .err = &held->why },
              "%s/%d: the record at offset %" PRId64 " cannot be handed on; to the dead letters",
              held->partition->topic, held->partition->number, held->offset);
}

/* A stranger's command that is larger on the next topic than it was here. */
static void condemn_large(struct held *held)
{
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct err unencoded;
    if (envelope_encode_command(&held->envelope->command, &value, &unencoded))
        buf_reset(&value);
    condemn(held, (struct span){ 0 }, buf_span(&value));
    buf_free(&value);
}

/* To where it belongs now. False when the producer is full. */
static bool publish_held(struct held *held)
{
    struct tier_partition *partition = held->partition;
    struct delayer *delayer = partition->delayer;
    partition->references++;
    delayer->under_way++;
    enum err_code code = ERR_LIMIT;
    if (held->envelope)
        code = publish_handoff(&delayer->publish, &held->envelope->command, clock_wall_ms(),
                               on_acknowledged, held, &held->why);
    if (code == ERR_LIMIT) {
        if (held->envelope)
            condemn_large(held);
        struct err err;
        code = bury(held, &err);
    }
    if (code == ERR_OK)
        return true;
    partition->references--;
    delayer->under_way--;
    return false;
}

/* The head's time has come. False when it stays. */
static bool hand_on(struct tier_partition *partition)
{
    struct held *held = partition->first;
    struct held *next = held->next;
    size_t bytes = held->bytes;
    if (!publish_held(held))
        return false;
    partition->first = next;
    if (!partition->first)
        partition->last = NULL;
    partition->held_bytes -= bytes;
    metric_add(partition->delayer->waiting, -1);
    return true;
}

static void try_refused(struct tier_partition *partition)
{
    while (partition->refused && partition->handle) {
        struct held *held = partition->refused;
        struct held *next = held->next;
        size_t bytes = held->bytes;
        if (!publish_held(held)) {
            loop_timer_start(partition->delayer->refused_timer, REFUSED_AGAIN_MS, 0);
            break;
        }
        partition->refused = next;
        partition->held_bytes -= bytes;
        metric_add(partition->delayer->waiting, -1);
    }
    balance(partition);
}

static void on_refused_timer(void *arg)
{
    struct delayer *delayer = arg;
    if (delayer->draining)
        return;
    for (struct tier_partition *p = delayer->partitions; p; p = p->next)
        try_refused(p);
}

static void release_due(void *arg)
{
    struct tier_partition *partition = arg;
    if (partition->delayer->draining || !partition->handle)
        return;
    while (partition->first) {
        int64_t wait_ms = partition->first->release_at_ms - clock_wall_ms();
        if (wait_ms <= 0 && hand_on(partition))
            continue;
        loop_timer_start(partition->timer, wait_ms > 0 ? wait_ms : AGAIN_MS, 0);
        break;
    }
    balance(partition);
}

/* Whoever names a queue that is not configured would be refused by Kafka, for ever. */
static enum err_code check_command(struct held *held)
{
    const struct config *config = held->partition->delayer->config;
    if (held->envelope->kind != ENVELOPE_COMMAND)
        return err_set(&held->why, ERR_ENVELOPE_INVALID, "an event on a delay topic");
    struct span queue = held->envelope->command.facts.queue;
    if (!config_find_queue(config, queue))
        return err_field(&held->why, ERR_ENVELOPE_INVALID, "queue",
                         "the configuration has no queue \"%.*s\"", SPAN_ARG(queue));
    return ERR_OK;
}

static void read_command(struct held *held, const struct kafka_record *record)
{
    enum err_code code = envelope_decode(record->value, &held->envelope, &held->why);
    if (code == ERR_OK)
        code = check_command(held);
    if (code == ERR_OK)
        return;
    held->release_at_ms = 0;
    condemn(held, record->key, record->value);
}

static void on_record(void *arg, const struct kafka_record *record)
{
    struct delayer *delayer = arg;
    struct tier_partition *partition = kafka_partition_context(record->partition);
    if (!partition || !partition->handle)
        return;
    struct held *held = MEM_NEW(*held);
    held->partition = partition;
    held->offset = record->offset;
    held->ticket = window_add(partition->window, record->offset);
    held->bytes = record->value.size + HELD_OVERHEAD_BYTES;
    held->release_at_ms = record->timestamp_ms + partition->delay_ms;
    read_command(held, record);
    if (partition->last)
        partition->last->next = held;
    else
        partition->first = held;
    partition->last = held;
    partition->held_bytes += held->bytes;
    metric_add(delayer->waiting, 1);
    if (partition->first == held)
        release_due(partition);
    balance(partition);
}

/* --- start and end --- */

static void on_tick(void *arg)
{
    struct delayer *delayer = arg;
    bool joined = kafka_consumer_joined(delayer->consumer);
    const char *why = joined ? kafka_watch_why(delayer->watch) : "has not joined its group yet";
    service_condition_set(delayer->kafka_ready, !why, why);
    commit(delayer);
}

static enum err_code open_producer(struct delayer *delayer, struct err *err)
{
    const struct config *config = delayer->config;
    struct kafka_producer_options options = {
        .config = &config->kafka,
        .client_id = service_name(delayer->service),
        .queue_bytes_max = (size_t)config->kafka.send_queue_bytes,
        .metrics = service_metrics(delayer->service),
        .log = delayer->log,
    };
    enum err_code code = kafka_producer_open(delayer->loop, &options, &delayer->producer, err);
    if (code)
        return code;
    struct buf source = BUF_INIT(256);
    buf_printf(&source, "/errand/%s", service_name(delayer->service));
    delayer->source = buf_take(&source);
    delayer->publish = (struct publish){
        .producer = delayer->producer,
        .namespace_ = config->namespace_,
        .source = delayer->source,
        .tiers = config->delayer.tiers,
        .tier_count = config->delayer.tier_count,
    };
    char **topics = mem_zalloc(config->queue_count, sizeof *topics);
    for (size_t i = 0; i < config->queue_count; i++)
        topics[i] = topic_name_dup(config->namespace_, TOPIC_COMMANDS, config->queues[i].name);
    delayer->watch =
        kafka_watch_start(delayer->loop, delayer->producer, (const char *const *)topics,
                          config->queue_count, NULL, NULL);
    for (size_t i = 0; i < config->queue_count; i++)
        free(topics[i]);
    free(topics);
    return ERR_OK;
}

static enum err_code open_consumer(struct delayer *delayer, struct err *err)
{
    const struct config *config = delayer->config;
    char **topics = mem_zalloc(config->delayer.tier_count, sizeof *topics);
    for (size_t i = 0; i < config->delayer.tier_count; i++)
        topics[i] = topic_name_dup(config->namespace_, TOPIC_DELAY, config->delayer.tiers[i].name);
    struct buf group = BUF_INIT(TOPIC_NAME_MAX);
    topic_group_delayer(&group, config->namespace_);
    struct kafka_consumer_options options = {
        .config = &config->kafka,
        .client_id = service_name(delayer->service),
        .group = group.data,
        .topics = (const char *const *)topics,
        .topic_count = config->delayer.tier_count,
        .fetch_bytes_max = FETCH_BYTES_MAX,
        .metrics = service_metrics(delayer->service),
        .log = delayer->log,
        .arg = delayer,
        .on_assign = on_assign,
        .on_revoke = on_revoke,
        .on_revoked = on_revoked,
        .on_record = on_record,
        .on_committed = on_committed,
    };
    enum err_code code = kafka_consumer_open(delayer->loop, &options, &delayer->consumer, err);
    buf_free(&group);
    for (size_t i = 0; i < config->delayer.tier_count; i++)
        free(topics[i]);
    free(topics);
    return code;
}

static void open_metrics(struct delayer *delayer)
{
    struct metrics *metrics = service_metrics(delayer->service);
    delayer->handed_on = metrics_counter(metrics, "errand_delayer_handed_on_total",
                                         "Commands whose time in a tier was over.", NULL);
    delayer->poison = metrics_counter(metrics, "errand_poison_records_total",
                                      "Records on delay topics that are no commands.", NULL);
    delayer->waiting = metrics_gauge(metrics, "errand_delayer_held",
                                     "Commands read and waiting for their time.", NULL);
}

enum err_code delayer_open(struct service *service, struct delayer **ret_delayer, struct err *err)
{
    struct delayer *delayer = MEM_NEW(*delayer);
    delayer->service = service;
    delayer->config = service_config(service);
    delayer->loop = service_loop(service);
    delayer->log = service_log(service);
    delayer->kafka_ready = service_condition_new(service, "kafka");
    delayer->tick = loop_timer_new(delayer->loop, on_tick, delayer);
    delayer->refused_timer = loop_timer_new(delayer->loop, on_refused_timer, delayer);
    open_metrics(delayer);
    enum err_code code = open_producer(delayer, err);
    if (code == ERR_OK)
        code = open_consumer(delayer, err);
    if (code) {
        delayer_close(delayer);
        return code;
    }
    loop_timer_start(delayer->tick, TICK_MS, TICK_MS);
    *ret_delayer = delayer;
    return ERR_OK;
}

static void leave(struct delayer *delayer)
{
    kafka_consumer_close(delayer->consumer, CLOSE_DEADLINE_MS);
    delayer->consumer = NULL;
    for (struct tier_partition *p = delayer->partitions; p; p = p->next)
        p->handle = NULL;
    on_revoked(delayer);
}

static void on_drain(void *arg)
{
    struct delayer *delayer = arg;
    if (delayer->under_way && loop_now_ms(delayer->loop) < delayer->drain_until_ms)
        return;
    loop_timer_stop(delayer->drain_timer);
    loop_timer_stop(delayer->tick);
    commit(delayer);
    leave(delayer);
    service_drained(delayer->service);
}

void delayer_drain(struct delayer *delayer)
{
    if (delayer->draining)
        return;
    delayer->draining = true;
    delayer->drain_until_ms = loop_now_ms(delayer->loop) + DRAIN_MS;
    delayer->drain_timer = loop_timer_new(delayer->loop, on_drain, delayer);
    loop_timer_start(delayer->drain_timer, 0, 10);
}

void delayer_close(struct delayer *delayer)
{
    if (!delayer)
        return;
    delayer->draining = delayer->closing = true;
    leave(delayer);
    kafka_producer_close(delayer->producer);
    kafka_watch_stop(delayer->watch);
    loop_timer_free(delayer->tick);
    loop_timer_free(delayer->drain_timer);
    loop_timer_free(delayer->refused_timer);
    free(delayer->source);
    free(delayer);
}
