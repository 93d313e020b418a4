/* Request templates: whatever a payload holds, a value stays in its place. What a place may not do
 * is judged here anew from the template's text: it adds no separator to a path or a query, no
 * control character to a header, no member to a JSON document.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json.h"
#include "schemas/template.h"
#include "tests/fuzz/fuzz.h"

#define OUT_MAX ((size_t)1024 * 1024)

static const struct json_limits payload_limits = { 32, 10000, .any_value = true };
static const struct json_limits any_limits = { 200, SIZE_MAX / 2, .any_value = true };

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

/* The template's own text, with `filling` in each place. */
static void fill(const char *template, const char *quoted, const char *bare, struct buf *out)
{
    bool is_quoted = false;
    for (const char *at = template; *at; at++) {
        const char *close = strncmp(at, "{{", 2) == 0 ? strstr(at, "}}") : NULL;
        if (close) {
            buf_add_text(out, is_quoted ? quoted : bare);
            at = close + 1;
            continue;
        }
        if (is_quoted && *at == '\\' && at[1] && strncmp(at + 1, "{{", 2) != 0)
            buf_add_char(out, *at++);
        else if (*at == '"')
            is_quoted = !is_quoted;
        buf_add_char(out, *at);
    }
}

/* What is neither an unreserved character nor a percent-encoded byte, in its order. */
static void separators_of(struct span text, struct buf *out)
{
    const char *c = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_unreserved(c[i]) && c[i] != '%')
            buf_add_char(out, c[i]);
    }
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

static void require_path(const char *template, struct span out)
{
    struct buf skeleton = BUF_INIT(OUT_MAX);
    struct buf wanted = BUF_INIT(OUT_MAX);
    struct buf got = BUF_INIT(OUT_MAX);
    fill(template, "", "", &skeleton);
    separators_of(buf_span(&skeleton), &wanted);
    separators_of(out, &got);
    FUZZ_REQUIRE(span_eq(buf_span(&wanted), buf_span(&got)));
    const char *begin = out.data;
    const char *end = memchr(begin, '?', out.size);
    end = end ? end : begin + out.size;
    while (begin <= end) {
        const char *slash = memchr(begin, '/', (size_t)(end - begin));
        struct span segment = { begin, (size_t)((slash ? slash : end) - begin) };
        FUZZ_REQUIRE(!span_is(segment, ".") && !span_is(segment, ".."));
        begin += segment.size + 1;
    }
    buf_free(&skeleton);
    buf_free(&wanted);
    buf_free(&got);
}

static void require_query(struct span out)
{
    const char *c = out.data;
    for (size_t i = 0; i < out.size; i++) {
        bool is_escape = c[i] == '%' && i + 2 < out.size && is_hex(c[i + 1]) && is_hex(c[i + 2]);
        FUZZ_REQUIRE(is_unreserved(c[i]) || is_escape);
    }
}

static void require_header(struct span out)
{
    const unsigned char *c = out.data;
    for (size_t i = 0; i < out.size; i++)
        FUZZ_REQUIRE(c[i] >= 0x20 && c[i] != 0x7f);
}

/* --- JSON: the same members and entries, whatever the values --- */

static void require_shape(const struct json *skeleton, const struct json *out);

static void require_member_shape(void *arg, struct span name, const struct json *value)
{
    const struct json *out = arg;
    char *copy = strndup(name.data, name.size);
    FUZZ_REQUIRE(copy && json_get(out, copy));
    require_shape(value, json_get(out, copy));
    free(copy);
}

static void require_shape(const struct json *skeleton, const struct json *out)
{
    enum json_type type = json_type_of(skeleton);
    union {
        const struct json *from;
        void *to;
    } arg = { .from = out };
    if (type == JSON_TYPE_NULL) /* a place, which may have any value; or null itself */
        return;
    FUZZ_REQUIRE(json_type_of(out) == type);
    if (type == JSON_TYPE_OBJECT || type == JSON_TYPE_ARRAY)
        FUZZ_REQUIRE(json_count(out) == json_count(skeleton));
    else if (type != JSON_TYPE_TEXT) /* texts may have places within */
        FUZZ_REQUIRE(json_same(out, skeleton));
    json_each(skeleton, require_member_shape, arg.to);
    for (size_t i = 0; type == JSON_TYPE_ARRAY && i < json_count(skeleton); i++)
        require_shape(json_at(skeleton, i), json_at(out, i));
}

static void require_json(const char *template, struct span out)
{
    struct buf text = BUF_INIT(OUT_MAX);
    struct json *skeleton = NULL;
    struct json *json = NULL;
    fill(template, "", "null", &text);
    FUZZ_REQUIRE(json_parse(buf_span(&text), &any_limits, &skeleton, NULL) == ERR_OK);
    FUZZ_REQUIRE(json_parse(out, &any_limits, &json, NULL) == ERR_OK);
    require_shape(skeleton, json);
    json_free(skeleton);
    json_free(json);
    buf_free(&text);
}

static void require_stays_in_place(const char *text, enum template_kind kind, struct span out)
{
    switch (kind) {
    case TEMPLATE_PATH:
        require_path(text, out);
        break;
    case TEMPLATE_QUERY:
        require_query(out);
        break;
    case TEMPLATE_HEADER:
        require_header(out);
        break;
    case TEMPLATE_JSON:
        require_json(text, out);
        break;
    }
}

static void render(const char *text, enum template_kind kind, struct span payload)
{
    struct template *template = NULL;
    struct err err = { 0 };
    struct template_values values = { .payload_bytes = payload };
    struct json *json = NULL;
    enum err_code code = template_compile(text, kind, &template, &err);
    if (code) {
        fuzz_require_told(code, &err);
        FUZZ_REQUIRE(code == ERR_CONFIG);
        return;
    }
    if (json_parse(payload, &payload_limits, &json, NULL) == ERR_OK) {
        struct buf out = BUF_INIT(OUT_MAX);
        values.payload = json;
        code = template_render(template, &values, &out, &err);
        FUZZ_REQUIRE(code == ERR_OK || code == ERR_TEMPLATE);
        if (code)
            fuzz_require_told(code, &err);
        else if (!out.overflow)
            require_stays_in_place(text, kind, buf_span(&out));
        buf_free(&out);
    }
    json_free(json);
    template_free(template);
}

/* KIND, the template, a NUL, the payload. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, data + size };
    enum template_kind kind = (enum template_kind)(fuzz_byte(&input) % (TEMPLATE_JSON + 1));
    struct span rest = fuzz_rest(&input);
    const char *begin = rest.data;
    const char *nul = rest.size ? memchr(begin, '\0', rest.size) : NULL;
    if (!nul)
        return 0;
    char *text = strdup(begin);
    FUZZ_REQUIRE(text != NULL);
    size_t text_size = (size_t)(nul - begin) + 1;
    struct span payload = fuzz_exact((struct span){ nul + 1, rest.size - text_size });
    render(text, kind, payload);
    fuzz_free(payload);
    free(text);
    return 0;
}
