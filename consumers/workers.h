/* Who works: the lives of workers that beat now, read from their registry (worker_registry.h). One
 * that was killed is gone when its key has expired, half a session after its last beat; one that
 * ended cleanly is gone at once.
 * THREADS: the Redis client's loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_WORKERS_H
#define CONSUMERS_WORKERS_H

#include "infra/redis.h"

#define WORKERS_MAX 1000 /* lives that are looked at, the last heard of first */

/* Borrowed for the callback. */
struct workers_life {
    struct span incarnation;
    struct span told; /* what it says of itself: a JSON object (worker_registry.c) */
};
struct workers_answer {
    enum err_code code; /* ERR_OK, or ERR_VIEW_UNAVAILABLE: then nothing else is set */
    int64_t now_ms;     /* Redis's clock */
    size_t count;
    const struct workers_life *lives;
};
typedef void (*workers_fn)(void *arg, const struct workers_answer *answer);
/* Called once, later. */
void workers_read(struct redis *redis, const char *namespace_, workers_fn fn, void *arg);

#endif
