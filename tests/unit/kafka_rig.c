/* See kafka_rig.h. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "schemas/mem.h"
#include "tests/unit/kafka_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_MS 30000

static void check_condition(void *arg)
{
    struct kafka_rig *rig = arg;
    rig->reached = rig->condition(rig);
    if (rig->reached || clock_monotonic_ms() > rig->until_ms)
        loop_stop(rig->loop);
}

bool kafka_rig_run_for(struct kafka_rig *rig, bool (*condition)(struct kafka_rig *rig),
                       size_t wanted, int64_t limit_ms)
{
    struct loop_timer *timer = loop_timer_new(rig->loop, check_condition, rig);
    rig->condition = condition;
    rig->wanted = wanted;
    rig->until_ms = clock_monotonic_ms() + limit_ms;
    loop_timer_start(timer, 0, 2);
    loop_run(rig->loop);
    loop_timer_free(timer);
    return rig->reached;
}

void kafka_rig_run_until(struct kafka_rig *rig, bool (*condition)(struct kafka_rig *rig),
                         size_t wanted)
{
    assert_true(kafka_rig_run_for(rig, condition, wanted, DEADLINE_MS));
}

bool kafka_rig_answered(struct kafka_rig *rig)
{
    return rig->acknowledged + rig->failed >= rig->wanted;
}

bool kafka_rig_read(struct kafka_rig *rig)
{
    return rig->readers[0].count + rig->readers[1].count >= rig->wanted;
}

/* --- the rig --- */

int kafka_rig_set_up(void **state)
{
    static const struct kafka_mock_topic topics[] = {
        { "one", 1 },
        { "two", 2 },
        { "four", 4 },
    };
    struct err err = { 0 };
    struct kafka_rig *rig = MEM_NEW(*rig);
    assert_int_equal(kafka_mock_start(topics, 3, &rig->mock, &err), ERR_OK);
    rig->loop = loop_new(1024);
    rig->metrics = metrics_new();
    rig->config = (struct config_kafka){
        .brokers = mem_dup_text(kafka_mock_address(rig->mock)),
        .kind = BROKER_EMBEDDED,
        .session_timeout_ms =
            4000, /* the embedded broker forgets a member sooner than it answers its join */
    };
    for (size_t i = 0; i < CONSUMERS_MAX; i++)
        rig->readers[i].rig = rig;
    *state = rig;
    return 0;
}

int kafka_rig_tear_down(void **state)
{
    struct kafka_rig *rig = *state;
    for (size_t i = 0; i < CONSUMERS_MAX; i++)
        kafka_consumer_close(rig->readers[i].consumer, 5000);
    kafka_producer_close(rig->producer);
    loop_free(rig->loop);
    metrics_free(rig->metrics);
    kafka_mock_stop(rig->mock);
    free(rig->config.brokers);
    free(rig);
    return 0;
}

void kafka_rig_open_producer(struct kafka_rig *rig, int64_t timeout_ms, size_t queue_bytes_max)
{
    struct err err = { 0 };
    struct kafka_producer_options options = {
        .config = &rig->config,
        .client_id = "test-producer",
        .timeout_ms = timeout_ms,
        .queue_bytes_max = queue_bytes_max,
        .metrics = rig->metrics,
    };
    assert_int_equal(kafka_producer_open(rig->loop, &options, &rig->producer, &err), ERR_OK);
}

void kafka_rig_on_delivery(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    struct kafka_rig *rig = arg;
    if (code) {
        rig->failed++;
        rig->last_failure = code;
        return;
    }
    assert_true(partition >= 0);
    assert_true(offset >= 0);
    rig->acknowledged++;
}

enum err_code kafka_rig_produce(struct kafka_rig *rig, const char *topic, int value)
{
    char key[16];
    char text[16];
    char *filled = NULL;
    int key_size = snprintf(key, sizeof key, "key-%d", value);
    int size = snprintf(text, sizeof text, "%d", value);
    if (rig->value_bytes) {
        filled = mem_zalloc(rig->value_bytes + 1, 1);
        snprintf(filled, rig->value_bytes + 1, "%-*d", (int)rig->value_bytes, value);
    }
    struct kafka_header headers[] = {
        { "ce_id", { text, (size_t)size } },
        { "empty", SPAN_LIT("") },
    };
    struct kafka_send send = {
        .topic = topic,
        .key = { key, (size_t)key_size },
        .value = filled ? (struct span){ filled, rig->value_bytes }
                        : (struct span){ text, (size_t)size },
        .headers = headers,
        .header_count = 2,
    };
    struct err err = { 0 };
    enum err_code code = kafka_produce(rig->producer, &send, kafka_rig_on_delivery, rig, &err);
    free(filled);
    return code;
}

void kafka_rig_produce_range(struct kafka_rig *rig, const char *topic, int from, int to)
{
    for (int value = from; value < to; value++)
        assert_int_equal(kafka_rig_produce(rig, topic, value), ERR_OK);
}

/* --- readers --- */

static void on_assign(void *arg, struct kafka_partition *partition, const struct kafka_start *start,
                      int64_t *ret_offset)
{
    struct kafka_reader *reader = arg;
    if (reader->begin_at)
        *ret_offset = reader->begin_at;
    reader->partitions[reader->partition_count++] = partition;
    reader->start = *start;
    kafka_partition_set_context(partition, reader);
}

static void on_revoke(void *arg, struct kafka_partition *partition, bool lost)
{
    struct kafka_reader *reader = arg;
    (void)lost;
    /* None where the offset was given, so that on_assign was not asked. */
    void *context = kafka_partition_context(partition);
    assert_true(context == reader || !context);
    if (reader->hold)
        kafka_consumer_hold_revoke(reader->consumer);
}

static void on_revoked(void *arg)
{
    struct kafka_reader *reader = arg;
    reader->partition_count = 0;
    reader->revoked++;
}

static void on_record(void *arg, const struct kafka_record *record)
{
    struct kafka_reader *reader = arg;
    char text[16] = "";
    assert_true(reader->count < RECORDS_MAX);
    memcpy(text, record->value.data,
           record->value.size < sizeof text ? record->value.size : sizeof text - 1);
    reader->offsets[reader->count] = record->offset;
    reader->values[reader->count++] = (int)strtol(text, NULL, 10);

    struct span id = kafka_record_header(record, "ce_id");
    snprintf(reader->header, sizeof reader->header, "%.*s", SPAN_ARG(id));
    assert_null(kafka_record_header(record, "absent").data);
    if (reader->count == reader->pause_at)
        kafka_partition_pause(record->partition);
    if (reader->count == reader->slow_at)
        kafka_consumer_slow(reader->consumer, true);
    if (reader->count == reader->commit_at) {
        struct kafka_offset offset = { .topic = kafka_partition_topic(record->partition),
                                       .partition = kafka_partition_number(record->partition),
                                       .offset = record->offset + 1 };
        kafka_consumer_commit(reader->consumer, &offset, 1);
        assert_true(kafka_consumer_is_committing(reader->consumer));
    }
}

static void on_batch_end(void *arg)
{
    struct kafka_reader *reader = arg;
    reader->batches++;
}

static void on_committed(void *arg, const char *topic, int32_t partition, int64_t offset,
                         enum err_code code, const char *text)
{
    struct kafka_reader *reader = arg;
    (void)topic;
    (void)partition;
    assert_string_equal(text, "");
    assert_int_equal(code, ERR_OK);
    reader->committed++;
    reader->committed_offset = offset;
}

void kafka_rig_open_reader(struct kafka_rig *rig, size_t index, const char *group,
                           const char *topic)
{
    struct err err = { 0 };
    struct kafka_reader *reader = &rig->readers[index];
    struct kafka_consumer_options options = {
        .config = &rig->config,
        .client_id = index ? "test-reader-1" : "test-reader-0",
        .group = group,
        .topics = &topic,
        .topic_count = group ? 1 : 0,
        .fetch_bytes_max = 1 << 20, /* or the least that a consumer reads ahead */
        .metrics = rig->metrics,
        .arg = reader,
        .on_assign = on_assign,
        .on_revoke = on_revoke,
        .on_revoked = on_revoked,
        .on_record = on_record,
        .on_batch_end = on_batch_end,
        .on_committed = on_committed,
    };
    assert_int_equal(kafka_consumer_open(rig->loop, &options, &reader->consumer, &err), ERR_OK);
}

void kafka_rig_read_manually(struct kafka_rig *rig, const char *topic, int64_t offset)
{
    struct err err = { 0 };
    struct kafka_offset from = { .topic = topic, .partition = 0, .offset = offset };
    if (!rig->readers[0].consumer)
        kafka_rig_open_reader(rig, 0, NULL, NULL);
    assert_int_equal(kafka_consumer_assign(rig->readers[0].consumer, &from, 1, &err), ERR_OK);
}

void kafka_rig_expect_values(const struct kafka_reader *reader, size_t at, int from, int to)
{
    assert_true(reader->count >= at + (size_t)(to - from));
    for (int value = from; value < to; value++)
        assert_int_equal(reader->values[at + (size_t)(value - from)], value);
}
