/* The registry of workers' lives in Redis: each worker keeps a key that expires soon after it has
 * gone silent, and leaves another word in it at a clean end. So the gate can tell whose claim is of
 * a life that ended without a word (gate.h: SUSPECT), and operators can list who works.
 * thread: the worker's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_WORKER_REGISTRY_H
#define CONSUMERS_WORKER_REGISTRY_H

#include "infra/redis.h"

/* The first word of a life that goes on; what it says of itself stands behind a space. */
#define WORKER_ALIVE "alive"

struct worker_registry;

/* What is told of a worker; asked for at each beat. */
struct worker_registry_state {
    size_t in_flight;
    size_t partitions;
};
struct worker_registry_options { /* borrowed */
    struct loop *loop;
    struct redis *redis;
    const char *namespace_, *name, *incarnation;
    const char *const *queues; /* that it serves */
    size_t queue_count;
    int64_t session_timeout_ms;
    struct worker_registry_state (*state)(void *arg);
    void *arg;
};

/* Beats from now on, several times in the key's life. That is half of Kafka's session: when the
 * partitions of a worker that died come to another one, its key is gone. */
struct worker_registry *worker_registry_start(const struct worker_registry_options *options);
/* Beats at once (when Redis has come back). */
void worker_registry_beat(struct worker_registry *registry);
/* A clean end: says so for longer than any command may come again. `done` is called once, later,
 * whether or not Redis took it; no beat comes any more. */
void worker_registry_leave(struct worker_registry *registry, loop_fn done, void *arg);
/* After the Redis client's end. Accepts NULL. */
void worker_registry_free(struct worker_registry *registry);

#endif
