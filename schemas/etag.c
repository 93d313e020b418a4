/* See etag.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/etag.h"

/* Whitespace and the commas of empty members, of which a list may have some. */
static const char *skip_between(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == ','))
        at++;
    return at;
}

/* A tag without its W/, in its quotes (where a comma is nothing special); returns where it ends,
 * NULL when there is none. */
static const char *read_tag(const char *at, const char *end, struct span *ret_tag)
{
    if (end - at >= 2 && at[0] == 'W' && at[1] == '/')
        at += 2;
    if (at == end || *at != '"')
        return NULL;
    const char *close = memchr(at + 1, '"', (size_t)(end - at - 1));
    if (!close)
        return NULL;
    *ret_tag = (struct span){ at, (size_t)(close + 1 - at) };
    return close + 1;
}

bool etag_matches(struct span if_none_match, const char *etag)
{
    if (span_is(if_none_match, "*"))
        return true;
    const char *at = if_none_match.size ? if_none_match.data : "";
    const char *end = at + if_none_match.size;
    while ((at = skip_between(at, end)) < end) {
        struct span tag;
        at = read_tag(at, end, &tag);
        if (!at)
            return false;
        if (span_is(tag, etag))
            return true;
    }
    return false;
}
