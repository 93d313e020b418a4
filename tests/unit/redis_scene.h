/* What the tests of the Redis client share: a loop, a redis-server with a password on a free port
 * and on a socket, a client, and what its callbacks wrote down.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_REDIS_SCENE_H
#define TESTS_UNIT_REDIS_SCENE_H

#include "infra/redis.h"

#include <sys/types.h>

enum {
    REDIS_SCENE_TIMEOUT_MS = 2000,
    REDIS_SCENE_SHORT_MS = 150,
    REDIS_SCENE_PENDING_MAX = 20000,
};

struct redis_scene {
    char folder[64];
    char address[32], socket_address[128];
    int port;
    pid_t server;
    struct loop *loop;
    struct loop_timer *deadline, *tick;
    bool (*condition)(struct redis_scene *scene);
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

/* *state is a struct redis_scene, its server started, no client yet. */
int redis_scene_set_up(void **state);
int redis_scene_tear_down(void **state);
void redis_scene_start(struct redis_scene *scene);
void redis_scene_kill(struct redis_scene *scene);
int redis_scene_free_port(void);

/* Runs the loop until the condition holds; fails the test when it takes too long. */
void redis_scene_wait(struct redis_scene *scene, bool (*condition)(struct redis_scene *scene));
bool redis_scene_is_ready(struct redis_scene *scene);
bool redis_scene_is_down(struct redis_scene *scene);
bool redis_scene_is_called(struct redis_scene *scene);

struct redis *redis_scene_open(struct redis_scene *scene, int64_t timeout_ms, size_t pending_max);
/* Opens the client and waits until it is ready. */
void redis_scene_connect(struct redis_scene *scene, int64_t timeout_ms);
/* A redis_fn that writes down what comes. */
void redis_scene_on_result(void *arg, enum err_code code, const struct redis_reply *reply);
/* Sends a command of two or three words and waits for its result. */
void redis_scene_ask(struct redis_scene *scene, const char *a, const char *b, const char *c);

#endif
