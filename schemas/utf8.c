/* See utf8.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/utf8.h"

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

bool utf8_is_text(struct span text)
{
    const unsigned char *p = text.data;
    size_t at = 0;
    while (at < text.size) {
        if (p[at] == 0)
            return false;
        size_t width = p[at] < 0x80 ? 1 : utf8_width((struct span){ p + at, text.size - at });
        if (width == 0)
            return false;
        at += width;
    }
    return true;
}
