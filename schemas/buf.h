/* Growable bytes with a required maximum. Overflow is sticky: once an append would pass `max`, it
 * and every later one is dropped and `overflow` stays true, so that a writer checks once, at the
 * end. `data` is always NUL-terminated (the NUL is not counted).
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_BUF_H
#define SCHEMAS_BUF_H

#include "schemas/span.h"

#include <stdint.h>

struct buf {
    char *data;
    size_t size;
    size_t max;
    size_t capacity;
    bool overflow;
};

/* A buffer that may hold up to `max` bytes; allocates on first use. */
#define BUF_INIT(limit)                                                                            \
    {                                                                                              \
        .max = (limit)                                                                             \
    }

/* Frees the bytes and makes the buffer empty (max is kept). Accepts a zeroed buffer. */
void buf_free(struct buf *buf);
/* Empties the buffer, keeps its memory, resets overflow. */
void buf_reset(struct buf *buf);
/* Gives the bytes away (free with free()) and leaves the buffer empty. */
char *buf_take(struct buf *buf);

void buf_add(struct buf *buf, const void *data, size_t size);
/* Room for `size` more bytes at data + size without counting them (false, and overflow, beyond
 * max); then buf_grow counts those that were written. */
bool buf_reserve(struct buf *buf, size_t size);
void buf_grow(struct buf *buf, size_t size);
void buf_add_span(struct buf *buf, struct span bytes);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_add_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `text` as a JSON string with its quotes (RFC 8259). Invalid UTF-8 becomes U+FFFD, controls are
 * escaped, so the result is valid JSON whatever the bytes are. */
void buf_add_json_string(struct buf *buf, struct span text);
void buf_add_hex(struct buf *buf, struct span bytes);
/* For a URL's parts: all but RFC 3986's unreserved characters as %XX. */
void buf_add_percent_encoded(struct buf *buf, struct span text);

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){ .data = buf->data ? buf->data : "", .size = buf->size };
}

#endif
