/* Records of a topic as they come, and where a topic lies, asked of the embedded broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/kafka_tail.h"
#include "infra/kafka_topic.h"
#include "schemas/mem.h"
#include "tests/unit/kafka_scene.h"

#include <stdlib.h>

#define TIMEOUT_MS KAFKA_SCENE_TIMEOUT_MS

struct rig {
    struct kafka_scene kafka;
    int64_t offsets[16];
    size_t count, stop_at;
    bool writes; /* one more record when nothing comes */
};

static void write_one(struct rig *rig, const char *value)
{
    kafka_scene_write(&rig->kafka, "one", span_of("key"), span_of(value));
}

static int set_up(void **state)
{
    static const struct kafka_mock_topic topics[] = { { "one", 1 }, { "four", 4 } };
    struct rig *rig = MEM_NEW(*rig);
    kafka_scene_open(&rig->kafka, topics, 2, KAFKA_READ_LOGS);
    for (int i = 0; i < 5; i++)
        write_one(rig, "value");
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

static bool on_record(void *arg, const struct kafka_tail_record *record)
{
    struct rig *rig = arg;
    if (!record) {
        if (rig->writes)
            write_one(rig, "later");
        rig->writes = false;
        return true;
    }
    assert_true(span_is(record->key, "key"));
    assert_true(record->timestamp_ms > 0);
    rig->offsets[rig->count++] = record->offset;
    return rig->count != rig->stop_at;
}

static enum err_code tail(struct rig *rig, int64_t from, const int64_t *end)
{
    struct err err = { 0 };
    const struct kafka_offset place = { "one", 0, from };
    const struct kafka_tail asked = {
        .from = &place, .ends = end, .count = 1, .fn = on_record, .arg = rig
    };
    return kafka_tail_sync(rig->kafka.admin, &asked, TIMEOUT_MS, &err);
}

static void test_it_ends_at_the_end_as_of_then(void **state)
{
    struct rig *rig = *state;
    const int64_t end = 4;
    assert_int_equal(tail(rig, 1, &end), ERR_OK);
    assert_int_equal(rig->count, 3);
    for (size_t i = 0; i < rig->count; i++)
        assert_int_equal(rig->offsets[i], i + 1);
    assert_int_equal(tail(rig, 4, &end), ERR_OK); /* nothing to read, nothing to wait for */
    assert_int_equal(rig->count, 3);
}

static void test_it_follows_until_it_is_told_to_stop(void **state)
{
    struct rig *rig = *state;
    rig->writes = true;
    rig->stop_at = 2;
    assert_int_equal(tail(rig, 4, NULL), ERR_OK);
    assert_int_equal(rig->offsets[0], 4);
    assert_int_equal(rig->offsets[1], 5);
}

static void test_a_topic_is_described(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct kafka_topic topic;
    assert_int_equal(kafka_topic_describe_sync(rig->kafka.admin, "four", &topic, TIMEOUT_MS, &err),
                     ERR_OK);
    assert_int_equal(topic.count, 4);
    for (size_t i = 0; i < topic.count; i++)
        assert_true(topic.partitions[i].leader >= 0 && topic.partitions[i].in_sync == 1);
    kafka_topic_clear(&topic);
    assert_int_equal(kafka_topic_describe_sync(rig->kafka.admin, "none", &topic, TIMEOUT_MS, &err),
                     ERR_OK);
    assert_int_equal(topic.count, 0);
    kafka_topic_clear(&topic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_ends_at_the_end_as_of_then, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_it_follows_until_it_is_told_to_stop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_topic_is_described, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
