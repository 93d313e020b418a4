/* See template.h. A template is a list of parts: literal text, or a placeholder. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/template.h"

#include "schemas/json.h"
#include "schemas/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PROOF_BYTES_MAX (1024 * 1024)
#define VALUE_BYTES_MAX (1024 * 1024)

struct part {
    char *literal;   /* NULL for a placeholder */
    char *name;      /* as written, for errors */
    char *pointer;   /* RFC 6901 */
    char *default_;  /* NULL: none */
    bool whole;      /* {{payload}} */
    bool quoted;     /* JSON: within a string */
};

struct template {
    enum template_kind kind;
    struct part *parts;
    size_t count;
};

static struct part *add_part(struct template *template)
{
    template->parts = mem_resize(template->parts, template->count + 1, sizeof *template->parts);
    struct part *part = &template->parts[template->count++];
    *part = (struct part){ 0 };
    return part;
}

void template_free(struct template *template)
{
    if (!template)
        return;
    for (size_t i = 0; i < template->count; i++) {
        free(template->parts[i].literal);
        free(template->parts[i].name);
        free(template->parts[i].pointer);
        free(template->parts[i].default_);
    }
    free(template->parts);
    free(template);
}

/* "a.b.0" as "/a/b/0"; a pointer stays one. */
static char *pointer_of(struct span name)
{
    struct buf pointer = BUF_INIT(2 * name.size + 2);
    const char *text = name.data;
    if (text[0] == '/') {
        buf_add_span(&pointer, name);
        return buf_take(&pointer);
    }
    buf_add_char(&pointer, '/');
    for (size_t i = 0; i < name.size; i++) {
        if (text[i] == '.')
            buf_add_char(&pointer, '/');
        else if (text[i] == '~')
            buf_add_text(&pointer, "~0");
        else
            buf_add_char(&pointer, text[i]);
    }
    return buf_take(&pointer);
}

/* Follows a JSON text, to know whether its end lies within a string. */
static bool quoted_after(const char *text, size_t size, bool quoted)
{
    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
    }
    return quoted;
}

static enum err_code add_placeholder(struct template *template, struct span inside, bool quoted, struct err *err)
{
    const char *text = inside.data;
    const char *bar = memchr(text, '|', inside.size);
    struct span name = { text, bar ? (size_t)(bar - text) : inside.size };
    while (name.size && *(const char *)name.data == ' ')
        name = (struct span){ (const char *)name.data + 1, name.size - 1 };
    while (name.size && ((const char *)name.data)[name.size - 1] == ' ')
        name.size--;
    if (name.size == 0)
        return err_set(err, ERR_CONFIG, "a placeholder {{...}} has no name");
    struct part *part = add_part(template);
    part->name = mem_dup(name);
    part->quoted = quoted;
    if (bar)
        part->default_ = mem_dup((struct span){ bar + 1, inside.size - (size_t)(bar - text) - 1 });
    part->whole = span_is(name, "payload");
    if (part->whole && (template->kind != TEMPLATE_JSON || quoted))
        return err_set(err, ERR_CONFIG, "{{payload}} may only stand as a whole JSON value");
    part->pointer = pointer_of(name);
    return ERR_OK;
}

static enum err_code split(struct template *template, const char *text, struct err *err)
{
    bool quoted = false;
    while (*text) {
        const char *open = strstr(text, "{{");
        size_t size = open ? (size_t)(open - text) : strlen(text);
        if (size) {
            add_part(template)->literal = mem_dup((struct span){ text, size });
            quoted = quoted_after(text, size, quoted);
        }
        if (!open)
            return ERR_OK;
        const char *close = strstr(open + 2, "}}");
        if (!close)
            return err_set(err, ERR_CONFIG, "the placeholder at \"%.20s\" is not closed with }}", open);
        struct span inside = { open + 2, (size_t)(close - open) - 2 };
        enum err_code code = add_placeholder(template, inside, quoted, err);
        if (code)
            return code;
        text = close + 2;
    }
    return ERR_OK;
}

/* Once its placeholders are values, a JSON template must be JSON. */
static enum err_code prove_json(const struct template *template, struct err *err)
{
    struct buf proof = BUF_INIT(PROOF_BYTES_MAX);
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        if (part->literal)
            buf_add_text(&proof, part->literal);
        else if (!part->quoted)
            buf_add_char(&proof, '0');
    }
    struct json_limits limits = { .depth_max = 64, .tokens_max = PROOF_BYTES_MAX, .any_value = true };
    struct json *json = NULL;
    struct err why;
    enum err_code code = json_parse(buf_span(&proof), &limits, &json, &why);
    json_free(json);
    buf_free(&proof);
    return code ? err_set(err, ERR_CONFIG, "the template is not JSON: %s", why.text) : ERR_OK;
}

static enum err_code prove_defaults(const struct template *template, struct err *err)
{
    struct json_limits limits = { .depth_max = 64, .tokens_max = PROOF_BYTES_MAX, .any_value = true };
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        struct json *json = NULL;
        if (!part->default_ || part->quoted)
            continue;
        if (json_parse(span_of(part->default_), &limits, &json, NULL))
            return err_set(err, ERR_CONFIG, "the default of {{%s}} must be JSON there (a text in quotes)", part->name);
        json_free(json);
    }
    return ERR_OK;
}

enum err_code template_compile(const char *text, enum template_kind kind, struct template **ret_template,
                               struct err *err)
{
    struct template *template = MEM_NEW(*template);
    template->kind = kind;
    enum err_code code = split(template, text, err);
    if (code == ERR_OK && kind == TEMPLATE_JSON)
        code = prove_json(template, err);
    if (code == ERR_OK && kind == TEMPLATE_JSON)
        code = prove_defaults(template, err);
    if (code) {
        template_free(template);
        return code;
    }
    *ret_template = template;
    return ERR_OK;
}

/* --- rendering --- */

static void add_percent_encoded(struct buf *out, struct span value)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *bytes = value.data;
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = bytes[i];
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved) {
            buf_add_char(out, (char)c);
        } else {
            buf_add_char(out, '%');
            buf_add_char(out, digits[c >> 4]);
            buf_add_char(out, digits[c & 15]);
        }
    }
}

static enum err_code refuse(const struct part *part, const char *why, struct err *err)
{
    return err_field(err, ERR_TEMPLATE, part->name, "the payload's \"%s\" %s", part->name, why);
}

/* Within a JSON string: escaped, without the quotes. */
static void add_escaped(struct buf *out, struct span value)
{
    struct buf quoted = BUF_INIT(6 * value.size + 2);
    buf_add_json_string(&quoted, value);
    buf_add(out, quoted.data + 1, quoted.size - 2);
    buf_free(&quoted);
}

static enum err_code add_value(const struct template *template, const struct part *part, struct span value,
                               struct buf *out, struct err *err)
{
    switch (template->kind) {
    case TEMPLATE_PATH:
    case TEMPLATE_QUERY:
        add_percent_encoded(out, value);
        return ERR_OK;
    case TEMPLATE_HEADER:
        for (size_t i = 0; i < value.size; i++) {
            unsigned char c = ((const unsigned char *)value.data)[i];
            if (c < 0x20 || c == 0x7f)
                return refuse(part, "has a control character, which a header may not have", err);
        }
        buf_add_span(out, value);
        return ERR_OK;
    case TEMPLATE_JSON:
        break;
    }
    add_escaped(out, value);
    return ERR_OK;
}

static enum err_code render_part(const struct template *template, const struct part *part,
                                 const struct template_values *values, struct buf *out, struct err *err)
{
    if (part->whole) {
        buf_add_span(out, values->payload_bytes);
        return ERR_OK;
    }
    bool json = template->kind == TEMPLATE_JSON && !part->quoted;
    const struct json *value = json_pointer(values->payload, span_of(part->pointer));
    bool missing = !value || (json_type_of(value) == JSON_TYPE_NULL && (part->default_ || !json));
    if (missing && !part->default_)
        return refuse(part, "is missing", err);
    if (missing && json) {
        buf_add_text(out, part->default_);
        return ERR_OK;
    }
    if (missing)
        return add_value(template, part, span_of(part->default_), out, err);
    if (json) {
        json_dump(value, out);
        return ERR_OK;
    }
    enum json_type type = json_type_of(value);
    if (type == JSON_TYPE_OBJECT || type == JSON_TYPE_ARRAY)
        return refuse(part, "is an object or an array; only text, numbers and booleans fit here", err);
    if (type == JSON_TYPE_TEXT)
        return add_value(template, part, json_text(value), out, err);
    struct buf text = BUF_INIT(VALUE_BYTES_MAX);
    json_dump(value, &text);
    enum err_code code = add_value(template, part, buf_span(&text), out, err);
    buf_free(&text);
    return code;
}

/* A segment "." or ".." would change which path is meant (RFC 3986, section 5.2.4), and an empty one is a mistake. */
static bool has_dot_segment(const char *path)
{
    while (*path) {
        size_t size = strcspn(path, "/?#");
        if ((size == 1 && path[0] == '.') || (size == 2 && path[0] == '.' && path[1] == '.'))
            return true;
        path += size;
        if (*path == '?' || *path == '#')
            return false;
        path += *path == '/';
    }
    return false;
}

enum err_code template_render(const struct template *template, const struct template_values *values, struct buf *out,
                              struct err *err)
{
    size_t start = out->size;
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        if (part->literal) {
            buf_add_text(out, part->literal);
            continue;
        }
        enum err_code code = render_part(template, part, values, out, err);
        if (code)
            return code;
    }
    if (template->kind == TEMPLATE_PATH && out->size > start && has_dot_segment(out->data + start))
        return err_set(err, ERR_TEMPLATE, "a value makes the path's segment \".\" or \"..\"");
    return ERR_OK;
}
