/* Counts by text: how often each path or idempotency key occurs among the calls that the ledger
 * holds. A text whose count falls to 0 is forgotten, so a tally is never larger than what it
 * counts.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_TALLY_H
#define INFRA_SIMULATOR_TALLY_H

#include "schemas/span.h"

#include <stdint.h>

struct tally;

struct tally *tally_new(void);
/* Accepts NULL. */
void tally_free(struct tally *tally);
void tally_add(struct tally *tally, struct span text);
/* Takes back one tally_add of the same text. */
void tally_remove(struct tally *tally, struct span text);
int64_t tally_count(const struct tally *tally, struct span text);
size_t tally_distinct(const struct tally *tally);
/* In the order of the texts, bytewise. */
void tally_each(const struct tally *tally, void (*fn)(void *arg, struct span text, int64_t count),
                void *arg);

#endif
