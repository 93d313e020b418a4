/* See kafka_consumer.h.
 *
 * DESIGN. librdkafka wakes the loop when its queue is no longer empty; records are then polled one
 * by one with rd_kafka_consumer_poll (the batch calls misplace offsets in 2.0.2), at most
 * RECORDS_PER_TURN a turn. Each partition knows the next offset to deliver: whatever librdkafka
 * delivers twice around a pause, a resume or a seek is dropped here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_consumer.h"

#include "infra/kafka_consumer_internal.h"
#include "infra/log.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/topic.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define RECORDS_PER_TURN     1000
#define POLL_MS              250 /* polled at least so often: group membership depends on it */
#define HEARTBEATS_A_SESSION 4
#define REJOIN_MS            4000 /* two seconds to finish what runs (worker.drain), and as many to spare */
#define PATIENT_BYTES        ((int64_t)512 * 1024) /* as much is worth a fetch of its own */
#define FETCH_BYTES_MIN      ((size_t)TOPIC_RECORD_BYTES_MAX)

/* --- partitions --- */

const char *kafka_partition_topic(const struct kafka_partition *partition)
{
    return partition->topic->name;
}

int32_t kafka_partition_number(const struct kafka_partition *partition)
{
    return partition->number;
}

void kafka_partition_set_context(struct kafka_partition *partition, void *context)
{
    partition->context = context;
}

void *kafka_partition_context(const struct kafka_partition *partition)
{
    return partition->context;
}

bool kafka_partition_is_paused(const struct kafka_partition *partition)
{
    return partition->paused;
}

/* Either call acts at once: records fetched before it are outdated and not delivered. */
static void set_paused(struct kafka_partition *partition, bool paused)
{
    rd_kafka_t *rk = partition->consumer->client->rk;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->topic->name, partition->number);
    rd_kafka_resp_err_t e =
        paused ? rd_kafka_pause_partitions(rk, list) : rd_kafka_resume_partitions(rk, list);
    if (!e)
        e = list->elems[0].err;
    if (e)
        log_write(partition->consumer->options.log, LOG_WARN, "kafka", NULL, "%s of %s/%d: %s",
                  paused ? "pause" : "resume", partition->topic->name, partition->number,
                  rd_kafka_err2str(e));
    /* Always freed: a list that leaks keeps rd_kafka_destroy waiting. */
    rd_kafka_topic_partition_list_destroy(list);
}

static rd_kafka_resp_err_t reposition(struct kafka_partition *partition)
{
    return kafka_refill_seek(partition->consumer->client->rk, partition->topic->name,
                             partition->number, partition->next, partition->epoch);
}

void kafka_partition_pause(struct kafka_partition *partition)
{
    if (partition->paused)
        return;
    partition->paused = true;
    if (partition->consumer->active)
        set_paused(partition, true);
}

void kafka_partition_resume(struct kafka_partition *partition)
{
    if (!partition->paused && !MUTANT(unpaused_resumed))
        return;
    partition->paused = false;
    if (!partition->consumer->active)
        return;
    set_paused(partition, false);
    /* What came meanwhile was not delivered; and librdkafka is to fetch at once (kafka_refill.c).
     */
    if (!MUTANT(unpaused_resumed))
        reposition(partition);
}

enum err_code kafka_partition_seek(struct kafka_partition *partition, int64_t offset,
                                   struct err *err)
{
    assert(offset >= 0);
    partition->next = offset;
    partition->epoch = KAFKA_NO_EPOCH;
    if (!partition->consumer->active || partition->paused)
        return ERR_OK;
    rd_kafka_resp_err_t e = reposition(partition);
    if (e)
        return err_set(err, ERR_KAFKA, "seek of %s/%d to %" PRId64 ": %s", partition->topic->name,
                       partition->number, offset, rd_kafka_err2str(e));
    return ERR_OK;
}

struct kafka_consumer_topic *kafka_consumer_topic_get(struct kafka_consumer *consumer,
                                                      const char *name)
{
    struct kafka_consumer_topic *topic = consumer->topics;
    while (topic && strcmp(topic->name, name) != 0)
        topic = topic->next;
    if (topic)
        return topic;
    struct metrics *metrics = consumer->options.metrics;
    topic = MEM_NEW(*topic);
    *topic = (struct kafka_consumer_topic){
        .next = consumer->topics,
        .consumed =
            kafka_counter(metrics, "errand_kafka_consumed_total", "Records read.", "topic", name),
        .resets = kafka_counter(metrics, "errand_kafka_offset_resets_total",
                                "Partitions begun at a log start above 0, for want of a committed "
                                "offset.",
                                "topic", name),
        .lost = kafka_counter(metrics, "errand_kafka_offsets_lost_total",
                              "Times that records were gone from the log before they were read.",
                              "topic", name),
        .name = mem_dup_text(name),
    };
    consumer->topics = topic;
    return topic;
}

struct kafka_partition *kafka_consumer_find(const struct kafka_consumer *consumer,
                                            const char *topic, int32_t number)
{
    for (size_t i = 0; i < consumer->partition_count; i++) {
        struct kafka_partition *partition = consumer->partitions[i];
        if (partition->number == number && strcmp(partition->topic->name, topic) == 0)
            return partition;
    }
    return NULL;
}

/* --- records --- */

struct span kafka_record_header(const struct kafka_record *record, const char *name)
{
    rd_kafka_headers_t *headers;
    struct span value = { 0 };
    if (rd_kafka_message_headers(record->_message, &headers) ||
        rd_kafka_header_get_last(headers, name, &value.data, &value.size))
        return (struct span){ 0 };
    return value;
}

/* A gap is no proof of loss (compaction and transactions leave them), a log that now starts behind
 * it is. */
static void check_gap(struct kafka_partition *partition, int64_t offset)
{
    int64_t start, end;
    if (rd_kafka_get_watermark_offsets(partition->consumer->client->rk, partition->topic->name,
                                       partition->number, &start, &end) ||
        start <= partition->next)
        return;
    kafka_count(partition->topic->lost);
    log_write(partition->consumer->options.log, LOG_ERROR, "kafka", NULL,
              "%s/%d: records %" PRId64 " to %" PRId64
              " were deleted by retention before they were read",
              partition->topic->name, partition->number, partition->next, offset - 1);
}

static bool deliver(struct kafka_consumer *consumer, const rd_kafka_message_t *message)
{
    struct kafka_partition *partition =
        kafka_consumer_find(consumer, rd_kafka_topic_name(message->rkt), message->partition);
    if (!partition || consumer->revoking || partition->paused ||
        (message->offset < partition->next && !MUTANT(unpaused_resumed)))
        return false;
    if (message->offset > partition->next)
        check_gap(partition, message->offset);
    partition->next = message->offset + 1;
    partition->epoch = kafka_refill_epoch(message);
    kafka_count(partition->topic->consumed);
    struct kafka_record record = {
        .partition = partition,
        .offset = message->offset,
        .timestamp_ms = kafka_message_time(message),
        .key = { message->key, message->key_len },
        .value = { message->payload, message->len },
        ._message = message,
    };
    consumer->options.on_record(consumer->options.arg, &record);
    return true;
}

/* True when a record was delivered. */
static bool on_message(struct kafka_consumer *consumer, const rd_kafka_message_t *message)
{
    if (!message->err)
        return deliver(consumer, message);
    log_write(consumer->options.log, LOG_WARN, "kafka", NULL, "consumer: %s",
              rd_kafka_message_errstr(message));
    return false;
}

/* --- commits --- */

static void on_commit_answer(struct kafka_consumer *consumer, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    if ((intptr_t)rd_kafka_event_opaque(event) != consumer->epoch || !list)
        return;
    rd_kafka_resp_err_t all = rd_kafka_event_error(event);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        /* The event's own error is 0 when only some partitions failed. */
        rd_kafka_resp_err_t e = element->err ? element->err : all;
        if (e)
            kafka_count(consumer->commit_errors);
        if (consumer->options.on_committed)
            consumer->options.on_committed(consumer->options.arg, element->topic,
                                           element->partition, element->offset,
                                           e ? ERR_KAFKA : ERR_OK, e ? rd_kafka_err2str(e) : "");
    }
}

static void take_commit_answers(struct kafka_consumer *consumer)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(consumer->commit_queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            consumer->commits--;
            on_commit_answer(consumer, event);
        }
        rd_kafka_event_destroy(event);
    }
}

void kafka_consumer_commit(struct kafka_consumer *consumer, const struct kafka_offset *offsets,
                           size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        if (kafka_consumer_find(consumer, offsets[i].topic, offsets[i].partition))
            rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)
                ->offset = offsets[i].offset;
    }
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_NO_ERROR;
    /* An explicit list: without one librdkafka would commit positions that are not ours to commit.
     */
    if (list->cnt)
        e = rd_kafka_commit_queue(consumer->client->rk, list, consumer->commit_queue, NULL,
                                  (void *)consumer->epoch); /* NOLINT(performance-no-int-to-ptr) */
    consumer->commits += list->cnt && !e;
    if (e) {
        kafka_count(consumer->commit_errors);
        log_write(consumer->options.log, LOG_ERROR, "kafka", NULL, "commit: %s",
                  rd_kafka_err2str(e));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- the loop --- */

static void refill(struct kafka_consumer *consumer)
{
    if (!kafka_refill_is_due(&consumer->refill) || !consumer->active || consumer->revoking)
        return;
    for (size_t i = 0; i < consumer->partition_count; i++) {
        if (!consumer->partitions[i]->paused)
            reposition(consumer->partitions[i]);
    }
}

static void drain(void *arg)
{
    struct kafka_consumer *consumer = arg;
    bool delivered = false;
    int polled = 0;
    int polled_max = consumer->slowed ? 1 : RECORDS_PER_TURN;
    rd_kafka_message_t *message;
    take_commit_answers(consumer);
    while (polled < polled_max && (message = rd_kafka_consumer_poll(consumer->client->rk, 0))) {
        delivered |= on_message(consumer, message);
        kafka_refill_took(&consumer->refill, message);
        rd_kafka_message_destroy(message);
        polled++;
        if (consumer->slowed)
            polled_max = polled;
    }
    if (delivered && consumer->options.on_batch_end)
        consumer->options.on_batch_end(consumer->options.arg);
    if (polled < polled_max)
        refill(consumer);
    /* librdkafka wakes us again only after it saw its queue empty. */
    if (polled == polled_max && !consumer->slowed)
        loop_defer(consumer->loop, &consumer->drain);
}

void kafka_consumer_slow(struct kafka_consumer *consumer, bool slowed)
{
    consumer->slowed = slowed;
    if (!slowed)
        loop_defer(consumer->loop, &consumer->drain);
}

bool kafka_consumer_is_joining(const struct kafka_consumer *consumer)
{
    return consumer->has_group && !consumer->lookup && (!consumer->active || consumer->revoking);
}

bool kafka_consumer_is_committing(const struct kafka_consumer *consumer)
{
    return consumer->commits > 0;
}

bool kafka_consumer_joined(const struct kafka_consumer *consumer)
{
    return consumer->joined;
}

/* --- opening and closing --- */

/* Other troubles are in librdkafka's own log lines; without this callback each would be there
 * twice. */
static void on_error(rd_kafka_t *rk, int e, const char *why, void *opaque)
{
    struct kafka_client *client = opaque;
    struct log *log = atomic_load(&client->log);
    (void)rk;
    if (e == RD_KAFKA_RESP_ERR__FATAL)
        log_write(log, LOG_ERROR, "kafka", NULL, "the consumer has failed for good: %s", why);
    else if (e == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        log_write(log, LOG_WARN, "kafka", NULL, "no broker can be reached");
}

/* How long a rebalance may wait for a member that does not come: as long as one that lives may
 * take, which hears of it with its next heartbeat. librdkafka's default is five minutes, in which
 * nobody of the group would work; and its name for it is max.poll.interval.ms, which may not be
 * shorter than the session. */
static int64_t rejoin_ms(const struct config_kafka *config)
{
    int64_t enough_ms = config->session_timeout_ms / HEARTBEATS_A_SESSION + REJOIN_MS;
    return enough_ms > config->session_timeout_ms ? enough_ms : config->session_timeout_ms;
}

static enum err_code make_conf(const struct kafka_consumer_options *options,
                               rd_kafka_conf_t **ret_conf, struct err *err)
{
    const struct config_kafka *config = options->config;
    const struct kafka_property properties[] = {
        /* A manual consumer needs the name too, though it never joins or commits. */
        { "group.id", options->group ? options->group : options->client_id },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        /* Eager: the cooperative protocol of 2.0.2 loses assignments. */
        { "partition.assignment.strategy", "roundrobin" },
        { "isolation.level", "read_uncommitted" },
        /* Only reached when a log is cut while it is read: assigned offsets are explicit. */
        { "auto.offset.reset", "earliest" },
        /* The embedded broker lets a fetch wait its full time even if data comes. */
        { "fetch.wait.max.ms", config->kind == BROKER_EMBEDDED ? "5" : "500" },
        { "fetch.error.backoff.ms", "100" },
    };
    enum err_code code = kafka_conf_new(config, options->client_id, properties,
                                        sizeof properties / sizeof *properties, ret_conf, err);
    if (code)
        return code;
    size_t fetch_bytes =
        options->fetch_bytes_max > FETCH_BYTES_MIN ? options->fetch_bytes_max : FETCH_BYTES_MIN;
    kafka_conf_set_int(*ret_conf, "heartbeat.interval.ms",
                       config->session_timeout_ms / HEARTBEATS_A_SESSION);
    if (!MUTANT(session_untold)) {
        kafka_conf_set_int(*ret_conf, "session.timeout.ms", config->session_timeout_ms);
        if (!MUTANT(rebalance_unbounded))
            kafka_conf_set_int(*ret_conf, "max.poll.interval.ms", rejoin_ms(config));
    }
    if (options->patience_ms > 0) {
        kafka_conf_set_int(*ret_conf, "fetch.wait.max.ms", options->patience_ms);
        kafka_conf_set_int(*ret_conf, "fetch.min.bytes", PATIENT_BYTES);
    }
    kafka_conf_set_int(*ret_conf, "message.max.bytes", TOPIC_RECORD_BYTES_MAX);
    kafka_conf_set_int(*ret_conf, "fetch.max.bytes", (int64_t)fetch_bytes);
    kafka_conf_set_int(*ret_conf, "queued.max.messages.kbytes", (int64_t)(fetch_bytes / 1024));
    kafka_refill_conf(*ret_conf);
    rd_kafka_conf_set_rebalance_cb(*ret_conf, kafka_assignment_rebalance);
    rd_kafka_conf_set_error_cb(*ret_conf, on_error);
    return ERR_OK;
}

static void make_metrics(struct kafka_consumer *consumer,
                         const struct kafka_consumer_options *options)
{
    struct metrics *metrics = options->metrics;
    consumer->assigned =
        kafka_gauge(metrics, "errand_kafka_assigned_partitions", "Partitions that are ours.",
                    "group", options->group ? options->group : options->client_id);
    consumer->rebalances = kafka_counter(metrics, "errand_kafka_rebalances_total",
                                         "Assignments received.", NULL, NULL);
    consumer->commit_errors = kafka_counter(metrics, "errand_kafka_commit_errors_total",
                                            "Offset commits that Kafka refused.", NULL, NULL);
}

static enum err_code subscribe(struct kafka_consumer *consumer,
                               const struct kafka_consumer_options *options, struct err *err)
{
    rd_kafka_topic_partition_list_t *topics =
        rd_kafka_topic_partition_list_new((int)options->topic_count);
    for (size_t i = 0; i < options->topic_count; i++)
        rd_kafka_topic_partition_list_add(topics, options->topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t e = rd_kafka_subscribe(consumer->client->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (e)
        return err_set(err, ERR_KAFKA, "subscribe of group %s: %s", options->group,
                       rd_kafka_err2str(e));
    return ERR_OK;
}

static enum err_code start(struct kafka_consumer *consumer,
                           const struct kafka_consumer_options *options, rd_kafka_conf_t *conf,
                           struct err *err)
{
    enum err_code code =
        kafka_client_new(RD_KAFKA_CONSUMER, conf, options->log, consumer, &consumer->client, err);
    if (code)
        return code;
    rd_kafka_t *rk = consumer->client->rk;
    rd_kafka_poll_set_consumer(rk);
    kafka_refill_init(&consumer->refill, rk);
    consumer->queue = rd_kafka_queue_get_consumer(rk);
    consumer->commit_queue = rd_kafka_queue_new(rk);
    kafka_wake_enable(&consumer->wake, consumer->queue);
    kafka_wake_enable(&consumer->wake, consumer->commit_queue);
    return options->group ? subscribe(consumer, options, err) : ERR_OK;
}

enum err_code kafka_consumer_open(struct loop *loop, const struct kafka_consumer_options *options,
                                  struct kafka_consumer **ret_consumer, struct err *err)
{
    rd_kafka_conf_t *conf;
    enum err_code code = make_conf(options, &conf, err);
    if (code)
        return code;
    struct kafka_consumer *consumer = MEM_NEW(*consumer);
    consumer->loop = loop;
    consumer->options = *options;
    consumer->options.config = NULL;
    consumer->options.client_id = consumer->options.group = NULL;
    consumer->options.topics = NULL;
    consumer->has_group = options->group != NULL;
    consumer->drain = (struct loop_task){ .fn = drain, .arg = consumer };
    consumer->poll = loop_timer_new(loop, drain, consumer);
    make_metrics(consumer, options);
    code = kafka_wake_init(&consumer->wake, loop, drain, consumer, err);
    if (code)
        rd_kafka_conf_destroy(conf);
    else
        code = start(consumer, options, conf, err);
    if (code) {
        kafka_consumer_close(consumer, 0);
        return code;
    }
    loop_timer_start(consumer->poll, POLL_MS, POLL_MS);
    *ret_consumer = consumer;
    return ERR_OK;
}

enum err_code kafka_consumer_assign(struct kafka_consumer *consumer,
                                    const struct kafka_offset *offsets, size_t count,
                                    struct err *err)
{
    assert(!consumer->has_group);
    if (rd_kafka_fatal_error(consumer->client->rk, NULL, 0))
        return err_set(err, ERR_KAFKA, "the consumer has failed for good");
    kafka_assignment_end(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
            offsets[i].offset < 0 ? -1 : offsets[i].offset;
    kafka_assignment_begin(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return ERR_OK;
}

static void leave_client(struct kafka_consumer *consumer, int64_t deadline_ms)
{
    kafka_assignment_end(consumer);
    kafka_wake_disable(consumer->queue);
    kafka_wake_disable(consumer->commit_queue);
    rd_kafka_queue_destroy(consumer->queue);
    rd_kafka_queue_destroy(consumer->commit_queue);
    while (consumer->topics) {
        struct kafka_consumer_topic *topic = consumer->topics;
        consumer->topics = topic->next;
        free(topic->name);
        free(topic);
    }
    kafka_client_leave(consumer->client, deadline_ms);
}

void kafka_consumer_close(struct kafka_consumer *consumer, int64_t deadline_ms)
{
    if (!consumer)
        return;
    if (consumer->client)
        leave_client(consumer, deadline_ms);
    loop_undefer(consumer->loop, &consumer->drain);
    loop_timer_free(consumer->poll);
    kafka_wake_clear(&consumer->wake);
    free(consumer);
}
