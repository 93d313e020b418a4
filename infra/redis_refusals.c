/* See redis_refusals.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_refusals.h"

#include "schemas/mem.h"

#include <stdlib.h>

void redis_refusals_clear(struct redis_refusals *refusals)
{
    free(refusals->items);
    *refusals = (struct redis_refusals){ 0 };
}

void redis_refusals_add(struct redis_refusals *refusals, struct redis_refusal refusal)
{
    if (refusals->count == refusals->capacity) {
        refusals->capacity = refusals->capacity * 2 + 16;
        refusals->items = mem_resize(refusals->items, refusals->capacity, sizeof refusal);
    }
    refusals->items[refusals->count++] = refusal;
}

void redis_refusals_tell(struct redis_refusals *refusals)
{
    size_t end = refusals->count;
    while (refusals->first < end && refusals->first < refusals->count) {
        struct redis_refusal refusal = refusals->items[refusals->first++];
        refusal.fn(refusal.arg, refusal.code, NULL);
    }
    size_t left = refusals->count - refusals->first;
    if (left > 0 && refusals->first > 0)
        memmove(refusals->items, refusals->items + refusals->first, left * sizeof *refusals->items);
    refusals->first = 0;
    refusals->count = left;
}
