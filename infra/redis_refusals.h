/* Callbacks of commands that cannot be sent, told at the end of the turn: never from inside the
 * call.
 * THREADS: the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_REFUSALS_H
#define INFRA_REDIS_REFUSALS_H

#include "infra/redis.h"

struct redis_refusal {
    redis_fn fn;
    void *arg;
    enum err_code code;
};

/* Zero is empty. */
struct redis_refusals {
    struct redis_refusal *items;
    size_t first, count, capacity;
};

void redis_refusals_clear(struct redis_refusals *refusals);
void redis_refusals_add(struct redis_refusals *refusals, struct redis_refusal refusal);
/* Tells those there are now; what a callback adds is left for the next time. A callback may call
 * this itself. */
void redis_refusals_tell(struct redis_refusals *refusals);

#endif
