/* What a verdict could not look at, said beside it: a check that was not made is never shown as one
 * that was passed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_NOTES_H
#define CONSUMERS_VERIFY_VERIFY_NOTES_H

#include "schemas/span.h"

#define VERIFY_NOTES_MAX 32

struct verify_notes {
    char items[VERIFY_NOTES_MAX][200];
    size_t count; /* those beyond the last are left out */
};
void verify_note(struct verify_notes *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
