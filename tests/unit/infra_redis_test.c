/* The Redis client against a real redis-server: order, scripts, deadlines, losses.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/redis_scene.h"

#include <signal.h>
#include <stdio.h>

enum { MANY = 10000 };

/* --- commands --- */

static bool all_called(struct redis_scene *scene)
{
    return scene->called == MANY;
}

static void on_counted(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redis_scene *scene = arg;
    scene->called++;
    if (code == ERR_OK && redis_reply_integer(reply) == (int64_t)scene->called)
        scene->good++;
}

static void test_pipelined_in_order(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    assert_int_equal(strlen(redis_run_id(scene->redis)), 40);
    assert_string_equal(redis_last_error(scene->redis), "");
    for (int i = 0; i < MANY; i++)
        redis_command_text(scene->redis, on_counted, scene, 2, "INCR", "n");
    redis_scene_wait(scene, all_called);
    assert_int_equal(scene->good, MANY);
}

static void test_replies(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    redis_scene_ask(scene, "SET", "a", "-42");
    assert_int_equal(scene->type, REDIS_STATUS);
    assert_string_equal(scene->text, "OK");
    redis_scene_ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->type, REDIS_STRING);
    assert_int_equal(scene->integer, -42);
    redis_scene_ask(scene, "GET", "missing", NULL);
    assert_int_equal(scene->type, REDIS_NIL);
    assert_int_equal(scene->code, ERR_OK);
    redis_scene_ask(scene, "LPUSH", "a", "x");
    assert_int_equal(scene->code, ERR_REDIS);
    assert_int_equal(scene->type, REDIS_ERROR);
    assert_non_null(strstr(scene->text, "WRONGTYPE"));
    assert_true(redis_ready(scene->redis));
}

static void on_binary(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redis_scene *scene = arg;
    static const char value[] = "\0\r\n$3\0";
    scene->called++;
    assert_int_equal(code, ERR_OK);
    assert_int_equal(redis_reply_count(reply), 2);
    struct span text = redis_reply_text(redis_reply_at(reply, 0));
    assert_true(span_eq(text, (struct span){ .data = value, .size = sizeof value }));
    assert_int_equal(redis_reply_text(redis_reply_at(reply, 1)).size, 0);
}

static void test_values_are_bytes(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    const struct span set[] = {
        SPAN_LIT("MSET"), SPAN_LIT("k1"), { "\0\r\n$3\0", 7 }, SPAN_LIT("k2"), { 0 }
    };
    const struct span get[] = { SPAN_LIT("MGET"), SPAN_LIT("k1"), SPAN_LIT("k2") };
    redis_command(scene->redis, NULL, NULL, 5, set);
    redis_command(scene->redis, on_binary, scene, 3, get);
    redis_scene_wait(scene, redis_scene_is_called);
}

static bool three_called(struct redis_scene *scene)
{
    return scene->called == 3;
}

static void test_limit_of_pending(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_open(scene, REDIS_SCENE_TIMEOUT_MS, 2);
    redis_scene_wait(scene, redis_scene_is_ready);
    for (int i = 0; i < 3; i++)
        redis_command_text(scene->redis, redis_scene_on_result, scene, 1, "PING");
    assert_int_equal(scene->called, 0);
    redis_scene_wait(scene, three_called);
    assert_int_equal(scene->limited, 1);
    assert_int_equal(scene->good, 2);
    redis_scene_ask(scene, "SET", "a", "1");
    assert_int_equal(scene->code, ERR_OK);
}

/* --- scripts --- */

static const struct redis_script add_script = {
    .source = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + #ARGV",
};

static void run_script(struct redis_scene *scene)
{
    const struct span argv[] = { SPAN_LIT("sum"), SPAN_LIT("5") };
    scene->called = 0;
    redis_script_run(scene->redis, &add_script, redis_scene_on_result, scene, 1, 2, argv);
    redis_scene_wait(scene, redis_scene_is_called);
    assert_int_equal(scene->code, ERR_OK);
}

static void test_script_is_loaded_again(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    run_script(scene);
    assert_int_equal(scene->integer, 6);
    run_script(scene);
    assert_int_equal(scene->integer, 11);
    redis_scene_ask(scene, "SCRIPT", "FLUSH", NULL);
    run_script(scene);
    assert_int_equal(scene->integer, 16);
    run_script(scene);
    assert_int_equal(scene->integer, 21);
    /* every call but the first by its digest: EVALSHA was called for three, and once more after
     * NOSCRIPT */
    redis_scene_ask(scene, "EVAL",
                    "return tonumber(redis.call('INFO', 'commandstats')"
                    ":match('cmdstat_evalsha:calls=(%d+)'))",
                    "0");
    assert_int_equal(scene->integer, 4);
}

/* --- what goes wrong --- */

static bool has_refused(struct redis_scene *scene)
{
    return strstr(redis_last_error(scene->redis), "redis.password") != NULL;
}

static void test_wrong_password(void **state)
{
    struct redis_scene *scene = *state;
    snprintf(scene->password, sizeof scene->password, "tr0ub4dor");
    redis_scene_open(scene, REDIS_SCENE_TIMEOUT_MS, REDIS_SCENE_PENDING_MAX);
    redis_scene_wait(scene, has_refused);
    assert_null(strstr(redis_last_error(scene->redis), "tr0ub4dor"));
    assert_non_null(strstr(redis_last_error(scene->redis), scene->address));
    assert_int_equal(scene->ups, 0);
    redis_scene_ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
}

static void test_server_restarted(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    run_script(scene);
    char run_id[41];
    snprintf(run_id, sizeof run_id, "%s", redis_run_id(scene->redis));
    kill(scene->server, SIGSTOP);
    scene->called = 0;
    redis_command_text(scene->redis, redis_scene_on_result, scene, 1, "PING");
    redis_scene_kill(scene);
    redis_scene_wait(scene, redis_scene_is_down);
    assert_int_equal(scene->called, 1);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    assert_string_equal(redis_run_id(scene->redis), "");
    assert_true(redis_last_error(scene->redis)[0] != '\0');
    redis_scene_start(scene);
    redis_scene_wait(scene, redis_scene_is_ready);
    assert_int_equal(scene->ups, 2);
    assert_string_not_equal(redis_run_id(scene->redis), run_id);
    run_script(scene); /* the new server does not know it */
    assert_int_equal(scene->integer, 6);
}

static bool both_called(struct redis_scene *scene)
{
    return scene->called == 2;
}

static void test_timeout_then_late_replies(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_SHORT_MS);
    redis_scene_ask(scene, "SET", "a", "old");
    kill(scene->server, SIGSTOP);
    scene->called = scene->good = 0;
    redis_command_text(scene->redis, redis_scene_on_result, scene, 2, "GET", "a");
    redis_command_text(scene->redis, redis_scene_on_result, scene, 2, "GET", "a");
    redis_scene_wait(scene, both_called);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    assert_int_equal(scene->downs, 0); /* one timeout is not yet a loss */
    kill(scene->server, SIGCONT);
    redis_scene_ask(scene, "SET", "a", "new"); /* its reply is told from the two late ones */
    assert_int_equal(scene->code, ERR_OK);
    assert_string_equal(scene->text, "OK");
    assert_int_equal(scene->downs, 0);
}

static void test_silence_is_a_loss(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_SHORT_MS);
    kill(scene->server, SIGSTOP);
    redis_scene_ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    redis_scene_wait(scene, redis_scene_is_down);
    assert_non_null(strstr(redis_last_error(scene->redis), "does not answer"));
    redis_scene_ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    kill(scene->server, SIGCONT);
    redis_scene_wait(scene, redis_scene_is_ready);
}

static void test_next_address(void **state)
{
    struct redis_scene *scene = *state;
    char closed[32];
    snprintf(closed, sizeof closed, "localhost:%d", redis_scene_free_port());
    scene->addresses[0] = closed;
    scene->addresses[1] = scene->socket_address;
    scene->config.addresses.count = 2;
    scene->config.database = 3;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    redis_scene_ask(scene, "SET", "a", "1");
    assert_int_equal(scene->code, ERR_OK);
}

static bool is_replica_noticed(struct redis_scene *scene)
{
    return !redis_ready(scene->redis) && strstr(redis_last_error(scene->redis), "slave");
}

static void test_replica_is_left(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    char port[16];
    snprintf(port, sizeof port, "%d", redis_scene_free_port());
    redis_scene_ask(scene, "REPLICAOF", "127.0.0.1", port);
    assert_int_equal(scene->code, ERR_OK);
    redis_scene_ask(scene, "SET", "a", "1");
    assert_int_equal(scene->code, ERR_REDIS);
    assert_non_null(strstr(scene->text, "READONLY"));
    redis_scene_wait(scene, is_replica_noticed);
    assert_int_equal(scene->downs, 1);
}

static void on_closing(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redis_scene *scene = arg;
    redis_scene_on_result(scene, code, reply);
    struct redis *redis = scene->redis;
    scene->redis = NULL;
    redis_close(redis);
}

static void test_close_in_a_callback(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    redis_command_text(scene->redis, on_closing, scene, 1, "PING");
    redis_command_text(scene->redis, on_closing, scene, 1, "PING");
    redis_command_text(scene->redis, redis_scene_on_result, scene, 1, "PING");
    redis_scene_wait(scene, redis_scene_is_called);
    assert_int_equal(scene->called, 3);
    assert_int_equal(scene->good, 1);
}

static void test_close_tells_what_is_pending(void **state)
{
    struct redis_scene *scene = *state;
    redis_scene_open(scene, REDIS_SCENE_TIMEOUT_MS, REDIS_SCENE_PENDING_MAX);
    redis_command_text(scene->redis, on_closing, scene, 1, "PING");
    redis_command_text(scene->redis, redis_scene_on_result, scene, 1, "PING");
    redis_scene_wait(scene, redis_scene_is_called);
    assert_int_equal(scene->called, 2);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, redis_scene_set_up, redis_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pipelined_in_order),
        TEST(test_replies),
        TEST(test_values_are_bytes),
        TEST(test_limit_of_pending),
        TEST(test_script_is_loaded_again),
        TEST(test_wrong_password),
        TEST(test_server_restarted),
        TEST(test_timeout_then_late_replies),
        TEST(test_silence_is_a_loss),
        TEST(test_next_address),
        TEST(test_replica_is_left),
        TEST(test_close_in_a_callback),
        TEST(test_close_tells_what_is_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
