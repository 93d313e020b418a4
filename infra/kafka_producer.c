/* See kafka_producer.h.
 *
 * DESIGN. A record is one allocation that owns its bytes. It waits in one list, in the order of
 * kafka_produce, until its delivery report; `unhanded` points at the first that librdkafka does not
 * have yet. A task at the end of the loop's turn hands over all of the turn's records, so that they
 * share requests though linger is 0. librdkafka sends from our bytes without a copy, so each client
 * that has a record holds a reference to it: after a rebuild the old client may still be reading
 * what the new one sends again.
 *
 * A rebuild takes the acknowledgements that already came, leaves the old client to another thread,
 * and starts over at the front of the list. What the old client did not certainly refuse may be in
 * the log already, so from then on such a record's failure is ERR_OUTCOME_UNKNOWN.
 *
 * An acknowledgement counts only with the offset that the broker gave. Without one librdkafka has
 * concluded it: a request failed, the next one of the partition succeeded, and a broker takes no
 * sequence number before the one that precedes it. But a broker that knows nothing of the producer
 * yet (its first records in the partition) takes any, so that what failed may be nowhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_producer.h"

#include "infra/clock.h"
#include "infra/kafka_internal.h"
#include "infra/kafka_outgoing.h"
#include "infra/log.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/topic.h"

#include <stdlib.h>

#define EVENTS_PER_TURN 64  /* each delivery event reports a whole request */
#define SWEEP_MS        100 /* how often ages are looked at */
#define TIMEOUT_SLACK_US                                                                           \
    2500000 /* librdkafka looks once a second; its own answer knows more than ours */
#define STUCK_US                                                                                   \
    400000 /* a record that waits longer may wait for a broker that is gone: its leader is asked   \
              for. librdkafka does so once a second while it is told that the dead one leads */
#define ASK_PAUSE_US     200000 /* between two such questions */
#define REFUSAL_PAUSE_MS 10000  /* between two lines about refused records */
#define REBUILD_PAUSE_MS                                                                           \
    1000 /* between two rebuilds, or a broker that breaks every client would have us spin */
#define REBUILD_WARM_MS     10000
#define CLOSE_MS            2000
#define QUEUE_MESSAGES_MAX  "1000000"
#define QUEUE_KILOBYTES_MAX "1048576" /* ours is the limit that counts: queue_bytes_max */

struct kafka_producer {
    struct loop *loop;
    struct log *log;
    rd_kafka_conf_t *conf; /* each client is built from it */
    struct kafka_client *client;
    rd_kafka_queue_t *queue;
    struct kafka_wake wake;
    struct loop_task drain, hand_over;
    struct loop_timer *sweep, *rebuild;
    struct kafka_outgoing_topic *topics;
    struct kafka_warm *warms;
    struct metrics *metrics;
    struct metric *errors, *rebuilds, *unacknowledged, *ack_seconds;
    struct kafka_link waiting; /* in order of kafka_produce */
    struct kafka_link late;
    struct kafka_link *unhanded; /* &waiting: everything is with librdkafka */
    size_t count, bytes, queue_bytes_max;
    int64_t timeout_us, rebuilt_at_ms;
    int64_t refusal_told_ms; /* monotonic; 0 never */
    int64_t asked_at_us;     /* for the leaders; monotonic; 0 never */
    bool sweeping;
    bool asking; /* for the leaders; an answer is to come */
    bool broken; /* the client takes nothing more; a rebuild is due */
    bool closing;
};

/* Its one answer. The record may live on until its client has let go of it. */
static void answer(struct kafka_producer *producer, struct kafka_outgoing *record,
                   enum err_code code, const rd_kafka_message_t *message)
{
    if (producer->unhanded == &record->link)
        producer->unhanded = record->link.next;
    kafka_link_remove(&record->link);
    producer->count--;
    producer->bytes -= record->size;
    if (producer->unacknowledged)
        metric_set(producer->unacknowledged, (double)producer->count);
    kafka_count(code ? producer->errors : record->topic->produced);
    record->fn(record->arg, code, message ? message->partition : -1,
               message ? message->offset : -1);
    if (record->in_client) {
        record->answered = true;
        kafka_link_add(&producer->late, &record->link);
    }
    kafka_outgoing_unref(record);
}

static struct kafka_outgoing_topic *topic_get(struct kafka_producer *producer, const char *name)
{
    struct kafka_outgoing_topic *topic = producer->topics;
    while (topic && strcmp(topic->name, name) != 0)
        topic = topic->next;
    if (topic)
        return topic;
    size_t size = strlen(name) + 1;
    topic = mem_zalloc(1, sizeof *topic + size);
    memcpy(topic->name, name, size);
    topic->produced = kafka_counter(producer->metrics, "errand_kafka_produced_total",
                                    "Records that Kafka acknowledged.", "topic", name);
    topic->next = producer->topics;
    producer->topics = topic;
    return topic;
}

/* --- the client --- */

static size_t count_links(const struct kafka_link *list)
{
    size_t count = 0;
    for (const struct kafka_link *link = list->next; link != list; link = link->next)
        count++;
    return count;
}

/* Afterwards no record is in a client, `late` is empty, and everything that waits is unhanded. */
static void client_leave(struct kafka_producer *producer, int64_t deadline_ms)
{
    size_t count = count_links(&producer->waiting) + count_links(&producer->late);
    struct kafka_held *held = kafka_held_new(count);
    kafka_held_take(held, &producer->waiting);
    kafka_held_take(held, &producer->late);
    kafka_link_init(&producer->late);
    producer->unhanded = producer->waiting.next;
    for (struct kafka_outgoing_topic *topic = producer->topics; topic; topic = topic->next) {
        if (topic->handle)
            rd_kafka_topic_destroy(topic->handle);
        topic->handle = NULL;
    }
    kafka_wake_disable(producer->queue);
    rd_kafka_queue_destroy(producer->queue);
    producer->queue = NULL;
    producer->client->on_gone = kafka_held_free;
    producer->client->gone_arg = held;
    kafka_client_leave(producer->client, deadline_ms);
    producer->client = NULL;
}

static enum err_code client_start(struct kafka_producer *producer, struct err *err)
{
    struct kafka_client *client;
    enum err_code code = kafka_client_new(RD_KAFKA_PRODUCER, rd_kafka_conf_dup(producer->conf),
                                          producer->log, producer, &client, err);
    if (code)
        return code;
    if (producer->client)
        client_leave(producer, 0);
    producer->client = client;
    producer->queue = rd_kafka_queue_get_main(client->rk);
    kafka_wake_enable(&producer->wake, producer->queue);
    return ERR_OK;
}

/* --- delivery reports --- */

static void break_client(struct kafka_producer *producer, const char *why)
{
    if (producer->broken)
        return;
    producer->broken = true;
    if (MUTANT(producer_not_rebuilt))
        return;
    log_write(producer->log, LOG_WARN, "kafka", NULL,
              "the producer's client failed (%s); a new one sends %zu unacknowledged records again",
              why, producer->count);
    int64_t pause_ms = producer->rebuilt_at_ms + REBUILD_PAUSE_MS - clock_monotonic_ms();
    loop_timer_start(producer->rebuild, pause_ms > 0 ? pause_ms : 0, 0);
}

/* True when the record is not to be answered: the next client sends it again, with all that wait
 * and in their order. */
static bool is_for_next_client(struct kafka_producer *producer, rd_kafka_resp_err_t e)
{
    char why[256];
    if (producer->broken)
        return true;
    if (rd_kafka_fatal_error(producer->client->rk, why, sizeof why)) {
        break_client(producer, why);
        return true;
    }
    if (producer->timeout_us == 0 && !kafka_refuses_for_good(e)) {
        break_client(producer, rd_kafka_err2str(e));
        return true;
    }
    return false;
}

/* Whoever sent it may try for ever: somebody has to hear of it. */
static void tell_refused(struct kafka_producer *producer, const struct kafka_outgoing *record,
                         rd_kafka_resp_err_t e)
{
    int64_t now_ms = clock_monotonic_ms();
    if (!kafka_refuses_for_good(e) ||
        (producer->refusal_told_ms && now_ms < producer->refusal_told_ms + REFUSAL_PAUSE_MS))
        return;
    producer->refusal_told_ms = now_ms;
    log_write(producer->log, LOG_ERROR, "kafka", NULL, "%s refuses a record: %s",
              record->topic->name, rd_kafka_err2str(e));
}

/* Told as stored, and where is not known: the next client sends it again. */
static bool is_unproven(struct kafka_producer *producer, const rd_kafka_message_t *message)
{
    if (message->offset >= 0 || MUTANT(implicit_ack_believed))
        return false;
    break_client(producer, "a record without an offset was said to be stored");
    return true;
}

static void on_report(struct kafka_producer *producer, const rd_kafka_message_t *message)
{
    struct kafka_outgoing *record = message->_private;
    rd_kafka_msg_status_t status = rd_kafka_message_status(message);
    if (record->answered) {
        kafka_link_remove(&record->link);
        kafka_outgoing_unref(record);
        return;
    }
    if (message->err ? is_for_next_client(producer, message->err)
                     : is_unproven(producer, message)) {
        record->refused = status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
        return;
    }
    enum err_code code = ERR_OK;
    if (message->err) {
        bool certain = status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED && !record->possibly_stored;
        code = certain ? ERR_KAFKA_UNAVAILABLE : ERR_OUTCOME_UNKNOWN;
        tell_refused(producer, record, message->err);
    } else if (producer->ack_seconds) {
        metric_observe(producer->ack_seconds,
                       (double)(clock_monotonic_us() - record->sent_at_us) / 1e6);
    }
    record->in_client = false;
    answer(producer, record, code, message);
    kafka_outgoing_unref(record);
}

/* Other troubles are in librdkafka's own log lines. */
static void on_event(struct kafka_producer *producer, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        while ((message = rd_kafka_event_message_next(event)))
            on_report(producer, message);
        break;
    case RD_KAFKA_EVENT_ERROR:
        if (rd_kafka_event_error_is_fatal(event))
            break_client(producer, rd_kafka_event_error_string(event));
        else if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            log_write(producer->log, LOG_WARN, "kafka", NULL, "no broker can be reached");
        break;
    default:
        break;
    }
}

/* True when the queue was emptied. */
static bool take_events(struct kafka_producer *producer, int count_max)
{
    for (int i = 0; i < count_max; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(producer->queue, 0);
        if (!event)
            return true;
        on_event(producer, event);
        rd_kafka_event_destroy(event);
    }
    return false;
}

static void drain(void *arg)
{
    struct kafka_producer *producer = arg;
    if (!take_events(producer, EVENTS_PER_TURN))
        loop_defer(producer->loop, &producer->drain);
    if (producer->unhanded != &producer->waiting)
        loop_defer(producer->loop, &producer->hand_over);
}

/* --- handing over --- */

static rd_kafka_resp_err_t hand_record(struct kafka_producer *producer,
                                       struct kafka_outgoing *record)
{
    struct kafka_outgoing_topic *topic = record->topic;
    if (!topic->handle)
        topic->handle = rd_kafka_topic_new(producer->client->rk, topic->name, NULL);
    if (!topic->handle)
        return rd_kafka_last_error();
    const char *key = record->has_key ? record->bytes : NULL;
    char *value = record->has_value ? record->bytes + record->key_size : NULL;
    rd_kafka_headers_t *headers = kafka_outgoing_headers(record);
    /* No RD_KAFKA_MSG_F_COPY: the record's own bytes are sent. */
    rd_kafka_resp_err_t e = rd_kafka_producev(
        producer->client->rk, RD_KAFKA_VTYPE_RKT, topic->handle, RD_KAFKA_VTYPE_KEY, key,
        record->key_size, RD_KAFKA_VTYPE_VALUE, value, record->value_size, RD_KAFKA_VTYPE_HEADERS,
        headers, RD_KAFKA_VTYPE_OPAQUE, record, RD_KAFKA_VTYPE_END);
    if (e && headers)
        rd_kafka_headers_destroy(headers);
    return e;
}

static void hand_over(void *arg)
{
    struct kafka_producer *producer = arg;
    while (!producer->broken && producer->unhanded != &producer->waiting) {
        struct kafka_outgoing *record = (struct kafka_outgoing *)producer->unhanded;
        rd_kafka_resp_err_t e = hand_record(producer, record);
        if (e == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return; /* the next delivery reports make room */
        if (!e) {
            record->in_client = true;
            atomic_fetch_add(&record->refs, 1);
            producer->unhanded = record->link.next;
        } else if (!is_for_next_client(producer, e)) {
            answer(producer, record,
                   record->possibly_stored ? ERR_OUTCOME_UNKNOWN : ERR_KAFKA_UNAVAILABLE, NULL);
        }
    }
}

/* --- rebuild --- */

static void warm_known_topics(struct kafka_producer *producer)
{
    size_t count = 0;
    for (struct kafka_outgoing_topic *topic = producer->topics; topic; topic = topic->next)
        count++;
    const char **names = mem_zalloc(count, sizeof *names);
    count = 0;
    for (struct kafka_outgoing_topic *topic = producer->topics; topic; topic = topic->next)
        names[count++] = topic->name;
    kafka_producer_warm(producer, names, count, REBUILD_WARM_MS, NULL, NULL);
    free(names);
}

static void rebuild(void *arg)
{
    struct kafka_producer *producer = arg;
    struct err err = { 0 };
    /* Each acknowledgement that already came is a record not sent twice. */
    while (!take_events(producer, EVENTS_PER_TURN))
        ;
    producer->rebuilt_at_ms = clock_monotonic_ms();
    if (client_start(producer, &err)) {
        log_write(producer->log, LOG_ERROR, "kafka", &(struct log_about){ .err = &err },
                  "no new client for the producer, trying again");
        loop_timer_start(producer->rebuild, REBUILD_PAUSE_MS, 0);
        return;
    }
    producer->broken = false;
    kafka_count(producer->rebuilds);
    warm_known_topics(producer);
    loop_defer(producer->loop, &producer->hand_over);
}

/* --- ages --- */

static void fail_waiting(struct kafka_producer *producer, struct kafka_outgoing *record)
{
    bool certain = !record->in_client && !record->possibly_stored && !producer->closing;
    answer(producer, record, certain ? ERR_KAFKA_UNAVAILABLE : ERR_OUTCOME_UNKNOWN, NULL);
}

static void on_asked(void *arg, enum err_code code, const char *text)
{
    struct kafka_producer *producer = arg;
    (void)code;
    (void)text;
    producer->asking = false;
}

/* Who leads now? The answer moves what waits for a broker that is gone to the one that took over.
 */
static void ask_for_leaders(struct kafka_producer *producer, int64_t now_us)
{
    const struct kafka_outgoing *first = (struct kafka_outgoing *)producer->waiting.next;
    if (producer->asking || producer->broken || now_us - first->sent_at_us < STUCK_US ||
        now_us - producer->asked_at_us < ASK_PAUSE_US)
        return;
    producer->asking = true;
    producer->asked_at_us = now_us;
    kafka_producer_warm(producer, NULL, 0, 0, on_asked, producer);
}

static void sweep(void *arg)
{
    struct kafka_producer *producer = arg;
    int64_t now_us = clock_monotonic_us();
    while (producer->waiting.next != &producer->waiting) {
        struct kafka_outgoing *record = (struct kafka_outgoing *)producer->waiting.next;
        /* librdkafka counts from hand-over, so it is not asked about a record that outlived a
         * client. */
        bool ask_client = record->in_client && !record->resent;
        int64_t limit_us = producer->timeout_us + (ask_client ? TIMEOUT_SLACK_US : 0);
        if (producer->timeout_us == 0 || now_us - record->sent_at_us < limit_us) {
            ask_for_leaders(producer, now_us);
            return;
        }
        fail_waiting(producer, record);
    }
    loop_timer_stop(producer->sweep);
    producer->sweeping = false;
}

static void start_sweep(struct kafka_producer *producer)
{
    if (producer->sweeping)
        return;
    loop_timer_start(producer->sweep, SWEEP_MS, SWEEP_MS);
    producer->sweeping = true;
}

/* --- the interface --- */

static enum err_code make_conf(const struct kafka_producer_options *options,
                               rd_kafka_conf_t **ret_conf, struct err *err)
{
    static const struct kafka_property properties[] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "partitioner", "murmur2_random" },
        { "retry.backoff.ms", "100" },
        { "queue.buffering.max.messages", QUEUE_MESSAGES_MAX },
        { "queue.buffering.max.kbytes", QUEUE_KILOBYTES_MAX },
    };
    enum err_code code = kafka_conf_new(options->config, options->client_id, properties,
                                        sizeof properties / sizeof *properties, ret_conf, err);
    if (code)
        return code;
    kafka_conf_set_int(*ret_conf, "message.max.bytes", TOPIC_RECORD_BYTES_MAX);
    kafka_conf_set_int(*ret_conf, "message.timeout.ms", options->timeout_ms);
    kafka_conf_set_int(*ret_conf, "linger.ms", options->linger_ms);
    rd_kafka_conf_set_events(*ret_conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return ERR_OK;
}

static void make_metrics(struct kafka_producer *producer,
                         const struct kafka_producer_options *options)
{
    struct metrics *metrics = options->metrics;
    producer->metrics = metrics;
    if (!metrics)
        return;
    producer->errors =
        kafka_counter(metrics, "errand_kafka_produce_errors_total",
                      "Records that Kafka did not acknowledge in time or refused.", NULL, NULL);
    producer->rebuilds =
        kafka_counter(metrics, "errand_kafka_producer_rebuilds_total",
                      "Producer clients replaced after a fatal error.", NULL, NULL);
    producer->unacknowledged =
        kafka_gauge(metrics, "errand_kafka_unacknowledged",
                    "Records waiting for Kafka's acknowledgement.", "client", options->client_id);
    metric_set(producer->unacknowledged, 0);
    producer->ack_seconds = metrics_histogram(metrics, "errand_kafka_ack_seconds",
                                              "From sending a record to its acknowledgement.", NULL,
                                              metrics_latency_bounds, metrics_latency_bound_count);
}

enum err_code kafka_producer_open(struct loop *loop, const struct kafka_producer_options *options,
                                  struct kafka_producer **ret_producer, struct err *err)
{
    struct kafka_producer *producer = MEM_NEW(*producer);
    producer->loop = loop;
    producer->log = options->log;
    producer->queue_bytes_max = options->queue_bytes_max;
    producer->timeout_us = options->timeout_ms * 1000;
    producer->rebuilt_at_ms = clock_monotonic_ms() - REBUILD_PAUSE_MS;
    producer->drain = (struct loop_task){ .fn = drain, .arg = producer };
    producer->hand_over = (struct loop_task){ .fn = hand_over, .arg = producer };
    producer->sweep = loop_timer_new(loop, sweep, producer);
    producer->rebuild = loop_timer_new(loop, rebuild, producer);
    kafka_link_init(&producer->waiting);
    kafka_link_init(&producer->late);
    producer->unhanded = &producer->waiting;

    enum err_code code = make_conf(options, &producer->conf, err);
    if (!code)
        code = kafka_wake_init(&producer->wake, loop, drain, producer, err);
    if (!code)
        code = client_start(producer, err);
    if (code) {
        kafka_producer_close(producer);
        return code;
    }
    make_metrics(producer, options);
    *ret_producer = producer;
    return ERR_OK;
}

void kafka_producer_close(struct kafka_producer *producer)
{
    if (!producer)
        return;
    producer->closing = true;
    kafka_warm_forget(&producer->warms);
    if (producer->client) {
        while (!take_events(producer, EVENTS_PER_TURN))
            ;
    }
    while (producer->waiting.next != &producer->waiting)
        fail_waiting(producer, (struct kafka_outgoing *)producer->waiting.next);
    if (producer->client)
        client_leave(producer, CLOSE_MS);
    loop_undefer(producer->loop, &producer->drain);
    loop_undefer(producer->loop, &producer->hand_over);
    loop_timer_free(producer->sweep);
    loop_timer_free(producer->rebuild);
    kafka_wake_clear(&producer->wake);
    if (producer->conf)
        rd_kafka_conf_destroy(producer->conf);
    while (producer->topics) {
        struct kafka_outgoing_topic *topic = producer->topics;
        producer->topics = topic->next;
        free(topic);
    }
    free(producer);
}

enum err_code kafka_produce(struct kafka_producer *producer, const struct kafka_send *send,
                            kafka_delivery_fn fn, void *arg, struct err *err)
{
    size_t size = kafka_outgoing_size(send);
    if (producer->closing)
        return err_set(err, ERR_DRAINING, "the producer is closing");
    if (size > TOPIC_RECORD_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a record of %zu bytes; at most %d fit on a topic", size,
                       TOPIC_RECORD_BYTES_MAX);
    if (size > producer->queue_bytes_max - producer->bytes)
        return err_set(
            err, ERR_OVERLOADED,
            "%zu bytes wait for Kafka's acknowledgement, the limit is kafka.send_queue_bytes = %zu",
            producer->bytes, producer->queue_bytes_max);
    struct kafka_outgoing *record = kafka_outgoing_new(send, size);
    record->topic = topic_get(producer, send->topic);
    record->fn = fn;
    record->arg = arg;
    kafka_link_add(&producer->waiting, &record->link);
    if (producer->unhanded == &producer->waiting)
        producer->unhanded = &record->link;
    producer->count++;
    producer->bytes += size;
    if (producer->unacknowledged)
        metric_set(producer->unacknowledged, (double)producer->count);
    loop_defer(producer->loop, &producer->hand_over);
    start_sweep(producer);
    return ERR_OK;
}

void kafka_producer_warm(struct kafka_producer *producer, const char *const *topics, size_t count,
                         int64_t deadline_ms,
                         void (*done)(void *arg, enum err_code code, const char *text), void *arg)
{
    /* Between two clients there is none to warm; the rebuild does it for all topics known by then.
     */
    struct kafka_warm_spec spec = {
        .client = producer->client,
        .loop = producer->loop,
        .topics = topics,
        .count = count,
        .deadline_ms = deadline_ms,
        .done = done,
        .arg = arg,
    };
    for (size_t i = 0; i < count; i++)
        topic_get(producer, topics[i]);
    kafka_warm_start(&producer->warms, &spec);
}

size_t kafka_producer_unacknowledged(const struct kafka_producer *producer)
{
    return producer->count;
}

size_t kafka_producer_unacknowledged_bytes(const struct kafka_producer *producer)
{
    return producer->bytes;
}

void kafka_producer_provoke_fatal(struct kafka_producer *producer)
{
    rd_kafka_test_fatal_error(producer->client->rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "provoked by a test");
}
