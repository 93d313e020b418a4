/* Memory by one policy: running out of it logs one line to stderr and aborts (the supervisor starts
 * the process again, and Kafka has everything that was accepted). So no caller checks for NULL.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_MEM_H
#define SCHEMAS_MEM_H

#include "schemas/span.h"

/* Zeroed memory; free with free(). A count or size of 0 gives a valid pointer. */
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));
/* Grows or shrinks `old` to count * size bytes; the old pointer is gone. New bytes are not zeroed.
 */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((alloc_size(2, 3)));
/* A copy with a NUL appended (not counted); free with free(). */
char *mem_dup(struct span bytes) __attribute__((malloc));
char *mem_dup_text(const char *text) __attribute__((malloc));

/* free() of what is ours and only read: the bytes of a span, a name in a struct. */
void mem_free_const(const void *memory);

/* After work that took much and is over: what the allocator keeps for the next time goes back to
 * the system, as far as it can. Takes some ms for each 100 MiB; does nothing where the C library
 * has no way to. */
void mem_give_back(void);

/* struct x *x = MEM_NEW(*x); */
#define MEM_NEW(object) mem_zalloc(1, sizeof(object))

#endif
