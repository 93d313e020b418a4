/* Topics, offsets and single records, asked of the embedded broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "infra/kafka_admin.h"
#include "schemas/buf.h"
#include "schemas/mem.h"
#include "tests/unit/kafka_scene.h"

#include <stdio.h>
#include <stdlib.h>

struct rig {
    struct kafka_scene kafka;
    struct loop *loop;
    enum err_code code;
};

static int set_up(void **state)
{
    static const struct kafka_mock_topic topics[] = { { "one", 1 }, { "two", 2 }, { "four", 4 } };
    struct rig *rig = MEM_NEW(*rig);
    kafka_scene_open(&rig->kafka, topics, 3, KAFKA_READ_LOGS);
    rig->loop = loop_new(16);
    rig->code = ERR_COUNT;
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    kafka_scene_close(&rig->kafka);
    loop_free(rig->loop);
    free(rig);
    return 0;
}

static void test_topics_are_described_and_never_made_by_asking(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    const char *names[] = { "four", "absent" };
    struct kafka_topic_state states[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kafka_topics_describe_sync(rig->kafka.admin, names, 2, states, 5000, &err),
                         ERR_OK);
        assert_int_equal(states[0].partitions, 4);
        assert_int_equal(states[1].partitions, 0);
    }
    struct kafka_topic_state *listed = NULL;
    size_t count = 0;
    assert_int_equal(kafka_topics_list_sync(rig->kafka.admin, "t", &listed, &count, 5000, &err),
                     ERR_OK);
    assert_int_equal(count, 1);
    assert_string_equal(listed[0].name, "two");
    kafka_topics_free(listed, count);

    char id[64] = "";
    assert_int_equal(kafka_cluster_id_sync(rig->kafka.admin, 5000, id, &err), ERR_OK);
    assert_true(strlen(id) > 0);
}

static void test_topics_of_another_shape_are_refused(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    bool created[2] = { true, true };
    struct kafka_topic_spec specs[] = { { .name = "one", .partitions = 1, .replication = 1 },
                                        { .name = "two", .partitions = 2, .replication = 1 } };
    assert_int_equal(kafka_topics_create_sync(rig->kafka.admin, specs, 2, created, 5000, &err),
                     ERR_OK);
    assert_false(created[0] || created[1]);
    specs[1].partitions = 3;
    assert_int_equal(kafka_topics_create_sync(rig->kafka.admin, specs, 2, created, 5000, &err),
                     ERR_CONFIG);
    assert_non_null(strstr(err.text, "two has 2 partitions"));
}

struct scanned {
    size_t count;
    int64_t last_offset;
    char last[16];
};

static bool on_scanned(void *arg, struct span key, struct span value, int64_t offset)
{
    struct scanned *scanned = arg;
    assert_true(key.size > 0);
    scanned->count++;
    scanned->last_offset = offset;
    snprintf(scanned->last, sizeof scanned->last, "%.*s", SPAN_ARG(value));
    return true;
}

static void test_records_are_written_read_and_scanned(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct scanned scanned = { 0 };
    struct kafka_scan scan = { .topic = "one", .fn = on_scanned, .arg = &scanned };
    struct kafka_offset absent = { .topic = "one", .offset = 3 };
    struct kafka_offset address = { .topic = "one", .offset = 1 };
    assert_int_equal(kafka_scan_sync(rig->kafka.admin, &scan, 5000, &err), ERR_OK);
    assert_int_equal(scanned.count, 0);
    for (int i = 0; i < 3; i++) {
        char value[2] = { (char)('a' + i), '\0' };
        assert_int_equal(
            kafka_write_sync(rig->kafka.admin, "one", span_of("k"), span_of(value), 5000, &err),
            ERR_OK);
    }
    assert_int_equal(kafka_scan_sync(rig->kafka.admin, &scan, 5000, &err), ERR_OK);
    assert_int_equal(scanned.count, 3);
    assert_int_equal(scanned.last_offset, 2);
    assert_string_equal(scanned.last, "c");
    scan.from = 2;
    assert_int_equal(kafka_scan_sync(rig->kafka.admin, &scan, 5000, &err), ERR_OK);
    assert_int_equal(scanned.count, 4);

    struct buf value = BUF_INIT(16);
    assert_int_equal(kafka_read_sync(rig->kafka.admin, &address, 5000, &value, &err), ERR_OK);
    assert_string_equal(value.data, "b");
    assert_int_equal(kafka_read_sync(rig->kafka.admin, &absent, 5000, &value, &err), ERR_NOT_FOUND);
    buf_free(&value);
    struct buf small = BUF_INIT(0);
    assert_int_equal(kafka_read_sync(rig->kafka.admin, &address, 5000, &small, &err), ERR_LIMIT);
    buf_free(&small);
}

static void on_asked(void *arg, enum err_code code)
{
    struct rig *rig = arg;
    rig->code = code;
    loop_stop(rig->loop);
}

static void test_ranges_and_committed_offsets(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            kafka_write_sync(rig->kafka.admin, "one", span_of("k"), span_of("v"), 5000, &err),
            ERR_OK);
    struct kafka_reply reply = { rig->loop, 5000, on_asked, rig };
    struct kafka_range ranges[] = { { .topic = "one" }, { .topic = "two", .partition = 1 } };
    kafka_ranges(rig->kafka.admin, ranges, 2, &reply);
    loop_run(rig->loop);
    assert_int_equal(rig->code, ERR_OK);
    assert_int_equal(ranges[0].start, 0);
    assert_int_equal(ranges[0].end, 3);
    assert_int_equal(ranges[1].end, 0);

    struct kafka_offset offsets[] = { { .topic = "one", .offset = 7 }, { .topic = "two" } };
    assert_int_equal(kafka_offsets_commit_sync(rig->kafka.admin, "g", offsets, 1, 5000, &err),
                     ERR_OK);
    offsets[0].offset = 0;
    kafka_committed(rig->kafka.admin, "g", offsets, 2, &reply);
    loop_run(rig->loop);
    assert_int_equal(rig->code, ERR_OK);
    assert_int_equal(offsets[0].offset, 7);
    assert_int_equal(offsets[1].offset, -1);
}

static void test_an_absent_broker_is_said_in_time(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    kafka_admin_close(rig->kafka.admin);
    free(rig->kafka.config.brokers);
    rig->kafka.config.brokers = mem_dup_text("127.0.0.1:1");
    assert_int_equal(kafka_admin_open(&rig->kafka.config, "test", &rig->kafka.admin, &err), ERR_OK);
    char id[64];
    int64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(kafka_cluster_id_sync(rig->kafka.admin, 500, id, &err), ERR_KAFKA);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
    assert_true(clock_monotonic_ms() - begun_ms < 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_topics_are_described_and_never_made_by_asking),
        TEST(test_topics_of_another_shape_are_refused),
        TEST(test_records_are_written_read_and_scanned),
        TEST(test_ranges_and_committed_offsets),
        TEST(test_an_absent_broker_is_said_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
