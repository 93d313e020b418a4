/* See suggest.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/suggest.h"

#define WORD_MAX 96 /* longer words get no suggestion */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][WORD_MAX + 1]; /* the row before last, the last, the current */
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = rows[1][j] = j;
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *row = rows[2];
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(change, least(last[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_size];
}

const char *suggest_nearest(struct span word, const char *const *candidates, size_t count)
{
    if (word.size == 0 || word.size > WORD_MAX)
        return NULL;
    size_t nearest = word.size / 3 > 1 ? word.size / 3 : 1;
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(candidates[i]);
        if (size > WORD_MAX)
            continue;
        size_t away = distance(word.data, word.size, candidates[i], size);
        if (away < nearest || (away == nearest && !found)) {
            nearest = away;
            found = candidates[i];
        }
    }
    return found;
}
