/* Redis, asked one question after the other by somebody who waits for each answer.
 * THREADS: one; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_REDIS_H
#define CONSUMERS_VERIFY_VERIFY_REDIS_H

#include "infra/config.h"
#include "infra/redis.h"
#include "infra/redis_args.h"

struct verify_redis;

/* ERR_REDIS_GONE: nobody answers within ten seconds. */
enum err_code verify_redis_open(const struct config_redis *config, struct verify_redis **ret,
                                struct err *err) MUST_CHECK;
/* Accepts NULL. */
void verify_redis_close(struct verify_redis *redis);
/* The run id of who is connected now. */
const char *verify_redis_run_id(const struct verify_redis *redis);

/* The reply is borrowed and goes when the function returns. */
typedef void (*verify_redis_fn)(void *arg, const struct redis_reply *reply);
/* Sends a command, waits, and gives the reply to `take` (may be NULL) before it returns. Frees
 * `args`. */
enum err_code verify_redis_ask(struct verify_redis *redis, struct redis_args *args,
                               verify_redis_fn take, void *arg, struct err *err) MUST_CHECK;
/* The same for the keys in `args`: of each its bytes (an empty text: it is not there) and when it
 * expires (Unix milliseconds). */
enum err_code verify_redis_look(struct verify_redis *redis, struct redis_args *args,
                                verify_redis_fn take, void *arg, struct err *err) MUST_CHECK;
void verify_redis_pause(struct verify_redis *redis, int64_t ms);

#endif
