/* The declared topics, and applying them to the embedded broker.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/kafka_mock.h"
#include "infra/topics.h"
#include "schemas/mem.h"

#include <stdlib.h>

static struct topic_tier tiers[] = { { "5s", 5000 }, { "30s", 30000 } };

struct rig {
    struct config_queue queues[2];
    struct config config;
    struct kafka_topic_spec *specs;
    size_t count;
    struct kafka_mock *mock;
    struct kafka_admin *admin;
    size_t lines;
};

static int set_up(void **state)
{
    struct err err = { 0 };
    struct rig *rig = MEM_NEW(*rig);
    rig->queues[0] = (struct config_queue){ .name = mem_dup_text("default"), .partitions = 4 };
    rig->queues[1] = (struct config_queue){ .name = mem_dup_text("bulk"), .partitions = 2 };
    rig->config = (struct config){
        .namespace_ = mem_dup_text("errand"),
        .queues = rig->queues,
        .queue_count = 2,
        .delayer = { .tiers = tiers, .tier_count = 2 },
        .kafka = { .kind = BROKER_EMBEDDED,
                   .replication = 3,
                   .session_timeout_ms = 4000,
                   .retention_commands_ms = 1000,
                   .retention_replies_ms = 2000,
                   .retention_dead_ms = 3000,
                   .retention_audit_ms = 4000 },
    };
    assert_int_equal(topics_of(&rig->config, &rig->specs, &rig->count, &err), ERR_OK);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    kafka_admin_close(rig->admin);
    kafka_mock_stop(rig->mock);
    topics_free(rig->specs, rig->count);
    free(rig->config.kafka.brokers);
    free(rig->config.namespace_);
    free(rig->queues[0].name);
    free(rig->queues[1].name);
    free(rig);
    return 0;
}

static const struct kafka_topic_spec *find(const struct rig *rig, const char *name)
{
    for (size_t i = 0; i < rig->count; i++) {
        if (strcmp(rig->specs[i].name, name) == 0)
            return &rig->specs[i];
    }
    fail_msg("no topic %s", name);
    return NULL;
}

static const char *setting(const struct kafka_topic_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->settings.count; i++) {
        if (strcmp(spec->settings.items[i].name, name) == 0)
            return spec->settings.items[i].value;
    }
    return "";
}

static void test_the_table_becomes_topics(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig->count, 6 + rig->config.delayer.tier_count + 2); /* 3 for each queue */
    const struct kafka_topic_spec *commands = find(rig, "errand.commands.default");
    assert_int_equal(commands->partitions, 4);
    assert_int_equal(commands->replication, 1); /* the embedded broker has one node */
    assert_string_equal(setting(commands, "retention.ms"), "1000");
    assert_string_equal(setting(commands, "cleanup.policy"), "delete");
    assert_string_equal(setting(commands, "min.insync.replicas"), "1");
    assert_string_equal(setting(find(rig, "errand.replies.bulk"), "retention.ms"), "2000");
    assert_int_equal(find(rig, "errand.replies.bulk")->partitions, 2);
    const struct kafka_topic_spec *delay = find(rig, "errand.delay.30s");
    assert_string_equal(setting(delay, "retention.ms"), "31000");
    assert_string_equal(setting(delay, "message.timestamp.type"), "LogAppendTime");
    const struct kafka_topic_spec *control = find(rig, "errand.control");
    assert_string_equal(setting(control, "cleanup.policy"), "compact");
    assert_string_equal(setting(control, "retention.ms"), "");
    assert_string_equal(setting(find(rig, "errand.audit"), "retention.ms"), "4000");
}

static void test_three_replicas_need_two_in_sync(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    topics_free(rig->specs, rig->count);
    rig->config.kafka.kind = BROKER_KAFKA;
    assert_int_equal(topics_of(&rig->config, &rig->specs, &rig->count, &err), ERR_OK);
    const struct kafka_topic_spec *dead = find(rig, "errand.dead.bulk");
    assert_int_equal(dead->replication, 3);
    assert_string_equal(setting(dead, "min.insync.replicas"), "2");
}

static void test_a_name_too_long_is_refused(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    struct kafka_topic_spec *specs = NULL;
    size_t count = 0;
    free(rig->config.namespace_);
    rig->config.namespace_ = mem_zalloc(250, 1);
    memset(rig->config.namespace_, 'n', 245);
    assert_int_equal(topics_of(&rig->config, &specs, &count, &err), ERR_CONFIG);
    assert_string_equal(err.field, "namespace");
    assert_null(specs);
}

/* The embedded broker, with the first `count` topics. */
static void start_broker(struct rig *rig, size_t count)
{
    struct err err = { 0 };
    struct kafka_mock_topic *topics = mem_zalloc(count, sizeof *topics);
    for (size_t i = 0; i < count; i++)
        topics[i] = (struct kafka_mock_topic){ rig->specs[i].name, rig->specs[i].partitions };
    assert_int_equal(kafka_mock_start(topics, count, &rig->mock, &err), ERR_OK);
    free(topics);
    rig->config.kafka.brokers = mem_dup_text(kafka_mock_address(rig->mock));
    assert_int_equal(kafka_admin_open(&rig->config.kafka, "test", &rig->admin, &err), ERR_OK);
}

static void on_line(void *arg, const char *line)
{
    struct rig *rig = arg;
    assert_non_null(strstr(line, "generation"));
    rig->lines++;
}

static void test_applying_marks_once(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    char generation[TOPIC_GENERATION_SIZE + 1] = "";
    char again[TOPIC_GENERATION_SIZE + 1] = "";
    start_broker(rig, rig->count);
    assert_int_equal(topics_generation_sync(rig->admin, &rig->config, generation, &err),
                     ERR_NOT_FOUND);
    assert_int_equal(topics_apply_sync(rig->admin, &rig->config, on_line, rig, &err), ERR_OK);
    assert_int_equal(rig->lines, 1);
    assert_int_equal(topics_generation_sync(rig->admin, &rig->config, generation, &err), ERR_OK);
    assert_int_equal(strspn(generation, "0123456789abcdef"), TOPIC_GENERATION_SIZE);

    struct kafka_offset offset = { .topic = "errand.commands.bulk", .partition = 1, .offset = 9 };
    assert_int_equal(kafka_committed_sync(rig->admin, "errand.worker.bulk", &offset, 1, 5000, &err),
                     ERR_OK);
    assert_int_equal(offset.offset, 0);
    offset.offset = 9;
    assert_int_equal(
        kafka_offsets_commit_sync(rig->admin, "errand.worker.bulk", &offset, 1, 5000, &err),
        ERR_OK);

    assert_int_equal(topics_apply_sync(rig->admin, &rig->config, on_line, rig, &err), ERR_OK);
    assert_int_equal(rig->lines, 1);
    assert_int_equal(topics_generation_sync(rig->admin, &rig->config, again, &err), ERR_OK);
    assert_string_equal(again, generation);
    assert_int_equal(kafka_committed_sync(rig->admin, "errand.worker.bulk", &offset, 1, 5000, &err),
                     ERR_OK);
    assert_int_equal(offset.offset, 9);
}

static void test_the_embedded_broker_cannot_be_given_topics(void **state)
{
    struct rig *rig = *state;
    struct err err = { 0 };
    start_broker(rig, rig->count - 1);
    assert_int_equal(topics_apply_sync(rig->admin, &rig->config, NULL, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "start it again"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_table_becomes_topics),
        TEST(test_three_replicas_need_two_in_sync),
        TEST(test_a_name_too_long_is_refused),
        TEST(test_applying_marks_once),
        TEST(test_the_embedded_broker_cannot_be_given_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
