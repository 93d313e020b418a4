/* Errors: a code from one registry (errors.def) and a text that names the field, the limit and the
 * fix. Fallible functions return enum err_code (ERR_OK is 0) and take `struct err *err` last; it
 * may be NULL. schemas/ and infra/ return errors and never log them; the layer that decides what to
 * do logs once.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_ERR_H
#define SCHEMAS_ERR_H

#include "schemas/span.h"

enum err_code {
    ERR_OK = 0,
#define ERR(name, code, class, status, text) ERR_##name,
#include "schemas/errors.def"
#undef ERR
    ERR_COUNT
};

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_RETRY,
    ERR_CLASS_REJECT,
    ERR_CLASS_HOLD,
    ERR_CLASS_FATAL,
};

struct err {
    enum err_code code;
    char field[96]; /* what is wrong, e.g. "payload" or "targets.quotes.timeout_ms"; may be empty */
    char text[320]; /* for people; one or two sentences, no newline */
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Sets code and text, clears the field; returns `code`, so that `return err_set(...)` reads well.
 * Control characters become spaces. */
enum err_code err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, naming the field. */
enum err_code err_field(struct err *err, enum err_code code, const char *field, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

/* The stable code ("invalid_json"); "ok" for ERR_OK. */
const char *err_code_text(enum err_code code);
/* The registry's sentence. */
const char *err_title(enum err_code code);
enum err_class err_class_of(enum err_code code);
/* "retry", "reject", "hold", "fatal"; "none" for ERR_CLASS_NONE. */
const char *err_class_text(enum err_class class);
int err_http_status(enum err_code code);
/* The code whose stable text is `text`; ERR_COUNT when there is none. */
enum err_code err_code_parse(struct span text);

#endif
