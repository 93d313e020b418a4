/* How long a backlog takes to drain, look by look. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/backlog.h"

enum { LOOK_MS = 2000, START_MS = 7000000 };

struct queue { /* a queue with its workers */
    struct backlog backlog;
    int64_t now_ms, ends, committed;
};

static struct queue queue_new(void)
{
    return (struct queue){ .backlog = { .look_ms = LOOK_MS }, .now_ms = START_MS };
}

/* Goes on for `seconds`: so many come, and at most so many are done, a second. */
static void run(struct queue *queue, int64_t seconds, int64_t arriving, int64_t able)
{
    for (int64_t i = 0; i < seconds * 1000 / LOOK_MS; i++) {
        queue->now_ms += LOOK_MS;
        queue->ends += arriving * LOOK_MS / 1000;
        int64_t done = able * LOOK_MS / 1000;
        int64_t waiting = queue->ends - queue->committed;
        queue->committed += done < waiting ? done : waiting;
        backlog_look(&queue->backlog, queue->now_ms, queue->ends, queue->committed);
    }
}

static int64_t drain_ms(const struct queue *queue)
{
    return backlog_drain_ms(&queue->backlog, queue->now_ms);
}

static void burst(struct queue *queue, int64_t records)
{
    queue->ends += records;
}

static void test_nothing_is_known_before_the_first_look(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    assert_int_equal(drain_ms(&queue), -1);
    run(&queue, 18, 0, 0);
    assert_int_equal(drain_ms(&queue), -1);
    run(&queue, 2, 0, 0);
    assert_int_equal(drain_ms(&queue), 0);
}

static void test_a_queue_that_is_never_short_of_work_shows_its_rate(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 100000);
    run(&queue, 18, 0, 100);
    assert_int_equal(drain_ms(&queue), -1); /* not for long enough */
    run(&queue, 2, 0, 100);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 100, 0.001);
    assert_int_equal(drain_ms(&queue), (100000 - 20 * 100) * 10);
}

static void test_an_idle_queue_says_nothing_of_what_it_could_do(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    run(&queue, 300, 1, 5000);
    burst(&queue, 1000000);
    run(&queue, 10, 0, 5000);
    assert_int_equal(drain_ms(&queue), 0);
    run(&queue, 14, 0, 5000);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 5000, 0.001);
}

/* Jobs that take longer than a look's interval wait all the while, and none waits for another. */
static void test_a_burst_is_not_met_with_the_rate_of_quieter_times(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    queue.ends = 5;
    run(&queue, 60, 1, 1);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 1, 0.001);
    burst(&queue, 1000000);
    int64_t longest_ms = 0;
    for (int i = 0; i < 60; i++) {
        run(&queue, 2, 0, 5000);
        longest_ms = drain_ms(&queue) > longest_ms ? drain_ms(&queue) : longest_ms;
    }
    assert_true(longest_ms <= 200000);
}

static void test_workers_that_are_away_have_no_rate_and_keep_the_one_they_had(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 100000);
    run(&queue, 30, 0, 100);
    run(&queue, 500, 0, 0);
    assert_int_equal(drain_ms(&queue), (100000 - 3000) * 10);
    run(&queue, 200, 0, 0);
    assert_int_equal(drain_ms(&queue), -1); /* more than ten minutes ago */
}

static void test_the_time_of_a_standstill_is_not_in_the_rate(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 100000);
    run(&queue, 4, 0, 100);
    run(&queue, 3600, 0, 0);
    run(&queue, 4, 0, 100);
    assert_int_equal(drain_ms(&queue), -1);
    run(&queue, 10, 0, 100);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 100, 0.001);
}

static void test_the_best_of_ten_minutes_counts(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 1000000);
    run(&queue, 60, 0, 100);
    run(&queue, 300, 0, 10);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 100, 0.001);
    run(&queue, 400, 0, 10);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 10, 0.001);
}

static void test_a_slow_queue_is_measured_from_commit_to_commit(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 1000);
    for (int i = 0; i < 4; i++) { /* one each half minute */
        run(&queue, 28, 0, 0);
        queue.committed++;
        run(&queue, 2, 0, 0);
    }
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 1.0 / 30, 0.0001);
}

static void test_a_look_that_failed_makes_it_unknown_but_keeps_the_rate(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 100000);
    run(&queue, 30, 0, 100);
    backlog_forget(&queue.backlog);
    assert_int_equal(drain_ms(&queue), -1);
    run(&queue, 18, 0, 100);
    assert_int_equal(drain_ms(&queue), -1);
    run(&queue, 2, 0, 100);
    assert_int_equal(drain_ms(&queue), (100000 - 5000) * 10);
}

static void test_offsets_that_were_set_back_are_no_rate(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, 10000);
    run(&queue, 8, 0, 100);
    queue.committed = 0;
    run(&queue, 8, 0, 100);
    assert_int_equal(drain_ms(&queue), -1);
    run(&queue, 12, 0, 100);
    assert_float_equal(backlog_rate(&queue.backlog, queue.now_ms), 100, 0.001);
}

static void test_the_largest_numbers_do_not_overflow(void **state)
{
    (void)state;
    struct queue queue = queue_new();
    burst(&queue, INT64_MAX / 2);
    run(&queue, 60, 0, 1);
    assert_true(drain_ms(&queue) > INT64_C(1) << 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_before_the_first_look),
        cmocka_unit_test(test_a_queue_that_is_never_short_of_work_shows_its_rate),
        cmocka_unit_test(test_an_idle_queue_says_nothing_of_what_it_could_do),
        cmocka_unit_test(test_a_burst_is_not_met_with_the_rate_of_quieter_times),
        cmocka_unit_test(test_workers_that_are_away_have_no_rate_and_keep_the_one_they_had),
        cmocka_unit_test(test_the_time_of_a_standstill_is_not_in_the_rate),
        cmocka_unit_test(test_the_best_of_ten_minutes_counts),
        cmocka_unit_test(test_a_slow_queue_is_measured_from_commit_to_commit),
        cmocka_unit_test(test_a_look_that_failed_makes_it_unknown_but_keeps_the_rate),
        cmocka_unit_test(test_offsets_that_were_set_back_are_no_rate),
        cmocka_unit_test(test_the_largest_numbers_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
