/* Whether a client takes a media type: the Accept header, RFC 9110 12.5.1.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"

#include <strings.h>

enum { FITS_NOT = -1, FITS_ANY, FITS_FAMILY, FITS_EXACTLY };

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trimmed(struct span text)
{
    const char *begin = text.data;
    const char *end = begin + text.size;
    while (begin < end && is_space(*begin))
        begin++;
    while (begin < end && is_space(end[-1]))
        end--;
    return (struct span){ .data = begin, .size = end - begin };
}

/* Cuts `rest` at the first separator; false at its end. */
static bool next_part(struct span *rest, char separator, struct span *ret_part)
{
    if (!rest->data)
        return false;
    const char *begin = rest->data;
    const char *cut = rest->size ? memchr(begin, separator, rest->size) : NULL;
    size_t size = cut ? (size_t)(cut - begin) : rest->size;
    *ret_part = trimmed((struct span){ .data = begin, .size = size });
    *rest =
        cut ? (struct span){ .data = cut + 1, .size = rest->size - size - 1 } : (struct span){ 0 };
    return true;
}

static bool same(struct span text, const char *wanted, size_t size)
{
    return text.size == size && strncasecmp(text.data, wanted, size) == 0;
}

/* How closely a media range names `type`. */
static int fits(struct span range, const char *type)
{
    size_t family = (size_t)(strchr(type, '/') - type) + 1;
    if (same(range, type, strlen(type)))
        return FITS_EXACTLY;
    if (range.size == family + 1 && ((const char *)range.data)[family] == '*' &&
        strncasecmp(range.data, type, family) == 0)
        return FITS_FAMILY;
    return same(range, "*/*", 3) ? FITS_ANY : FITS_NOT;
}

/* "q=0", "q=0.0": not this one. */
static bool is_refusal(struct span parameter)
{
    const char *text = parameter.data;
    if (parameter.size < 3 || strncasecmp(text, "q=0", 3) != 0)
        return false;
    for (size_t i = 3; i < parameter.size; i++) {
        if (text[i] != '.' && text[i] != '0')
            return false;
    }
    return true;
}

static bool admits(struct span accept, const char *type)
{
    struct span part;
    int best = FITS_NOT;
    bool admitted = false;
    while (next_part(&accept, ',', &part)) {
        struct span range = { 0 };
        (void)next_part(&part, ';', &range);
        int how = fits(range, type);
        if (how <= best)
            continue;
        best = how;
        admitted = true;
        struct span parameter;
        while (next_part(&part, ';', &parameter))
            admitted = admitted && !is_refusal(parameter);
    }
    return admitted;
}

bool http_accept_admits(struct span accept, const char *const *types)
{
    if (trimmed(accept).size == 0)
        return true;
    for (; *types; types++) {
        if (admits(accept, *types))
            return true;
    }
    return false;
}
