/* A borrowed run of bytes. Never owns, never NUL-terminated by promise.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_SPAN_H
#define SCHEMAS_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const void *data;
    size_t size;
};

/* A span over a string literal, usable in static initialisers. */
#define SPAN_LIT(literal)                                                                          \
    {                                                                                              \
        .data = "" literal, .size = sizeof(literal) - 1                                            \
    }

/* A span over a C string (NULL gives the empty span). */
static inline struct span span_of(const char *text)
{
    return (struct span){ .data = text, .size = text ? strlen(text) : 0 };
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.size == b.size &&
           (a.size == 0 || (a.data && b.data && memcmp(a.data, b.data, a.size) == 0));
}

static inline bool span_is(struct span a, const char *text)
{
    return span_eq(a, span_of(text));
}

static inline bool span_starts_with(struct span text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && (size == 0 || memcmp(text.data, prefix, size) == 0);
}

/* Copies it with a NUL; false, and nothing is, when it does not fit. */
static inline bool span_copy(struct span text, char *to, size_t size)
{
    if (text.size >= size)
        return false;
    if (text.size)
        memcpy(to, text.data, text.size);
    to[text.size] = '\0';
    return true;
}

/* For printf's "%.*s": SPAN_ARG(s) supplies both arguments. */
#define SPAN_ARG(s) (int)(s).size, (const char *)(s).data

#endif
