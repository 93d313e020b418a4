/* Looking at a job's claim without touching it: who works on it, for `why`.
 * THREADS: the Redis client's loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_GATE_LOOK_H
#define CONSUMERS_GATE_LOOK_H

#include "infra/redis.h"
#include "schemas/id.h"

/* Borrowed for the callback. */
struct gate_look_answer {
    enum err_code code;      /* ERR_OK, or ERR_VIEW_UNAVAILABLE: then nothing else is set */
    bool claimed;            /* a worker has taken a turn of it and not handed it on */
    bool marked;             /* somebody wants it cancelled */
    struct span incarnation; /* who claimed it */
    struct span told; /* what that life says of itself, a JSON object; empty: it does not beat */
};
typedef void (*gate_look_fn)(void *arg, const struct gate_look_answer *answer);
/* Called once, later. */
void gate_look(struct redis *redis, const char *namespace_, const struct id *id, gate_look_fn fn,
               void *arg);

#endif
