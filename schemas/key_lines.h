/* Lines of waiters, one a key: whoever is first in the line of its key may go, the others of the
 * key wait behind it in the order in which they came; keys do not wait for each other. A hash table
 * of the first in each line, so that each call costs about the same with ten keys as with a
 * hundred thousand, whichever keys a stranger picks (SipHash under a secret of the caller's).
 * Nothing is allocated for a place: it is embedded in who waits.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_KEY_LINES_H
#define SCHEMAS_KEY_LINES_H

#include "schemas/siphash.h"
#include "schemas/span.h"

#include <stdint.h>

struct key_lines;

/* A place in a line. Who waits sets `key` and `owner` before joining; `key` is borrowed until it
 * leaves. The rest is the table's. */
struct key_place {
    struct span key;
    void *owner;
    uint64_t hash;
    struct key_place *next, *previous; /* in the line */
    struct key_place *last;            /* of the line; kept by the first */
    struct key_place *chain;           /* the first of another line, with a hash like this one's */
};

/* The secret (random bytes) is copied. */
struct key_lines *key_lines_new(const uint8_t secret[SIPHASH_SECRET_SIZE]);
/* Forgets the places that are left. Accepts NULL. */
void key_lines_free(struct key_lines *lines);

/* To the end of its key's line; true when it is the first there. */
bool key_lines_join(struct key_lines *lines, struct key_place *place);
/* Out of its line, wherever it stands; returns who is first by that, NULL when nobody became so. */
struct key_place *key_lines_leave(struct key_lines *lines, struct key_place *place);

/* Keys that have a line. */
size_t key_lines_count(const struct key_lines *lines);
/* Places looked at or moved since the beginning: what the calls have cost. */
uint64_t key_lines_steps(const struct key_lines *lines);

#endif
