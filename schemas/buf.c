/* See buf.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/buf.h"

#include "schemas/mem.h"
#include "schemas/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){ .max = buf->max };
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->overflow = false;
    if (buf->data)
        buf->data[0] = '\0';
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data ? buf->data : mem_dup((struct span){ 0 });
    *buf = (struct buf){ .max = buf->max };
    return data;
}

bool buf_reserve(struct buf *buf, size_t size)
{
    if (buf->overflow || size > buf->max - buf->size) {
        buf->overflow = true;
        return false;
    }
    size_t needed = buf->size + size + 1;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : 64;
        while (capacity < needed)
            capacity *= 2;
        buf->data = mem_resize(buf->data, capacity, 1);
        buf->capacity = capacity;
    }
    return true;
}

void buf_grow(struct buf *buf, size_t size)
{
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
    if (!buf_reserve(buf, size))
        return;
    if (size)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void buf_add_span(struct buf *buf, struct span bytes)
{
    buf_add(buf, bytes.data, bytes.size);
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_add_int(struct buf *buf, int64_t value)
{
    char text[24];
    char *at = text + sizeof text;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        *--at = '-';
    buf_add(buf, at, (size_t)(text + sizeof text - at));
}

/* Printed where it is to stand when there is room, which takes half the time of counting first. */
void buf_printf(struct buf *buf, const char *format, ...)
{
    size_t room = buf->overflow || !buf->data ? 0 : buf->capacity - buf->size;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(room ? buf->data + buf->size : NULL, room, format, args);
    va_end(args);
    bool fits = size >= 0 && buf_reserve(buf, (size_t)size);
    if (fits && (size_t)size >= room) {
        va_start(args, format);
        vsnprintf(buf->data + buf->size, (size_t)size + 1, format, args);
        va_end(args);
    }
    if (fits)
        buf->size += (size_t)size;
    if (buf->data)
        buf->data[buf->size] = '\0'; /* what was cut off is taken back */
}

void buf_add_json_string(struct buf *buf, struct span text)
{
    const unsigned char *p = text.data;
    const unsigned char *end = p + text.size;
    buf_add_char(buf, '"');
    while (p < end) {
        const unsigned char *start = p;
        while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\' && *p != 0x7f)
            p++;
        buf_add(buf, start, (size_t)(p - start));
        if (p == end)
            break;
        size_t width = *p < 0x80 ? 1 : utf8_width((struct span){ p, (size_t)(end - p) });
        if (*p == '"' || *p == '\\')
            buf_printf(buf, "\\%c", *p);
        else if (*p == '\n')
            buf_add_text(buf, "\\n");
        else if (*p < 0x20 || *p == 0x7f)
            buf_printf(buf, "\\u%04x", *p);
        else if (width == 0)
            buf_add_text(buf, "\\ufffd");
        else
            buf_add(buf, p, width);
        p += width ? width : 1;
    }
    buf_add_char(buf, '"');
}

void buf_add_hex(struct buf *buf, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        buf_add_char(buf, digits[p[i] >> 4]);
        buf_add_char(buf, digits[p[i] & 15]);
    }
}

void buf_add_percent_encoded(struct buf *buf, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char unreserved[] = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "abcdefghijklmnopqrstuvwxyz";
    const unsigned char *c = text.data;
    for (size_t i = 0; i < text.size; i++) {
        const char escape[] = { '%', digits[c[i] >> 4], digits[c[i] & 15] };
        if (memchr(unreserved, c[i], sizeof unreserved - 1))
            buf_add_char(buf, (char)c[i]);
        else
            buf_add(buf, escape, sizeof escape);
    }
}
