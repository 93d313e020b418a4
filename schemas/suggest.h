/* "Did you mean": the word that a misspelt one probably was.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_SUGGEST_H
#define SCHEMAS_SUGGEST_H

#include "schemas/span.h"

/* The candidate with the fewest typing slips (a letter too many, missing, wrong, or two swapped)
 * from `word`; the first of equals; NULL when none is within a third of the word's length, at least
 * one. A word as long as a sentence has none. thread: any */
const char *suggest_nearest(struct span word, const char *const *candidates, size_t count);

#endif
