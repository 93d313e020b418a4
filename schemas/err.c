/* See err.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *code;
    enum err_class class;
    int status;
    const char *title;
} registry[ERR_COUNT] = {
    [ERR_OK] = { "ok", ERR_CLASS_NONE, 200, "No error." },
#define ERR(name, code, class, status, text)                                                       \
    [ERR_##name] = { code, ERR_CLASS_##class, status, text },
#include "schemas/errors.def"
#undef ERR
};

/* Names and texts may quote what a stranger sent; a line stays a line. */
static void flatten(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
    }
}

enum err_code err_set(struct err *err, enum err_code code, const char *format, ...)
{
    if (!err)
        return code;
    err->code = code;
    err->field[0] = '\0';
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    flatten(err->text);
    return code;
}

enum err_code err_field(struct err *err, enum err_code code, const char *field, const char *format,
                        ...)
{
    if (!err)
        return code;
    err->code = code;
    snprintf(err->field, sizeof err->field, "%s", field);
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    flatten(err->field);
    flatten(err->text);
    return code;
}

const char *err_code_text(enum err_code code)
{
    return code < ERR_COUNT ? registry[code].code : "unknown";
}

const char *err_title(enum err_code code)
{
    return code < ERR_COUNT ? registry[code].title : "Unknown error.";
}

enum err_class err_class_of(enum err_code code)
{
    return code < ERR_COUNT ? registry[code].class : ERR_CLASS_NONE;
}

const char *err_class_text(enum err_class class)
{
    switch (class) {
    case ERR_CLASS_RETRY:
        return "retry";
    case ERR_CLASS_REJECT:
        return "reject";
    case ERR_CLASS_HOLD:
        return "hold";
    case ERR_CLASS_FATAL:
        return "fatal";
    case ERR_CLASS_NONE:
        break;
    }
    return "none";
}

int err_http_status(enum err_code code)
{
    return code < ERR_COUNT ? registry[code].status : 500;
}

enum err_code err_code_parse(struct span text)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        if (span_is(text, registry[i].code))
            return (enum err_code)i;
    }
    return ERR_COUNT;
}
