/* See digits.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/digits.h"

#define DIGITS_MAX 15 /* far from overflow, and exact in a JSON reader that knows only doubles */

bool digits_parse(struct span text, int64_t *ret_number)
{
    const char *digits = text.data;
    int64_t number = 0;
    if (text.size == 0 || text.size > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        number = number * 10 + (digits[i] - '0');
    }
    *ret_number = number;
    return true;
}
