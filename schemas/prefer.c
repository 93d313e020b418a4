/* See prefer.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/prefer.h"

#include "schemas/digits.h"

#include <strings.h>

#define SECONDS_DIGITS_MAX 9

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trimmed(const char *begin, const char *end)
{
    while (begin < end && is_space(*begin))
        begin++;
    while (begin < end && is_space(end[-1]))
        end--;
    return (struct span){ begin, (size_t)(end - begin) };
}

/* Where the first of `ends` stands outside of quotes, else the end. */
static const char *find(const char *at, const char *end, const char *ends)
{
    bool is_quoted = false;
    for (; at < end; at++) {
        if (is_quoted && *at == '\\' && at + 1 < end)
            at++;
        else if (*at == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && *at && strchr(ends, *at))
            break;
    }
    return at;
}

static bool read_seconds(struct span text, int64_t *ret_ms)
{
    const char *c = text.data;
    int64_t seconds = 0;
    if (text.size >= 2 && c[0] == '"' && c[text.size - 1] == '"') /* a quoted number is the same */
        text = (struct span){ c + 1, text.size - 2 };
    if (!digits_parse(text, SECONDS_DIGITS_MAX, &seconds))
        return false;
    *ret_ms = seconds * 1000;
    return true;
}

bool prefer_wait_ms(struct span header, int64_t *ret_ms)
{
    const char *at = header.size ? header.data : "";
    const char *end = at + header.size;
    while (at < end) {
        const char *comma = find(at, end, ",");
        const char *preference = find(at, comma, ";"); /* parameters do not matter */
        const char *equals = find(at, preference, "=");
        struct span name = trimmed(at, equals);
        if (name.size == strlen("wait") && strncasecmp(name.data, "wait", name.size) == 0)
            return equals < preference && read_seconds(trimmed(equals + 1, preference), ret_ms);
        at = comma < end ? comma + 1 : end;
    }
    return false;
}
