/* First records of many partitions, asked of the embedded broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "infra/kafka_first.h"
#include "infra/kafka_groups.h"
#include "schemas/mem.h"
#include "tests/unit/kafka_scene.h"

#include <stdlib.h>

#define TIMEOUT_MS KAFKA_SCENE_TIMEOUT_MS
#define RECORDS    40

struct rig {
    struct kafka_scene kafka;
    int64_t began_ms;
};

static int set_up(void **state)
{
    static const struct kafka_mock_topic topics[] = { { "one", 1 }, { "four", 4 } };
    struct rig *rig = MEM_NEW(*rig);
    kafka_scene_open(&rig->kafka, topics, 2, KAFKA_READ_FIRST);
    rig->began_ms = clock_wall_ms();
    for (int i = 0; i < RECORDS; i++)
        kafka_scene_write(&rig->kafka, "one", span_of("k"), span_of("value"));
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    kafka_scene_close(&rig->kafka);
    free(rig);
    return 0;
}

static void test_the_first_record_is_told_with_its_time(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    for (int64_t from = 0; from < RECORDS; from += 13) {
        struct kafka_first item = { .topic = "one", .from = from, .end = RECORDS };
        assert_int_equal(kafka_first_sync(rig->kafka.admin, &item, 1, TIMEOUT_MS, &err), ERR_OK);
        assert_int_equal(item.found, KAFKA_FIRST_RECORD);
        assert_int_equal(item.offset, from);
        assert_in_range(item.timestamp_ms, rig->began_ms - 1000, clock_wall_ms() + 1000);
    }
}

/* An end that is further than the log is as one that holds nothing more. */
static void test_partitions_without_a_record_are_told_as_such(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct kafka_first items[] = {
        { .topic = "four", .partition = 3, .end = 1 },
        { .topic = "one", .from = RECORDS, .end = RECORDS + 1 },
        { .topic = "four", .partition = 0, .end = 1 },
    };
    assert_int_equal(kafka_first_sync(rig->kafka.admin, items, 3, TIMEOUT_MS, &err), ERR_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(items[i].found, KAFKA_FIRST_NONE);
}

static void test_what_does_not_come_in_time_is_unknown(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct kafka_first item = { .topic = "one", .from = 3, .end = RECORDS };
    assert_int_equal(kafka_first_sync(rig->kafka.admin, &item, 1, 0, &err), ERR_KAFKA);
    assert_int_equal(item.found, KAFKA_FIRST_UNKNOWN);
}

static void test_groups_are_not_told_and_it_says_so(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct kafka_group *groups = NULL;
    size_t count = 0;
    assert_int_equal(kafka_groups_list_sync(rig->kafka.admin, &groups, &count, TIMEOUT_MS, &err),
                     ERR_KAFKA);
    assert_non_null(strstr(err.text, "embedded broker"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_record_is_told_with_its_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_partitions_without_a_record_are_told_as_such, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_come_in_time_is_unknown, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_groups_are_not_told_and_it_says_so, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
