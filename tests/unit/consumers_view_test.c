/* Reading the view of a Redis that takes some of a reading's commands and refuses the others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/view.h"
#include "infra/kafka_admin.h"
#include "tests/unit/real_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEADLINE_MS 15000

struct scene {
    struct real_redis server;
    struct config config;
    struct loop *loop;
    struct loop_timer *deadline;
    struct redis *redis;
    struct kafka_admin *admin;
    struct view_identity *identity;
    struct view *view;
    size_t told;
    enum err_code code;
    bool ours;
};

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("no answer in time");
}

static void run(struct scene *scene)
{
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_run(scene->loop);
    loop_timer_stop(scene->deadline);
}

static void on_state(void *arg, bool ready)
{
    struct scene *scene = arg;
    if (ready)
        loop_stop(scene->loop);
}

static void on_known(void *arg)
{
    (void)arg;
}

static void open_scene(struct scene *scene, size_t pending_max)
{
    static char name[] = "errand", nowhere[] = "127.0.0.1:1";
    struct err err;
    *scene = (struct scene){ .config = { .namespace_ = name, .kafka.brokers = nowhere } };
    real_redis_start(&scene->server);
    scene->loop = loop_new(100);
    scene->deadline = loop_timer_new(scene->loop, on_late, scene);
    assert_int_equal(kafka_admin_open(&scene->config.kafka, "test", &scene->admin, &err), ERR_OK);
    scene->identity = view_identity_new(scene->loop, &scene->config, scene->admin, on_known, NULL);
    struct redis_options options = { .config = &scene->server.config,
                                     .timeout_ms = 5000,
                                     .pending_max = pending_max,
                                     .on_state = on_state,
                                     .arg = scene };
    scene->redis = redis_open(scene->loop, &options);
    scene->view = view_new(&(struct view_options){ .loop = scene->loop,
                                                   .config = &scene->config,
                                                   .redis = scene->redis,
                                                   .admin = scene->admin,
                                                   .identity = scene->identity });
    run(scene);
}

static void close_scene(struct scene *scene)
{
    redis_close(scene->redis);
    view_identity_free(scene->identity);
    kafka_admin_close(scene->admin);
    view_free(scene->view);
    loop_timer_free(scene->deadline);
    loop_free(scene->loop);
    real_redis_stop(&scene->server);
}

static void on_claimed(void *arg, bool ours, const struct view_answer *answer)
{
    struct scene *scene = arg;
    scene->told++;
    scene->code = answer->code;
    scene->ours = ours;
    loop_stop(scene->loop);
}

static void on_read(void *arg, const struct view_answer *answer)
{
    on_claimed(arg, false, answer);
}

/* However many of a reading's two commands, or a claim's three, there is room for: it is told once,
 * when nothing of it is under way any more. */
static void a_reading_of_which_some_is_refused_is_told_once(void **state)
{
    (void)state;
    static const uint8_t fingerprint[JOB_FINGERPRINT_SIZE] = { 1 };
    const struct view_claim claim = { fingerprint, 1000, INT64_C(99999999999999) };
    for (size_t room = 0; room <= 3; room++) {
        struct scene scene;
        struct id id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80 } };
        open_scene(&scene, room);
        view_read(scene.view, &id, on_read, &scene);
        run(&scene);
        assert_int_equal(scene.told, 1);
        assert_int_equal(scene.code, room < 2 ? ERR_VIEW_UNAVAILABLE : ERR_OK);
        view_claim(scene.view, &id, &claim, on_claimed, &scene);
        run(&scene);
        assert_int_equal(scene.told, 2);
        assert_int_equal(scene.code, room < 3 ? ERR_VIEW_UNAVAILABLE : ERR_OK);
        assert_int_equal(scene.ours, room > 0);
        close_scene(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reading_of_which_some_is_refused_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
