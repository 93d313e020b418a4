/* The producer against the embedded broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "schemas/mem.h"
#include "tests/unit/kafka_rig.h"

#include <stdlib.h>

static void test_records_arrive_in_order_with_headers(void **state)
{
    struct kafka_rig *rig = *state;
    kafka_rig_open_producer(rig, 5000, 1 << 20);
    kafka_rig_produce_range(rig, "one", 0, 100);
    assert_int_equal(kafka_producer_unacknowledged(rig->producer), 100);
    assert_true(kafka_producer_unacknowledged_bytes(rig->producer) > 0);
    assert_int_equal(rig->acknowledged, 0);
    kafka_rig_run_until(rig, kafka_rig_answered, 100);
    assert_int_equal(rig->acknowledged, 100);
    assert_int_equal(kafka_producer_unacknowledged(rig->producer), 0);
    assert_int_equal(kafka_producer_unacknowledged_bytes(rig->producer), 0);

    kafka_rig_read_manually(rig, "one", -1);
    kafka_rig_run_until(rig, kafka_rig_read, 100);
    kafka_rig_expect_values(&rig->readers[0], 0, 0, 100);
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
    struct kafka_rig *rig = *state;
    kafka_rig_open_producer(rig, 5000, 4096);
    size_t taken = 0;
    while (kafka_rig_produce(rig, "one", (int)taken) == ERR_OK)
        taken++;
    assert_true(taken > 2);
    assert_int_equal(kafka_rig_produce(rig, "one", 0), ERR_OVERLOADED);
    assert_true(kafka_producer_unacknowledged_bytes(rig->producer) <= 4096);
    kafka_rig_run_until(rig, kafka_rig_answered, taken);
    assert_int_equal(rig->acknowledged, taken);
    assert_int_equal(kafka_rig_produce(rig, "one", 0), ERR_OK);
    kafka_rig_run_until(rig, kafka_rig_answered, taken + 1);
}

static void test_a_record_too_large_is_refused(void **state)
{
    struct kafka_rig *rig = *state;
    kafka_rig_open_producer(rig, 5000, 8 << 20);
    char *bytes = mem_zalloc(2 << 20, 1);
    struct kafka_send send = { .topic = "one", .value = { bytes, 2 << 20 } };
    struct err err = { 0 };
    assert_int_equal(kafka_produce(rig->producer, &send, kafka_rig_on_delivery, rig, &err),
                     ERR_LIMIT);
    send.value.size = 1 << 20;
    assert_int_equal(kafka_produce(rig->producer, &send, kafka_rig_on_delivery, rig, &err), ERR_OK);
    kafka_rig_run_until(rig, kafka_rig_answered, 1);
    assert_int_equal(rig->acknowledged, 1);
    free(bytes);
}

static void test_without_a_broker_a_record_fails_in_time(void **state)
{
    struct kafka_rig *rig = *state;
    free(rig->config.brokers);
    rig->config.brokers = mem_dup_text("127.0.0.1:1");
    kafka_rig_open_producer(rig, 1000, 1 << 20);
    kafka_rig_produce_range(rig, "one", 0, 3);
    int64_t begun_ms = clock_monotonic_ms();
    kafka_rig_run_until(rig, kafka_rig_answered, 3);
    assert_true(clock_monotonic_ms() - begun_ms < 5000);
    assert_int_equal(rig->failed, 3);
    assert_int_equal(rig->last_failure, ERR_KAFKA_UNAVAILABLE);
}

static void test_closing_answers_everything(void **state)
{
    struct kafka_rig *rig = *state;
    kafka_rig_open_producer(rig, 0, 1 << 20);
    kafka_rig_produce_range(rig, "one", 0, 10);
    kafka_producer_close(rig->producer);
    rig->producer = NULL;
    assert_int_equal(rig->failed, 10);
    assert_int_equal(rig->last_failure, ERR_OUTCOME_UNKNOWN);
}

/* Each value's first appearance, in the order of the log. */
static void expect_first_appearances_in_order(const struct kafka_reader *reader, int count)
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
    struct kafka_rig *rig = *state;
    kafka_rig_open_producer(rig, 0, 1 << 20);
    kafka_rig_produce_range(rig, "one", 0, 200);
    kafka_rig_run_until(rig, kafka_rig_answered, 50);
    kafka_rig_produce_range(rig, "one", 200, 300);
    kafka_producer_provoke_fatal(rig->producer);
    kafka_rig_produce_range(rig, "one", 300, 400);
    kafka_rig_run_until(rig, kafka_rig_answered, 400);
    assert_int_equal(rig->acknowledged, 400);

    /* A second one soon after waits its turn, and loses nothing either. */
    kafka_rig_produce_range(rig, "one", 400, 500);
    kafka_producer_provoke_fatal(rig->producer);
    kafka_rig_run_until(rig, kafka_rig_answered, 500);
    assert_int_equal(rig->acknowledged, 500);
    struct metric *rebuilds =
        metrics_counter(rig->metrics, "errand_kafka_producer_rebuilds_total",
                        "Producer clients replaced after a fatal error.", NULL);
    assert_int_equal((int)metric_value(rebuilds), 2);

    kafka_rig_read_manually(rig, "one", 0);
    kafka_rig_run_until(rig, kafka_rig_read, 500);
    expect_first_appearances_in_order(&rig->readers[0], 500);
}

static bool warmed(struct kafka_rig *rig)
{
    return rig->warm_done;
}

static void on_warm(void *arg, enum err_code code, const char *text)
{
    struct kafka_rig *rig = arg;
    (void)text;
    rig->warmed = code;
    rig->warm_done = true;
}

static bool some_time_went_by(struct kafka_rig *rig)
{
    (void)rig;
    return false;
}

/* librdkafka takes the second one's acknowledgement for the first one's as well. */
static void test_a_refused_record_is_not_stored_because_the_next_one_is(void **state)
{
    struct kafka_rig *rig = *state;
    kafka_rig_open_producer(rig, 10000, 1 << 20);
    kafka_producer_warm(rig->producer, (const char *const[]){ "one" }, 1, 10000, on_warm, rig);
    kafka_rig_run_until(rig, warmed, 0);
    kafka_mock_refuse_one(rig->mock, 300);
    kafka_rig_produce_range(rig, "one", 0, 1);
    (void)kafka_rig_run_for(rig, some_time_went_by, 0, 50); /* it is sent, and has no answer yet */
    assert_int_equal(rig->acknowledged, 0);
    kafka_rig_produce_range(rig, "one", 1, 2);
    kafka_rig_run_until(rig, kafka_rig_answered, 2);
    assert_int_equal(rig->acknowledged, 2);

    kafka_rig_read_manually(rig, "one", 0);
    kafka_rig_run_until(rig, kafka_rig_read, 2);
    assert_int_equal(rig->readers[0].values[0] + rig->readers[0].values[1], 1);
}

static void test_warming(void **state)
{
    struct kafka_rig *rig = *state;
    static const char *const topics[] = { "one", "four" };
    kafka_rig_open_producer(rig, 5000, 1 << 20);
    kafka_producer_warm(rig->producer, topics, 2, 10000, on_warm, rig);
    kafka_rig_run_until(rig, warmed, 0);
    assert_int_equal(rig->warmed, ERR_OK);
}

static void test_properties(void **state)
{
    struct kafka_rig *rig = *state;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, kafka_rig_set_up, kafka_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records_arrive_in_order_with_headers),
        TEST(test_a_full_queue_takes_nothing),
        TEST(test_a_record_too_large_is_refused),
        TEST(test_without_a_broker_a_record_fails_in_time),
        TEST(test_closing_answers_everything),
        TEST(test_a_fatal_error_loses_nothing_and_keeps_the_order),
        TEST(test_a_refused_record_is_not_stored_because_the_next_one_is),
        TEST(test_warming),
        TEST(test_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
