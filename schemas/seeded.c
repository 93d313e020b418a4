/* See seeded.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/seeded.h"

#include <assert.h>

#define SPLITMIX_STEP UINT64_C(0x9e3779b97f4a7c15)
#define FNV_PRIME     UINT64_C(0x100000001b3)

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void seeded_init(struct seeded *seeded, uint64_t seed)
{
    seeded->state = scramble(seed + SPLITMIX_STEP);
}

void seeded_mix(struct seeded *seeded, struct span text)
{
    const unsigned char *bytes = text.data;
    uint64_t hash = seeded->state ^ text.size;
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ bytes[i]) * FNV_PRIME;
    seeded->state = scramble(hash);
}

uint64_t seeded_next(struct seeded *seeded)
{
    seeded->state += SPLITMIX_STEP;
    return scramble(seeded->state);
}

uint32_t seeded_below(struct seeded *seeded, uint32_t count)
{
    assert(count > 0);
    /* The high half of a product picks evenly to within 2^-32, without a division. */
    return (uint32_t)(((seeded_next(seeded) >> 32) * count) >> 32);
}
