/* What librdkafka and the broker alone can take in: so many records, as fast as they go, each with
 * a key of its own and as many headers as asked for, until all are acknowledged. The client is set
 * up as a replay's is.
 * Usage: raw_produce BROKERS TOPIC RECORDS VALUE_BYTES HEADERS
 * The topic must exist. Prints one line of JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORDS_MAX = 10000000,
    VALUE_MAX = 100000,
    HEADERS_MAX = 32,
    OPEN_MAX = 50000, /* as producers/replay.c */
    POLL_EVERY = 256,
    FLUSH_MS = 120000,
};

/* As long as those that a record of ours has, about. */
static const char header_name[] = "errand-source-abc";
static const char header_value[] = "2026-01-01T00:00:00.000Z";

struct run {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    int64_t records, acknowledged;
    size_t value_bytes;
    int64_t headers;
    char *value;
};

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct run *run = opaque;
    (void)client;
    if (message->err)
        fail("produce", rd_kafka_err2str(message->err));
    run->acknowledged++;
}

static void open_producer(struct run *run, const char *brokers, const char *topic)
{
    static const char *const settings[][2] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "linger.ms", "20" },
        { "partitioner", "murmur2_random" },
        { "socket.nagle.disable", "true" },
        { "queue.buffering.max.messages", "1000000" },
        { "queue.buffering.max.kbytes", "1048576" },
    };
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text))
        fail("bootstrap.servers", text);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text))
            fail(settings[i][0], text);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, run);
    run->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!run->producer)
        fail("rd_kafka_new", text);
    run->topic = rd_kafka_topic_new(run->producer, topic, NULL);
}

static void produce_one(struct run *run, int64_t number)
{
    char key[32];
    int key_size = snprintf(key, sizeof key, "%024" PRId64, number);
    rd_kafka_headers_t *headers = NULL;
    if (run->headers)
        headers = rd_kafka_headers_new((size_t)run->headers);
    for (int64_t i = 0; i < run->headers; i++)
        rd_kafka_header_add(headers, header_name, sizeof header_name - 1, header_value,
                            sizeof header_value - 1);
    rd_kafka_resp_err_t e = rd_kafka_producev(
        run->producer, RD_KAFKA_VTYPE_RKT, run->topic, RD_KAFKA_VTYPE_KEY, key, (size_t)key_size,
        RD_KAFKA_VTYPE_VALUE, run->value, run->value_bytes, RD_KAFKA_VTYPE_MSGFLAGS,
        RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_END);
    if (e)
        fail("produce", rd_kafka_err2str(e));
}

int main(int argc, char **argv)
{
    if (argc != 6)
        fail("usage", "raw_produce BROKERS TOPIC RECORDS VALUE_BYTES HEADERS");
    struct run run = {
        .records = number_of(argv[3], RECORDS_MAX, "RECORDS"),
        .value_bytes = (size_t)number_of(argv[4], VALUE_MAX, "VALUE_BYTES"),
        .headers = strcmp(argv[5], "0") == 0 ? 0 : number_of(argv[5], HEADERS_MAX, "HEADERS"),
    };
    run.value = calloc(run.value_bytes, 1);
    if (!run.value)
        fail("calloc", "out of memory");
    open_producer(&run, argv[1], argv[2]);
    int64_t began_ns = now_ns();
    double began_cpu_us = cpu_us();
    for (int64_t i = 0; i < run.records; i++) {
        produce_one(&run, i);
        if (i % POLL_EVERY == 0)
            rd_kafka_poll(run.producer, 0);
        while (i + 1 - run.acknowledged >= OPEN_MAX)
            rd_kafka_poll(run.producer, 1);
    }
    if (rd_kafka_flush(run.producer, FLUSH_MS) || run.acknowledged != run.records)
        fail("flush", "not all were acknowledged");
    double took_s = (double)(now_ns() - began_ns) / NS_PER_S;
    printf("{\"records\":%" PRId64 ",\"records_per_s\":%.1f,\"cpu_us\":%.3f}\n", run.records,
           (double)run.records / took_s, (cpu_us() - began_cpu_us) / (double)run.records);
    rd_kafka_topic_destroy(run.topic);
    rd_kafka_destroy(run.producer);
    free(run.value);
    return 0;
}
