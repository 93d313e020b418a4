/* Finding a row of the tables in answers_data.h by its name, and saying what was probably meant
 * when there is none.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_ANSWERS_FIND_H
#define INFRA_SIMULATOR_ANSWERS_FIND_H

#include "schemas/err.h"

/* A table whose rows begin with their name (a `const char *`). */
struct answers_table {
    const void *rows;
    size_t row_size;
    size_t row_count;
    const char *what; /* "city" */
};

/* The row whose name is `name`, whatever the case. ERR_NOT_FOUND suggests the nearest name. */
enum err_code answers_find(const struct answers_table *table, struct span name, size_t *ret_index,
                           struct err *err) MUST_CHECK;

#endif
