/* See kafka_topic.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_topic.h"

#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

/* --- where it lies --- */

void kafka_topic_clear(struct kafka_topic *topic)
{
    free(topic->name);
    free(topic->partitions);
    *topic = (struct kafka_topic){ 0 };
}

static void take_topic(const struct rd_kafka_metadata_topic *from, struct kafka_topic *topic)
{
    topic->count = (size_t)from->partition_cnt;
    topic->partitions = mem_zalloc(topic->count, sizeof *topic->partitions);
    for (size_t i = 0; i < topic->count; i++)
        topic->partitions[i].leader = -1;
    for (int i = 0; i < from->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *partition = &from->partitions[i];
        if (partition->id < 0 || (size_t)partition->id >= topic->count)
            continue;
        topic->partitions[partition->id] =
            (struct kafka_topic_partition){ .leader = partition->leader,
                                            .replicas = (size_t)partition->replica_cnt,
                                            .in_sync = (size_t)partition->isr_cnt };
    }
}

enum err_code kafka_topic_describe_sync(struct kafka_admin *admin, const char *name,
                                        struct kafka_topic *ret_topic, int64_t timeout_ms,
                                        struct err *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    enum err_code code = kafka_admin_metadata(admin, timeout_ms, &metadata, err);
    if (code)
        return code;
    struct kafka_topic topic = { .name = mem_dup_text(name) };
    const struct rd_kafka_metadata_topic *found = kafka_admin_topic(metadata, name);
    if (found)
        take_topic(found, &topic);
    rd_kafka_metadata_destroy(metadata);
    *ret_topic = topic;
    return ERR_OK;
}

/* --- its settings --- */

void kafka_settings_free(struct kafka_settings *settings, size_t count)
{
    for (size_t i = 0; settings && i < count; i++) {
        for (size_t k = 0; k < settings[i].count; k++) {
            free(settings[i].items[k].name);
            free(settings[i].items[k].value);
        }
        free(settings[i].items);
    }
    free(settings);
}

const char *kafka_setting_find(const struct kafka_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].name, name) == 0)
            return settings->items[i].value;
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kafka_setting *)a)->name, ((const struct kafka_setting *)b)->name);
}

static struct kafka_settings settings_of(const rd_kafka_ConfigResource_t *resource)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    struct kafka_settings settings = { .count = count };
    settings.items = mem_zalloc(count, sizeof *settings.items);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        settings.items[i] =
            (struct kafka_setting){ .name = mem_dup_text(rd_kafka_ConfigEntry_name(entries[i])),
                                    .value = mem_dup_text(value ? value : ""),
                                    .own = rd_kafka_ConfigEntry_source(entries[i]) ==
                                           RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG };
    }
    qsort(settings.items, count, sizeof *settings.items, by_name);
    return settings;
}

/* The answer has an order of its own. */
static enum err_code take_settings(rd_kafka_event_t *event, const char *const *names, size_t count,
                                   struct kafka_settings *settings, struct err *err)
{
    size_t found = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &found);
    for (size_t i = 0; i < found; i++) {
        const char *name = rd_kafka_ConfigResource_name(resources[i]);
        if (rd_kafka_ConfigResource_error(resources[i]))
            return err_set(err, ERR_KAFKA, "settings of topic %s: %s", name,
                           rd_kafka_ConfigResource_error_string(resources[i]));
        for (size_t k = 0; k < count; k++) {
            if (strcmp(names[k], name) == 0 && !settings[k].items)
                settings[k] = settings_of(resources[i]);
        }
    }
    return ERR_OK;
}

enum err_code kafka_settings_sync(struct kafka_admin *admin, const char *const *names, size_t count,
                                  struct kafka_settings **ret_settings, int64_t timeout_ms,
                                  struct err *err)
{
    if (admin->config->kind == BROKER_EMBEDDED)
        return err_set(err, ERR_KAFKA, "the embedded broker's topics have no settings");
    rd_kafka_ConfigResource_t **asked = mem_zalloc(count, sizeof(rd_kafka_ConfigResource_t *));
    for (size_t i = 0; i < count; i++)
        asked[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, names[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->client->rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(admin->client->rk, asked, count, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "settings of topics", err);
    struct kafka_settings *settings = mem_zalloc(count, sizeof *settings);
    enum err_code code = event ? take_settings(event, names, count, settings, err) : ERR_KAFKA;
    if (event)
        rd_kafka_event_destroy(event);
    if (code)
        kafka_settings_free(settings, count);
    else
        *ret_settings = settings;
    rd_kafka_ConfigResource_destroy_array(asked, count);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    free(asked);
    return code;
}
