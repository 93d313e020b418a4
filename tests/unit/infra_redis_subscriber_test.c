/* Subscriptions at a real redis-server: confirmed, lost, made again.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/redis_scene.h"

#include <signal.h>
#include <stdio.h>

enum { MANY = 600 }; /* more than one SUBSCRIBE takes */

static void on_message(void *arg, struct span channel, struct span message)
{
    struct redis_scene *scene = arg;
    scene->messages++;
    snprintf(scene->message, sizeof scene->message, "%.*s=%.*s", SPAN_ARG(channel),
             SPAN_ARG(message));
}

static void on_lost(void *arg)
{
    struct redis_scene *scene = arg;
    scene->lost++;
}

static void on_confirmed(void *arg, enum err_code code)
{
    struct redis_scene *scene = arg;
    scene->confirmed++;
    scene->confirmed_code = code;
}

static bool is_confirmed(struct redis_scene *scene)
{
    return scene->confirmed > 0;
}

static bool has_message(struct redis_scene *scene)
{
    return scene->messages > 0;
}

static bool is_lost(struct redis_scene *scene)
{
    return scene->lost == 1;
}

static bool is_restored(struct redis_scene *scene)
{
    return scene->lost == 2 && redis_ready(scene->redis);
}

static struct redis_subscriber *subscriber_of(struct redis_scene *scene, int64_t timeout_ms,
                                              size_t channels_max)
{
    return redis_subscriber_open(scene->loop,
                                 &(struct redis_options){ .config = &scene->config,
                                                          .timeout_ms = timeout_ms,
                                                          .pending_max = channels_max,
                                                          .arg = scene },
                                 on_message, on_lost);
}

static struct redis_subscriber *waited_for;

static bool is_subscriber_ready(struct redis_scene *scene)
{
    (void)scene;
    return redis_subscriber_ready(waited_for);
}

static void subscribe(struct redis_scene *scene, struct redis_subscriber *subscriber,
                      const char *channel)
{
    scene->confirmed = 0;
    redis_subscribe(subscriber, span_of(channel), on_confirmed, scene);
    assert_int_equal(scene->confirmed, 0);
    redis_scene_wait(scene, is_confirmed);
}

static void test_subscription(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    struct redis_subscriber *subscriber = subscriber_of(scene, REDIS_SCENE_TIMEOUT_MS, 2);
    subscribe(scene, subscriber, "news");
    assert_int_equal(scene->confirmed_code, ERR_REDIS_GONE); /* not connected yet */
    waited_for = subscriber;
    redis_scene_wait(scene, is_subscriber_ready);
    subscribe(scene, subscriber, "news");
    assert_int_equal(scene->confirmed_code, ERR_OK);
    redis_scene_ask(scene, "PUBLISH", "news", "hello");
    assert_int_equal(scene->integer, 1);
    redis_scene_wait(scene, has_message);
    assert_string_equal(scene->message, "news=hello");
    subscribe(scene, subscriber, "more");
    subscribe(scene, subscriber, "too many");
    assert_int_equal(scene->confirmed_code, ERR_LIMIT);
    redis_unsubscribe(subscriber, span_of("news"));
    redis_unsubscribe(subscriber, span_of("never was"));
    subscribe(scene, subscriber, "news"); /* confirmed after the one before is gone */
    redis_unsubscribe(subscriber, span_of("news"));
    redis_unsubscribe(subscriber, span_of("more"));
    scene->confirmed = 0;
    redis_subscribe(subscriber, span_of("last"), on_confirmed, scene);
    redis_subscriber_close(subscriber);
    assert_int_equal(scene->confirmed, 1);
    assert_int_equal(scene->confirmed_code, ERR_REDIS_GONE);
}

static void test_subscriptions_are_made_again(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    struct redis_subscriber *subscriber = subscriber_of(scene, REDIS_SCENE_TIMEOUT_MS, 2);
    waited_for = subscriber;
    redis_scene_wait(scene, is_subscriber_ready);
    subscribe(scene, subscriber, "a");
    subscribe(scene, subscriber, "b");
    redis_scene_kill(scene);
    redis_scene_wait(scene, is_lost);
    redis_unsubscribe(subscriber, span_of("b"));
    redis_scene_start(scene);
    redis_scene_wait(scene, is_restored);
    redis_scene_ask(scene, "PUBLISH", "b", "nobody");
    assert_int_equal(scene->integer, 0);
    redis_scene_ask(scene, "PUBLISH", "a", "again");
    assert_int_equal(scene->integer, 1);
    redis_scene_wait(scene, has_message);
    assert_string_equal(scene->message, "a=again");
    redis_subscriber_close(subscriber);
}

static bool all_confirmed(struct redis_scene *scene)
{
    return scene->confirmed == MANY;
}

static void test_many_are_made_again(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    struct redis_subscriber *subscriber = subscriber_of(scene, REDIS_SCENE_TIMEOUT_MS, MANY);
    waited_for = subscriber;
    redis_scene_wait(scene, is_subscriber_ready);
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "c%d", i);
        redis_subscribe(subscriber, span_of(name), on_confirmed, scene);
    }
    redis_scene_wait(scene, all_confirmed);
    redis_scene_kill(scene);
    redis_scene_wait(scene, is_lost);
    redis_scene_start(scene);
    redis_scene_wait(scene, is_restored);
    assert_int_equal(scene->confirmed, MANY); /* not told twice */
    redis_scene_ask(scene, "PUBLISH", "c0", "first");
    assert_int_equal(scene->integer, 1);
    redis_scene_ask(scene, "PUBLISH", name, "last");
    assert_int_equal(scene->integer, 1);
    redis_subscriber_close(subscriber);
}

static void test_silent_subscriber_is_lost(void **state)
{
    struct redis_scene *scene = *state;
    struct redis_subscriber *subscriber = subscriber_of(scene, REDIS_SCENE_SHORT_MS, 2);
    waited_for = subscriber;
    redis_scene_wait(scene, is_subscriber_ready);
    subscribe(scene, subscriber, "a");
    kill(scene->server, SIGSTOP);
    subscribe(scene, subscriber, "b");
    assert_int_equal(scene->confirmed_code, ERR_REDIS_GONE); /* not confirmed in time */
    redis_scene_wait(scene, is_lost);                        /* nor was the PING answered */
    kill(scene->server, SIGCONT);
    redis_scene_wait(scene, is_subscriber_ready);
    redis_subscriber_close(subscriber);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, redis_scene_set_up, redis_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_subscription),
        TEST(test_subscriptions_are_made_again),
        TEST(test_many_are_made_again),
        TEST(test_silent_subscriber_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
