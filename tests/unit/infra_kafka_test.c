/* Producer and consumer against the embedded broker, in process.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "infra/kafka_consumer.h"
#include "infra/kafka_mock.h"
#include "infra/kafka_producer.h"
#include "infra/loop.h"
#include "infra/metrics.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define RECORDS_MAX   4096
#define CONSUMERS_MAX 2
#define DEADLINE_MS   30000

/* One consumer under test and what it saw. */
struct reader {
    struct rig *rig;
    struct kafka_consumer *consumer;
    struct kafka_partition *partitions[16];
    size_t partition_count;
    struct kafka_start start; /* of the last assignment */
    int64_t offsets[RECORDS_MAX];
    int values[RECORDS_MAX];
    size_t count;
    size_t pause_at;  /* pauses the partition when so many were read; 0: never */
    size_t commit_at; /* commits the next offset when so many were read; 0: never */
    size_t committed, revoked, batches;
    int64_t committed_offset;
    bool hold;
    char header[32];
};

struct rig {
    struct kafka_mock *mock;
    struct loop *loop;
    struct metrics *metrics;
    struct config_kafka config;
    struct kafka_producer *producer;
    struct reader readers[CONSUMERS_MAX];
    size_t acknowledged, failed;
    enum err_code last_failure;
    enum err_code warmed;
    bool warm_done;
    /* What run_until waits for. */
    bool (*condition)(struct rig *rig);
    size_t wanted;
    int64_t until_ms;
    bool reached;
};

static void check_condition(void *arg)
{
    struct rig *rig = arg;
    rig->reached = rig->condition(rig);
    if (rig->reached || clock_monotonic_ms() > rig->until_ms)
        loop_stop(rig->loop);
}

static bool run_for(struct rig *rig, bool (*condition)(struct rig *rig), size_t wanted,
                    int64_t limit_ms)
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

static void run_until(struct rig *rig, bool (*condition)(struct rig *rig), size_t wanted)
{
    assert_true(run_for(rig, condition, wanted, DEADLINE_MS));
}

static bool answered(struct rig *rig)
{
    return rig->acknowledged + rig->failed >= rig->wanted;
}

static bool read_by_both(struct rig *rig)
{
    return rig->readers[0].count + rig->readers[1].count >= rig->wanted;
}

static bool assigned_to_first(struct rig *rig)
{
    return rig->readers[0].partition_count == rig->wanted;
}

static bool assigned_to_both(struct rig *rig)
{
    return rig->readers[0].partition_count == rig->wanted &&
           rig->readers[1].partition_count == rig->wanted;
}

static bool committed(struct rig *rig)
{
    return rig->readers[0].committed >= rig->wanted;
}

static bool warmed(struct rig *rig)
{
    return rig->warm_done;
}

/* --- the rig --- */

static int set_up(void **state)
{
    static const struct kafka_mock_topic topics[] = {
        { "one", 1 },
        { "two", 2 },
        { "four", 4 },
    };
    struct err err = { 0 };
    struct rig *rig = MEM_NEW(*rig);
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

static int tear_down(void **state)
{
    struct rig *rig = *state;
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

static void open_producer(struct rig *rig, int64_t timeout_ms, size_t queue_bytes_max)
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

static void on_delivery(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    struct rig *rig = arg;
    if (code) {
        rig->failed++;
        rig->last_failure = code;
        return;
    }
    assert_true(partition >= 0);
    assert_true(offset >= 0);
    rig->acknowledged++;
}

static enum err_code produce(struct rig *rig, const char *topic, int value)
{
    char key[16];
    char text[16];
    int key_size = snprintf(key, sizeof key, "key-%d", value);
    int size = snprintf(text, sizeof text, "%d", value);
    struct kafka_header headers[] = {
        { "ce_id", { text, (size_t)size } },
        { "empty", SPAN_LIT("") },
    };
    struct kafka_send send = {
        .topic = topic,
        .key = { key, (size_t)key_size },
        .value = { text, (size_t)size },
        .headers = headers,
        .header_count = 2,
    };
    struct err err = { 0 };
    return kafka_produce(rig->producer, &send, on_delivery, rig, &err);
}

static void produce_range(struct rig *rig, const char *topic, int from, int to)
{
    for (int value = from; value < to; value++)
        assert_int_equal(produce(rig, topic, value), ERR_OK);
}

/* --- readers --- */

static void on_assign(void *arg, struct kafka_partition *partition, const struct kafka_start *start,
                      int64_t *ret_offset)
{
    struct reader *reader = arg;
    (void)ret_offset;
    reader->partitions[reader->partition_count++] = partition;
    reader->start = *start;
    kafka_partition_set_context(partition, reader);
}

static void on_revoke(void *arg, struct kafka_partition *partition, bool lost)
{
    struct reader *reader = arg;
    (void)lost;
    /* None where the offset was given, so that on_assign was not asked. */
    void *context = kafka_partition_context(partition);
    assert_true(context == reader || !context);
    if (reader->hold)
        kafka_consumer_hold_revoke(reader->consumer);
}

static void on_revoked(void *arg)
{
    struct reader *reader = arg;
    reader->partition_count = 0;
    reader->revoked++;
}

static void on_record(void *arg, const struct kafka_record *record)
{
    struct reader *reader = arg;
    char text[16] = "";
    assert_true(reader->count < RECORDS_MAX);
    assert_true(record->value.size < sizeof text);
    memcpy(text, record->value.data, record->value.size);
    reader->offsets[reader->count] = record->offset;
    reader->values[reader->count++] = (int)strtol(text, NULL, 10);

    struct span id = kafka_record_header(record, "ce_id");
    snprintf(reader->header, sizeof reader->header, "%.*s", SPAN_ARG(id));
    assert_null(kafka_record_header(record, "absent").data);
    if (reader->count == reader->pause_at)
        kafka_partition_pause(record->partition);
    if (reader->count == reader->commit_at) {
        struct kafka_offset offset = { .topic = kafka_partition_topic(record->partition),
                                       .partition = kafka_partition_number(record->partition),
                                       .offset = record->offset + 1 };
        kafka_consumer_commit(reader->consumer, &offset, 1);
    }
}

static void on_batch_end(void *arg)
{
    struct reader *reader = arg;
    reader->batches++;
}

static void on_committed(void *arg, const char *topic, int32_t partition, int64_t offset,
                         enum err_code code, const char *text)
{
    struct reader *reader = arg;
    (void)topic;
    (void)partition;
    assert_string_equal(text, "");
    assert_int_equal(code, ERR_OK);
    reader->committed++;
    reader->committed_offset = offset;
}

static void open_reader(struct rig *rig, size_t index, const char *group, const char *topic)
{
    struct err err = { 0 };
    struct reader *reader = &rig->readers[index];
    struct kafka_consumer_options options = {
        .config = &rig->config,
        .client_id = index ? "test-reader-1" : "test-reader-0",
        .group = group,
        .topics = &topic,
        .topic_count = group ? 1 : 0,
        .fetch_bytes_max = 4 << 20,
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

static void read_manually(struct rig *rig, const char *topic, int64_t offset)
{
    struct err err = { 0 };
    struct kafka_offset from = { .topic = topic, .partition = 0, .offset = offset };
    if (!rig->readers[0].consumer)
        open_reader(rig, 0, NULL, NULL);
    assert_int_equal(kafka_consumer_assign(rig->readers[0].consumer, &from, 1, &err), ERR_OK);
}

static void expect_values(const struct reader *reader, size_t at, int from, int to)
{
    assert_true(reader->count >= at + (size_t)(to - from));
    for (int value = from; value < to; value++)
        assert_int_equal(reader->values[at + (size_t)(value - from)], value);
}

/* --- producing --- */

static void test_records_arrive_in_order_with_headers(void **state)
{
    struct rig *rig = *state;
    open_producer(rig, 5000, 1 << 20);
    produce_range(rig, "one", 0, 100);
    assert_int_equal(kafka_producer_unacknowledged(rig->producer), 100);
    assert_true(kafka_producer_unacknowledged_bytes(rig->producer) > 0);
    assert_int_equal(rig->acknowledged, 0);
    run_until(rig, answered, 100);
    assert_int_equal(rig->acknowledged, 100);
    assert_int_equal(kafka_producer_unacknowledged(rig->producer), 0);
    assert_int_equal(kafka_producer_unacknowledged_bytes(rig->producer), 0);

    read_manually(rig, "one", -1);
    run_until(rig, read_by_both, 100);
    expect_values(&rig->readers[0], 0, 0, 100);
    assert_string_equal(rig->readers[0].header, "99");
    assert_int_equal(rig->readers[0].start.committed, -1);
    assert_int_equal(rig->readers[0].start.log_end, 100);
    assert_false(rig->readers[0].start.reset);
    assert_true(rig->readers[0].batches > 0);
    struct metric *produced = metrics_counter(rig->metrics, "errand_kafka_produced_total",
                                              "Records that Kafka acknowledged.", "topic=\"one\"");
    assert_int_equal((int)metric_value(produced), 100);
}

static void test_a_full_queue_takes_nothing(void **state)
{
    struct rig *rig = *state;
    open_producer(rig, 5000, 4096);
    size_t taken = 0;
    while (produce(rig, "one", (int)taken) == ERR_OK)
        taken++;
    assert_true(taken > 2);
    assert_int_equal(produce(rig, "one", 0), ERR_OVERLOADED);
    assert_true(kafka_producer_unacknowledged_bytes(rig->producer) <= 4096);
    run_until(rig, answered, taken);
    assert_int_equal(rig->acknowledged, taken);
    assert_int_equal(produce(rig, "one", 0), ERR_OK);
    run_until(rig, answered, taken + 1);
}

static void test_a_record_too_large_is_refused(void **state)
{
    struct rig *rig = *state;
    open_producer(rig, 5000, 8 << 20);
    char *bytes = mem_zalloc(2 << 20, 1);
    struct kafka_send send = { .topic = "one", .value = { bytes, 2 << 20 } };
    struct err err = { 0 };
    assert_int_equal(kafka_produce(rig->producer, &send, on_delivery, rig, &err), ERR_LIMIT);
    send.value.size = 1 << 20;
    assert_int_equal(kafka_produce(rig->producer, &send, on_delivery, rig, &err), ERR_OK);
    run_until(rig, answered, 1);
    assert_int_equal(rig->acknowledged, 1);
    free(bytes);
}

static void test_without_a_broker_a_record_fails_in_time(void **state)
{
    struct rig *rig = *state;
    free(rig->config.brokers);
    rig->config.brokers = mem_dup_text("127.0.0.1:1");
    open_producer(rig, 1000, 1 << 20);
    produce_range(rig, "one", 0, 3);
    int64_t begun_ms = clock_monotonic_ms();
    run_until(rig, answered, 3);
    assert_true(clock_monotonic_ms() - begun_ms < 5000);
    assert_int_equal(rig->failed, 3);
    assert_int_equal(rig->last_failure, ERR_KAFKA_UNAVAILABLE);
}

static void test_closing_answers_everything(void **state)
{
    struct rig *rig = *state;
    open_producer(rig, 0, 1 << 20);
    produce_range(rig, "one", 0, 10);
    kafka_producer_close(rig->producer);
    rig->producer = NULL;
    assert_int_equal(rig->failed, 10);
    assert_int_equal(rig->last_failure, ERR_OUTCOME_UNKNOWN);
}

/* Each value's first appearance, in the order of the log. */
static void expect_first_appearances_in_order(const struct reader *reader, int count)
{
    int expected = 0;
    for (size_t i = 0; i < reader->count && expected < count; i++) {
        assert_true(reader->values[i] <= expected);
        if (reader->values[i] == expected)
            expected++;
    }
    assert_int_equal(expected, count);
}

static void test_a_fatal_error_loses_nothing_and_keeps_the_order(void **state)
{
    struct rig *rig = *state;
    open_producer(rig, 0, 1 << 20);
    produce_range(rig, "one", 0, 200);
    run_until(rig, answered, 50);
    produce_range(rig, "one", 200, 300);
    kafka_producer_provoke_fatal(rig->producer);
    produce_range(rig, "one", 300, 400);
    run_until(rig, answered, 400);
    assert_int_equal(rig->acknowledged, 400);

    /* A second one soon after waits its turn, and loses nothing either. */
    produce_range(rig, "one", 400, 500);
    kafka_producer_provoke_fatal(rig->producer);
    run_until(rig, answered, 500);
    assert_int_equal(rig->acknowledged, 500);
    struct metric *rebuilds =
        metrics_counter(rig->metrics, "errand_kafka_producer_rebuilds_total",
                        "Producer clients replaced after a fatal error.", NULL);
    assert_int_equal((int)metric_value(rebuilds), 2);

    read_manually(rig, "one", 0);
    run_until(rig, read_by_both, 500);
    expect_first_appearances_in_order(&rig->readers[0], 500);
}

static void on_warm(void *arg, enum err_code code, const char *text)
{
    struct rig *rig = arg;
    (void)text;
    rig->warmed = code;
    rig->warm_done = true;
}

static void test_warming(void **state)
{
    struct rig *rig = *state;
    static const char *const topics[] = { "one", "four" };
    open_producer(rig, 5000, 1 << 20);
    kafka_producer_warm(rig->producer, topics, 2, 10000, on_warm, rig);
    run_until(rig, warmed, 0);
    assert_int_equal(rig->warmed, ERR_OK);
}

static void test_properties(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct config_pair pair = { .name = mem_dup_text("no.such.thing"), .value = mem_dup_text("1") };
    rig->config.properties = (struct config_pairs){ .items = &pair, .count = 1 };
    struct kafka_producer_options options = { .config = &rig->config,
                                              .client_id = "x",
                                              .queue_bytes_max = 1 };
    assert_int_equal(kafka_producer_open(rig->loop, &options, &rig->producer, &err), ERR_CONFIG);
    assert_string_equal(err.field, "kafka.properties.no.such.thing");

    free(pair.name);
    pair.name = mem_dup_text("enable.idempotence");
    assert_int_equal(kafka_producer_open(rig->loop, &options, &rig->producer, &err), ERR_CONFIG);
    assert_string_equal(err.field, "kafka.properties.enable.idempotence");

    free(pair.name);
    pair.name = mem_dup_text("socket.timeout.ms");
    free(pair.value);
    pair.value = mem_dup_text("soon");
    pair.secret = true;
    assert_int_equal(kafka_producer_open(rig->loop, &options, &rig->producer, &err), ERR_CONFIG);
    assert_null(strstr(err.text, "soon"));
    free(pair.name);
    free(pair.value);
    assert_null(rig->producer);
}

/* --- consuming --- */

static void expect_quiet(struct rig *rig, size_t count)
{
    assert_false(run_for(rig, read_by_both, count + 1, 150));
    assert_int_equal(rig->readers[0].count, count);
}

static void test_pause_and_resume_lose_and_double_nothing(void **state)
{
    struct rig *rig = *state;
    struct reader *reader = &rig->readers[0];
    open_producer(rig, 5000, 4 << 20);
    produce_range(rig, "one", 0, 2500);
    run_until(rig, answered, 2500);

    read_manually(rig, "one", -1);
    for (size_t at = 300; at <= 2400; at += 300) {
        reader->pause_at = at;
        run_until(rig, read_by_both, at);
        assert_true(kafka_partition_is_paused(reader->partitions[0]));
        kafka_partition_pause(reader->partitions[0]);
        if (at % 900 == 0)
            expect_quiet(rig, at);
        kafka_partition_resume(reader->partitions[0]);
        kafka_partition_resume(reader->partitions[0]);
    }
    run_until(rig, read_by_both, 2500);
    expect_quiet(rig, 2500);
    expect_values(reader, 0, 0, 2500);
}

static void test_seek_back_and_while_paused(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct reader *reader = &rig->readers[0];
    open_producer(rig, 5000, 1 << 20);
    produce_range(rig, "one", 0, 100);
    run_until(rig, answered, 100);
    read_manually(rig, "one", -1);
    run_until(rig, read_by_both, 100);

    assert_int_equal(kafka_partition_seek(reader->partitions[0], 40, &err), ERR_OK);
    run_until(rig, read_by_both, 160);
    expect_values(reader, 100, 40, 100);

    kafka_partition_pause(reader->partitions[0]);
    assert_int_equal(kafka_partition_seek(reader->partitions[0], 90, &err), ERR_OK);
    expect_quiet(rig, 160);
    kafka_partition_resume(reader->partitions[0]);
    run_until(rig, read_by_both, 170);
    expect_values(reader, 160, 90, 100);
    expect_quiet(rig, 170);
}

static void test_manual_assignment_is_replaced(void **state)
{
    struct rig *rig = *state;
    struct reader *reader = &rig->readers[0];
    open_producer(rig, 5000, 1 << 20);
    produce_range(rig, "one", 0, 50);
    run_until(rig, answered, 50);
    read_manually(rig, "one", -1);
    run_until(rig, read_by_both, 50);
    read_manually(rig, "one", 45);
    assert_int_equal(reader->revoked, 1);
    run_until(rig, read_by_both, 55);
    expect_values(reader, 50, 45, 50);
    assert_int_equal(reader->partition_count, 0); /* its offset was given: on_assign is not asked */
}

/* One test for all that needs a group: the embedded broker lets every join wait for seconds. */
static void test_a_group_shares_commits_and_takes_over(void **state)
{
    struct rig *rig = *state;
    struct reader *first = &rig->readers[0];
    struct reader *second = &rig->readers[1];
    open_producer(rig, 5000, 1 << 20);
    produce_range(rig, "two", 0, 100);
    run_until(rig, answered, 100);

    first->commit_at = 100;
    open_reader(rig, 0, "errand.worker.two", "two");
    assert_false(kafka_consumer_joined(first->consumer));
    run_until(rig, read_by_both, 100);
    assert_true(kafka_consumer_joined(first->consumer));
    assert_true(kafka_consumer_polled_ms_ago(first->consumer) < 1000);
    run_until(rig, committed, 1);
    int64_t committed_offset = first->committed_offset;
    assert_true(committed_offset > 0);

    /* A second member: the first holds its partitions until it has finished. */
    first->hold = true;
    open_reader(rig, 1, "errand.worker.two", "two");
    assert_false(run_for(rig, assigned_to_both, 1, 3000));
    assert_int_equal(first->revoked, 0);
    assert_int_equal(first->partition_count, 2);
    first->hold = false;
    kafka_consumer_release_revoke(first->consumer);
    kafka_consumer_release_revoke(first->consumer);
    assert_int_equal(first->revoked, 1);
    run_until(rig, assigned_to_both, 1);

    /* The second leaves: the first has both again, from where they were committed. */
    kafka_consumer_close(second->consumer, 5000);
    second->consumer = NULL;
    assert_int_equal(second->partition_count, 0);
    run_until(rig, assigned_to_first, 2);
    int64_t starts[] = { -2, -2 };
    starts[0] = first->start.committed;
    assert_true(starts[0] == committed_offset || starts[0] == -1);
    assert_int_equal(first->start.log_start, 0);
}

static void test_a_client_that_cannot_leave_is_left(void **state)
{
    struct rig *rig = *state;
    free(rig->config.brokers);
    rig->config.brokers = mem_dup_text("127.0.0.1:1");
    open_reader(rig, 0, "group", "one");
    int64_t begun_ms = clock_monotonic_ms();
    kafka_consumer_close(rig->readers[0].consumer, 2000);
    rig->readers[0].consumer = NULL;
    assert_true(clock_monotonic_ms() - begun_ms < 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records_arrive_in_order_with_headers),
        TEST(test_a_full_queue_takes_nothing),
        TEST(test_a_record_too_large_is_refused),
        TEST(test_without_a_broker_a_record_fails_in_time),
        TEST(test_closing_answers_everything),
        TEST(test_a_fatal_error_loses_nothing_and_keeps_the_order),
        TEST(test_warming),
        TEST(test_properties),
        TEST(test_pause_and_resume_lose_and_double_nothing),
        TEST(test_seek_back_and_while_paused),
        TEST(test_manual_assignment_is_replaced),
        TEST(test_a_group_shares_commits_and_takes_over),
        TEST(test_a_client_that_cannot_leave_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
