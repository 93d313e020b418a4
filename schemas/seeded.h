/* Choices that look random and are not: the same seed and the same texts give the same picks on
 * every machine and in every build. For demonstrations and tests; never for secrets. SplitMix64
 * (Steele, Lea, Flood, 2014) over FNV-1a.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_SEEDED_H
#define SCHEMAS_SEEDED_H

#include "schemas/span.h"

#include <stdint.h>

struct seeded {
    uint64_t state;
};

void seeded_init(struct seeded *seeded, uint64_t seed);
/* Makes what follows depend on `text` as well; ("ab", "c") and ("a", "bc") differ. */
void seeded_mix(struct seeded *seeded, struct span text);
/* The next 64 bits. */
uint64_t seeded_next(struct seeded *seeded);
/* 0 to count - 1; count is 1 to 2^32 - 1. */
uint32_t seeded_below(struct seeded *seeded, uint32_t count);

#endif
