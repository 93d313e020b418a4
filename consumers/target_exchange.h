/* The exchange: one small Lua call in which a worker tells the fleet's shared state of a target
 * what it did and needs, and gets what it may do. All of it is one hash, "<namespace>:t:<target>":
 *
 *   b           the breaker (schemas/breaker.h, the same machine)
 *   r           the token bucket of `rate`: tokens, when they were counted
 *   s           until when ceilings do not grow, since the hash was lost with ceilings given
 *   <worker>    until when its word counts, its ceiling, what it wants, whether it wants tokens
 *
 * Ceilings never sum up to more than `concurrency`: what a worker is told to give up is free only
 * when it has said so. When there are more workers that want than calls allowed, they take turns by
 * the second. A worker that says nothing for TARGET_EXCHANGE_LIFE_MS has no ceiling any more.
 * Redis's clock rules. An emptied Redis learns the breaker again from whoever comes first. thread:
 * the Redis client's loop SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_TARGET_EXCHANGE_H
#define CONSUMERS_TARGET_EXCHANGE_H

#include "consumers/target_lease.h"
#include "infra/redis.h"

#define TARGET_EXCHANGE_LIFE_MS 3000

struct target_exchange {
    struct redis *redis;
    const char *namespace_;
    const char *worker; /* this life of it */
    int64_t now_ms;     /* 0: Redis's clock; tests bring their own */
};

/* NULL: there was no answer. Borrowed for the callback. */
typedef void (*target_grant_fn)(void *arg, const struct target_grant *grant);
/* `fn` is called once, later. */
void target_exchange(const struct target_exchange *exchange, const struct config_target *target,
                     const struct target_report *report, target_grant_fn fn, void *arg);

#endif
