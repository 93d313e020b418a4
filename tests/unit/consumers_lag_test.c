/* Lag from what was found, by hand-made looks. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumers/lag.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdlib.h>

enum { NOW_MS = 2000000 };

/* A look at one group with one topic; `partitions` are copied. */
static struct lag_look *look_of(const struct lag_partition *partitions, size_t count,
                                int64_t monotonic_ms)
{
    struct lag_look *look = MEM_NEW(*look);
    look->at_ms = NOW_MS;
    look->monotonic_ms = monotonic_ms;
    look->count = 1;
    look->groups = MEM_NEW(*look->groups);
    look->groups[0] = (struct lag_group){ .name = mem_dup_text("g"),
                                          .members = -1,
                                          .topics = MEM_NEW(*look->groups[0].topics),
                                          .count = 1 };
    struct lag_topic *topic = &look->groups[0].topics[0];
    topic->name = mem_dup_text("t");
    topic->count = count;
    topic->partitions = mem_zalloc(count, sizeof *topic->partitions);
    for (size_t i = 0; i < count; i++) {
        topic->partitions[i] = partitions[i];
        topic->partitions[i].partition = (int32_t)i;
    }
    return look;
}

static const struct lag_figures *group_of(const struct lag_look *look)
{
    return &look->groups[0].figures;
}

/* Asserts what one partition comes to. */
static void assert_partition(struct lag_partition partition, int64_t lag, int64_t behind_ms,
                             enum lag_how how)
{
    struct lag_look *look = look_of(&partition, 1, 0);
    lag_judge(look, NULL);
    const struct lag_figures *figures = &look->groups[0].topics[0].partitions[0].figures;
    assert_int_equal(figures->lag, lag);
    assert_int_equal(figures->behind_ms, behind_ms);
    assert_int_equal(figures->how, how);
    assert_int_equal(group_of(look)->lag, lag);
    assert_int_equal(group_of(look)->behind_ms, behind_ms);
    assert_int_equal(group_of(look)->how, how);
    lag_look_free(look);
}

static struct lag_partition behind(int64_t committed, int64_t end, int64_t age_ms)
{
    return (struct lag_partition){ .end = end,
                                   .committed = committed,
                                   .oldest = LAG_OLDEST_RECORD,
                                   .oldest_offset = committed,
                                   .oldest_ms = NOW_MS - age_ms };
}

static void test_the_age_is_that_of_the_oldest_record(void **state)
{
    (void)state;
    assert_partition(behind(3, 10, 5000), 7, 5000, LAG_EXACT);
}

static void test_caught_up_is_nothing_behind(void **state)
{
    (void)state;
    assert_partition((struct lag_partition){ .end = 10, .committed = 10 }, 0, 0, LAG_EXACT);
    /* a commit that is newer than the look at the end */
    assert_partition((struct lag_partition){ .end = 10, .committed = 12 }, 0, 0, LAG_EXACT);
    /* but when it was asked for again: of a log that was made anew */
    assert_partition((struct lag_partition){ .end = 10, .committed = 12, .beyond = true }, -1, -1,
                     LAG_UNKNOWN);
}

static void test_what_was_lost_is_known_or_unknown(void **state)
{
    (void)state;
    static const struct {
        struct lag_partition partitions[2];
        int64_t lost;
    } cases[] = {
        { { { .end = 10, .committed = 10 }, { .end = 10, .committed = 10 } }, 0 },
        { { { .start = 4, .end = 4, .committed = 1 }, { .end = 0, .committed = -1 } }, 3 },
        { { { .start = 4, .end = 4, .committed = -1 }, { .end = 10, .committed = 10 } }, -1 },
        { { { .start = -1, .end = -1, .committed = 3 }, { .end = 10, .committed = 10 } }, -1 },
        /* that much at least */
        { { { .start = 4, .end = 4, .committed = -1 }, { .start = 9, .end = 9, .committed = 2 } },
          7 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lag_look *look = look_of(cases[i].partitions, 2, 0);
        lag_judge(look, NULL);
        assert_int_equal(group_of(look)->lost, cases[i].lost);
        lag_look_free(look);
    }
}

static void test_an_empty_log_is_nothing_behind_whatever_was_committed(void **state)
{
    (void)state;
    assert_partition((struct lag_partition){ .start = 7, .end = 7, .committed = -1 }, 0, 0,
                     LAG_EXACT);
    assert_partition((struct lag_partition){ .start = 7, .end = 7, .committed = 2 }, 0, 0,
                     LAG_EXACT);
}

static void test_what_was_deleted_unread_is_lost_and_no_lag(void **state)
{
    (void)state;
    struct lag_partition partition = behind(2, 100, 60000);
    partition.start = 90;
    assert_partition(partition, 10, 60000, LAG_BOUNDED);
    struct lag_look *look = look_of(&partition, 1, 0);
    lag_judge(look, NULL);
    assert_int_equal(group_of(look)->lost, 88);
    partition.committed = -1; /* whether it would have read them, only it knows */
    lag_look_free(look);
    look = look_of(&partition, 1, 0);
    lag_judge(look, NULL);
    assert_int_equal(group_of(look)->lost, -1);
    lag_look_free(look);
    partition.committed = 2;
    look = look_of(&partition, 1, 0);
    lag_judge(look, NULL);
    assert_int_equal(group_of(look)->margin, 0);
    lag_look_free(look);
}

static void test_a_stretch_without_records_is_no_lag(void **state)
{
    (void)state;
    assert_partition((struct lag_partition){ .end = 10, .committed = 9, .oldest = LAG_OLDEST_NONE },
                     0, 0, LAG_EXACT);
}

static void test_what_could_not_be_read_is_unknown(void **state)
{
    (void)state;
    struct lag_partition partition = behind(3, 10, 5000);
    partition.oldest = LAG_OLDEST_UNKNOWN;
    assert_partition(partition, 7, -1, LAG_UNKNOWN);
    partition = behind(3, 10, 5000);
    partition.oldest_ms = -1; /* a record without a time */
    assert_partition(partition, 7, -1, LAG_UNKNOWN);
    assert_partition((struct lag_partition){ .start = -1, .end = -1, .committed = 3 }, -1, -1,
                     LAG_UNKNOWN);
    assert_partition((struct lag_partition){ .end = 10, .committed = -1 }, -1, -1, LAG_UNKNOWN);
}

static void test_a_record_of_the_future_is_at_least_no_age(void **state)
{
    (void)state;
    assert_partition(behind(3, 10, -5000), 7, 0, LAG_BOUNDED);
}

static void test_a_queue_that_has_committed_nothing_begins_at_the_start(void **state)
{
    (void)state;
    struct lag_partition partition = behind(-1, 10, 5000);
    partition.start = 4;
    struct lag_look *look = look_of(&partition, 1, 0);
    look->groups[0].from_start = true;
    lag_judge(look, NULL);
    assert_int_equal(group_of(look)->lag, 6);
    assert_int_equal(group_of(look)->behind_ms, 5000);
    lag_look_free(look);
}

static void test_a_sum_with_an_unknown_part_is_bounded(void **state)
{
    (void)state;
    const struct lag_partition partitions[] = {
        behind(3, 10, 5000),
        { .end = 10, .committed = -1 },
    };
    struct lag_look *look = look_of(partitions, 2, 0);
    lag_judge(look, NULL);
    assert_int_equal(group_of(look)->lag, 7);
    assert_int_equal(group_of(look)->behind_ms, 5000);
    assert_int_equal(group_of(look)->how, LAG_BOUNDED);
    lag_look_free(look);
}

static void test_rates_are_those_between_two_looks(void **state)
{
    (void)state;
    struct lag_partition partition = behind(100, 1000, 0);
    struct lag_look *first = look_of(&partition, 1, 10000);
    lag_judge(first, NULL);
    assert_true(group_of(first)->in_rate < 0 && group_of(first)->out_rate < 0);
    partition = behind(200, 1020, 0);
    struct lag_look *second = look_of(&partition, 1, 12000);
    lag_judge(second, first);
    assert_float_equal(group_of(second)->in_rate, 10, 0.001);
    assert_float_equal(group_of(second)->out_rate, 50, 0.001);
    assert_float_equal(group_of(second)->drain_s, 820.0 / 40, 0.001);
    partition = behind(50, 1020, 0); /* set back */
    struct lag_look *third = look_of(&partition, 1, 13000);
    lag_judge(third, second);
    assert_true(group_of(third)->out_rate < 0 && group_of(third)->drain_s < 0);
    assert_int_equal(group_of(third)->lag, 970);
    lag_look_free(first);
    lag_look_free(second);
    lag_look_free(third);
}

static enum lag_state checked(struct lag_partition partition)
{
    const struct lag_limits limits = { .warn_ms = 30000, .crit_ms = 300000 };
    struct lag_look *look = look_of(&partition, 1, 0);
    lag_judge(look, NULL);
    enum lag_state told = lag_check(&look->groups[0], &limits);
    lag_look_free(look);
    return told;
}

static void test_a_check_knows_four_answers(void **state)
{
    (void)state;
    assert_int_equal(checked(behind(3, 10, 29999)), LAG_OK);
    assert_int_equal(checked(behind(3, 10, 30000)), LAG_WARNING);
    assert_int_equal(checked(behind(3, 10, 300000)), LAG_CRITICAL);
    struct lag_partition partition = behind(3, 10, 300000);
    partition.oldest = LAG_OLDEST_UNKNOWN;
    assert_int_equal(checked(partition), LAG_STATE_UNKNOWN);
    partition = behind(3, 10, 0);
    partition.start = 5; /* lost */
    assert_int_equal(checked(partition), LAG_WARNING);
    assert_int_equal(lag_worse(LAG_CRITICAL, LAG_STATE_UNKNOWN), LAG_CRITICAL);
    assert_int_equal(lag_worse(LAG_WARNING, LAG_STATE_UNKNOWN), LAG_STATE_UNKNOWN);
}

static void test_how_many_workers_a_queue_wants(void **state)
{
    (void)state;
    const struct lag_partition partitions[] = { behind(0, 3000, 0), behind(0, 3000, 0) };
    struct lag_look *look = look_of(partitions, 2, 0);
    struct lag_group *group = &look->groups[0];
    lag_judge(look, NULL);
    group->members = 1;
    assert_int_equal(lag_workers_wanted(group, 0, 60), 1); /* no rate is known: as it is */
    assert_int_equal(lag_workers_wanted(group, 100, 60), 1);
    assert_int_equal(lag_workers_wanted(group, 99, 60), 2);
    assert_int_equal(lag_workers_wanted(group, 1, 60), 2); /* one a partition */
    group->figures.in_rate = 50;
    assert_int_equal(lag_workers_wanted(group, 100, 60), 2);
    group->figures.lag = 0;
    group->figures.in_rate = 0;
    assert_int_equal(lag_workers_wanted(group, 100, 60), 0);
    group->figures.how = LAG_UNKNOWN;
    assert_int_equal(lag_workers_wanted(group, 100, 60), -1);
    lag_look_free(look);
}

static void test_json_says_null_for_what_is_not_known(void **state)
{
    (void)state;
    struct lag_partition partition = behind(3, 10, 1500);
    struct lag_look *look = look_of(&partition, 1, 0);
    lag_judge(look, NULL);
    struct buf text = BUF_INIT(65536);
    lag_json(look, &text);
    struct json *json = NULL;
    struct err err;
    const struct json_limits limits = { .depth_max = 16, .tokens_max = 1000 };
    assert_int_equal(json_parse(buf_span(&text), &limits, &json, &err), ERR_OK);
    assert_true(span_is(json_text(json_get(json, "schema")), "errand.lag/1"));
    const struct json *group = json_at(json_get(json, "groups"), 0);
    double seconds = 0;
    assert_true(json_real_of(json_get(group, "behind_seconds"), &seconds));
    assert_float_equal(seconds, 1.5, 0.0001);
    assert_int_equal(json_type_of(json_get(group, "state")), JSON_TYPE_NULL);
    assert_int_equal(json_type_of(json_get(group, "members")), JSON_TYPE_NULL);
    assert_int_equal(json_type_of(json_get(group, "out_rate")), JSON_TYPE_NULL);
    assert_true(span_is(json_text(json_get(group, "how")), "exact"));
    struct lag_look again = { 0 };
    struct buf same = BUF_INIT(65536);
    assert_true(lag_read(json, &again));
    lag_json(&again, &same);
    assert_int_equal(same.size, text.size);
    assert_memory_equal(same.data, text.data, text.size);
    buf_free(&same);
    struct lag_look *to_free = MEM_NEW(*to_free);
    *to_free = again;
    lag_look_free(to_free);
    assert_false(lag_read(group, &(struct lag_look){ 0 }));
    json_free(json);
    buf_free(&text);
    lag_look_free(look);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_age_is_that_of_the_oldest_record),
        cmocka_unit_test(test_caught_up_is_nothing_behind),
        cmocka_unit_test(test_what_was_lost_is_known_or_unknown),
        cmocka_unit_test(test_an_empty_log_is_nothing_behind_whatever_was_committed),
        cmocka_unit_test(test_what_was_deleted_unread_is_lost_and_no_lag),
        cmocka_unit_test(test_a_stretch_without_records_is_no_lag),
        cmocka_unit_test(test_what_could_not_be_read_is_unknown),
        cmocka_unit_test(test_a_record_of_the_future_is_at_least_no_age),
        cmocka_unit_test(test_a_queue_that_has_committed_nothing_begins_at_the_start),
        cmocka_unit_test(test_a_sum_with_an_unknown_part_is_bounded),
        cmocka_unit_test(test_rates_are_those_between_two_looks),
        cmocka_unit_test(test_a_check_knows_four_answers),
        cmocka_unit_test(test_how_many_workers_a_queue_wants),
        cmocka_unit_test(test_json_says_null_for_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
