/* See json.h. A struct json is a json_t by another name. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json.h"

#include "schemas/utf8.h"

#include "schemas/mem.h"

#include <jansson.h>
#include <stdlib.h>

static const json_t *in(const struct json *json)
{
    return (const json_t *)(const void *)json;
}

static struct json *out_of(json_t *json)
{
    return (struct json *)(void *)json;
}

/* jansson's readers take const, its iterators do not, though they change nothing. */
static json_t *mutable_in(const struct json *json)
{
    union {
        const struct json *from;
        json_t *to;
    } place = { .from = json };
    return place.to;
}

/* Depth and number of tokens, by their brackets, commas and colons, without looking at what they mean. */
static enum err_code scan(struct span text, const struct json_limits *limits, struct err *err)
{
    const char *chars = text.data;
    size_t depth = 0;
    size_t tokens = 1;
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = chars[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        if (c == '"')
            quoted = true;
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth)
            depth--;
        tokens += c == ',' || c == ':' || c == '{' || c == '[';
        if (depth > limits->depth_max)
            return err_set(err, ERR_TOO_DEEP, "JSON may be nested %zu deep at most", limits->depth_max);
        if (tokens > limits->tokens_max)
            return err_set(err, ERR_BODY_TOO_LARGE, "JSON may have %zu values at most", limits->tokens_max);
    }
    return ERR_OK;
}

enum err_code json_parse(struct span text, const struct json_limits *limits, struct json **ret_json,
                         struct err *err)
{
    if (!utf8_is_text(text))
        return err_set(err, ERR_INVALID_TEXT, "JSON must be valid UTF-8 without NUL");
    enum err_code code = scan(text, limits, err);
    if (code)
        return code;
    json_error_t why;
    json_t *json =
        json_loadb(text.size ? text.data : "", text.size, JSON_REJECT_DUPLICATES | (limits->any_value ? JSON_DECODE_ANY : 0), &why);
    if (!json && json_error_code(&why) == json_error_null_character)
        return err_set(err, ERR_INVALID_TEXT, "line %d, column %d: \\u0000 is not allowed", why.line, why.column);
    if (!json)
        return err_set(err, ERR_INVALID_JSON, "line %d, column %d: %s", why.line, why.column, why.text);
    *ret_json = out_of(json);
    return ERR_OK;
}

void json_free(struct json *json)
{
    json_decref((json_t *)(void *)json);
}

enum json_type json_type_of(const struct json *json)
{
    if (!json)
        return JSON_TYPE_NONE;
    switch (json_typeof(in(json))) {
    case JSON_OBJECT:
        return JSON_TYPE_OBJECT;
    case JSON_ARRAY:
        return JSON_TYPE_ARRAY;
    case JSON_STRING:
        return JSON_TYPE_TEXT;
    case JSON_INTEGER:
        return JSON_TYPE_INTEGER;
    case JSON_REAL:
        return JSON_TYPE_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_TYPE_BOOL;
    case JSON_NULL:
        break;
    }
    return JSON_TYPE_NULL;
}

const char *json_type_text(enum json_type type)
{
    static const char *const texts[] = {
        [JSON_TYPE_NONE] = "nothing", [JSON_TYPE_NULL] = "null",       [JSON_TYPE_BOOL] = "bool",
        [JSON_TYPE_INTEGER] = "integer", [JSON_TYPE_REAL] = "real",   [JSON_TYPE_TEXT] = "text",
        [JSON_TYPE_ARRAY] = "array",  [JSON_TYPE_OBJECT] = "object",
    };
    return texts[type];
}

const struct json *json_get(const struct json *object, const char *name)
{
    return out_of(json_object_get(in(object), name));
}

const struct json *json_at(const struct json *array, size_t index)
{
    return out_of(json_array_get(in(array), index));
}

size_t json_count(const struct json *json)
{
    return json_is_object(in(json)) ? json_object_size(in(json)) : json_array_size(in(json));
}

void json_each(const struct json *object, json_member_fn member, void *arg)
{
    json_t *mutable = mutable_in(object);
    for (void *at = json_object_iter(mutable); at; at = json_object_iter_next(mutable, at)) {
        struct span name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        member(arg, name, out_of(json_object_iter_value(at)));
    }
}

struct span json_text(const struct json *json)
{
    return (struct span){ json_string_value(in(json)), json_string_length(in(json)) };
}

bool json_integer_of(const struct json *json, int64_t *ret_value)
{
    if (!json_is_integer(in(json)))
        return false;
    *ret_value = json_integer_value(in(json));
    return true;
}

bool json_real_of(const struct json *json, double *ret_value)
{
    if (!json_is_number(in(json)))
        return false;
    *ret_value = json_number_value(in(json));
    return true;
}

bool json_bool_of(const struct json *json, bool *ret_value)
{
    if (!json_is_boolean(in(json)))
        return false;
    *ret_value = json_is_true(in(json));
    return true;
}

/* --- pointers --- */

/* One reference token with ~1 and ~0 undone; false when it is malformed or too long. */
static bool unescape(const char *text, size_t size, char *ret, size_t ret_size)
{
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '~') {
            if (++i == size || (text[i] != '0' && text[i] != '1'))
                return false;
            c = text[i] == '0' ? '~' : '/';
        }
        if (at + 1 >= ret_size || c == '\0')
            return false;
        ret[at++] = c;
    }
    ret[at] = '\0';
    return true;
}

static const struct json *step(const struct json *json, const char *token)
{
    if (json_is_object(in(json)))
        return json_get(json, token);
    char *end;
    size_t size = strlen(token);
    bool index = size > 0 && strspn(token, "0123456789") == size && (size == 1 || token[0] != '0') && size < 10;
    return index ? json_at(json, strtoul(token, &end, 10)) : NULL;
}

const struct json *json_pointer(const struct json *json, struct span pointer)
{
    const char *text = pointer.data;
    size_t at = 0;
    while (json && at < pointer.size) {
        if (text[at] != '/')
            return NULL;
        size_t end = ++at;
        while (end < pointer.size && text[end] != '/')
            end++;
        char token[256];
        if (!unescape(text + at, end - at, token, sizeof token))
            return NULL;
        json = step(json, token);
        at = end;
    }
    return json;
}

bool json_same(const struct json *a, const struct json *b)
{
    return json_equal(in(a), in(b));
}

/* --- building --- */

static struct json *made(json_t *json)
{
    if (!json)
        abort(); /* out of memory, as mem.h has it */
    return out_of(json);
}

struct json *json_object_new(void)
{
    return made(json_object());
}

struct json *json_array_new(void)
{
    return made(json_array());
}

struct json *json_text_new(struct span text)
{
    return made(json_stringn(text.size ? text.data : "", text.size));
}

struct json *json_integer_new(int64_t value)
{
    return made(json_integer(value));
}

struct json *json_bool_new(bool value)
{
    return made(json_boolean(value));
}

void json_set(struct json *object, const char *name, struct json *value_take)
{
    if (json_object_set_new(mutable_in(object), name, mutable_in(value_take)))
        abort();
}

void json_append(struct json *array, struct json *value_take)
{
    if (json_array_append_new(mutable_in(array), mutable_in(value_take)))
        abort();
}

/* --- writing --- */

static int add_to_buf(const char *text, size_t size, void *arg)
{
    buf_add(arg, text, size);
    return 0;
}

void json_dump(const struct json *json, struct buf *out)
{
    json_dump_callback(in(json), add_to_buf, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

void json_canonical(const struct json *json, struct buf *out)
{
    json_dump_callback(in(json), add_to_buf, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
}
