/* A condition on a job, as people write it for `errand replay --where`:
 *
 *   /city = Lisbon and /days > 3 and label.team != blue and /simulate
 *
 * Clauses joined by "and"; each is OPERAND, or OPERAND OPERATOR VALUE with white space or none
 * around the operator. An operand is a JSON Pointer into the payload (RFC 6901), `label.NAME`,
 * `key` (the ordering key) or `id`. Operators are = != < <= > >= and ~ (the text contains it); an
 * operand alone asks whether it is there. A value is a JSON number, true, false, null, a JSON text
 * in double quotes, or else the bare text up to the next " and ". Numbers are compared as numbers,
 * texts by their bytes; of what is not there only != is true.
 * thread: any; a condition that nobody changes may be read by all
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_WHERE_H
#define SCHEMAS_WHERE_H

#include "schemas/job.h"

#define WHERE_CLAUSES_MAX 16
#define WHERE_BYTES_MAX   4096
#define WHERE_ALLOWED                                                                              \
    "/pointer, label.NAME, key or id, with =, !=, <, <=, >, >= or ~ and a value, joined by "       \
    "\"and\""

struct where;

/* ERR_INVALID_FIELD says which clause is wrong and what is allowed; *ret_where is freed with
 * where_free. */
enum err_code where_parse(struct span text, struct where **ret_where, struct err *err) MUST_CHECK;
/* Accepts NULL. */
void where_free(struct where *where);
/* Whether the job fits. A payload that is no JSON has no members. NULL fits every job. */
bool where_fits(const struct where *where, const struct job_command *command);

#endif
