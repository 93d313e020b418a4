/* See json_limits.h. A parsed value takes up to eighty times the space of its text ("[]" is two
 * bytes), so that a small body could take much memory: it is counted before any is taken. NUL bytes
 * are looked for here too, because libjansson passes over those that follow a number.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_limits.h"

/* The string that begins at `at`: the offset behind its closing quote. */
static size_t skip_string(struct span text, size_t at)
{
    const char *p = text.data;
    for (at++; at < text.size && p[at] != '"'; at++) {
        if (p[at] == '\\')
            at++;
    }
    return at < text.size ? at + 1 : text.size;
}

/* A switch, not strchr: every submission passes here. */
static bool is_scalar_byte(char c)
{
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
    case '[':
    case ']':
    case '{':
    case '}':
    case '"':
        return false;
    default:
        return true;
    }
}

static size_t skip_scalar(struct span text, size_t at)
{
    const char *p = text.data;
    while (at < text.size && is_scalar_byte(p[at]))
        at++;
    return at;
}

struct place {
    size_t line, column;
};

static struct place place_of(struct span text, size_t offset)
{
    const char *p = text.data;
    struct place place = { .line = 1, .column = 1 };
    for (size_t i = 0; i < offset; i++) {
        bool is_tail = (p[i] & 0xc0) == 0x80; /* columns count characters, not bytes */
        if (p[i] == '\n')
            place = (struct place){ .line = place.line + 1, .column = 1 };
        else if (!is_tail)
            place.column++;
    }
    return place;
}

static enum err_code too_deep(struct span text, size_t at, size_t depth_max, struct err *err)
{
    struct place place = place_of(text, at);
    return err_set(err, ERR_TOO_DEEP, "line %zu, column %zu: nested more than %zu levels deep",
                   place.line, place.column, depth_max);
}

static enum err_code too_many(struct span text, size_t at, size_t tokens_max, struct err *err)
{
    struct place place = place_of(text, at);
    return err_set(err, ERR_BODY_TOO_LARGE,
                   "line %zu, column %zu: more than %zu values and member names", place.line,
                   place.column, tokens_max);
}

static enum err_code find_nul(struct span text, struct err *err)
{
    const char *nul = text.size ? memchr(text.data, '\0', text.size) : NULL;
    if (!nul)
        return ERR_OK;
    struct place place = place_of(text, (size_t)(nul - (const char *)text.data));
    return err_set(err, ERR_INVALID_TEXT, "line %zu, column %zu: a NUL byte is not allowed",
                   place.line, place.column);
}

static enum err_code count_tokens(struct span text, const struct json_limits *limits,
                                  struct err *err)
{
    const char *p = text.data;
    size_t depth = 0;
    size_t tokens = 0;
    for (size_t at = 0; at < text.size;) {
        size_t start = at;
        bool opens = p[at] == '{' || p[at] == '[';
        if (p[at] == '"') {
            at = skip_string(text, at);
        } else if (is_scalar_byte(p[at])) {
            at = skip_scalar(text, at);
        } else {
            depth -= (p[at] == '}' || p[at] == ']') && depth > 0;
            at++;
            if (!opens) /* white space, a separator or an end is no token */
                continue;
        }
        if (opens && ++depth > limits->depth_max)
            return too_deep(text, start, limits->depth_max, err);
        if (++tokens > limits->tokens_max)
            return too_many(text, start, limits->tokens_max, err);
    }
    return ERR_OK;
}

enum err_code json_limits_check(struct span text, const struct json_limits *limits, struct err *err)
{
    enum err_code code = find_nul(text, err);
    return code ? code : count_tokens(text, limits, err);
}
