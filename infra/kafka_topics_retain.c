/* How long topics that exist keep their records; see kafka_admin.h. The request to change a topic's
 * settings sets all of them (the one that sets a single one came with librdkafka 2.2, and bookworm
 * has 2.0): what the topic had of its own goes along as it was.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define RETENTION "retention.ms"

static const char *wanted_of(const struct kafka_topic_spec *spec)
{
    for (size_t i = 0; i < spec->settings.count; i++) {
        if (strcmp(spec->settings.items[i].name, RETENTION) == 0)
            return spec->settings.items[i].value;
    }
    return NULL;
}

struct wish {
    const struct kafka_topic_spec *specs;
    size_t count;
    bool *raised;
    int64_t timeout_ms;
};

static const struct kafka_topic_spec *find_spec(const struct wish *wish, const char *name)
{
    for (size_t i = 0; i < wish->count; i++) {
        if (strcmp(wish->specs[i].name, name) == 0)
            return &wish->specs[i];
    }
    return NULL;
}

/* The topic with its own settings and the retention that is wanted; NULL when it keeps its records
 * for so long, or for ever (-1). */
static rd_kafka_ConfigResource_t *raised(const rd_kafka_ConfigResource_t *found, const char *wanted)
{
    size_t count;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found, &count);
    const char *now = NULL;
    for (size_t i = 0; i < count && !now; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), RETENTION) == 0)
            now = rd_kafka_ConfigEntry_value(entries[i]);
    }
    long long now_ms = now ? strtoll(now, NULL, 10) : -1;
    if (now_ms < 0 || now_ms >= strtoll(wanted, NULL, 10))
        return NULL;
    rd_kafka_ConfigResource_t *topic =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, rd_kafka_ConfigResource_name(found));
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        if (rd_kafka_ConfigEntry_source(entries[i]) ==
                RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
            strcmp(name, RETENTION) != 0)
            rd_kafka_ConfigResource_set_config(topic, name, rd_kafka_ConfigEntry_value(entries[i]));
    }
    rd_kafka_ConfigResource_set_config(topic, RETENTION, wanted);
    return topic;
}

static enum err_code check_resources(const rd_kafka_ConfigResource_t *const *topics, size_t count,
                                     struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_ConfigResource_error(topics[i]))
            return err_set(err, ERR_KAFKA, "settings of topic %s: %s",
                           rd_kafka_ConfigResource_name(topics[i]),
                           rd_kafka_ConfigResource_error_string(topics[i]));
    }
    return ERR_OK;
}

static enum err_code alter(struct kafka_admin *admin, rd_kafka_ConfigResource_t **topics,
                           size_t count, int64_t timeout_ms, struct err *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->client->rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, timeout_ms);
    rd_kafka_AlterConfigs(admin->client->rk, topics, count, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "settings of topics", err);
    enum err_code code = ERR_KAFKA;
    if (event) {
        size_t answer_count;
        const rd_kafka_ConfigResource_t **answers = rd_kafka_AlterConfigs_result_resources(
            rd_kafka_event_AlterConfigs_result(event), &answer_count);
        code = check_resources(answers, answer_count, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return code;
}

/* Takes the answer to DescribeConfigs. */
static enum err_code raise_all(struct kafka_admin *admin, const struct wish *wish,
                               rd_kafka_event_t *event, struct err *err)
{
    size_t found_count;
    const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &found_count);
    enum err_code code = check_resources(found, found_count, err);
    rd_kafka_ConfigResource_t **topics =
        mem_zalloc(wish->count, sizeof(rd_kafka_ConfigResource_t *));
    size_t topic_count = 0;
    for (size_t i = 0; i < found_count && !code; i++) {
        const struct kafka_topic_spec *spec =
            find_spec(wish, rd_kafka_ConfigResource_name(found[i]));
        rd_kafka_ConfigResource_t *topic = spec ? raised(found[i], wanted_of(spec)) : NULL;
        if (!topic)
            continue;
        topics[topic_count++] = topic;
        wish->raised[spec - wish->specs] = true;
    }
    if (!code && topic_count)
        code = alter(admin, topics, topic_count, wish->timeout_ms, err);
    rd_kafka_ConfigResource_destroy_array(topics, topic_count);
    free(topics);
    return code;
}

enum err_code kafka_topics_retain_sync(struct kafka_admin *admin,
                                       const struct kafka_topic_spec *specs, size_t count,
                                       bool *ret_raised, int64_t timeout_ms, struct err *err)
{
    memset(ret_raised, 0, count * sizeof *ret_raised);
    if (admin->config->kind == BROKER_EMBEDDED)
        return ERR_OK;
    rd_kafka_ConfigResource_t **asked = mem_zalloc(count, sizeof(rd_kafka_ConfigResource_t *));
    size_t asked_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (wanted_of(&specs[i]))
            asked[asked_count++] =
                rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, specs[i].name);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->client->rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(admin->client->rk, asked, asked_count, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "settings of topics", err);
    enum err_code code = ERR_KAFKA;
    if (event) {
        code = raise_all(admin, &(struct wish){ specs, count, ret_raised, timeout_ms }, event, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy_array(asked, asked_count);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    free(asked);
    return code;
}
