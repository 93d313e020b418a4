/* A master and its replica, both real: the client keeps to the master, whoever that is.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/redis_scene.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEYS "3000"

struct pair {
    struct redis_scene *first, *second; /* the client under test is first's */
    char first_id[41];
};

/* --- speaking to a server past the client, which speaks to masters only --- */

static int connect_to(const struct redis_scene *scene)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                   .sin_port = htons((uint16_t)scene->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends a command in its inline form; it must be answered with OK. */
static void tell(const struct redis_scene *scene, const char *command)
{
    char text[256];
    int size = snprintf(text, sizeof text, "AUTH %s\r\n%s\r\n", scene->password, command);
    int fd = connect_to(scene);
    assert_int_equal(write(fd, text, (size_t)size), size);
    size_t got = 0;
    while (got < strlen("+OK\r\n+OK\r\n")) {
        ssize_t n = read(fd, text + got, sizeof text - 1 - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
    text[got] = '\0';
    if (strcmp(text, "+OK\r\n+OK\r\n") != 0)
        fail_msg("%s: %s", command, text);
    close(fd);
}

static void tell_replica_of(const struct redis_scene *scene, const struct redis_scene *master)
{
    char command[64];
    tell(scene, "CONFIG SET masterauth correct-horse");
    tell(scene, "CONFIG SET repl-diskless-sync-delay 0");
    snprintf(command, sizeof command, "REPLICAOF 127.0.0.1 %d", master->port);
    tell(scene, command);
}

/* --- the pair --- */

static bool is_on_second(struct redis_scene *scene)
{
    const char *first_id = scene->text; /* put there by wait_for_second */
    return redis_ready(scene->redis) && strcmp(redis_run_id(scene->redis), first_id) != 0;
}

static void wait_for_second(struct pair *pair)
{
    snprintf(pair->first->text, sizeof pair->first->text, "%s", pair->first_id);
    redis_scene_wait(pair->first, is_on_second);
}

/* A scene whose server listens. */
static struct redis_scene *start(void)
{
    void *state = NULL;
    redis_scene_set_up(&state);
    struct redis_scene *scene = state;
    redis_scene_connect(scene, REDIS_SCENE_TIMEOUT_MS);
    redis_close(scene->redis);
    scene->redis = NULL;
    scene->ups = scene->downs = 0;
    return scene;
}

static int set_up(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    pair->first = start();
    pair->second = start();
    tell(pair->first, "CONFIG SET repl-diskless-sync-delay 0");
    *state = pair;
    return 0;
}

static void remove_dump(const struct redis_scene *scene)
{
    char path[96];
    snprintf(path, sizeof path, "%s/dump.rdb", scene->folder);
    unlink(path);
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    void *scene = pair->first;
    remove_dump(pair->first);
    remove_dump(pair->second);
    redis_scene_tear_down(&scene);
    scene = pair->second;
    redis_scene_tear_down(&scene);
    free(pair);
    return 0;
}

/* The second becomes the first's replica and has all of it; the client is on the first. */
static void replicate(struct pair *pair, bool replica_first)
{
    struct redis_scene *first = pair->first;
    tell_replica_of(pair->second, first);
    first->addresses[0] = replica_first ? pair->second->address : first->address;
    first->addresses[1] = replica_first ? first->address : pair->second->address;
    first->config.addresses.count = 2;
    redis_scene_connect(first, REDIS_SCENE_TIMEOUT_MS);
    snprintf(pair->first_id, sizeof pair->first_id, "%s", redis_run_id(first->redis));
    redis_scene_ask(first, "SET", "a", "kept");
    assert_int_equal(first->code, ERR_OK);
    do
        redis_scene_ask(first, "WAIT", "1", "1000");
    while (first->integer != 1);
}

static void test_a_replica_is_passed_over(void **state)
{
    struct pair *pair = *state;
    replicate(pair, true); /* SET was taken: it is the master */
    assert_int_equal(pair->first->ups, 1);
}

static void test_a_promoted_replica_takes_over_with_what_was_there(void **state)
{
    struct pair *pair = *state;
    replicate(pair, false);
    redis_scene_kill(pair->first);
    redis_scene_wait(pair->first, redis_scene_is_down);
    assert_string_equal(redis_run_id(pair->first->redis), "");
    tell(pair->second, "REPLICAOF NO ONE");
    wait_for_second(pair);
    redis_scene_ask(pair->first, "GET", "a", NULL);
    assert_string_equal(pair->first->text, "kept");
    redis_scene_ask(pair->first, "SET", "a", "new");
    assert_int_equal(pair->first->code, ERR_OK);
}

static void test_who_only_reads_leaves_a_demoted_master(void **state)
{
    struct pair *pair = *state;
    replicate(pair, false);
    tell(pair->second, "REPLICAOF NO ONE");
    tell_replica_of(pair->first, pair->second);
    wait_for_second(pair);
    assert_int_equal(pair->first->downs, 1);
}

/* --- a demoted master that loads the new one's data --- */

static void on_read(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redis_scene *scene = arg;
    scene->called++;
    /* No answer, or LOADING: fine. But never "there is nothing". */
    if (code == ERR_OK && redis_reply_type(reply) != REDIS_STRING)
        fail_msg("a server that is loading was believed");
}

static bool reads_until_on_second(struct redis_scene *scene)
{
    redis_command_text(scene->redis, on_read, scene, 2, "GET", "a");
    return is_on_second(scene);
}

static void test_a_server_that_loads_is_not_believed(void **state)
{
    struct pair *pair = *state;
    struct redis_scene *first = pair->first;
    replicate(pair, false);
    redis_scene_ask(first, "EVAL", "for i = 1, " KEYS " do redis.call('SET', i, i) end", "0");
    do
        redis_scene_ask(first, "WAIT", "1", "1000");
    while (first->integer != 1);
    tell(pair->second, "REPLICAOF NO ONE");
    tell(first, "CONFIG SET key-load-delay 1000"); /* microseconds: three seconds in all */
    tell(first, "CONFIG SET loading-process-events-interval-bytes 1024");
    tell_replica_of(first, pair->second);
    snprintf(first->text, sizeof first->text, "%s", pair->first_id);
    redis_scene_wait(first, reads_until_on_second);
    assert_true(first->called > 0);
}

/* --- subscriptions --- */

static void on_message(void *arg, struct span channel, struct span message)
{
    (void)arg;
    (void)channel;
    (void)message;
}

static void on_lost(void *arg)
{
    ((struct redis_scene *)arg)->lost++;
}

static void on_subscriber_state(void *arg, bool ready)
{
    struct redis_scene *scene = arg;
    scene->confirmed += ready;
}

static bool is_subscriber_up(struct redis_scene *scene)
{
    return scene->confirmed == 1;
}

static bool is_subscriber_up_again(struct redis_scene *scene)
{
    return scene->confirmed == 2;
}

static void test_subscriptions_follow_the_master(void **state)
{
    struct pair *pair = *state;
    struct redis_scene *first = pair->first;
    replicate(pair, false);
    struct redis_options options = { .config = &first->config,
                                     .timeout_ms = REDIS_SCENE_TIMEOUT_MS,
                                     .pending_max = 10,
                                     .on_state = on_subscriber_state,
                                     .arg = first };
    struct redis_subscriber *subscriber =
        redis_subscriber_open(first->loop, &options, on_message, on_lost);
    redis_scene_wait(first, is_subscriber_up);
    redis_subscriber_follow(subscriber, pair->first_id); /* it is there */
    tell(pair->second, "REPLICAOF NO ONE");
    tell_replica_of(first, pair->second);
    wait_for_second(pair);
    assert_int_equal(first->lost, 0);
    redis_subscriber_follow(subscriber, redis_run_id(first->redis));
    redis_scene_wait(first, is_subscriber_up_again);
    assert_true(first->lost > 0); /* who waits reads again */
    redis_subscriber_close(subscriber);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_replica_is_passed_over),
        TEST(test_a_promoted_replica_takes_over_with_what_was_there),
        TEST(test_who_only_reads_leaves_a_demoted_master),
        TEST(test_a_server_that_loads_is_not_believed),
        TEST(test_subscriptions_follow_the_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
