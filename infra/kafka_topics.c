/* What topics there are, and making those that are missing; see kafka_admin.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>
#include <time.h>

#define PAUSE_MS 100

enum err_code kafka_admin_metadata(struct kafka_admin *admin, int64_t timeout_ms,
                                   const struct rd_kafka_metadata **ret_metadata, struct err *err)
{
    rd_kafka_resp_err_t e =
        rd_kafka_metadata(admin->client->rk, 1, NULL, ret_metadata, (int)timeout_ms);
    if (e)
        return err_set(err, ERR_KAFKA, "no metadata from Kafka at %s (kafka.brokers): %s",
                       admin->config->brokers, rd_kafka_err2str(e));
    return ERR_OK;
}

const struct rd_kafka_metadata_topic *kafka_admin_topic(const struct rd_kafka_metadata *metadata,
                                                        const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, name) == 0)
            return &metadata->topics[i];
    }
    return NULL;
}

enum err_code kafka_topics_describe_sync(struct kafka_admin *admin, const char *const *names,
                                         size_t count, struct kafka_topic_state *states,
                                         int64_t timeout_ms, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    enum err_code code = kafka_admin_metadata(admin, timeout_ms, &metadata, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_topic *topic = kafka_admin_topic(metadata, names[i]);
        states[i].partitions = topic ? topic->partition_cnt : 0;
    }
    rd_kafka_metadata_destroy(metadata);
    return ERR_OK;
}

enum err_code kafka_topic_ranges_sync(struct kafka_admin *admin, const char *topic,
                                      int64_t timeout_ms, struct kafka_range **ret_ranges,
                                      size_t *ret_count, struct err *err)
{
    struct kafka_topic_state state = { 0 };
    *ret_ranges = NULL;
    *ret_count = 0;
    enum err_code code = kafka_topics_describe_sync(admin, &topic, 1, &state, timeout_ms, err);
    if (!code && state.partitions == 0)
        code = err_set(err, ERR_NOT_FOUND, "there is no topic %s", topic);
    if (code)
        return code;
    size_t count = (size_t)state.partitions;
    struct kafka_range *ranges = mem_zalloc(count, sizeof *ranges);
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct kafka_range){ .topic = topic, .partition = (int32_t)i };
    code = kafka_ranges_sync(admin, ranges, count, timeout_ms, err);
    if (code) {
        free(ranges);
        return code;
    }
    *ret_ranges = ranges;
    *ret_count = count;
    return ERR_OK;
}

enum err_code kafka_topics_list_sync(struct kafka_admin *admin, const char *prefix,
                                     struct kafka_topic_state **ret_states, size_t *ret_count,
                                     int64_t timeout_ms, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    enum err_code code = kafka_admin_metadata(admin, timeout_ms, &metadata, err);
    if (code)
        return code;
    struct kafka_topic_state *states = mem_zalloc((size_t)metadata->topic_cnt, sizeof *states);
    size_t count = 0;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (strncmp(topic->topic, prefix, strlen(prefix)) == 0)
            states[count++] = (struct kafka_topic_state){ .name = mem_dup_text(topic->topic),
                                                          .partitions = topic->partition_cnt };
    }
    rd_kafka_metadata_destroy(metadata);
    *ret_states = states;
    *ret_count = count;
    return ERR_OK;
}

void kafka_topics_free(struct kafka_topic_state *states, size_t count)
{
    for (size_t i = 0; states && i < count; i++)
        free(states[i].name);
    free(states);
}

/* --- making topics --- */

static enum err_code new_topic(const struct kafka_topic_spec *spec, rd_kafka_NewTopic_t **ret_topic,
                               struct err *err)
{
    char text[256];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(spec->name, spec->partitions, spec->replication, text, sizeof text);
    if (!topic)
        return err_set(err, ERR_CONFIG, "topic %s: %s", spec->name, text);
    for (size_t i = 0; i < spec->settings.count; i++)
        rd_kafka_NewTopic_set_config(topic, spec->settings.items[i].name,
                                     spec->settings.items[i].value);
    *ret_topic = topic;
    return ERR_OK;
}

static enum err_code check_created(rd_kafka_event_t *event, struct err *err)
{
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t e = rd_kafka_topic_result_error(results[i]);
        if (e && e != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return err_set(err, ERR_KAFKA, "topic %s: %s", rd_kafka_topic_result_name(results[i]),
                           rd_kafka_topic_result_error_string(results[i]));
    }
    return ERR_OK;
}

static enum err_code request(struct kafka_admin *admin, rd_kafka_NewTopic_t **topics, size_t count,
                             int64_t timeout_ms, struct err *err)
{
    rd_kafka_t *rk = admin->client->rk;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    char text[128];
    rd_kafka_AdminOptions_set_operation_timeout(options, (int)timeout_ms, text, sizeof text);
    rd_kafka_CreateTopics(rk, topics, count, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "making topics", err);
    enum err_code code = event ? check_created(event, err) : ERR_KAFKA;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return code;
}

/* Compares what exists with what is wanted; *ret_missing counts those to make. */
static enum err_code check_existing(const struct kafka_topic_spec *specs, size_t count,
                                    const struct rd_kafka_metadata *metadata, bool *ret_created,
                                    size_t *ret_missing, struct err *err)
{
    *ret_missing = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rd_kafka_metadata_topic *topic = kafka_admin_topic(metadata, specs[i].name);
        ret_created[i] = !topic || topic->partition_cnt == 0;
        *ret_missing += ret_created[i];
        if (!ret_created[i] && topic->partition_cnt != specs[i].partitions)
            return err_set(err, ERR_CONFIG,
                           "topic %s has %d partitions, the configuration says %d: a partition "
                           "count is fixed for a topic's life, because it decides where a key "
                           "lies",
                           specs[i].name, topic->partition_cnt, specs[i].partitions);
    }
    return ERR_OK;
}

static enum err_code make_missing(struct kafka_admin *admin, const struct kafka_topic_spec *specs,
                                  size_t count, const bool *missing, int64_t timeout_ms,
                                  struct err *err)
{
    rd_kafka_NewTopic_t **topics = mem_zalloc(count, sizeof(rd_kafka_NewTopic_t *));
    size_t topic_count = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && !code; i++) {
        if (missing[i])
            code = new_topic(&specs[i], &topics[topic_count], err);
        if (missing[i] && !code)
            topic_count++;
    }
    if (!code)
        code = request(admin, topics, topic_count, timeout_ms, err);
    rd_kafka_NewTopic_destroy_array(topics, topic_count);
    free(topics);
    return code;
}

static bool has_leaders(const struct rd_kafka_metadata_topic *topic)
{
    if (!topic || topic->err || topic->partition_cnt == 0)
        return false;
    for (int i = 0; i < topic->partition_cnt; i++) {
        if (topic->partitions[i].leader < 0)
            return false;
    }
    return true;
}

/* The first topic that has no leaders yet; NULL when all have. */
static const char *find_leaderless(const struct rd_kafka_metadata *metadata,
                                   const struct kafka_topic_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!has_leaders(kafka_admin_topic(metadata, specs[i].name)))
            return specs[i].name;
    }
    return NULL;
}

static enum err_code await_leaders(struct kafka_admin *admin, const struct kafka_topic_spec *specs,
                                   size_t count, int64_t until_ms, struct err *err)
{
    for (;;) {
        const struct rd_kafka_metadata *metadata;
        int64_t left_ms = until_ms - clock_monotonic_ms();
        enum err_code code = kafka_admin_metadata(admin, left_ms > 1 ? left_ms : 1, &metadata, err);
        if (code)
            return code;
        const char *leaderless = find_leaderless(metadata, specs, count);
        rd_kafka_metadata_destroy(metadata);
        if (!leaderless)
            return ERR_OK;
        if (clock_monotonic_ms() + PAUSE_MS > until_ms)
            return err_set(err, ERR_KAFKA, "topic %s has no leaders yet", leaderless);
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
    }
}

enum err_code kafka_topics_create_sync(struct kafka_admin *admin,
                                       const struct kafka_topic_spec *specs, size_t count,
                                       bool *ret_created, int64_t timeout_ms, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    const struct rd_kafka_metadata *metadata;
    size_t missing;
    enum err_code code = kafka_admin_metadata(admin, timeout_ms, &metadata, err);
    if (code)
        return code;
    code = check_existing(specs, count, metadata, ret_created, &missing, err);
    rd_kafka_metadata_destroy(metadata);
    if (code)
        return code;
    if (missing && admin->config->kind == BROKER_EMBEDDED)
        return err_set(err, ERR_CONFIG,
                       "the embedded broker makes its topics when it starts, and %zu of this "
                       "configuration are missing: start it again with this configuration",
                       missing);
    if (missing)
        code = make_missing(admin, specs, count, ret_created, timeout_ms, err);
    return code ? code : await_leaders(admin, specs, count, until_ms, err);
}
