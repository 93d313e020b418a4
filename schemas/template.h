/* Request templates: an operator's text with places that a job's payload fills. A value can only
 * ever be a value: what it is put into says how it is escaped, there is no raw substitution, so no
 * payload adds a path segment, a query argument, a header or a JSON member.
 *
 *   {{name}}          the payload's member
 *   {{a.b.0}}         a member of a member, an entry of an array
 *   {{/a.b/c~1d}}     JSON Pointer (RFC 6901), for names with dots, slashes, or the name "payload"
 *   {{name|text}}     with a default (may be empty) for when the payload has no such member, or
 * null
 *   {{payload}}       in JSON templates only: the payload's own bytes, as a whole value
 *
 * White space around a name is ignored; a default is taken as it stands, up to "}}". Texts, numbers
 * and booleans can be put anywhere, arrays and objects only as whole values of JSON templates.
 *
 * THREADS: compiled once, then rendered by any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_TEMPLATE_H
#define SCHEMAS_TEMPLATE_H

#include "schemas/buf.h"
#include "schemas/err.h"

struct json;
struct template;

enum template_kind {
    /* A URL path (and what follows it). Values are percent-encoded except for RFC 3986's unreserved
     * characters and may not be empty; a segment that comes out as "." or ".." is refused. The text
     * itself is taken as it is, and must be made of characters that a URL may have. */
    TEMPLATE_PATH,
    /* The value of one query argument: text and values are both percent-encoded. */
    TEMPLATE_QUERY,
    /* The value of a header field: no control characters. */
    TEMPLATE_HEADER,
    /* A JSON document. Within quotes a place takes the value's text, escaped; outside of them its
     * JSON, null included (and a default there is JSON too). The text must be valid JSON once its
     * places are filled, which is checked when it is compiled. Member names have no places. */
    TEMPLATE_JSON,
};

/* ERR_CONFIG says what is wrong with the text. Free with template_free. */
enum err_code template_compile(const char *text, enum template_kind kind,
                               struct template **ret_template, struct err *err) MUST_CHECK;
void template_free(struct template *template);

struct template_values {
    const struct json *payload;
    struct span payload_bytes; /* what `payload` was parsed from */
};

/* Appends to `out`, whose overflow the caller checks. ERR_TEMPLATE, the field being the place's
 * name, when a value is missing or cannot stand there; `out` then holds a part. */
enum err_code template_render(const struct template *template, const struct template_values *values,
                              struct buf *out, struct err *err) MUST_CHECK;

#endif
