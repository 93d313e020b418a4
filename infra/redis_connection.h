/* One connection to the Redis master: finds it, identifies it, keeps it, and finds it again.
 * hiredis supplies the socket, the buffers and the protocol (its non-blocking context). Not its
 * asynchronous one: that frees itself, knows no deadlines, aborts on a reply out of place, and
 * mixes up replies while subscribed.
 *
 * Steps: RESTING -> (RESOLVING ->) CONNECTING -> IDENTIFYING -> UP -> LEAVING -> RESTING. A try
 * that fails goes on with the next address at once; after the last address it rests, 50 ms to 1 s.
 * Only `leave` ends a connection and it runs as a task of its own, so a connection never disappears
 * under a callback.
 * THREADS: the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_CONNECTION_H
#define INFRA_REDIS_CONNECTION_H

#include "infra/redis.h"

struct redis_connection;

/* A whole command in Redis' protocol. */
struct redis_bytes {
    char *data;
    size_t size;
};

struct redis_connection_options {
    struct loop *loop;
    const struct config_redis *config;
    int64_t timeout_ms;
    void (*on_state)(void *arg, bool ready); /* may be NULL */
    /* Takes every reply while the connection is up (subscriptions); NULL: replies go to the command
     * that asked. */
    void (*on_reply)(void *arg, const struct redis_reply *reply);
    void (*on_freed)(void *arg); /* after close, when nothing of it is on the stack; may be NULL */
    void *arg;
};
struct redis_connection *redis_connection_open(const struct redis_connection_options *options);
/* What is pending is told ERR_REDIS_GONE before it returns; allowed in a callback. Accepts NULL. */
void redis_connection_close(struct redis_connection *connection);

/* Between the two the connection's memory and its owner's (on_freed) stay, even when it is closed.
 */
void redis_connection_hold(struct redis_connection *connection);
void redis_connection_release(struct redis_connection *connection);

bool redis_connection_ready(const struct redis_connection *connection);
const char *redis_connection_run_id(const struct redis_connection *connection);
const char *redis_connection_error(const struct redis_connection *connection);
/* Commands that wait for a reply. */
size_t redis_connection_pending(const struct redis_connection *connection);
int64_t
redis_connection_deadline(const struct redis_connection *connection); /* of a command asked now */

/* Both need redis_connection_ready. `bytes` is a whole command in Redis' protocol. With
 * options.on_reply no command is waited for: fn must be NULL. */
void redis_connection_send(struct redis_connection *connection, size_t argc,
                           const struct span *argv, redis_fn fn, void *arg);
void redis_connection_send_bytes(struct redis_connection *connection, struct redis_bytes bytes,
                                 int64_t deadline_ms, redis_fn fn, void *arg);
/* argv in Redis' protocol; free with redis_connection_free_bytes. */
struct redis_bytes redis_connection_format(size_t argc, const struct span *argv);
void redis_connection_free_bytes(struct redis_bytes bytes);
/* Calls fn(arg, code, NULL) at the end of this turn. */
void redis_connection_refuse(struct redis_connection *connection, redis_fn fn, void *arg,
                             enum err_code code);
/* Gives this connection up, at the end of this turn, and looks for a master again. */
void redis_connection_drop(struct redis_connection *connection, const char *reason);

#endif
