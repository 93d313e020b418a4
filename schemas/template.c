/* See template.h. A template is a list of parts: literal text, which is ready to be copied once it
 * is compiled, or a place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/template.h"

#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define JSON_DEPTH_MAX  64
#define NUMBER_SIZE_MAX 32

struct part {
    char *literal;  /* NULL: the part is a place */
    char *name;     /* of a place, as written */
    char *pointer;  /* what the name means (RFC 6901); NULL: the payload's own bytes */
    char *fallback; /* the default; NULL: there is none */
    bool is_quoted; /* the place is within a JSON string */
};

struct template
{
    enum template_kind kind;
    struct part *parts;
    size_t count;
};

void template_free(struct template *template)
{
    if (!template)
        return;
    for (size_t i = 0; i < template->count; i++) {
        free(template->parts[i].literal);
        free(template->parts[i].name);
        free(template->parts[i].pointer);
        free(template->parts[i].fallback);
    }
    free(template->parts);
    free(template);
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static bool has_control(struct span text)
{
    const unsigned char *c = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (is_control(c[i]))
            return true;
    }
    return false;
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* --- compiling --- */

/* Where in a JSON text the compiler is. */
struct json_position {
    bool is_quoted;
    bool has_place;  /* the string it is in has one */
    bool is_behind;  /* it is right behind such a string */
    bool is_escaped; /* behind a backslash */
};

struct compiler {
    struct template *template;
    struct json_position position;
    struct err *err;
};

static struct part *add_part(struct template *template)
{
    template->parts = mem_resize(template->parts, template->count + 1, sizeof *template->parts);
    struct part *part = &template->parts[template->count++];
    *part = (struct part){ 0 };
    return part;
}

static bool is_json_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Moves over one character of JSON text; false when it makes a string that has a place a name. */
static bool advance(struct json_position *position, char c)
{
    if (position->is_escaped) {
        position->is_escaped = false;
    } else if (c == '"') {
        position->is_behind = position->is_quoted && position->has_place;
        position->has_place = false;
        position->is_quoted = !position->is_quoted;
    } else if (position->is_quoted) {
        position->is_escaped = c == '\\';
    } else if (position->is_behind && !is_json_space(c)) {
        position->is_behind = false;
        return c != ':';
    }
    return true;
}

static enum err_code check_path_literal(struct span text, struct err *err)
{
    static const char others[] = "-._~:/?[]@!$&'()*+,;=%";
    const char *c = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_alphanumeric(c[i]) && !memchr(others, c[i], sizeof others - 1))
            return err_set(err, ERR_CONFIG,
                           "a path cannot have the character 0x%02x; percent-encode it",
                           (unsigned)(unsigned char)c[i]);
    }
    return ERR_OK;
}

static enum err_code compile_literal(struct compiler *compiler, struct span text)
{
    struct template *template = compiler->template;
    if (text.size == 0)
        return ERR_OK;
    if (template->kind == TEMPLATE_QUERY) {
        struct buf encoded = BUF_INIT(3 * text.size);
        buf_add_percent_encoded(&encoded, text);
        add_part(template)->literal = buf_take(&encoded);
        return ERR_OK;
    }
    add_part(template)->literal = mem_dup(text);
    if (template->kind == TEMPLATE_PATH)
        return check_path_literal(text, compiler->err);
    if (template->kind == TEMPLATE_HEADER && has_control(text))
        return err_set(compiler->err, ERR_CONFIG, "a header cannot have control characters");
    const char *c = text.data;
    for (size_t i = 0; template->kind == TEMPLATE_JSON && i < text.size; i++) {
        if (!advance(&compiler->position, c[i]))
            return err_set(compiler->err, ERR_CONFIG,
                           "a place {{...}} cannot be in the name of a JSON member");
    }
    return ERR_OK;
}

static struct span trim(struct span text)
{
    const char *start = text.data;
    const char *end = start + text.size;
    while (start < end && *start == ' ')
        start++;
    while (end > start && end[-1] == ' ')
        end--;
    return (struct span){ start, (size_t)(end - start) };
}

static bool is_pointer(struct span text)
{
    const char *c = text.data;
    for (size_t i = 0; i < text.size; i++) {
        bool is_escape = i + 1 < text.size && (c[i + 1] == '0' || c[i + 1] == '1');
        if (c[i] == '~' && !is_escape)
            return false;
    }
    return true;
}

static void add_pointer_token(struct buf *pointer, struct span token)
{
    const char *c = token.data;
    buf_add_char(pointer, '/');
    for (size_t i = 0; i < token.size; i++) {
        if (c[i] == '~')
            buf_add_text(pointer, "~0");
        else if (c[i] == '/')
            buf_add_text(pointer, "~1");
        else
            buf_add_char(pointer, c[i]);
    }
}

/* "a.b.0" as the pointer "/a/b/0"; NULL when the name is neither that nor a pointer itself. */
static char *pointer_of(struct span name)
{
    const char *at = name.data;
    const char *end = at + name.size;
    if (at < end && *at == '/')
        return is_pointer(name) ? mem_dup(name) : NULL;
    struct buf pointer = BUF_INIT(2 * name.size + 1);
    bool is_empty = false; /* one of the names between the dots */
    while (at <= end) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        struct span token = { at, (size_t)((dot ? dot : end) - at) };
        is_empty |= token.size == 0;
        add_pointer_token(&pointer, token);
        at += token.size + 1;
    }
    if (!is_empty)
        return buf_take(&pointer);
    buf_free(&pointer);
    return NULL;
}

static enum err_code compile_payload(const struct compiler *compiler, bool has_default)
{
    bool is_whole = compiler->template->kind == TEMPLATE_JSON && !compiler->position.is_quoted;
    if (is_whole && !has_default)
        return ERR_OK;
    return err_set(compiler->err, ERR_CONFIG,
                   "{{payload}} is the whole payload and only stands as a value of a JSON body; "
                   "for a member of that name write {{/payload}}");
}

static enum err_code check_fallback(const struct part *part, enum template_kind kind,
                                    struct err *err)
{
    struct span text = span_of(part->fallback);
    const struct json_limits limits = { JSON_DEPTH_MAX, text.size + 1, .any_value = true };
    struct json *json = NULL;
    if (kind == TEMPLATE_HEADER && has_control(text))
        return err_set(err, ERR_CONFIG, "a header cannot have control characters");
    if (kind != TEMPLATE_JSON || part->is_quoted)
        return ERR_OK;
    enum err_code code = json_parse(text, &limits, &json, NULL);
    json_free(json);
    return code ? err_set(err, ERR_CONFIG,
                          "the default of {{%s}} must be JSON where it stands: a number, or a text "
                          "in quotes",
                          part->name)
                : ERR_OK;
}

/* `inside` is what stands between the braces. */
static enum err_code compile_place(struct compiler *compiler, struct span inside)
{
    const char *text = inside.data;
    const char *bar = memchr(text, '|', inside.size);
    struct span name = trim((struct span){ text, bar ? (size_t)(bar - text) : inside.size });
    struct part *part = add_part(compiler->template);
    part->name = mem_dup(name);
    part->is_quoted = compiler->position.is_quoted;
    compiler->position.has_place = part->is_quoted;
    if (span_is(name, "payload"))
        return compile_payload(compiler, bar != NULL);
    part->pointer = pointer_of(name);
    if (!part->pointer || has_control(name) || strpbrk(part->name, "{}\""))
        return err_set(compiler->err, ERR_CONFIG,
                       "{{%.*s}} names no member: write {{name}}, {{a.b}}, {{a.0}} or {{/a/b}}",
                       (int)(inside.size < 60 ? inside.size : 60), text);
    if (!bar)
        return ERR_OK;
    part->fallback = mem_dup((struct span){ bar + 1, inside.size - (size_t)(bar - text) - 1 });
    return check_fallback(part, compiler->template->kind, compiler->err);
}

static enum err_code compile_parts(struct compiler *compiler, const char *text)
{
    for (;;) {
        const char *open = strstr(text, "{{");
        struct span literal = { text, open ? (size_t)(open - text) : strlen(text) };
        enum err_code code = compile_literal(compiler, literal);
        if (code || !open)
            return code;
        const char *close = strstr(open, "}}");
        if (!close)
            return err_set(compiler->err, ERR_CONFIG, "the place \"%.20s\" is not closed by }}",
                           open);
        code = compile_place(compiler, (struct span){ open + 2, (size_t)(close - open) - 2 });
        if (code)
            return code;
        text = close + 2;
    }
}

/* A segment "." or ".." would make it another path than the operator wrote (RFC 3986, 5.2.4), also
 * where its dots are percent-encoded. */
static bool has_dot_segment(struct span path)
{
    const char *at = path.data;
    const char *end = at + path.size;
    size_t dots = 0;
    bool only_dots = true;
    for (; at < end && *at != '?'; at++) {
        if (*at == '/') {
            if (only_dots && (dots == 1 || dots == 2))
                return true;
            dots = 0;
            only_dots = true;
            continue;
        }
        bool is_encoded =
            end - at >= 3 && memcmp(at, "%2", 2) == 0 && (at[2] == 'e' || at[2] == 'E');
        only_dots &= *at == '.' || is_encoded;
        dots++;
        at += is_encoded ? 2 : 0;
    }
    return only_dots && (dots == 1 || dots == 2);
}

/* The template with its places filled by anything: what is wrong now is wrong with any payload. */
static enum err_code try_out(const struct template *template, size_t size_max, struct err *err)
{
    struct buf text = BUF_INIT(size_max);
    const struct json_limits limits = { JSON_DEPTH_MAX, size_max + 1, .any_value = true };
    struct json *json = NULL;
    struct err why = { 0 };
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        bool is_value = template->kind == TEMPLATE_JSON && !part->is_quoted;
        buf_add_text(&text, part->literal ? part->literal : is_value ? "null" : "x");
    }
    if (template->kind == TEMPLATE_JSON && json_parse(buf_span(&text), &limits, &json, &why))
        code = err_set(err, ERR_CONFIG, "not valid JSON once its places are filled: %s", why.text);
    if (template->kind == TEMPLATE_PATH && has_dot_segment(buf_span(&text)))
        code = err_set(err, ERR_CONFIG, "a path cannot have the segments \".\" and \"..\"");
    json_free(json);
    buf_free(&text);
    return code;
}

enum err_code template_compile(const char *text, enum template_kind kind,
                               struct template **ret_template, struct err *err)
{
    struct template *template = MEM_NEW(*template);
    struct compiler compiler = { .template = template, .err = err };
    template->kind = kind;
    enum err_code code = compile_parts(&compiler, text);
    if (code == ERR_OK)
        code = try_out(template, 3 * strlen(text), err); /* encoding a literal can treble it */
    if (code) {
        template_free(template);
        return code;
    }
    *ret_template = template;
    return ERR_OK;
}

/* --- rendering --- */

static const char *const kind_texts[] = {
    [TEMPLATE_PATH] = "path",
    [TEMPLATE_QUERY] = "query",
    [TEMPLATE_HEADER] = "header",
    [TEMPLATE_JSON] = "body",
};

struct rendering {
    enum template_kind kind;
    const struct template_values *values;
    struct buf *out;
    struct err *err;
};

static enum err_code refuse(const struct rendering *rendering, const struct part *part,
                            const char *why)
{
    return err_field(rendering->err, ERR_TEMPLATE, part->name,
                     "the payload's \"%s\", which goes into the request's %s, %s", part->name,
                     kind_texts[rendering->kind], why);
}

/* What stands between the quotes of the text as JSON. */
static void add_json_escaped(struct buf *out, struct span text)
{
    struct buf quoted = BUF_INIT(6 * text.size + 2);
    buf_add_json_string(&quoted, text);
    buf_add(out, quoted.data + 1, quoted.size - 2);
    buf_free(&quoted);
}

static enum err_code add_text(const struct rendering *rendering, const struct part *part,
                              struct span text)
{
    switch (rendering->kind) {
    case TEMPLATE_PATH:
    case TEMPLATE_QUERY:
        buf_add_percent_encoded(rendering->out, text);
        break;
    case TEMPLATE_HEADER:
        if (has_control(text))
            return refuse(rendering, part, "has a control character");
        buf_add_span(rendering->out, text);
        break;
    case TEMPLATE_JSON:
        add_json_escaped(rendering->out, text);
        break;
    }
    return ERR_OK;
}

/* Where no JSON can stand: as text. */
static enum err_code add_as_text(const struct rendering *rendering, const struct part *part,
                                 const struct json *value)
{
    struct span text = json_text(value);
    enum json_type type = json_type_of(value);
    if (type == JSON_TYPE_ARRAY || type == JSON_TYPE_OBJECT)
        return refuse(rendering, part, "must be a text, number or boolean");
    if (rendering->kind == TEMPLATE_PATH && type == JSON_TYPE_TEXT && text.size == 0)
        return refuse(rendering, part, "must not be empty");
    if (type == JSON_TYPE_TEXT)
        return add_text(rendering, part, text);
    struct buf number = BUF_INIT(NUMBER_SIZE_MAX);
    json_dump(value, &number);
    enum err_code code = add_text(rendering, part, buf_span(&number));
    buf_free(&number);
    return code;
}

static enum err_code render_place(const struct rendering *rendering, const struct part *part)
{
    if (!part->pointer) {
        buf_add_span(rendering->out, rendering->values->payload_bytes);
        return ERR_OK;
    }
    bool is_value = rendering->kind == TEMPLATE_JSON && !part->is_quoted;
    const struct json *value = json_pointer(rendering->values->payload, span_of(part->pointer));
    bool is_null = json_type_of(value) == JSON_TYPE_NULL;
    if (!value && !part->fallback)
        return refuse(rendering, part, "is missing");
    if (is_null && !part->fallback && !is_value)
        return refuse(rendering, part, "is null");
    if (value && !(is_null && part->fallback)) {
        if (!is_value)
            return add_as_text(rendering, part, value);
        json_dump(value, rendering->out);
        return ERR_OK;
    }
    if (!is_value)
        return add_text(rendering, part, span_of(part->fallback));
    buf_add_text(rendering->out, part->fallback);
    return ERR_OK;
}

enum err_code template_render(const struct template *template, const struct template_values *values,
                              struct buf *out, struct err *err)
{
    const struct rendering rendering = { template->kind, values, out, err };
    size_t start = out->size;
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        enum err_code code = ERR_OK;
        if (part->literal)
            buf_add_text(out, part->literal);
        else
            code = render_place(&rendering, part);
        if (code)
            return code;
    }
    const char *whole = buf_span(out).data;
    struct span path = { whole + start, out->size - start };
    if (template->kind == TEMPLATE_PATH && has_dot_segment(path))
        return err_field(err, ERR_TEMPLATE, "path",
                         "the payload makes a segment of the request's path \".\" or \"..\"");
    return ERR_OK;
}
