/* See json.h. `struct json` is libjansson's json_t under a name of our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json.h"

#include "schemas/digits.h"
#include "schemas/json_limits.h"
#include "schemas/mem.h"

#include <jansson.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define INDEX_DIGITS_MAX 9

static const struct json *wrap(const json_t *value)
{
    return (const struct json *)value;
}

/* libjansson's iterators want a value that may be changed, though they change nothing. */
static json_t *unwrap(const struct json *json)
{
    union {
        const struct json *given;
        json_t *own;
    } value = { .given = json };
    return value.own;
}

/* --- parsing --- */

/* What libjansson found wrong, without the text near it, which is the sender's. */
static enum err_code refuse(const json_error_t *error, struct err *err)
{
    enum json_error_code reason = json_error_code(error);
    bool is_nul = reason == json_error_null_character || reason == json_error_null_byte_in_key;
    bool is_text = is_nul || reason == json_error_invalid_utf8;
    const char *text = is_nul ? "\\u0000 is not allowed" : error->text;
    const char *near = strstr(text, " near '");
    size_t size = near ? (size_t)(near - text) : strlen(text);
    return err_set(err, is_text ? ERR_INVALID_TEXT : ERR_INVALID_JSON, "line %d, column %d: %.*s",
                   error->line, error->column > 0 ? error->column : 1, (int)size, text);
}

enum err_code json_parse(struct span text, const struct json_limits *limits, struct json **ret_json,
                         struct err *err)
{
    enum err_code code = json_limits_check(text, limits, err);
    if (code)
        return code;
    json_error_t error;
    size_t flags = JSON_REJECT_DUPLICATES | (limits->any_value ? JSON_DECODE_ANY : 0);
    json_t *value = json_loadb(text.size ? text.data : "", text.size, flags, &error);
    if (!value)
        return refuse(&error, err);
    *ret_json = (struct json *)value;
    return ERR_OK;
}

void json_free(struct json *json)
{
    json_decref((json_t *)json);
}

/* --- reading --- */

enum json_type json_type_of(const struct json *json)
{
    static const enum json_type types[] = {
        [JSON_OBJECT] = JSON_TYPE_OBJECT, [JSON_ARRAY] = JSON_TYPE_ARRAY,
        [JSON_STRING] = JSON_TYPE_TEXT,   [JSON_INTEGER] = JSON_TYPE_INTEGER,
        [JSON_REAL] = JSON_TYPE_REAL,     [JSON_TRUE] = JSON_TYPE_BOOL,
        [JSON_FALSE] = JSON_TYPE_BOOL,    [JSON_NULL] = JSON_TYPE_NULL,
    };
    return json ? types[json_typeof(unwrap(json))] : JSON_TYPE_NONE;
}

const struct json *json_get(const struct json *object, const char *name)
{
    return wrap(json_object_get(unwrap(object), name));
}

const struct json *json_at(const struct json *array, size_t index)
{
    return wrap(json_array_get(unwrap(array), index));
}

size_t json_count(const struct json *json)
{
    json_t *value = unwrap(json);
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

void json_each(const struct json *object, json_member_fn member, void *arg)
{
    json_t *value = unwrap(object);
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
        member(arg, (struct span){ json_object_iter_key(at), json_object_iter_key_len(at) },
               wrap(json_object_iter_value(at)));
}

struct span json_text(const struct json *json)
{
    json_t *value = unwrap(json);
    return (struct span){ json_string_value(value), json_string_length(value) };
}

bool json_integer_of(const struct json *json, int64_t *ret_value)
{
    json_t *value = unwrap(json);
    if (!json_is_integer(value))
        return false;
    *ret_value = json_integer_value(value);
    return true;
}

bool json_real_of(const struct json *json, double *ret_value)
{
    json_t *value = unwrap(json);
    if (!json_is_number(value))
        return false;
    *ret_value = json_number_value(value);
    return true;
}

bool json_bool_of(const struct json *json, bool *ret_value)
{
    json_t *value = unwrap(json);
    if (!json_is_boolean(value))
        return false;
    *ret_value = json_is_true(value);
    return true;
}

/* An array's index as RFC 6901 writes it: digits without a leading zero. */
static bool parse_index(struct span token, size_t *ret_index)
{
    int64_t index = 0;
    if (!digits_parse(token, INDEX_DIGITS_MAX, &index) ||
        (token.size > 1 && *(const char *)token.data == '0'))
        return false;
    *ret_index = (size_t)index;
    return true;
}

/* Undoes ~0 and ~1 in place; false when a tilde means nothing. */
static bool unescape(char *token, size_t *size)
{
    size_t kept = 0;
    for (size_t i = 0; i < *size; i++, kept++) {
        token[kept] = token[i];
        if (token[i] != '~')
            continue;
        i++;
        if (i == *size || (token[i] != '0' && token[i] != '1'))
            return false;
        token[kept] = token[i] == '0' ? '~' : '/';
    }
    *size = kept;
    return true;
}

static json_t *step_into(json_t *value, struct span escaped)
{
    size_t index;
    if (json_is_array(value))
        return parse_index(escaped, &index) ? json_array_get(value, index) : NULL;
    size_t size = escaped.size;
    char *token = mem_dup(escaped);
    json_t *child = unescape(token, &size) ? json_object_getn(value, token, size) : NULL;
    free(token);
    return child;
}

const struct json *json_pointer(const struct json *json, struct span pointer)
{
    json_t *value = unwrap(json);
    const char *at = pointer.data;
    const char *end = at + pointer.size;
    while (value && at < end) {
        if (*at != '/')
            return NULL;
        const char *token = ++at;
        while (at < end && *at != '/')
            at++;
        value = step_into(value, (struct span){ token, (size_t)(at - token) });
    }
    return wrap(value);
}

bool json_same(const struct json *a, const struct json *b)
{
    return json_equal(unwrap(a), unwrap(b)) == 1;
}

/* --- writing --- */

/* libjansson prints 0.1 with all the digits that a double may need, 0.10000000000000001; 15 are
 * enough for every number that a person wrote, and 17 for all. */
static void write_real(struct buf *out, json_t *value)
{
    char text[64];
    size_t size = 0;
    bool exact = false;
    for (size_t digits = 15; digits <= 17 && !exact; digits++) {
        size = json_dumpb(value, text, sizeof text, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *again = json_loadb(text, size, JSON_DECODE_ANY, NULL);
        exact = json_equal(value, again) == 1;
        json_decref(again);
    }
    buf_add(out, text, size);
}

static void write_value(struct buf *out, json_t *value, bool sorted);

struct member {
    struct span name;
    json_t *value;
};

static int compare_names(const void *a, const void *b)
{
    const struct span *left = &((const struct member *)a)->name;
    const struct span *right = &((const struct member *)b)->name;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->data, right->data, size);
    return order ? order : (left->size > right->size) - (left->size < right->size);
}

static void write_members(struct buf *out, json_t *object, bool sorted)
{
    size_t count = 0;
    struct member *members = mem_zalloc(json_object_size(object), sizeof *members);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        members[count++] = (struct member){
            .name = { json_object_iter_key(at), json_object_iter_key_len(at) },
            .value = json_object_iter_value(at),
        };
    if (sorted)
        qsort(members, count, sizeof *members, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, members[i].name);
        buf_add_char(out, ':');
        write_value(out, members[i].value, sorted);
    }
    free(members);
}

static void write_entries(struct buf *out, json_t *array, bool sorted)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i)
            buf_add_char(out, ',');
        write_value(out, json_array_get(array, i), sorted);
    }
}

static void write_value(struct buf *out, json_t *value, bool sorted)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        buf_add_char(out, '{');
        write_members(out, value, sorted);
        buf_add_char(out, '}');
        break;
    case JSON_ARRAY:
        buf_add_char(out, '[');
        write_entries(out, value, sorted);
        buf_add_char(out, ']');
        break;
    case JSON_STRING:
        buf_add_json_string(out,
                            (struct span){ json_string_value(value), json_string_length(value) });
        break;
    case JSON_INTEGER:
        buf_add_int(out, json_integer_value(value));
        break;
    case JSON_REAL:
        write_real(out, value);
        break;
    case JSON_TRUE:
        buf_add_text(out, "true");
        break;
    case JSON_FALSE:
        buf_add_text(out, "false");
        break;
    case JSON_NULL:
        buf_add_text(out, "null");
        break;
    }
}

void json_dump(const struct json *json, struct buf *out)
{
    write_value(out, unwrap(json), false);
}

void json_canonical(const struct json *json, struct buf *out)
{
    write_value(out, unwrap(json), true);
}
