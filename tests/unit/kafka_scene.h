/* An embedded broker in this process and an admin client that asks it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KAFKA_SCENE_H
#define TESTS_KAFKA_SCENE_H

#include "infra/kafka_admin.h"
#include "infra/kafka_mock.h"

#define KAFKA_SCENE_TIMEOUT_MS 20000

struct kafka_scene {
    struct kafka_mock *mock;
    struct config_kafka config;
    struct kafka_admin *admin;
};

void kafka_scene_open(struct kafka_scene *scene, const struct kafka_mock_topic *topics,
                      size_t count, enum kafka_reading reading);
/* Appends a record to the topic, which must be taken. */
void kafka_scene_write(struct kafka_scene *scene, const char *topic, struct span key,
                       struct span value);
void kafka_scene_close(struct kafka_scene *scene);

#endif
