/* A topic as the cluster has it: its partitions, who leads them, its settings.
 * THREADS: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_TOPIC_H
#define INFRA_KAFKA_TOPIC_H

#include "infra/kafka_admin.h"

struct kafka_topic_partition {
    int32_t leader; /* a broker's id; -1 none */
    size_t replicas, in_sync;
};
struct kafka_topic {
    char *name;
    struct kafka_topic_partition *partitions;
    size_t count; /* 0: there is no such topic */
};
/* Where the topic lies; free with kafka_topic_clear. */
enum err_code kafka_topic_describe_sync(struct kafka_admin *admin, const char *name,
                                        struct kafka_topic *ret_topic, int64_t timeout_ms,
                                        struct err *err) MUST_CHECK;
void kafka_topic_clear(struct kafka_topic *topic);

struct kafka_setting {
    char *name, *value;
    bool own; /* set for this topic, and not the cluster's */
};
struct kafka_settings {
    struct kafka_setting *items;
    size_t count;
};
/* The settings of topics that exist, in this order; free with kafka_settings_free. ERR_KAFKA of the
 * embedded broker, whose topics have none. */
enum err_code kafka_settings_sync(struct kafka_admin *admin, const char *const *names, size_t count,
                                  struct kafka_settings **ret_settings, int64_t timeout_ms,
                                  struct err *err) MUST_CHECK;
void kafka_settings_free(struct kafka_settings *settings, size_t count);
/* NULL when there is none of that name. */
const char *kafka_setting_find(const struct kafka_settings *settings, const char *name);

#endif
