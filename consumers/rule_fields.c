/* See rule_fields.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rule_fields.h"

#include "schemas/json.h"
#include "schemas/suggest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define ECHO_BYTES_MAX 64 /* of a client's own text in an error */

enum err_code rule_fields_refuse(const struct rule_fields *fields, const char *name,
                                 const char *format, ...)
{
    char field[sizeof fields->err->field];
    char text[sizeof fields->err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *dot = fields->place[0] && name[0] ? "." : "";
    snprintf(field, sizeof field, "%s%s%s", fields->place, dot, name);
    return err_field(fields->err, ERR_PAYLOAD_INVALID, field, "%s %s", field, text);
}

struct name_check {
    const struct rule_fields *fields;
    const char *const *names;
    enum err_code code;
};

static void check_name(void *arg, struct span name, const struct json *value)
{
    struct name_check *check = arg;
    size_t count = 0;
    (void)value;
    for (; check->names[count]; count++) {
        if (span_is(name, check->names[count]))
            return;
    }
    char shown[ECHO_BYTES_MAX + 1];
    snprintf(shown, sizeof shown, "%.*s", SPAN_ARG(name));
    const char *nearest = suggest_nearest(name, check->names, count);
    if (nearest)
        check->code = rule_fields_refuse(check->fields, shown,
                                         "does not exist; did you mean \"%s\"?", nearest);
    else
        check->code = rule_fields_refuse(check->fields, shown, "does not exist");
}

enum err_code rule_fields_open(struct rule_fields *fields, const struct json *value,
                               const char *const *names)
{
    struct name_check check = { .fields = fields, .names = names };
    if (json_type_of(value) != JSON_TYPE_OBJECT)
        return rule_fields_refuse(fields, fields->place[0] ? "" : "payload", "must be an object");
    fields->object = value;
    json_each(value, check_name, &check);
    return check.code;
}

bool rule_fields_has(const struct rule_fields *fields, const char *name)
{
    return json_get(fields->object, name) != NULL;
}

static bool has_control(struct span text)
{
    const unsigned char *p = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f)
            return true;
    }
    return false;
}

enum err_code rule_fields_take_text(const struct rule_fields *fields, const char *name,
                                    const struct json *value, size_t size_max,
                                    struct span *ret_text)
{
    if (!value)
        return rule_fields_refuse(fields, name, "is missing");
    if (json_type_of(value) != JSON_TYPE_TEXT)
        return rule_fields_refuse(fields, name, "must be a text");
    struct span text = json_text(value);
    if (text.size == 0 || text.size > size_max)
        return rule_fields_refuse(fields, name, "must be 1 to %zu bytes long", size_max);
    if (has_control(text))
        return rule_fields_refuse(fields, name,
                                  "must not have control characters such as newlines");
    *ret_text = text;
    return ERR_OK;
}

enum err_code rule_fields_text(const struct rule_fields *fields, const char *name, size_t size_max,
                               struct span *ret_text)
{
    return rule_fields_take_text(fields, name, json_get(fields->object, name), size_max, ret_text);
}

enum err_code rule_fields_take_integer(const struct rule_fields *fields, const char *name,
                                       const struct json *value, const int64_t range[2],
                                       int64_t *ret_number)
{
    int64_t number;
    if (!value)
        return rule_fields_refuse(fields, name, "is missing");
    if (!json_integer_of(value, &number) || number < range[0] || number > range[1])
        return rule_fields_refuse(fields, name,
                                  "must be a whole number from %" PRId64 " to %" PRId64, range[0],
                                  range[1]);
    *ret_number = number;
    return ERR_OK;
}

enum err_code rule_fields_integer(const struct rule_fields *fields, const char *name, int64_t min,
                                  int64_t max, int64_t *ret_number)
{
    const int64_t range[2] = { min, max };
    return rule_fields_take_integer(fields, name, json_get(fields->object, name), range,
                                    ret_number);
}

enum err_code rule_fields_list(const struct rule_fields *fields, const char *name, size_t count_max,
                               const struct json **ret_list, size_t *ret_count)
{
    const struct json *list = json_get(fields->object, name);
    if (!list)
        return rule_fields_refuse(fields, name, "is missing");
    if (json_type_of(list) != JSON_TYPE_ARRAY)
        return rule_fields_refuse(fields, name, "must be a list");
    size_t count = json_count(list);
    if (count == 0 || count > count_max)
        return rule_fields_refuse(fields, name, "must have 1 to %zu entries", count_max);
    *ret_list = list;
    *ret_count = count;
    return ERR_OK;
}
