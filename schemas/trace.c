/* See trace.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/trace.h"

#define STATE_SIZE_MAX        512
#define STATE_MEMBERS_MAX     32
#define STATE_VALUE_SIZE_MAX  256
#define STATE_KEY_SIZE_MAX    256 /* of a key without a tenant */
#define STATE_TENANT_SIZE_MAX 241 /* tenant@system */
#define STATE_SYSTEM_SIZE_MAX 14
#define VERSION_AT            0
#define TRACE_ID_AT           3
#define SPAN_ID_AT            36
#define FLAGS_AT              53
#define TRACE_ID_DIGITS       32
#define SPAN_ID_DIGITS        16

/* --- traceparent --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool read_byte(const char *text, uint8_t *ret)
{
    int high = hex_value(text[0]);
    int low = hex_value(text[1]);
    if (high < 0 || low < 0)
        return false;
    *ret = (uint8_t)(high << 4 | low);
    return true;
}

static bool read_id(const char *text, size_t digits, char *ret)
{
    bool any = false;
    for (size_t i = 0; i < digits; i++) {
        if (hex_value(text[i]) < 0)
            return false;
        any |= text[i] != '0';
    }
    memcpy(ret, text, digits);
    ret[digits] = '\0';
    return any;
}

bool trace_parse(struct span traceparent, struct trace *ret)
{
    static const size_t size = TRACE_TEXT_SIZE - 1;
    const char *text = traceparent.data;
    struct trace trace;
    uint8_t version;
    if (traceparent.size < size || !read_byte(text + VERSION_AT, &version) || version == 0xff)
        return false;
    if (traceparent.size > size && (version == 0 || text[size] != '-'))
        return false;
    if (text[TRACE_ID_AT - 1] != '-' || text[SPAN_ID_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
        return false;
    if (!read_id(text + TRACE_ID_AT, TRACE_ID_DIGITS, trace.trace_id) ||
        !read_id(text + SPAN_ID_AT, SPAN_ID_DIGITS, trace.span_id) ||
        !read_byte(text + FLAGS_AT, &trace.flags))
        return false;
    *ret = trace;
    return true;
}

struct span trace_id_in(struct span traceparent)
{
    if (traceparent.size < TRACE_ID_AT + TRACE_ID_DIGITS)
        return (struct span){ 0 };
    return (struct span){ (const char *)traceparent.data + TRACE_ID_AT, TRACE_ID_DIGITS };
}

static char *put_hex(char *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void trace_format(const struct trace *trace, char ret[TRACE_TEXT_SIZE])
{
    memcpy(ret, "00-", 3);
    memcpy(ret + TRACE_ID_AT, trace->trace_id, TRACE_ID_DIGITS);
    ret[SPAN_ID_AT - 1] = '-';
    memcpy(ret + SPAN_ID_AT, trace->span_id, SPAN_ID_DIGITS);
    ret[FLAGS_AT - 1] = '-';
    *put_hex(ret + FLAGS_AT, &trace->flags, 1) = '\0';
}

/* An id of zeros alone would be invalid. */
static void make_id(const uint8_t *random, size_t size, char *ret)
{
    char *end = put_hex(ret, random, size);
    *end = '\0';
    if (strspn(ret, "0") == 2 * size)
        end[-1] = '1';
}

void trace_start(struct trace *ret, const uint8_t random[24])
{
    make_id(random, TRACE_ID_DIGITS / 2, ret->trace_id);
    make_id(random + TRACE_ID_DIGITS / 2, SPAN_ID_DIGITS / 2, ret->span_id);
    ret->flags = TRACE_SAMPLED;
}

void trace_child(const struct trace *parent, const uint8_t random[8], struct trace *ret)
{
    *ret = *parent;
    ret->flags &= TRACE_SAMPLED;
    make_id(random, SPAN_ID_DIGITS / 2, ret->span_id);
}

/* --- tracestate --- */

static struct span trim(struct span text)
{
    const char *start = text.data;
    const char *end = start + text.size;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct span){ start, (size_t)(end - start) };
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One side of a key: a letter (a tenant may begin with a digit), then letters, digits, _ - * /. */
static bool is_key_part(struct span part, size_t size_max, bool may_begin_with_digit)
{
    static const char others[] = "_-*/";
    const char *c = part.data;
    if (part.size == 0 || part.size > size_max)
        return false;
    if (!is_lower(c[0]) && !(may_begin_with_digit && is_digit(c[0])))
        return false;
    for (size_t i = 1; i < part.size; i++) {
        if (!is_lower(c[i]) && !is_digit(c[i]) && !memchr(others, c[i], sizeof others - 1))
            return false;
    }
    return true;
}

static bool is_key(struct span key)
{
    const char *text = key.data;
    const char *at = memchr(text, '@', key.size);
    if (!at)
        return is_key_part(key, STATE_KEY_SIZE_MAX, false);
    struct span tenant = { text, (size_t)(at - text) };
    struct span system = { at + 1, key.size - tenant.size - 1 };
    return is_key_part(tenant, STATE_TENANT_SIZE_MAX, true) &&
           is_key_part(system, STATE_SYSTEM_SIZE_MAX, false);
}

/* Printable ASCII without comma and equals sign; the trimmed member does not end in a space. */
static bool is_value(struct span value)
{
    const char *c = value.data;
    if (value.size == 0 || value.size > STATE_VALUE_SIZE_MAX)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (c[i] < 0x20 || c[i] > 0x7e || c[i] == '=')
            return false;
    }
    return true;
}

struct members {
    struct span keys[STATE_MEMBERS_MAX];
    size_t count;
};

static bool add_member(struct members *members, struct span member)
{
    const char *equals = memchr(member.data, '=', member.size);
    if (!equals || members->count == STATE_MEMBERS_MAX)
        return false;
    struct span key = { member.data, (size_t)(equals - (const char *)member.data) };
    struct span value = { equals + 1, member.size - key.size - 1 };
    for (size_t i = 0; i < members->count; i++) {
        if (span_eq(members->keys[i], key))
            return false;
    }
    members->keys[members->count++] = key;
    return is_key(key) && is_value(value);
}

bool trace_state_valid(struct span tracestate)
{
    struct members members = { .count = 0 };
    if (tracestate.size == 0 || tracestate.size > STATE_SIZE_MAX)
        return false;
    const char *at = tracestate.data;
    const char *end = at + tracestate.size;
    while (at <= end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        struct span member = trim((struct span){ at, (size_t)(stop - at) });
        if (member.size && !add_member(&members, member)) /* empty ones are allowed */
            return false;
        at = stop + 1;
    }
    return members.count > 0;
}
