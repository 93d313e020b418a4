/* The commands that wait for their replies: Redis answers in order, so this is a queue; each has a
 * deadline. A command that passed its deadline is told so at once, but keeps its place until its
 * reply has come and is dropped.
 * THREADS: the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_PENDING_H
#define INFRA_REDIS_PENDING_H

#include "infra/redis.h"

struct redis_wait {
    redis_fn fn; /* NULL: nobody wants the reply, or the deadline has passed */
    void *arg;
    int64_t asked_ms;
    int64_t deadline_ms;
};

/* A ring; positions count up for ever and are reduced by the capacity, a power of two. Zero is
 * empty. */
struct redis_pending {
    struct redis_wait *items;
    size_t capacity;
    size_t first, next; /* waiting: [first, next) */
    size_t watched;     /* positions before it have passed their deadline */
    size_t
        early_count; /* those with a deadline before their predecessor's (a script asked again) */
};

void redis_pending_clear(struct redis_pending *pending);
size_t redis_pending_count(const struct redis_pending *pending);
void redis_pending_push(struct redis_pending *pending, struct redis_wait wait);
/* The oldest, which is taken out. The queue must not be empty. */
struct redis_wait redis_pending_pop(struct redis_pending *pending);
/* Tells everything whose deadline has passed; a callback may push more or clear the queue. */
void redis_pending_expire(struct redis_pending *pending, int64_t now_ms);
/* The next deadline, INT64_MAX when nothing waits for one. */
int64_t redis_pending_deadline(const struct redis_pending *pending);
/* When the oldest was asked, INT64_MAX when nothing waits. */
int64_t redis_pending_oldest(const struct redis_pending *pending);

#endif
