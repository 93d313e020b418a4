/* See trace.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/trace.h"

#include <stdio.h>

#define STATE_BYTES_MAX 512
#define STATE_MEMBERS_MAX 32
#define STATE_VALUE_MAX 256

/* Lower-case hexadecimal only. */
static bool read_hex(const char *text, size_t size, char *ret)
{
    bool zero = true;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
        ret[i] = c;
    }
    ret[size] = '\0';
    return !zero;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

bool trace_parse(struct span traceparent, struct trace *ret_trace)
{
    const char *text = traceparent.data;
    size_t size = traceparent.size;
    /* 00-<32>-<16>-<2> */
    if (size < TRACE_TEXT_SIZE - 1 || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    char version[3];
    char flags[3];
    bool newer = read_hex(text, 2, version);
    if (!newer && strcmp(version, "00") != 0)
        return false;
    if (strcmp(version, "ff") == 0 || (!newer && size != TRACE_TEXT_SIZE - 1))
        return false;
    if (size > TRACE_TEXT_SIZE - 1 && text[TRACE_TEXT_SIZE - 1] != '-')
        return false;
    struct trace trace;
    if (!read_hex(text + 3, 32, trace.trace_id) || !read_hex(text + 36, 16, trace.span_id))
        return false;
    bool set = read_hex(text + 53, 2, flags);
    if (!set && memcmp(text + 53, "00", 2) != 0)
        return false;
    trace.flags = (uint8_t)(hex_value(text[53]) << 4 | hex_value(text[54]));
    *ret_trace = trace;
    return true;
}

void trace_format(const struct trace *trace, char ret[TRACE_TEXT_SIZE])
{
    snprintf(ret, TRACE_TEXT_SIZE, "00-%.32s-%.16s-%02x", trace->trace_id, trace->span_id, (unsigned)trace->flags);
}

static void write_hex(const uint8_t *bytes, size_t count, char *ret)
{
    for (size_t i = 0; i < count; i++)
        snprintf(ret + 2 * i, 3, "%02x", (unsigned)bytes[i]);
}

/* All zeros are invalid. */
static void write_id(const uint8_t *bytes, size_t count, char *ret)
{
    write_hex(bytes, count, ret);
    if (strspn(ret, "0") == 2 * count)
        ret[2 * count - 1] = '1';
}

void trace_start(struct trace *ret_trace, const uint8_t random[24])
{
    write_id(random, 16, ret_trace->trace_id);
    write_id(random + 16, 8, ret_trace->span_id);
    ret_trace->flags = 1;
}

void trace_child(const struct trace *parent, const uint8_t random[8], struct trace *ret_trace)
{
    *ret_trace = *parent;
    write_id(random, 8, ret_trace->span_id);
}

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("_-*/@", c);
}

static bool is_member(const char *text, size_t size)
{
    const char *equals = memchr(text, '=', size);
    if (!equals || equals == text || (size_t)(equals - text) > STATE_VALUE_MAX)
        return false;
    for (const char *c = text; c < equals; c++) {
        if (*c == '\0' || !is_key_char(*c))
            return false;
    }
    size_t value_size = size - (size_t)(equals - text) - 1;
    if (value_size == 0 || value_size > STATE_VALUE_MAX)
        return false;
    for (const char *c = equals + 1; c < text + size; c++) {
        if (*c < 0x20 || *c > 0x7e || *c == '=')
            return false;
    }
    return true;
}

bool trace_state_valid(struct span tracestate)
{
    const char *text = tracestate.data;
    size_t members = 0;
    size_t start = 0;
    if (tracestate.size == 0 || tracestate.size > STATE_BYTES_MAX)
        return false;
    for (size_t i = 0; i <= tracestate.size; i++) {
        if (i < tracestate.size && text[i] != ',')
            continue;
        size_t from = start;
        size_t to = i;
        while (from < to && (text[from] == ' ' || text[from] == '\t'))
            from++;
        while (to > from && (text[to - 1] == ' ' || text[to - 1] == '\t'))
            to--;
        if (to > from && (!is_member(text + from, to - from) || ++members > STATE_MEMBERS_MAX))
            return false;
        start = i + 1;
    }
    return members > 0;
}
