/* See embed.h. There are a handful of files: a linear search is the index.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/embed.h"

#include "infra/embed_table.h"

bool embed_find(const char *name, struct span *ret_file)
{
    for (const struct embed_file *file = embed_table; file->name; file++) {
        if (strcmp(file->name, name) == 0) {
            *ret_file = (struct span){ .data = file->begin, .size = file->end - file->begin };
            return true;
        }
    }
    return false;
}
