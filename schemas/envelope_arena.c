/* See envelope_arena.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope_arena.h"

#include "schemas/mem.h"

#include <stdlib.h>

#define CHUNK_BYTES 2048
#define ALIGNMENT   16

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char bytes[];
};

struct envelope_arena {
    ProtobufCAllocator allocator;
    struct chunk *chunks;
    size_t left; /* of the budget */
};

static struct chunk *chunk_new(size_t size, struct chunk *next)
{
    struct chunk *chunk = mem_resize(NULL, sizeof *chunk + size, 1);
    *chunk = (struct chunk){ .next = next, .size = size };
    return chunk;
}

void *envelope_arena_alloc(struct envelope_arena *arena, size_t size)
{
    if (size > arena->left)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    arena->left -= size < arena->left ? size : arena->left;
    struct chunk *chunk = arena->chunks;
    if (!chunk || size > chunk->size - chunk->used) {
        chunk = chunk_new(size > CHUNK_BYTES ? size : CHUNK_BYTES, chunk);
        arena->chunks = chunk;
    }
    void *place = chunk->bytes + chunk->used;
    chunk->used += size;
    return place;
}

static void *on_alloc(void *arena, size_t size)
{
    return envelope_arena_alloc(arena, size);
}

static void on_free(void *arena, void *place)
{
    (void)arena;
    (void)place; /* everything goes with the arena */
}

struct envelope_arena *envelope_arena_new(size_t budget, size_t object_size, void **ret_object)
{
    struct envelope_arena *arena = MEM_NEW(*arena);
    arena->allocator =
        (ProtobufCAllocator){ .alloc = on_alloc, .free = on_free, .allocator_data = arena };
    arena->left = budget + object_size + ALIGNMENT;
    arena->chunks = chunk_new(object_size + CHUNK_BYTES, NULL);
    *ret_object = envelope_arena_alloc(arena, object_size);
    memset(*ret_object, 0, object_size);
    return arena;
}

void envelope_arena_free(struct envelope_arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *chunk = arena->chunks; chunk;) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

ProtobufCAllocator *envelope_arena_allocator(struct envelope_arena *arena)
{
    return &arena->allocator;
}
