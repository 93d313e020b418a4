/* What gate.c (questions) and gate_claim.c (what becomes of a claim) share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_GATE_INTERNAL_H
#define CONSUMERS_GATE_INTERNAL_H

#include "consumers/gate.h"
#include "consumers/gate_lua.h"
#include "infra/redis_args.h"

#define GATE_KEY_BYTES_MAX 400

struct gate {
    struct redis *redis;
    const char *namespace_;
    const char *incarnation;
    size_t open;
};

/* "<partition>:<offset>" */
void gate_add_place(struct redis_args *args, const struct gate_question *question);

#endif
