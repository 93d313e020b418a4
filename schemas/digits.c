/* See digits.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/digits.h"

#include <assert.h>

bool digits_parse(struct span text, size_t digits_max, int64_t *ret_number)
{
    const char *digits = text.data;
    int64_t number = 0;
    assert(digits_max <= DIGITS_MAX);
    if (text.size == 0 || text.size > digits_max)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        number = number * 10 + (digits[i] - '0');
    }
    *ret_number = number;
    return true;
}

int digits_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}
