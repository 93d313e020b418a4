/* See answers_find.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/answers_find.h"

#include "schemas/mem.h"
#include "schemas/suggest.h"

#include <stdlib.h>
#include <strings.h>

#define ECHO_BYTES_MAX 80 /* of a client's own text in an error */

static const char *name_at(const struct answers_table *table, size_t i)
{
    const char *row = (const char *)table->rows + i * table->row_size;
    return *(const char *const *)(const void *)row;
}

static enum err_code not_found(const struct answers_table *table, struct span name, struct err *err)
{
    const char **names = mem_zalloc(table->row_count, sizeof *names);
    for (size_t i = 0; i < table->row_count; i++)
        names[i] = name_at(table, i);
    const char *nearest = suggest_nearest(name, names, table->row_count);
    if (name.size > ECHO_BYTES_MAX)
        name.size = ECHO_BYTES_MAX;
    enum err_code code = nearest
                             ? err_field(err, ERR_NOT_FOUND, table->what,
                                         "there is no %s \"%.*s\"; did you mean \"%s\"?",
                                         table->what, SPAN_ARG(name), nearest)
                             : err_field(err, ERR_NOT_FOUND, table->what,
                                         "there is no %s \"%.*s\"; there is \"%s\", for example",
                                         table->what, SPAN_ARG(name), names[0]);
    free(names);
    return code;
}

enum err_code answers_find(const struct answers_table *table, struct span name, size_t *ret_index,
                           struct err *err)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const char *candidate = name_at(table, i);
        if (strlen(candidate) == name.size && strncasecmp(candidate, name.data, name.size) == 0) {
            *ret_index = i;
            return ERR_OK;
        }
    }
    return not_found(table, name, err);
}
