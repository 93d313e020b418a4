/* See mem.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *check(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *mem_zalloc(size_t count, size_t size)
{
    return check(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return check(NULL);
    size_t bytes = count * size;
    return check(realloc(old, bytes ? bytes : 1));
}

char *mem_dup(struct span bytes)
{
    char *copy = check(malloc(bytes.size + 1));
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = '\0';
    return copy;
}

char *mem_dup_text(const char *text)
{
    return mem_dup(span_of(text));
}

void mem_free_const(const void *memory)
{
    union {
        const void *from;
        void *to;
    } place = { .from = memory };
    free(place.to);
}

void mem_give_back(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
