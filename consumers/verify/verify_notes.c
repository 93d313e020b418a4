/* See verify_notes.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_notes.h"

#include <stdarg.h>
#include <stdio.h>

void verify_note(struct verify_notes *notes, const char *format, ...)
{
    if (notes->count == VERIFY_NOTES_MAX)
        return;
    va_list list;
    va_start(list, format);
    (void)vsnprintf(notes->items[notes->count++], sizeof notes->items[0], format, list);
    va_end(list);
}
