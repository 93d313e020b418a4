/* The consumer against the embedded broker.
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

static bool assigned_to_first(struct kafka_rig *rig)
{
    return rig->readers[0].partition_count == rig->wanted;
}

static bool assigned_to_both(struct kafka_rig *rig)
{
    return rig->readers[0].partition_count == rig->wanted &&
           rig->readers[1].partition_count == rig->wanted;
}

static bool committed(struct kafka_rig *rig)
{
    return rig->readers[0].committed >= rig->wanted;
}

static void expect_quiet(struct kafka_rig *rig, size_t count)
{
    assert_false(kafka_rig_run_for(rig, kafka_rig_read, count + 1, 150));
    assert_int_equal(rig->readers[0].count, count);
}

/* The topic holds the numbers [0, count). */
static void fill(struct kafka_rig *rig, const char *topic, int count)
{
    kafka_rig_open_producer(rig, 5000, 16 << 20);
    kafka_rig_produce_range(rig, topic, 0, count);
    kafka_rig_run_until(rig, kafka_rig_answered, (size_t)count);
}

static void test_pause_and_resume_lose_and_double_nothing(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 2500);

    kafka_rig_read_manually(rig, "one", -1);
    for (size_t at = 300; at <= 2400; at += 300) {
        reader->pause_at = at;
        kafka_rig_run_until(rig, kafka_rig_read, at);
        assert_true(kafka_partition_is_paused(reader->partitions[0]));
        kafka_partition_pause(reader->partitions[0]);
        if (at % 900 == 0)
            expect_quiet(rig, at);
        kafka_partition_resume(reader->partitions[0]);
        kafka_partition_resume(reader->partitions[0]);
    }
    kafka_rig_run_until(rig, kafka_rig_read, 2500);
    expect_quiet(rig, 2500);
    kafka_rig_expect_values(reader, 0, 0, 2500);
}

/* Slowed, a record may come with each look that the group needs; let go, all come, in order. */
static void test_slowed_next_to_nothing_comes_and_then_all_of_it(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 2500);
    kafka_rig_read_manually(rig, "one", -1);
    for (size_t at = 300; at <= 2400; at += 700) {
        reader->slow_at = at;
        kafka_rig_run_until(rig, kafka_rig_read, at);
        assert_int_equal(reader->count, at);
        assert_false(kafka_rig_run_for(rig, kafka_rig_read, at + 100, 600));
        kafka_consumer_slow(reader->consumer, false);
    }
    kafka_rig_run_until(rig, kafka_rig_read, 2500);
    expect_quiet(rig, 2500);
    kafka_rig_expect_values(reader, 0, 0, 2500);
}

/* Left to itself librdkafka looks up to a second later, each time. */
static void test_a_queue_that_was_full_is_filled_again_at_once(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    struct err err = { 0 };
    int64_t waited_ms = 0;
    rig->value_bytes = 20000; /* four times what is read ahead, nearly all that this broker keeps */
    fill(rig, "one", 220);
    kafka_rig_read_manually(rig, "one", -1);
    for (size_t at = 0; at < 4 * (size_t)220; at += 220) {
        reader->slow_at = at + 10;
        if (at)
            assert_int_equal(kafka_partition_seek(reader->partitions[0], 0, &err), ERR_OK);
        kafka_rig_run_until(rig, kafka_rig_read, at + 10);
        (void)kafka_rig_run_for(rig, kafka_rig_read, at + 50, 200); /* meanwhile it is full */
        int64_t began_ms = clock_monotonic_ms();
        kafka_consumer_slow(reader->consumer, false);
        kafka_rig_run_until(rig, kafka_rig_read, at + 220);
        waited_ms += clock_monotonic_ms() - began_ms;
        kafka_rig_expect_values(reader, at, 0, 220);
    }
    assert_in_range(waited_ms, 0, 1200); /* all four of them */
}

static void test_what_is_resumed_comes_at_once(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 200);
    int64_t waited_ms = 0;
    kafka_rig_read_manually(rig, "one", -1);
    reader->pause_at = 10;
    for (size_t at = 10; at <= 190; at += 10) {
        kafka_rig_run_until(rig, kafka_rig_read, at);
        expect_quiet(rig, at);
        int64_t began_ms = clock_monotonic_ms();
        reader->pause_at = at + 10;
        kafka_partition_resume(reader->partitions[0]);
        kafka_rig_run_until(rig, kafka_rig_read, at + 1);
        waited_ms += clock_monotonic_ms() - began_ms;
    }
    assert_in_range(waited_ms, 0, 3000); /* all 19 of them */
}

static void test_resuming_what_is_not_paused_does_nothing(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 300);
    kafka_rig_read_manually(rig, "one", -1);
    kafka_rig_run_until(rig, kafka_rig_read, 300);
    kafka_partition_resume(reader->partitions[0]);
    expect_quiet(rig, 300);
}

static void test_seek_back_and_while_paused(void **state)
{
    struct kafka_rig *rig = *state;
    struct err err = { 0 };
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 100);
    kafka_rig_read_manually(rig, "one", -1);
    kafka_rig_run_until(rig, kafka_rig_read, 100);

    assert_int_equal(kafka_partition_seek(reader->partitions[0], 40, &err), ERR_OK);
    kafka_rig_run_until(rig, kafka_rig_read, 160);
    kafka_rig_expect_values(reader, 100, 40, 100);

    kafka_partition_pause(reader->partitions[0]);
    assert_int_equal(kafka_partition_seek(reader->partitions[0], 90, &err), ERR_OK);
    expect_quiet(rig, 160);
    kafka_partition_resume(reader->partitions[0]);
    kafka_rig_run_until(rig, kafka_rig_read, 170);
    kafka_rig_expect_values(reader, 160, 90, 100);
    expect_quiet(rig, 170);
}

static void test_manual_assignment_is_replaced(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 50);
    kafka_rig_read_manually(rig, "one", -1);
    kafka_rig_run_until(rig, kafka_rig_read, 50);
    kafka_rig_read_manually(rig, "one", 45);
    assert_int_equal(reader->revoked, 1);
    kafka_rig_run_until(rig, kafka_rig_read, 55);
    kafka_rig_expect_values(reader, 50, 45, 50);
    assert_int_equal(reader->partition_count, 0); /* its offset was given: on_assign is not asked */
}

static void test_a_pause_ends_with_the_assignment(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *reader = &rig->readers[0];
    fill(rig, "one", 50);
    reader->pause_at = 20;
    kafka_rig_read_manually(rig, "one", -1);
    kafka_rig_run_until(rig, kafka_rig_read, 20);
    expect_quiet(rig, 20);
    kafka_rig_read_manually(rig, "one", 20);
    kafka_rig_run_until(rig, kafka_rig_read, 50);
    kafka_rig_expect_values(reader, 20, 20, 50);
}

/* One test for all that needs a group: the embedded broker lets every join wait for seconds. */
static void test_a_group_shares_commits_and_takes_over(void **state)
{
    struct kafka_rig *rig = *state;
    struct kafka_reader *first = &rig->readers[0];
    struct kafka_reader *second = &rig->readers[1];
    fill(rig, "two", 100);

    first->commit_at = 100;
    kafka_rig_open_reader(rig, 0, "errand.worker.two", "two");
    assert_false(kafka_consumer_joined(first->consumer));
    assert_true(kafka_consumer_is_joining(first->consumer));
    kafka_rig_run_until(rig, kafka_rig_read, 100);
    assert_true(kafka_consumer_joined(first->consumer));
    assert_false(kafka_consumer_is_joining(first->consumer));
    kafka_rig_run_until(rig, committed, 1);
    assert_false(kafka_consumer_is_committing(first->consumer));
    int64_t committed_offset = first->committed_offset;
    assert_true(committed_offset > 0);

    /* A second member: the first holds its partitions until it has finished. */
    first->hold = true;
    kafka_rig_open_reader(rig, 1, "errand.worker.two", "two");
    assert_false(kafka_rig_run_for(rig, assigned_to_both, 1, 3000));
    assert_int_equal(first->revoked, 0);
    assert_int_equal(first->partition_count, 2);
    assert_true(kafka_consumer_is_joining(first->consumer));
    first->hold = false;
    kafka_consumer_release_revoke(first->consumer);
    kafka_consumer_release_revoke(first->consumer);
    assert_int_equal(first->revoked, 1);
    kafka_rig_run_until(rig, assigned_to_both, 1);

    /* The second leaves: the first has both again, from where they were committed. */
    kafka_consumer_close(second->consumer, 5000);
    second->consumer = NULL;
    assert_int_equal(second->partition_count, 0);
    kafka_rig_run_until(rig, assigned_to_first, 2);
    int64_t starts[] = { -2, -2 };
    starts[0] = first->start.committed;
    assert_true(starts[0] == committed_offset || starts[0] == -1);
    assert_int_equal(first->start.log_start, 0);
}

static void test_the_caller_may_begin_elsewhere(void **state)
{
    struct kafka_rig *rig = *state;
    fill(rig, "one", 50);
    rig->readers[0].begin_at = 45;
    kafka_rig_read_manually(rig, "one", -1);
    kafka_rig_run_until(rig, kafka_rig_read, 5);
    kafka_rig_expect_values(&rig->readers[0], 0, 45, 50);
}

static void test_a_client_that_cannot_leave_is_left(void **state)
{
    struct kafka_rig *rig = *state;
    free(rig->config.brokers);
    rig->config.brokers = mem_dup_text("127.0.0.1:1");
    kafka_rig_open_reader(rig, 0, "group", "one");
    int64_t begun_ms = clock_monotonic_ms();
    kafka_consumer_close(rig->readers[0].consumer, 2000);
    rig->readers[0].consumer = NULL;
    assert_true(clock_monotonic_ms() - begun_ms < 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kafka_rig_set_up, kafka_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pause_and_resume_lose_and_double_nothing),
        TEST(test_slowed_next_to_nothing_comes_and_then_all_of_it),
        TEST(test_a_queue_that_was_full_is_filled_again_at_once),
        TEST(test_what_is_resumed_comes_at_once),
        TEST(test_resuming_what_is_not_paused_does_nothing),
        TEST(test_seek_back_and_while_paused),
        TEST(test_manual_assignment_is_replaced),
        TEST(test_a_pause_ends_with_the_assignment),
        TEST(test_a_group_shares_commits_and_takes_over),
        TEST(test_the_caller_may_begin_elsewhere),
        TEST(test_a_client_that_cannot_leave_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
