/* See delayer.h.
 * A record lies in its partition's queue until its tier's delay has passed since the broker stored
 * it; then it is published to where what is left belongs: a shorter tier, or its command topic. Its
 * offset is done when Kafka has acknowledged that. SPDX-License-Identifier: Apache-2.0 */
#include "producers/delayer_internal.h"

#include "schemas/mem.h"
#include "schemas/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_BYTES_MAX   ((size_t)8 * 1024 * 1024)
#define CLOSE_DEADLINE_MS 3000
#define DRAIN_MS          2000
#define TICK_MS           500

/* --- partitions --- */

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
        .old_end = start->log_end,
        .references = 1,
    };
    enum topic_kind kind;
    struct span suffix;
    if (topic_parse(span_of(partition->topic), delayer->config->namespace_, &kind, &suffix))
        partition->delay_ms = delay_of(delayer->config, suffix);
    partition->timer = loop_timer_new(delayer->loop, delayer_release_due, partition);
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
    delayer_drop_held(partition);
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
        delayer_unref(partition);
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
        .on_record = delayer_record,
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
    delayer->refused_timer = loop_timer_new(delayer->loop, delayer_retry_refused, delayer);
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
    delayer->draining = true;
    leave(delayer);
    kafka_producer_close(delayer->producer);
    kafka_watch_stop(delayer->watch);
    loop_timer_free(delayer->tick);
    loop_timer_free(delayer->drain_timer);
    loop_timer_free(delayer->refused_timer);
    free(delayer->source);
    free(delayer);
}
