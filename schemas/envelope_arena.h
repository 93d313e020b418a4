/* Memory for one decoded message: allocations are bumped from chunks, freed together, and bounded
 * by a budget, so that a small hostile record cannot become a large one in memory (protobuf-c has
 * no limit of its own).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_ENVELOPE_ARENA_H
#define SCHEMAS_ENVELOPE_ARENA_H

#include <protobuf-c/protobuf-c.h>

struct envelope_arena;

/* Room for the caller's own object of `object_size` bytes comes first (zeroed, at *ret_object). */
struct envelope_arena *envelope_arena_new(size_t budget, size_t object_size, void **ret_object);
void envelope_arena_free(struct envelope_arena *arena);
ProtobufCAllocator *envelope_arena_allocator(struct envelope_arena *arena);
/* NULL when the budget is spent. */
void *envelope_arena_alloc(struct envelope_arena *arena, size_t size);

#endif
