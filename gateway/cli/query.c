/* See query.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/query.h"

void query_add(struct buf *path, const char *name, struct span value)
{
    bool begun = path->size && memchr(path->data, '?', path->size);
    buf_add_char(path, begun ? '&' : '?');
    buf_add_percent_encoded(path, span_of(name));
    buf_add_char(path, '=');
    buf_add_percent_encoded(path, value);
}

void query_add_option(struct buf *path, const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->value_count; i++) {
        if (strcmp(args->values[i].option->name, name) == 0)
            query_add(path, name, span_of(args->values[i].text));
    }
}
