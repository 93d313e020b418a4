/* See key_lines.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/key_lines.h"

#include "schemas/mem.h"
#include "schemas/siphash.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS_MIN 64

struct key_lines {
    struct key_place **buckets; /* chains of the first in each line */
    size_t bucket_count;        /* a power of two */
    size_t count;
    uint64_t steps;
    uint8_t secret[SIPHASH_SECRET_SIZE];
};

struct key_lines *key_lines_new(const uint8_t secret[SIPHASH_SECRET_SIZE])
{
    struct key_lines *lines = MEM_NEW(*lines);
    memcpy(lines->secret, secret, SIPHASH_SECRET_SIZE);
    lines->bucket_count = BUCKETS_MIN;
    lines->buckets = mem_zalloc(lines->bucket_count, sizeof(struct key_place *));
    return lines;
}

void key_lines_free(struct key_lines *lines)
{
    if (!lines)
        return;
    free(lines->buckets);
    free(lines);
}

static struct key_place **bucket_of(const struct key_lines *lines, uint64_t hash)
{
    return &lines->buckets[hash & (lines->bucket_count - 1)];
}

/* Where the pointer to the first of the key's line is, or would be. */
static struct key_place **find(struct key_lines *lines, const struct key_place *of)
{
    struct key_place **link = bucket_of(lines, of->hash);
    lines->steps++;
    for (; *link; link = &(*link)->chain, lines->steps++) {
        if ((*link)->hash == of->hash && span_eq((*link)->key, of->key))
            break;
    }
    return link;
}

static void grow(struct key_lines *lines)
{
    struct key_place **old = lines->buckets;
    size_t old_count = lines->bucket_count;
    lines->bucket_count *= 2;
    lines->buckets = mem_zalloc(lines->bucket_count, sizeof(struct key_place *));
    for (size_t i = 0; i < old_count; i++) {
        for (struct key_place *first = old[i]; first;) {
            struct key_place *chain = first->chain;
            struct key_place **bucket = bucket_of(lines, first->hash);
            first->chain = *bucket;
            *bucket = first;
            first = chain;
            lines->steps++;
        }
    }
    free(old);
}

bool key_lines_join(struct key_lines *lines, struct key_place *place)
{
    place->hash = siphash(lines->secret, place->key);
    place->next = place->previous = place->last = place->chain = NULL;
    struct key_place **link = find(lines, place);
    struct key_place *first = *link;
    if (first) {
        place->previous = first->last;
        first->last->next = place;
        first->last = place;
        return false;
    }
    place->last = place;
    *link = place;
    if (++lines->count > lines->bucket_count)
        grow(lines);
    return true;
}

struct key_place *key_lines_leave(struct key_lines *lines, struct key_place *place)
{
    struct key_place *next = place->next;
    struct key_place **link = find(lines, place);
    struct key_place *first = *link;
    assert(first && (first == place) == !place->previous);
    if (first != place) {
        place->previous->next = next;
        if (next)
            next->previous = place->previous;
        else
            first->last = place->previous;
        return NULL;
    }
    if (next) {
        next->previous = NULL;
        next->last = place->last;
        next->chain = place->chain;
        *link = next;
    } else {
        *link = place->chain;
        lines->count--;
    }
    return next;
}

size_t key_lines_count(const struct key_lines *lines)
{
    return lines->count;
}

uint64_t key_lines_steps(const struct key_lines *lines)
{
    return lines->steps;
}
