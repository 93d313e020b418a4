/* What librdkafka and the broker alone can do: a record goes to topic A, a second thread takes it
 * off and produces it to topic B, a third takes it off there. The client settings are Errand's own
 * (infra/kafka*.c). A latency counts from the moment at which the record was to be sent, so a stall
 * is not hidden by those that had to wait behind it. Told too: how long the first acknowledgement
 * takes, and the CPU that a record costs this process.
 * Usage: raw_two_hops BROKERS kafka|embedded TOPIC_A TOPIC_B RATE_PER_S SECONDS
 * Both topics must exist and be used by nobody else. Prints one line of JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    PARTITIONS_MAX = 256,
    RECORD_BYTES = 400, /* a command or an event with its headers */
    POLL_MS = 100,
    SETUP_MS = 10000,
    DRAIN_MS = 10000,
    RATE_MAX = 100000,
    SECONDS_MAX = 600,
    WARM_UP_S = 2, /* not counted: connections, metadata, the broker's compiler */
};

struct setting {
    const char *name, *value;
};

static const struct setting common_settings[] = {
    { "socket.nagle.disable", "true" },
    { NULL, NULL },
};
static const struct setting producer_settings[] = {
    { "enable.idempotence", "true" },
    { "acks", "all" },
    { "linger.ms", "0" },
    { NULL, NULL },
};
static const struct setting consumer_settings[] = {
    { "enable.auto.commit", "false" },
    { "isolation.level", "read_uncommitted" },
    { "group.id", "errand-raw-two-hops" }, /* asked for, never joined */
    { NULL, NULL },
};

/* One run. Both arrays have a place for each counted record. */
struct run {
    const char *brokers, *fetch_wait_ms;
    int64_t rate;
    rd_kafka_t *producer, *consumer_a, *consumer_b;
    rd_kafka_topic_t *topic_a, *topic_b; /* the producer's */
    int64_t *latencies_ns, *acks_ns;
    int64_t warm_up_count, count; /* records before and in the measurement */
    _Atomic int64_t arrived;      /* of both */
    _Atomic bool stopping;
};

struct record {
    int64_t number, due_ns;
    char filling[RECORD_BYTES - 2 * sizeof(int64_t)];
};

/* --- clients --- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        fail(name, text);
}

static void set_all(rd_kafka_conf_t *conf, const struct setting *settings)
{
    for (; settings->name; settings++)
        set(conf, settings->name, settings->value);
}

static rd_kafka_t *client_new(const struct run *run, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[256];
    set(conf, "bootstrap.servers", run->brokers);
    set_all(conf, common_settings);
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (!client)
        fail("rd_kafka_new", text);
    return client;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct run *run = opaque;
    (void)client;
    if (message->err)
        fail("produce", rd_kafka_err2str(message->err));
    struct record record;
    memcpy(&record, message->payload, sizeof record);
    if (message->rkt == run->topic_a && record.number >= run->warm_up_count)
        run->acks_ns[record.number - run->warm_up_count] = now_ns() - record.due_ns;
}

static rd_kafka_t *producer_new(struct run *run)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_all(conf, producer_settings);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, run);
    return client_new(run, RD_KAFKA_PRODUCER, conf);
}

static int partition_count(rd_kafka_t *client, const char *topic)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, SETUP_MS);
    if (code)
        fail(topic, rd_kafka_err2str(code));
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    if (count < 1 || count > PARTITIONS_MAX)
        fail(topic, "no such topic");
    return count;
}

/* A consumer of all of a topic that begins at its present end. */
static rd_kafka_t *consumer_new(const struct run *run, const char *topic)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_all(conf, consumer_settings);
    set(conf, "fetch.wait.max.ms", run->fetch_wait_ms);
    rd_kafka_t *consumer = client_new(run, RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(consumer);
    int count = partition_count(consumer, topic);
    rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++) {
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(consumer, topic, i, &low, &high, SETUP_MS);
        if (code)
            fail(topic, rd_kafka_err2str(code));
        rd_kafka_topic_partition_list_add(partitions, topic, i)->offset = high;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(consumer, partitions);
    if (code)
        fail(topic, rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(partitions);
    return consumer;
}

static void produce(rd_kafka_topic_t *topic, struct record *record)
{
    /* Keys spread the records over the partitions, as job ids do. */
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, record, sizeof *record,
                         &record->number, sizeof record->number, NULL))
        fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
}

/* --- the hops --- */

/* Waits for one record; false when the run is being stopped. */
static bool take(struct run *run, rd_kafka_t *consumer, struct record *ret_record)
{
    while (!atomic_load(&run->stopping)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, POLL_MS);
        if (!message)
            continue;
        if (message->err)
            fail("consume", rd_kafka_message_errstr(message));
        if (message->len != sizeof *ret_record)
            fail("consume", "a record that is not ours");
        memcpy(ret_record, message->payload, sizeof *ret_record);
        rd_kafka_message_destroy(message);
        return true;
    }
    return false;
}

static void *hop(void *arg)
{
    struct run *run = arg;
    struct record record;
    while (take(run, run->consumer_a, &record))
        produce(run->topic_b, &record);
    return NULL;
}

static void *arrive(void *arg)
{
    struct run *run = arg;
    struct record record;
    while (take(run, run->consumer_b, &record)) {
        int64_t index = record.number - run->warm_up_count;
        if (index >= 0)
            run->latencies_ns[index] = now_ns() - record.due_ns;
        atomic_fetch_add(&run->arrived, 1);
    }
    return NULL;
}

static void *acknowledge(void *arg)
{
    struct run *run = arg;
    while (!atomic_load(&run->stopping))
        rd_kafka_poll(run->producer, POLL_MS);
    return NULL;
}

static void wait_until(int timer_fd, int64_t due_ns)
{
    if (now_ns() >= due_ns)
        return;
    struct itimerspec due = {
        .it_value = { .tv_sec = due_ns / NS_PER_S, .tv_nsec = due_ns % NS_PER_S },
    };
    uint64_t expirations;
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &due, NULL) ||
        read(timer_fd, &expirations, sizeof expirations) != (ssize_t)sizeof expirations)
        fail("timerfd", "it does not expire");
}

static void send_all(struct run *run)
{
    int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int64_t all = run->warm_up_count + run->count;
    int64_t began_ns = now_ns();
    struct record record = { 0 };
    for (; record.number < all; record.number++) {
        record.due_ns = began_ns + record.number * NS_PER_S / run->rate;
        wait_until(timer_fd, record.due_ns);
        produce(run->topic_a, &record);
    }
    close(timer_fd);
    int64_t deadline_ns = now_ns() + (int64_t)DRAIN_MS * NS_PER_MS;
    while (atomic_load(&run->arrived) < all) {
        if (now_ns() > deadline_ns)
            fail("drain", "not every record arrived");
        poll(NULL, 0, POLL_MS);
    }
}

/* --- the whole --- */

static void print(const struct run *run)
{
    sort_ns(run->latencies_ns, run->count);
    sort_ns(run->acks_ns, run->count);
    printf("{\"rate\":%" PRId64 ",\"count\":%" PRId64
           ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"ack_p50_ms\":%.3f,"
           "\"cpu_us\":%.1f}\n",
           run->rate, run->count, percentile_ms(run->latencies_ns, run->count, 0.5),
           percentile_ms(run->latencies_ns, run->count, 0.99),
           percentile_ms(run->latencies_ns, run->count, 1),
           percentile_ms(run->acks_ns, run->count, 0.5),
           cpu_us() / (double)(run->warm_up_count + run->count));
}

static void measure(struct run *run)
{
    pthread_t hopping, arriving, acknowledging;
    if (pthread_create(&hopping, NULL, hop, run) || pthread_create(&arriving, NULL, arrive, run) ||
        pthread_create(&acknowledging, NULL, acknowledge, run))
        fail("pthread_create", "no thread");
    send_all(run);
    atomic_store(&run->stopping, true);
    pthread_join(hopping, NULL);
    pthread_join(arriving, NULL);
    pthread_join(acknowledging, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("usage", "raw_two_hops BROKERS kafka|embedded TOPIC_A TOPIC_B RATE_PER_S SECONDS");
    struct run run = {
        .brokers = argv[1],
        .fetch_wait_ms = strcmp(argv[2], "embedded") == 0 ? "5" : "500",
        .rate = number_of(argv[5], RATE_MAX, "RATE_PER_S"),
    };
    run.warm_up_count = run.rate * WARM_UP_S;
    run.count = run.rate * number_of(argv[6], SECONDS_MAX, "SECONDS");
    run.latencies_ns = calloc((size_t)run.count, sizeof *run.latencies_ns);
    run.acks_ns = calloc((size_t)run.count, sizeof *run.acks_ns);
    if (!run.latencies_ns || !run.acks_ns)
        fail("calloc", "out of memory");
    run.producer = producer_new(&run);
    run.topic_a = rd_kafka_topic_new(run.producer, argv[3], NULL);
    run.topic_b = rd_kafka_topic_new(run.producer, argv[4], NULL);
    run.consumer_a = consumer_new(&run, argv[3]);
    run.consumer_b = consumer_new(&run, argv[4]);
    measure(&run);
    print(&run);
    rd_kafka_destroy(run.consumer_a);
    rd_kafka_destroy(run.consumer_b);
    rd_kafka_topic_destroy(run.topic_a);
    rd_kafka_topic_destroy(run.topic_b);
    rd_kafka_destroy(run.producer);
    free(run.latencies_ns);
    free(run.acks_ns);
    return 0;
}
