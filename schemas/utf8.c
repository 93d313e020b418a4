/* See utf8.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/utf8.h"

#include <stdint.h>
#include <string.h>

/* Whether `count` continuation bytes follow the first one. */
static bool has_tails(struct span text, size_t count)
{
    const unsigned char *p = text.data;
    if (text.size <= count)
        return false;
    for (size_t i = 1; i <= count; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
    }
    return true;
}

static size_t width_of_three(struct span text)
{
    const unsigned char *p = text.data;
    bool overlong = p[0] == 0xe0 && text.size > 1 && p[1] < 0xa0;
    bool surrogate = p[0] == 0xed && text.size > 1 && p[1] > 0x9f;
    return has_tails(text, 2) && !overlong && !surrogate ? 3 : 0;
}

static size_t width_of_four(struct span text)
{
    const unsigned char *p = text.data;
    bool overlong = p[0] == 0xf0 && text.size > 1 && p[1] < 0x90;
    bool beyond = p[0] == 0xf4 && text.size > 1 && p[1] > 0x8f;
    return has_tails(text, 3) && !overlong && !beyond ? 4 : 0;
}

size_t utf8_width(struct span text)
{
    const unsigned char *p = text.data;
    if (text.size == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return has_tails(text, 1) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef)
        return width_of_three(text);
    if (p[0] >= 0xf0 && p[0] <= 0xf4)
        return width_of_four(text);
    return 0;
}

/* Eight bytes of ASCII without NUL: most text is nothing else. */
static bool is_plain(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    return ((word | (word - ones)) & highs) == 0; /* a NUL below borrows from its high bit */
}

bool utf8_is_text(struct span text)
{
    const unsigned char *p = text.data;
    size_t at = 0;
    while (at < text.size) {
        if (text.size - at >= sizeof(uint64_t) && is_plain(p + at)) {
            at += sizeof(uint64_t);
            continue;
        }
        if (p[at] == 0)
            return false;
        size_t width = p[at] < 0x80 ? 1 : utf8_width((struct span){ p + at, text.size - at });
        if (width == 0)
            return false;
        at += width;
    }
    return true;
}
