/* What a replay takes of a topic, and in which order; on the embedded broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "infra/kafka_by_time.h"
#include "producers/replay.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "tests/unit/kafka_scene.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS KAFKA_SCENE_TIMEOUT_MS
#define RECORDS    12
#define PARTITIONS 4

struct rig {
    struct kafka_scene kafka;
    struct id_minter *minter;
    int64_t times[RECORDS + 1];
    int taken[RECORDS]; /* the numbers of the jobs, as they came */
    size_t count;
};

/* A record whose time is later than that of the one before. */
static void write_job(struct rig *rig, int number, uint32_t turn)
{
    char key[16];
    char payload[32];
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct err err = { 0 };
    int64_t before_ms = clock_wall_ms();
    (void)snprintf(key, sizeof key, "key-%d", number);
    (void)snprintf(payload, sizeof payload, "{\"n\":%d}", number);
    struct job_command command = { .facts = { .tenant = SPAN_LIT("default"),
                                              .type = SPAN_LIT("quote.fetch"),
                                              .queue = SPAN_LIT("default"),
                                              .created_at_ms = before_ms,
                                              .not_after_ms = before_ms + 1000,
                                              .forget_at_ms = before_ms + 2000,
                                              .fingerprint = SPAN_LIT("0123456789abcdef"),
                                              .origin_offset = turn ? 1 : -1 },
                                   .turn = turn,
                                   .attempt = 1,
                                   .payload = span_of(payload) };
    if (number % 2)
        command.facts.type = (struct span)SPAN_LIT("stock.price");
    id_mint(rig->minter, before_ms, &command.facts.id);
    command.facts.effect_id = command.facts.id;
    assert_int_equal(envelope_encode_command(&command, &value, &err), ERR_OK);
    while (clock_wall_ms() == before_ms) {
    }
    kafka_scene_write(&rig->kafka, "four", span_of(key), buf_span(&value));
    buf_free(&value);
}

static int set_up(void **state)
{
    static const struct kafka_mock_topic topics[] = { { "four", PARTITIONS } };
    static const struct span secret = SPAN_LIT("0123456789abcdef0123456789abcdef");
    struct rig *rig = MEM_NEW(*rig);
    kafka_scene_open(&rig->kafka, topics, 1, KAFKA_READ_LOGS);
    rig->minter = id_minter_new(&secret, 1);
    for (int i = 0; i < RECORDS; i++) {
        rig->times[i] = clock_wall_ms();
        write_job(rig, i, 0);
    }
    rig->times[RECORDS] = clock_wall_ms();
    write_job(rig, 3, 1); /* a later command of a job */
    kafka_scene_write(&rig->kafka, "four", span_of("key-0"), span_of("no envelope"));
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    kafka_scene_close(&rig->kafka);
    id_minter_free(rig->minter);
    free(rig);
    return 0;
}

static void find_logs(struct rig *rig, struct kafka_range *logs, struct replay_range *ranges)
{
    struct err err = { 0 };
    for (int i = 0; i < PARTITIONS; i++)
        logs[i] = (struct kafka_range){ .topic = "four", .partition = i };
    assert_int_equal(kafka_ranges_sync(rig->kafka.admin, logs, PARTITIONS, TIMEOUT_MS, &err),
                     ERR_OK);
    for (int i = 0; i < PARTITIONS; i++)
        ranges[i] = (struct replay_range){ i, logs[i].start, logs[i].end };
}

static bool on_record(void *arg, const struct replay_record *record)
{
    struct rig *rig = arg;
    if (!record)
        return true;
    assert_true(rig->count < RECORDS);
    const char *payload = record->command->payload.data;
    rig->taken[rig->count++] = (int)strtol(payload + strlen("{\"n\":"), NULL, 10);
    return true;
}

static struct replay_tally read_all(struct rig *rig, struct replay_source *source)
{
    struct kafka_range logs[PARTITIONS];
    struct replay_range ranges[PARTITIONS];
    struct replay_tally tally = { 0 };
    struct err err = { 0 };
    find_logs(rig, logs, ranges);
    source->admin = rig->kafka.admin;
    source->topic = "four";
    source->ranges = ranges;
    source->range_count = PARTITIONS;
    rig->count = 0;
    assert_int_equal(replay_source_read(source, on_record, rig, &tally, &err), ERR_OK);
    return tally;
}

static void test_partitions_are_merged_by_time_and_each_job_comes_once(void **state)
{
    struct rig *rig = *state;
    struct replay_source source = { 0 };
    struct replay_tally tally = read_all(rig, &source);
    assert_int_equal(rig->count, RECORDS);
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(rig->taken[i], i);
    assert_int_equal(tally.read, RECORDS + 2);
    assert_int_equal(tally.chosen, RECORDS);
    assert_int_equal(tally.copies, 1);
    assert_int_equal(tally.unreadable, 1);
    source = (struct replay_source){ .letters = true, .limit = 5 };
    assert_int_equal(read_all(rig, &source).chosen, 5);
    assert_int_equal(rig->taken[4], 4);
}

static void test_filters(void **state)
{
    struct rig *rig = *state;
    struct where *where = NULL;
    struct err err = { 0 };
    struct replay_source source = { .type = SPAN_LIT("stock.price") };
    assert_int_equal(read_all(rig, &source).others, RECORDS / 2);
    assert_int_equal(rig->taken[1], 3);
    source = (struct replay_source){ .key = SPAN_LIT("key-7") };
    assert_int_equal(read_all(rig, &source).chosen, 1);
    assert_int_equal(rig->taken[0], 7);
    assert_int_equal(where_parse(span_of("/n >= 9"), &where, &err), ERR_OK);
    source = (struct replay_source){ .where = where };
    assert_int_equal(read_all(rig, &source).chosen, RECORDS - 9);
    where_free(where);
}

static void test_a_time_is_found_by_reading_timestamps(void **state)
{
    struct rig *rig = *state;
    struct kafka_range logs[PARTITIONS];
    struct replay_range ranges[PARTITIONS];
    struct err err = { 0 };
    find_logs(rig, logs, ranges);
    for (int n = 0; n <= RECORDS; n += 4) {
        struct kafka_offset offsets[PARTITIONS];
        int64_t before = 0;
        for (int i = 0; i < PARTITIONS; i++)
            offsets[i] = (struct kafka_offset){ "four", i, -1 };
        /* The n-th was written after times[n], the one before it before that, or at it. */
        assert_int_equal(kafka_by_time_sync(rig->kafka.admin, rig->times[n] + 1, logs, offsets,
                                            PARTITIONS, &err),
                         ERR_OK);
        for (int i = 0; i < PARTITIONS; i++)
            before += (offsets[i].offset < 0 ? logs[i].end : offsets[i].offset) - logs[i].start;
        assert_int_equal(before, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partitions_are_merged_by_time_and_each_job_comes_once),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_a_time_is_found_by_reading_timestamps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
