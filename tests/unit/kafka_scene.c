/* See kafka_scene.h. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/mem.h"
#include "tests/unit/kafka_scene.h"

#include <stdlib.h>

void kafka_scene_open(struct kafka_scene *scene, const struct kafka_mock_topic *topics,
                      size_t count, enum kafka_reading reading)
{
    struct err err = { 0 };
    assert_int_equal(kafka_mock_start(topics, count, &scene->mock, &err), ERR_OK);
    scene->config = (struct config_kafka){
        .brokers = mem_dup_text(kafka_mock_address(scene->mock)),
        .kind = BROKER_EMBEDDED,
        .session_timeout_ms = 4000,
    };
    assert_int_equal(kafka_admin_open_for(&scene->config, "test", reading, &scene->admin, &err),
                     ERR_OK);
}

void kafka_scene_write(struct kafka_scene *scene, const char *topic, struct span key,
                       struct span value)
{
    struct err err = { 0 };
    assert_int_equal(
        kafka_write_sync(scene->admin, topic, key, value, KAFKA_SCENE_TIMEOUT_MS, &err), ERR_OK);
}

void kafka_scene_close(struct kafka_scene *scene)
{
    kafka_admin_close(scene->admin);
    kafka_mock_stop(scene->mock);
    free(scene->config.brokers);
}
