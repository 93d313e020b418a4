/* See process_name.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/process_name.h"

#include "schemas/digits.h"

#define NUMBER_DIGITS_MAX 3

bool process_name_is_of(struct span name, const char *kind)
{
    size_t size = strlen(kind);
    const char *text = name.data;
    int64_t unused;
    if (span_is(name, kind))
        return true;
    return name.size > size && memcmp(text, kind, size) == 0 && text[size] == '-' &&
           digits_parse((struct span){ text + size + 1, name.size - size - 1 }, NUMBER_DIGITS_MAX,
                        &unused);
}
