/* Redis client: asynchronous, pipelined, reconnecting (jittered backoff, 50 ms to 1 s), on one
 * loop. hiredis behind it. A connection is usable after AUTH, SELECT, ROLE and INFO have been
 * answered: `run id` is then known, and constant for the connection's life. Of several addresses
 * the one whose ROLE is master is used; READONLY or LOADING leaves it, and so does a ROLE, asked
 * once a second, that is another. A command's callback is
 * called exactly once: with its reply, or with NULL and a reason (not connected, connection lost,
 * timeout). After a lost connection the outcome of a write is unknown.
 * THREADS: all on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_H
#define INFRA_REDIS_H

#include "infra/config.h"
#include "infra/loop.h"

struct redis;
struct redis_reply;

struct redis_options {
    const struct config_redis *config;
    int64_t timeout_ms; /* for each command, from when it was asked */
    size_t pending_max; /* commands waiting for replies; beyond it a command fails at once with
                           ERR_LIMIT */
    void (*on_state)(void *arg, bool ready); /* connected and identified, or lost; may be NULL */
    void *arg;
};
/* Starts connecting; never fails for an unreachable Redis. */
struct redis *redis_open(struct loop *loop, const struct redis_options *options);
/* Fails what is pending (callbacks are called) and frees. Accepts NULL. */
void redis_close(struct redis *redis);
bool redis_ready(const struct redis *redis);
/* The server's run_id (40 hex), "" while not ready. */
const char *redis_run_id(const struct redis *redis);
/* What is wrong while not ready, for /readyz. */
const char *redis_last_error(const struct redis *redis);

/* `reply` is NULL when code != ERR_OK: ERR_REDIS_GONE or ERR_LIMIT. An error reply of the server
 * has code ERR_REDIS and a reply of type REDIS_ERROR. The reply is borrowed for the callback. */
typedef void (*redis_fn)(void *arg, enum err_code code, const struct redis_reply *reply);
/* argv are bytes (never a format). Copied. `fn` may be NULL. The callback never comes from inside
 * the call itself. */
void redis_command(struct redis *redis, redis_fn fn, void *arg, size_t argc,
                   const struct span *argv);
/* Literals: redis_command_text(r, fn, arg, 3, "SET", "a", "1"). */
void redis_command_text(struct redis *redis, redis_fn fn, void *arg, size_t argc, ...);

/* A Lua script, declared static const: { .source = "..." }. Its address identifies it; the clients
 * of any thread may run it. */
struct redis_script {
    const char *source;
};
/* One EVALSHA; until Redis has told the digest, EVAL. A script that Redis has forgotten is loaded
 * and asked for again within the same deadline (commands asked later may then come before it).
 * argv: the keys, then the arguments. */
void redis_script_run(struct redis *redis, const struct redis_script *script, redis_fn fn,
                      void *arg, size_t key_count, size_t argc, const struct span *argv);

/* --- subscriptions, on a connection of their own --- */
struct redis_subscriber;
typedef void (*redis_message_fn)(void *arg, struct span channel, struct span message);
/* Messages may have been missed: called when the connection is lost, and again once all
 * subscriptions that were confirmed before have been made again. What is waited for must be read
 * again, at the latest then. */
typedef void (*redis_lost_fn)(void *arg);
/* options->pending_max bounds the channels; options->arg goes to all three callbacks. A connection
 * on which nothing comes is tried with PING every second, and given up after three timeouts. */
struct redis_subscriber *redis_subscriber_open(struct loop *loop,
                                               const struct redis_options *options,
                                               redis_message_fn on_message, redis_lost_fn on_lost);
/* Subscriptions not yet confirmed are told ERR_REDIS_GONE. Accepts NULL. */
void redis_subscriber_close(struct redis_subscriber *subscriber);
bool redis_subscriber_ready(const struct redis_subscriber *subscriber);
/* Where `run_id` is another server than the one subscribed to: leaves that one and looks for the
 * master again. While subscribed a connection cannot ask for a ROLE; its owner's other one can. */
void redis_subscriber_follow(struct redis_subscriber *subscriber, const char *run_id);
/* Subscribes. `confirmed` is called once: with ERR_OK when Redis has confirmed (what is published
 * from then on comes), or with ERR_REDIS_GONE (not connected, lost, not confirmed in time) or
 * ERR_LIMIT: then the channel is not subscribed. Never from inside the call, and not after
 * redis_unsubscribe. A channel has one subscription at a time. */
void redis_subscribe(struct redis_subscriber *subscriber, struct span channel,
                     void (*confirmed)(void *arg, enum err_code code), void *arg);
/* A message already on its way may still come. Does nothing for a channel that is not subscribed.
 */
void redis_unsubscribe(struct redis_subscriber *subscriber, struct span channel);

/* --- replies --- */
enum redis_type { REDIS_NIL, REDIS_STRING, REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_ARRAY };
enum redis_type redis_reply_type(const struct redis_reply *reply);
struct span
redis_reply_text(const struct redis_reply *reply); /* string, status, error; else empty */
int64_t
redis_reply_integer(const struct redis_reply *reply); /* integer, or a string that is one; else 0 */
size_t redis_reply_count(const struct redis_reply *reply); /* array; else 0 */
const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t i);

#endif
