/* Reading a rule's payload: each function checks a member's kind and limit, and says in
 * ERR_PAYLOAD_INVALID which member it is and what is allowed.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_RULE_FIELDS_H
#define CONSUMERS_RULE_FIELDS_H

#include "schemas/err.h"

#include <stdint.h>

struct json;

/* The object that members are read from. */
struct rule_fields {
    const struct json *object;
    const char *place; /* where it is in the payload, for errors: "" or "lines[2]" */
    struct err *err;
};

/* `value` must be an object with members of `names` (NULL-terminated) only: a misspelt member must
 * not look as if it had been applied. */
enum err_code rule_fields_open(struct rule_fields *fields, const struct json *value,
                               const char *const *names) MUST_CHECK;
bool rule_fields_has(const struct rule_fields *fields, const char *name);
/* A text of 1 to `size_max` bytes without control characters; borrowed from the payload. */
enum err_code rule_fields_text(const struct rule_fields *fields, const char *name, size_t size_max,
                               struct span *ret_text) MUST_CHECK;
/* The same for a value that is not a member, such as a list's; `name` is for the error. */
enum err_code rule_fields_take_text(const struct rule_fields *fields, const char *name,
                                    const struct json *value, size_t size_max,
                                    struct span *ret_text) MUST_CHECK;
enum err_code rule_fields_integer(const struct rule_fields *fields, const char *name, int64_t min,
                                  int64_t max, int64_t *ret_number) MUST_CHECK;
/* The same for a value that is not a member. */
enum err_code rule_fields_take_integer(const struct rule_fields *fields, const char *name,
                                       const struct json *value, const int64_t range[2],
                                       int64_t *ret_number) MUST_CHECK;
/* A list of 1 to `count_max` values. */
enum err_code rule_fields_list(const struct rule_fields *fields, const char *name, size_t count_max,
                               const struct json **ret_list, size_t *ret_count) MUST_CHECK;
/* ERR_PAYLOAD_INVALID for the member `name`. */
enum err_code rule_fields_refuse(const struct rule_fields *fields, const char *name,
                                 const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
