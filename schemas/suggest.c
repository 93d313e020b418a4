/* See suggest.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/suggest.h"

#define WORD_SIZE_MAX 96

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance, no part edited twice ("optimal string alignment"): the table is
 * kept as its last three rows, for the letters of `a` before the last, the last, and this one. */
static size_t distance(struct span a, struct span b)
{
    size_t rows[3][WORD_SIZE_MAX + 1];
    const char *from = a.data;
    const char *to = b.data;
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        const size_t *before_last = rows[(i + 1) % 3];
        const size_t *last = rows[(i + 2) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replaced = last[j - 1] + (from[i - 1] != to[j - 1]);
            row[j] = least(replaced, least(last[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if (swapped)
                row[j] = least(row[j], before_last[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

const char *suggest_nearest(struct span word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    if (word.size == 0 || word.size > WORD_SIZE_MAX)
        return NULL;
    size_t limit = word.size / 3 ? word.size / 3 : 1;
    for (size_t i = 0; i < count; i++) {
        struct span candidate = span_of(candidates[i]);
        if (candidate.size > WORD_SIZE_MAX)
            continue;
        size_t slips = distance(word, candidate);
        /* A word of which no letter is left is another word. */
        size_t longer = word.size > candidate.size ? word.size : candidate.size;
        if (slips <= limit && slips < longer) {
            nearest = candidates[i];
            if (slips == 0)
                break;
            limit = slips - 1; /* another one must be nearer */
        }
    }
    return nearest;
}
