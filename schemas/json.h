/* JSON (RFC 8259) values: parsing within limits, reading, building, writing. Parsing checks depth
 * and count first, so that memory is bounded by the limits and not by the sender; duplicate names,
 * NUL and invalid UTF-8 are errors; integers are 64-bit. The writers print every number so that
 * reading it gives the same number, in the fewest digits.
 *
 * Values read from another value are borrowed from it. Every reader takes NULL for "there is no
 * such value", so that json_text(json_get(body, "name")) needs no check in between.
 * (Readers of scalars end in _of because libjansson has json_integer and its like for its own.)
 * THREADS: a value is its owner's; one that nobody changes may be read by all. Parsing and building
 * need no set-up: libjansson seeds its tables at the first object, whichever thread makes it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JSON_H
#define SCHEMAS_JSON_H

#include "schemas/buf.h"
#include "schemas/err.h"

struct json;

enum json_type {
    JSON_TYPE_NONE, /* of NULL: there is no value */
    JSON_TYPE_NULL,
    JSON_TYPE_BOOL,
    JSON_TYPE_INTEGER,
    JSON_TYPE_REAL,
    JSON_TYPE_TEXT,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT,
};

/* --- parsing --- */

struct json_limits {
    size_t depth_max;  /* arrays and objects within each other */
    size_t tokens_max; /* values and member names */
    bool any_value;    /* the text may be a scalar; otherwise an object or array */
};

/* Gives a value to be freed with json_free. ERR_INVALID_JSON, ERR_INVALID_TEXT (no UTF-8, or NUL),
 * ERR_TOO_DEEP (depth) or ERR_BODY_TOO_LARGE (tokens); the text says line and column, from 1, and
 * nothing of what was sent. */
enum err_code json_parse(struct span text, const struct json_limits *limits, struct json **ret_json,
                         struct err *err) MUST_CHECK;
/* For values that were parsed or made, not for borrowed ones. */
void json_free(struct json *json);

/* --- reading --- */

enum json_type json_type_of(const struct json *json);
/* A member of an object; NULL when there is none, or this is no object. */
const struct json *json_get(const struct json *object, const char *name);
/* An entry of an array, from 0; NULL past the end, or when this is no array. */
const struct json *json_at(const struct json *array, size_t index);
/* Entries of an array or members of an object; 0 for others. */
size_t json_count(const struct json *json);

typedef void (*json_member_fn)(void *arg, struct span name, const struct json *value);
/* Calls back for each member of an object in the order written; for others not at all. */
void json_each(const struct json *object, json_member_fn member, void *arg);

/* A text's bytes (UTF-8, NUL-terminated, no NUL within when parsed); data is NULL for others. */
struct span json_text(const struct json *json);
/* False for everything but integers; a real such as 1.0 is none. */
bool json_integer_of(const struct json *json, int64_t *ret_value);
/* A real, or an integer as a real. */
bool json_real_of(const struct json *json, double *ret_value);
bool json_bool_of(const struct json *json, bool *ret_value);

/* The value a JSON Pointer (RFC 6901) names: "" is the whole, "/a/0" the first entry of member a;
 * ~1 is a slash and ~0 a tilde in a name. NULL when there is none or the pointer is malformed. */
const struct json *json_pointer(const struct json *json, struct span pointer);
/* Whether both mean the same: members in any order; 1 and 1.0 differ. */
bool json_same(const struct json *a, const struct json *b);

/* --- writing --- */

/* Compact, members in the order they were written. */
void json_dump(const struct json *json, struct buf *out);
/* The one form of all texts that mean the same, for fingerprints: compact, members sorted by their
 * bytes (RFC 8785 in spirit). */
void json_canonical(const struct json *json, struct buf *out);

#endif
