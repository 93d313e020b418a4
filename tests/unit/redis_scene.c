/* See redis_scene.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/redis_scene.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 15000 };
#define PASSWORD "correct-horse"

/* --- waiting --- */

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("the condition did not come about in time");
}

static void on_tick(void *arg)
{
    struct redis_scene *scene = arg;
    if (scene->condition(scene))
        loop_stop(scene->loop);
}

void redis_scene_wait(struct redis_scene *scene, bool (*condition)(struct redis_scene *scene))
{
    scene->condition = condition;
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_timer_start(scene->tick, 0, 2);
    loop_run(scene->loop);
    loop_timer_stop(scene->tick);
    loop_timer_stop(scene->deadline);
}

bool redis_scene_is_ready(struct redis_scene *scene)
{
    return redis_ready(scene->redis);
}

bool redis_scene_is_down(struct redis_scene *scene)
{
    return scene->downs > 0;
}

bool redis_scene_is_called(struct redis_scene *scene)
{
    return scene->called > 0;
}

/* --- the server --- */

int redis_scene_free_port(void)
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

void redis_scene_start(struct redis_scene *scene)
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

void redis_scene_kill(struct redis_scene *scene)
{
    kill(scene->server, SIGKILL);
    waitpid(scene->server, NULL, 0);
    scene->server = 0;
}

int redis_scene_set_up(void **state)
{
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    struct redis_scene *scene = calloc(1, sizeof *scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/errand-redis-test-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    scene->port = redis_scene_free_port();
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
    redis_scene_start(scene);
    *state = scene;
    return 0;
}

int redis_scene_tear_down(void **state)
{
    struct redis_scene *scene = *state;
    redis_close(scene->redis);
    loop_free(scene->loop);
    if (scene->server > 0)
        redis_scene_kill(scene);
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
    struct redis_scene *scene = arg;
    assert_int_equal(ready, redis_ready(scene->redis));
    if (ready)
        scene->ups++;
    else
        scene->downs++;
}

struct redis *redis_scene_open(struct redis_scene *scene, int64_t timeout_ms, size_t pending_max)
{
    scene->redis = redis_open(scene->loop, &(struct redis_options){ .config = &scene->config,
                                                                    .timeout_ms = timeout_ms,
                                                                    .pending_max = pending_max,
                                                                    .on_state = on_state,
                                                                    .arg = scene });
    return scene->redis;
}

void redis_scene_on_result(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redis_scene *scene = arg;
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
void redis_scene_ask(struct redis_scene *scene, const char *a, const char *b, const char *c)
{
    scene->called = 0;
    redis_command_text(scene->redis, redis_scene_on_result, scene, c ? 3 : 2, a, b, c);
    assert_int_equal(scene->called, 0); /* never from inside */
    redis_scene_wait(scene, redis_scene_is_called);
}

void redis_scene_connect(struct redis_scene *scene, int64_t timeout_ms)
{
    redis_scene_open(scene, timeout_ms, REDIS_SCENE_PENDING_MAX);
    redis_scene_wait(scene, redis_scene_is_ready);
}
