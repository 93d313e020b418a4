/* The Redis client against a real redis-server: order, scripts, deadlines, losses, subscriptions.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/redis.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 15000, TIMEOUT_MS = 2000, SHORT_MS = 150, PENDING_MAX = 20000, MANY = 10000 };
#define PASSWORD "correct-horse"

struct scene {
    char folder[64];
    char address[32], socket_address[128];
    int port;
    pid_t server;
    struct loop *loop;
    struct loop_timer *deadline, *tick;
    bool (*condition)(struct scene *scene);
    char username[1], password[32];
    struct config_redis config;
    char *addresses[3];
    struct redis *redis;
    int ups, downs;
    /* what callbacks wrote down */
    size_t called, good, limited;
    enum err_code code;
    enum redis_type type;
    int64_t integer;
    char text[128];
    char message[128];
    int messages, lost, confirmed;
    enum err_code confirmed_code;
};

/* --- waiting --- */

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("the condition did not come about in time");
}

static void on_tick(void *arg)
{
    struct scene *scene = arg;
    if (scene->condition(scene))
        loop_stop(scene->loop);
}

static void wait_until(struct scene *scene, bool (*condition)(struct scene *scene))
{
    scene->condition = condition;
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_timer_start(scene->tick, 0, 2);
    loop_run(scene->loop);
    loop_timer_stop(scene->tick);
    loop_timer_stop(scene->deadline);
}

static bool is_ready(struct scene *scene)
{
    return redis_ready(scene->redis);
}

static bool is_down(struct scene *scene)
{
    return scene->downs > 0;
}

static bool is_called(struct scene *scene)
{
    return scene->called > 0;
}

/* --- the server --- */

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void start_server(struct scene *scene)
{
    char port[16];
    char path[96];
    snprintf(port, sizeof port, "%d", scene->port);
    snprintf(path, sizeof path, "%s/redis.sock", scene->folder);
    pid_t parent = getpid();
    scene->server = fork();
    assert_true(scene->server >= 0);
    if (scene->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1",
               "--unixsocket", path, "--requirepass", PASSWORD, "--dir", scene->folder, "--save",
               "", "--appendonly", "no", "--logfile", "redis.log", (char *)NULL);
        _exit(127);
    }
}

static void kill_server(struct scene *scene)
{
    kill(scene->server, SIGKILL);
    waitpid(scene->server, NULL, 0);
    scene->server = 0;
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    struct scene *scene = calloc(1, sizeof *scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/errand-redis-test-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    scene->port = free_port();
    snprintf(scene->address, sizeof scene->address, "127.0.0.1:%d", scene->port);
    snprintf(scene->socket_address, sizeof scene->socket_address, "unix:%s/redis.sock",
             scene->folder);
    snprintf(scene->password, sizeof scene->password, PASSWORD);
    scene->addresses[0] = scene->address;
    scene->config = (struct config_redis){
        .addresses = { .items = scene->addresses, .count = 1 },
        .username = scene->username,
        .password = scene->password,
    };
    scene->loop = loop_new(16);
    scene->deadline = loop_timer_new(scene->loop, on_late, NULL);
    scene->tick = loop_timer_new(scene->loop, on_tick, scene);
    start_server(scene);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    redis_close(scene->redis);
    loop_free(scene->loop);
    if (scene->server > 0)
        kill_server(scene);
    const char *const files[] = { "redis.log", "redis.sock", "" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", scene->folder, files[i]);
        if (files[i][0])
            unlink(path);
        else
            rmdir(scene->folder);
    }
    free(scene);
    return 0;
}

static void on_state(void *arg, bool ready)
{
    struct scene *scene = arg;
    assert_int_equal(ready, redis_ready(scene->redis));
    if (ready)
        scene->ups++;
    else
        scene->downs++;
}

static struct redis *open_client(struct scene *scene, int64_t timeout_ms, size_t pending_max)
{
    scene->redis = redis_open(scene->loop, &(struct redis_options){ .config = &scene->config,
                                                                    .timeout_ms = timeout_ms,
                                                                    .pending_max = pending_max,
                                                                    .on_state = on_state,
                                                                    .arg = scene });
    return scene->redis;
}

static void on_result(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
    scene->called++;
    scene->code = code;
    scene->good += code == ERR_OK;
    scene->limited += code == ERR_LIMIT;
    scene->text[0] = '\0';
    if (!reply)
        return;
    scene->type = redis_reply_type(reply);
    scene->integer = redis_reply_integer(reply);
    snprintf(scene->text, sizeof scene->text, "%.*s", SPAN_ARG(redis_reply_text(reply)));
}

/* Asks and waits. */
static void ask(struct scene *scene, const char *a, const char *b, const char *c)
{
    scene->called = 0;
    redis_command_text(scene->redis, on_result, scene, c ? 3 : 2, a, b, c);
    assert_int_equal(scene->called, 0); /* never from inside */
    wait_until(scene, is_called);
}

static void connect_client(struct scene *scene, int64_t timeout_ms)
{
    open_client(scene, timeout_ms, PENDING_MAX);
    wait_until(scene, is_ready);
}

/* --- commands --- */

static bool all_called(struct scene *scene)
{
    return scene->called == MANY;
}

static void on_counted(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
    scene->called++;
    if (code == ERR_OK && redis_reply_integer(reply) == (int64_t)scene->called)
        scene->good++;
}

static void test_pipelined_in_order(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    assert_int_equal(strlen(redis_run_id(scene->redis)), 40);
    assert_string_equal(redis_last_error(scene->redis), "");
    for (int i = 0; i < MANY; i++)
        redis_command_text(scene->redis, on_counted, scene, 2, "INCR", "n");
    wait_until(scene, all_called);
    assert_int_equal(scene->good, MANY);
}

static void test_replies(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    ask(scene, "SET", "a", "-42");
    assert_int_equal(scene->type, REDIS_STATUS);
    assert_string_equal(scene->text, "OK");
    ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->type, REDIS_STRING);
    assert_int_equal(scene->integer, -42);
    ask(scene, "GET", "missing", NULL);
    assert_int_equal(scene->type, REDIS_NIL);
    assert_int_equal(scene->code, ERR_OK);
    ask(scene, "LPUSH", "a", "x");
    assert_int_equal(scene->code, ERR_REDIS);
    assert_int_equal(scene->type, REDIS_ERROR);
    assert_non_null(strstr(scene->text, "WRONGTYPE"));
    assert_true(redis_ready(scene->redis));
}

static void on_binary(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
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
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    const struct span set[] = {
        SPAN_LIT("MSET"), SPAN_LIT("k1"), { "\0\r\n$3\0", 7 }, SPAN_LIT("k2"), { 0 }
    };
    const struct span get[] = { SPAN_LIT("MGET"), SPAN_LIT("k1"), SPAN_LIT("k2") };
    redis_command(scene->redis, NULL, NULL, 5, set);
    redis_command(scene->redis, on_binary, scene, 3, get);
    wait_until(scene, is_called);
}

static bool three_called(struct scene *scene)
{
    return scene->called == 3;
}

static void test_limit_of_pending(void **state)
{
    struct scene *scene = *state;
    open_client(scene, TIMEOUT_MS, 2);
    wait_until(scene, is_ready);
    for (int i = 0; i < 3; i++)
        redis_command_text(scene->redis, on_result, scene, 1, "PING");
    assert_int_equal(scene->called, 0);
    wait_until(scene, three_called);
    assert_int_equal(scene->limited, 1);
    assert_int_equal(scene->good, 2);
    ask(scene, "SET", "a", "1");
    assert_int_equal(scene->code, ERR_OK);
}

/* --- scripts --- */

static const struct redis_script add_script = {
    .source = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + #ARGV",
};

static void run_script(struct scene *scene)
{
    const struct span argv[] = { SPAN_LIT("sum"), SPAN_LIT("5") };
    scene->called = 0;
    redis_script_run(scene->redis, &add_script, on_result, scene, 1, 2, argv);
    wait_until(scene, is_called);
    assert_int_equal(scene->code, ERR_OK);
}

static void test_script_is_loaded_again(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    run_script(scene);
    assert_int_equal(scene->integer, 6);
    run_script(scene);
    assert_int_equal(scene->integer, 11);
    ask(scene, "SCRIPT", "FLUSH", NULL);
    run_script(scene);
    assert_int_equal(scene->integer, 16);
    run_script(scene);
    assert_int_equal(scene->integer, 21);
    /* every call but the first by its digest: EVALSHA was called for three, and once more after
     * NOSCRIPT */
    ask(scene, "EVAL",
        "return tonumber(redis.call('INFO', 'commandstats')"
        ":match('cmdstat_evalsha:calls=(%d+)'))",
        "0");
    assert_int_equal(scene->integer, 4);
}

/* --- what goes wrong --- */

static bool has_refused(struct scene *scene)
{
    return strstr(redis_last_error(scene->redis), "redis.password") != NULL;
}

static void test_wrong_password(void **state)
{
    struct scene *scene = *state;
    snprintf(scene->password, sizeof scene->password, "tr0ub4dor");
    open_client(scene, TIMEOUT_MS, PENDING_MAX);
    wait_until(scene, has_refused);
    assert_null(strstr(redis_last_error(scene->redis), "tr0ub4dor"));
    assert_non_null(strstr(redis_last_error(scene->redis), scene->address));
    assert_int_equal(scene->ups, 0);
    ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
}

static void test_server_restarted(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    run_script(scene);
    char run_id[41];
    snprintf(run_id, sizeof run_id, "%s", redis_run_id(scene->redis));
    kill(scene->server, SIGSTOP);
    scene->called = 0;
    redis_command_text(scene->redis, on_result, scene, 1, "PING");
    kill_server(scene);
    wait_until(scene, is_down);
    assert_int_equal(scene->called, 1);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    assert_string_equal(redis_run_id(scene->redis), "");
    assert_true(redis_last_error(scene->redis)[0] != '\0');
    start_server(scene);
    wait_until(scene, is_ready);
    assert_int_equal(scene->ups, 2);
    assert_string_not_equal(redis_run_id(scene->redis), run_id);
    run_script(scene); /* the new server does not know it */
    assert_int_equal(scene->integer, 6);
}

static bool both_called(struct scene *scene)
{
    return scene->called == 2;
}

static void test_timeout_then_late_replies(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, SHORT_MS);
    ask(scene, "SET", "a", "old");
    kill(scene->server, SIGSTOP);
    scene->called = scene->good = 0;
    redis_command_text(scene->redis, on_result, scene, 2, "GET", "a");
    redis_command_text(scene->redis, on_result, scene, 2, "GET", "a");
    wait_until(scene, both_called);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    assert_int_equal(scene->downs, 0); /* one timeout is not yet a loss */
    kill(scene->server, SIGCONT);
    ask(scene, "SET", "a", "new"); /* its reply is told from the two late ones */
    assert_int_equal(scene->code, ERR_OK);
    assert_string_equal(scene->text, "OK");
    assert_int_equal(scene->downs, 0);
}

static void test_silence_is_a_loss(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, SHORT_MS);
    kill(scene->server, SIGSTOP);
    ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    wait_until(scene, is_down);
    assert_non_null(strstr(redis_last_error(scene->redis), "does not answer"));
    ask(scene, "GET", "a", NULL);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
    kill(scene->server, SIGCONT);
    wait_until(scene, is_ready);
}

static void test_next_address(void **state)
{
    struct scene *scene = *state;
    char closed[32];
    snprintf(closed, sizeof closed, "localhost:%d", free_port());
    scene->addresses[0] = closed;
    scene->addresses[1] = scene->socket_address;
    scene->config.addresses.count = 2;
    scene->config.database = 3;
    connect_client(scene, TIMEOUT_MS);
    ask(scene, "SET", "a", "1");
    assert_int_equal(scene->code, ERR_OK);
}

static bool is_replica_noticed(struct scene *scene)
{
    return !redis_ready(scene->redis) && strstr(redis_last_error(scene->redis), "slave");
}

static void test_replica_is_left(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    char port[16];
    snprintf(port, sizeof port, "%d", free_port());
    ask(scene, "REPLICAOF", "127.0.0.1", port);
    assert_int_equal(scene->code, ERR_OK);
    ask(scene, "SET", "a", "1");
    assert_int_equal(scene->code, ERR_REDIS);
    assert_non_null(strstr(scene->text, "READONLY"));
    wait_until(scene, is_replica_noticed);
    assert_int_equal(scene->downs, 1);
}

static void on_closing(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
    on_result(scene, code, reply);
    struct redis *redis = scene->redis;
    scene->redis = NULL;
    redis_close(redis);
}

static void test_close_in_a_callback(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    redis_command_text(scene->redis, on_closing, scene, 1, "PING");
    redis_command_text(scene->redis, on_closing, scene, 1, "PING");
    redis_command_text(scene->redis, on_result, scene, 1, "PING");
    wait_until(scene, is_called);
    assert_int_equal(scene->called, 3);
    assert_int_equal(scene->good, 1);
}

static void test_close_tells_what_is_pending(void **state)
{
    struct scene *scene = *state;
    open_client(scene, TIMEOUT_MS, PENDING_MAX);
    redis_command_text(scene->redis, on_closing, scene, 1, "PING");
    redis_command_text(scene->redis, on_result, scene, 1, "PING");
    wait_until(scene, is_called);
    assert_int_equal(scene->called, 2);
    assert_int_equal(scene->code, ERR_REDIS_GONE);
}

/* --- subscriptions --- */

static void on_message(void *arg, struct span channel, struct span message)
{
    struct scene *scene = arg;
    scene->messages++;
    snprintf(scene->message, sizeof scene->message, "%.*s=%.*s", SPAN_ARG(channel),
             SPAN_ARG(message));
}

static void on_lost(void *arg)
{
    struct scene *scene = arg;
    scene->lost++;
}

static void on_confirmed(void *arg, enum err_code code)
{
    struct scene *scene = arg;
    scene->confirmed++;
    scene->confirmed_code = code;
}

static bool is_confirmed(struct scene *scene)
{
    return scene->confirmed > 0;
}

static bool has_message(struct scene *scene)
{
    return scene->messages > 0;
}

static bool is_lost(struct scene *scene)
{
    return scene->lost == 1;
}

static bool is_restored(struct scene *scene)
{
    return scene->lost == 2 && redis_ready(scene->redis);
}

static struct redis_subscriber *subscriber_of(struct scene *scene, int64_t timeout_ms)
{
    return redis_subscriber_open(
        scene->loop,
        &(struct redis_options){
            .config = &scene->config, .timeout_ms = timeout_ms, .pending_max = 2, .arg = scene },
        on_message, on_lost);
}

static struct redis_subscriber *waited_for;

static bool is_subscriber_ready(struct scene *scene)
{
    (void)scene;
    return redis_subscriber_ready(waited_for);
}

static void subscribe(struct scene *scene, struct redis_subscriber *subscriber, const char *channel)
{
    scene->confirmed = 0;
    redis_subscribe(subscriber, span_of(channel), on_confirmed, scene);
    assert_int_equal(scene->confirmed, 0);
    wait_until(scene, is_confirmed);
}

static void test_subscription(void **state)
{
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    struct redis_subscriber *subscriber = subscriber_of(scene, TIMEOUT_MS);
    subscribe(scene, subscriber, "news");
    assert_int_equal(scene->confirmed_code, ERR_REDIS_GONE); /* not connected yet */
    waited_for = subscriber;
    wait_until(scene, is_subscriber_ready);
    subscribe(scene, subscriber, "news");
    assert_int_equal(scene->confirmed_code, ERR_OK);
    ask(scene, "PUBLISH", "news", "hello");
    assert_int_equal(scene->integer, 1);
    wait_until(scene, has_message);
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
    struct scene *scene = *state;
    connect_client(scene, TIMEOUT_MS);
    struct redis_subscriber *subscriber = subscriber_of(scene, TIMEOUT_MS);
    waited_for = subscriber;
    wait_until(scene, is_subscriber_ready);
    subscribe(scene, subscriber, "a");
    subscribe(scene, subscriber, "b");
    kill_server(scene);
    wait_until(scene, is_lost);
    redis_unsubscribe(subscriber, span_of("b"));
    start_server(scene);
    wait_until(scene, is_restored);
    ask(scene, "PUBLISH", "b", "nobody");
    assert_int_equal(scene->integer, 0);
    ask(scene, "PUBLISH", "a", "again");
    assert_int_equal(scene->integer, 1);
    wait_until(scene, has_message);
    assert_string_equal(scene->message, "a=again");
    redis_subscriber_close(subscriber);
}

static void test_silent_subscriber_is_lost(void **state)
{
    struct scene *scene = *state;
    struct redis_subscriber *subscriber = subscriber_of(scene, SHORT_MS);
    waited_for = subscriber;
    wait_until(scene, is_subscriber_ready);
    subscribe(scene, subscriber, "a");
    kill(scene->server, SIGSTOP);
    subscribe(scene, subscriber, "b");
    assert_int_equal(scene->confirmed_code, ERR_REDIS_GONE); /* not confirmed in time */
    wait_until(scene, is_lost);                              /* nor was the PING answered */
    kill(scene->server, SIGCONT);
    wait_until(scene, is_subscriber_ready);
    redis_subscriber_close(subscriber);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        TEST(test_subscription),
        TEST(test_subscriptions_are_made_again),
        TEST(test_silent_subscriber_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
