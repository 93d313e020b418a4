/* See utf8.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/utf8.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_width(struct span text)
{
    const unsigned char *p = text.data;
    if (text.size == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return text.size >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if (text.size < 3 || !is_tail(p[1]) || !is_tail(p[2]))
            return 0;
        bool overlong = p[0] == 0xe0 && p[1] < 0xa0;
        bool surrogate = p[0] == 0xed && p[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (text.size < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
            return 0;
        bool overlong = p[0] == 0xf0 && p[1] < 0x90;
        bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
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
