/* Request templates, with payloads that try to be more than values.
 * proves P-42
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/json.h"
#include "schemas/template.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char payload_text[] =
    "{\"name\":\"a b\",\"n\":-7,\"real\":0.1,\"yes\":true,\"none\":null,\"empty\":\"\","
    "\"list\":[\"x\",{\"y\":1}],\"object\":{\"k\":\"v\",\"deep\":{\"er\":\"!\"}},"
    "\"slash\":\"../a/b?c#d&e=f;g\",\"percent\":\"%2e%2e%2F%00\",\"dot\":\".\",\"dots\":\"..\","
    "\"crlf\":\"a\\r\\nHost: "
    "evil\",\"tab\":\"a\\tb\",\"del\":\"\\u007f\",\"quote\":\"\\\"},{\\\\\","
    "\"unicode\":\"\xc3\xa4\xe2\x82\xac\",\"payload\":\"member\",\"a.b\":\"dotted\",\"c/"
    "d~e\":\"odd\","
    "\"two words\":2}";

/* What rendering gave: the text, or what went wrong. */
struct outcome {
    enum err_code code;
    struct err err;
    struct buf out;
};

static struct json *parse(const char *text)
{
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 128 };
    struct json *payload = NULL;
    assert_int_equal(json_parse(span_of(text), &limits, &payload, NULL), ERR_OK);
    return payload;
}

static struct outcome render(enum template_kind kind, const char *text)
{
    struct outcome outcome = { .out = BUF_INIT(4096) };
    struct json *payload = parse(payload_text);
    struct template *template = NULL;
    if (template_compile(text, kind, &template, &outcome.err))
        fail_msg("%s: %s", text, outcome.err.text);
    const struct template_values values = { payload, span_of(payload_text) };
    outcome.code = template_render(template, &values, &outcome.out, &outcome.err);
    template_free(template);
    json_free(payload);
    return outcome;
}

static void expect(enum template_kind kind, const char *text, const char *expected)
{
    struct outcome outcome = render(kind, text);
    if (outcome.code)
        fail_msg("%s: %s", text, outcome.err.text);
    struct span got = buf_span(&outcome.out);
    if (!span_is(got, expected))
        fail_msg("%s gives %.*s", text, SPAN_ARG(got));
    buf_free(&outcome.out);
}

static void expect_refused(enum template_kind kind, const char *text, const char *field,
                           const char *why)
{
    struct outcome outcome = render(kind, text);
    assert_int_equal(outcome.code, ERR_TEMPLATE);
    assert_int_equal(outcome.err.code, ERR_TEMPLATE);
    assert_string_equal(outcome.err.field, field);
    if (!strstr(outcome.err.text, why))
        fail_msg("%s: %s", text, outcome.err.text);
    buf_free(&outcome.out);
}

static void expect_not_compiled(enum template_kind kind, const char *text, const char *why)
{
    struct template *template = NULL;
    struct err err = { 0 };
    if (template_compile(text, kind, &template, &err) != ERR_CONFIG || !strstr(err.text, why))
        fail_msg("%s: %s", text, err.text);
    assert_null(template);
    assert_int_equal(template_compile(text, kind, &template, NULL), ERR_CONFIG);
}

/* --- names and defaults --- */

static void test_names(void **state)
{
    (void)state;
    expect(TEMPLATE_HEADER, "no place", "no place");
    expect(TEMPLATE_HEADER, "", "");
    expect(TEMPLATE_HEADER, "<{{name}}>", "<a b>");
    expect(TEMPLATE_HEADER, "{{ name }}{{two words}}", "a b2");
    expect(TEMPLATE_HEADER, "{{object.k}} {{object.deep.er}}", "v !");
    expect(TEMPLATE_HEADER, "{{list.0}} {{list.1.y}}", "x 1");
    expect(TEMPLATE_HEADER, "{{/a.b}} {{/c~1d~0e}} {{c/d~e}}", "dotted odd odd");
    expect(TEMPLATE_HEADER, "{{/payload}}", "member");
    expect(TEMPLATE_HEADER, "{single} } }} {", "{single} } }} {");
    template_free(NULL);
}

static void test_numbers_and_booleans_are_text(void **state)
{
    (void)state;
    expect(TEMPLATE_PATH, "/{{n}}/{{real}}/{{yes}}", "/-7/0.1/true");
    expect(TEMPLATE_QUERY, "{{n}}", "-7");
    expect(TEMPLATE_HEADER, "{{yes}}", "true");
    expect(TEMPLATE_JSON, "\"{{n}} {{yes}} {{real}}\"", "\"-7 true 0.1\"");
}

static void test_defaults(void **state)
{
    (void)state;
    expect(TEMPLATE_PATH, "/{{gone|any thing}}", "/any%20thing");
    expect(TEMPLATE_PATH, "/{{gone|}}", "/");
    expect(TEMPLATE_QUERY, "{{gone|}}", "");
    expect(TEMPLATE_QUERY, "{{none|a&b}}", "a%26b");
    expect(TEMPLATE_HEADER, "{{name|other}}", "a b");
    expect(TEMPLATE_HEADER, "{{object.gone| a|b }}", " a|b ");
    expect(TEMPLATE_JSON, "{\"a\":{{gone|0}},\"b\":\"{{gone|\"q\"}}\"}",
           "{\"a\":0,\"b\":\"\\\"q\\\"\"}");
    expect(TEMPLATE_JSON, "{\"a\":{{none|{\"b\":[1, 2]} }}}", "{\"a\":{\"b\":[1, 2]} }");
}

static void test_what_is_missing_is_named(void **state)
{
    (void)state;
    expect_refused(TEMPLATE_PATH, "/{{gone}}", "gone", "\"gone\"");
    expect_refused(TEMPLATE_QUERY, "{{object.gone}}", "object.gone", "query, is missing");
    expect_refused(TEMPLATE_HEADER, "{{/list/7}}", "/list/7", "is missing");
    expect_refused(TEMPLATE_JSON, "{{gone}}", "gone", "is missing");
    expect_refused(TEMPLATE_JSON, "\"{{none}}\"", "none", "is null");
    expect_refused(TEMPLATE_PATH, "/{{none}}", "none", "is null");
}

static void test_lists_and_objects_are_no_text(void **state)
{
    (void)state;
    static const char why[] = "must be a text, number or boolean";
    expect_refused(TEMPLATE_PATH, "/{{list}}", "list", why);
    expect_refused(TEMPLATE_QUERY, "{{object}}", "object", why);
    expect_refused(TEMPLATE_HEADER, "{{list}}", "list", why);
    expect_refused(TEMPLATE_JSON, "\"{{object}}\"", "object", why);
}

/* --- each kind, with hostile values --- */

static void test_a_value_adds_no_path_segment(void **state)
{
    (void)state;
    expect(TEMPLATE_PATH, "/v1/{{slash}}/x?y={{slash}}",
           "/v1/..%2Fa%2Fb%3Fc%23d%26e%3Df%3Bg/x?y=..%2Fa%2Fb%3Fc%23d%26e%3Df%3Bg");
    expect(TEMPLATE_PATH, "/{{percent}}", "/%252e%252e%252F%2500");
    expect(TEMPLATE_PATH, "/{{crlf}}", "/a%0D%0AHost%3A%20evil");
    expect(TEMPLATE_PATH, "/{{unicode}}", "/%C3%A4%E2%82%AC");
    expect(TEMPLATE_PATH, "/{{quote}}", "/%22%7D%2C%7B%5C");
}

static void test_a_value_is_no_dot_segment(void **state)
{
    (void)state;
    static const char why[] = "\".\" or \"..\"";
    expect_refused(TEMPLATE_PATH, "/a/{{dots}}", "path", why);
    expect_refused(TEMPLATE_PATH, "/a/{{dots}}/b", "path", why);
    expect_refused(TEMPLATE_PATH, "/a/{{dot}}{{dot}}/b", "path", why);
    expect_refused(TEMPLATE_PATH, "/a/%2e{{dot}}?q", "path", why);
    expect_refused(TEMPLATE_PATH, "{{dot}}", "path", why);
    expect_refused(TEMPLATE_PATH, "/{{empty}}", "empty", "must not be empty");
    expect(TEMPLATE_PATH, "/a/{{dots}}{{dot}}/b", "/a/.../b");
    expect(TEMPLATE_PATH, "/a.{{dot}}/x?{{dots}}/{{dots}}", "/a../x?../..");
}

static void test_a_value_adds_no_argument(void **state)
{
    (void)state;
    expect(TEMPLATE_QUERY, "{{slash}}", "..%2Fa%2Fb%3Fc%23d%26e%3Df%3Bg");
    expect(TEMPLATE_QUERY, "100% & {{name}}+", "100%25%20%26%20a%20b%2B");
    expect(TEMPLATE_QUERY, "{{empty}}", "");
    expect(TEMPLATE_QUERY, "{{unicode}}~-._", "%C3%A4%E2%82%AC~-._");
}

static void test_a_value_adds_no_header(void **state)
{
    (void)state;
    expect(TEMPLATE_HEADER, "{{slash}}; {{unicode}}", "../a/b?c#d&e=f;g; \xc3\xa4\xe2\x82\xac");
    expect_refused(TEMPLATE_HEADER, "{{crlf}}", "crlf", "control character");
    expect_refused(TEMPLATE_HEADER, "{{tab}}", "tab", "control character");
    expect_refused(TEMPLATE_HEADER, "{{del}}", "del", "control character");
}

static void test_a_value_adds_no_member(void **state)
{
    (void)state;
    expect(TEMPLATE_JSON, "{\"q\": \"<{{quote}}>\", \"v\": {{quote}}}",
           "{\"q\": \"<\\\"},{\\\\>\", \"v\": \"\\\"},{\\\\\"}");
    expect(TEMPLATE_JSON, "\"{{crlf}}{{del}}\"", "\"a\\u000d\\nHost: evil\\u007f\"");
    expect(TEMPLATE_JSON, "[{{n}},{{real}},{{yes}},{{none}},{{list}},{{object}}]",
           "[-7,0.1,true,null,[\"x\",{\"y\":1}],{\"k\":\"v\",\"deep\":{\"er\":\"!\"}}]");
    expect(TEMPLATE_JSON, "{\"a\\\"{b\":\"\\\\{{n}}\"}", "{\"a\\\"{b\":\"\\\\-7\"}");
    expect(TEMPLATE_JSON, "{{unicode}}", "\"\xc3\xa4\xe2\x82\xac\"");
}

static void test_the_payload_travels_untouched(void **state)
{
    (void)state;
    struct buf expected = BUF_INIT(4096);
    expect(TEMPLATE_JSON, "{{payload}}", payload_text);
    buf_printf(&expected, "{\"in\": %s}", payload_text);
    expect(TEMPLATE_JSON, "{\"in\": {{payload}}}", expected.data);
    buf_free(&expected);
}

static void test_values_are_not_templates(void **state)
{
    (void)state;
    struct template *template = NULL;
    struct buf out = BUF_INIT(64);
    struct json *payload = parse("{\"a\": \"{{b}}\", \"b\": \"secret\"}");
    const struct template_values values = { .payload = payload };
    assert_int_equal(template_compile("{{a}}", TEMPLATE_HEADER, &template, NULL), ERR_OK);
    assert_int_equal(template_render(template, &values, &out, NULL), ERR_OK);
    assert_string_equal(out.data, "{{b}}");
    template_free(template);
    json_free(payload);
    buf_free(&out);
}

static void test_rendering_appends(void **state)
{
    (void)state;
    struct template *template = NULL;
    struct json *payload = parse("{}");
    const struct template_values values = { .payload = payload };
    struct buf out = BUF_INIT(16);
    buf_add_text(&out, "http://a/..");
    assert_int_equal(template_compile("/{{x|y}}", TEMPLATE_PATH, &template, NULL), ERR_OK);
    assert_int_equal(template_render(template, &values, &out, NULL), ERR_OK);
    assert_string_equal(out.data, "http://a/../y");
    assert_int_equal(template_render(template, &values, &out, NULL), ERR_OK);
    assert_int_equal(template_render(template, &values, &out, NULL), ERR_OK);
    assert_true(out.overflow);
    template_free(template);
    json_free(payload);
    buf_free(&out);
}

/* --- what is no template --- */

static void test_places_must_name_something(void **state)
{
    (void)state;
    static const char *const places[] = { "{{}}",    "{{ }}",   "{{|x}}",     "{{a..b}}",
                                          "{{.a}}",  "{{a.}}",  "{{/a~2}}",   "{{/a~}}",
                                          "{{{a}}}", "{{a\"}}", "{{a\nb|c}}", "{{a {{b}}}}" };
    for (size_t i = 0; i < COUNT(places); i++) {
        expect_not_compiled(TEMPLATE_HEADER, places[i], "names no member");
        expect_not_compiled(TEMPLATE_JSON, places[i], "names no member");
    }
    expect_not_compiled(TEMPLATE_PATH, "/{{a", "\"{{a\" is not closed by }}");
    expect_not_compiled(TEMPLATE_PATH, "/{{a}", "is not closed");
}

static void test_the_payload_is_for_bodies_only(void **state)
{
    (void)state;
    expect_not_compiled(TEMPLATE_PATH, "/{{payload}}", "{{/payload}}");
    expect_not_compiled(TEMPLATE_HEADER, "{{ payload }}", "{{/payload}}");
    expect_not_compiled(TEMPLATE_JSON, "\"{{payload}}\"", "{{/payload}}");
    expect_not_compiled(TEMPLATE_JSON, "{{payload|{}}}", "{{/payload}}");
}

static void test_literal_text_is_checked(void **state)
{
    (void)state;
    expect_not_compiled(TEMPLATE_PATH, "/a b", "0x20; percent-encode it");
    expect_not_compiled(TEMPLATE_PATH, "/a#b", "0x23");
    expect_not_compiled(TEMPLATE_PATH, "/{a}", "0x7b");
    expect_not_compiled(TEMPLATE_PATH, "/\xc3\xa4", "0xc3");
    expect_not_compiled(TEMPLATE_PATH, "/a/../b", "segments");
    expect_not_compiled(TEMPLATE_PATH, "/a/%2E%2e", "segments");
    expect_not_compiled(TEMPLATE_PATH, "/./{{x}}", "segments");
    expect_not_compiled(TEMPLATE_HEADER, "a\r\nb", "control");
    expect_not_compiled(TEMPLATE_HEADER, "{{a|\n}}", "control");
    expect(TEMPLATE_PATH, "/%41/@:!$&'()*+,;=~", "/%41/@:!$&'()*+,;=~");
    expect(TEMPLATE_PATH, "/a.b/.../%2ex/", "/a.b/.../%2ex/");
}

static void test_a_json_template_is_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "{{a}} {{b}}",
        "{{a}}{{b}}",
        "[{{a}},]",
        "-{{a}}",
        "1{{a}}",
        "{{a}}1",
        "\"x\"{{a}}",
        "{{{a}}:1}",
        "\"\\{{a}}\"",
        "\"\\u00{{a}}\"",
        "{\"a\":1,\"a\":{{b}}}",
        "{\"a\":{{b}}",
        "tru{{a}}",
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        expect_not_compiled(TEMPLATE_JSON, texts[i], i == 9 ? "names no" : "not valid JSON");
    expect_not_compiled(TEMPLATE_JSON, "{{a|text}}", "must be JSON");
    expect_not_compiled(TEMPLATE_JSON, "[{{a|1,2}}]", "must be JSON");
    expect_not_compiled(TEMPLATE_JSON, "{{a|}}", "must be JSON");
}

static void test_member_names_have_no_places(void **state)
{
    (void)state;
    static const char why[] = "name of a JSON member";
    expect_not_compiled(TEMPLATE_JSON, "{\"{{name}}\":1}", why);
    expect_not_compiled(TEMPLATE_JSON, "{\"a\":\"{{b}}\",\"x{{name}}y\" \n: 1}", why);
    expect(TEMPLATE_JSON, "{\"a\":\"{{n}}\" ,\"b\":[\"{{n}}\"]}", "{\"a\":\"-7\" ,\"b\":[\"-7\"]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_numbers_and_booleans_are_text),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_what_is_missing_is_named),
        cmocka_unit_test(test_lists_and_objects_are_no_text),
        cmocka_unit_test(test_a_value_adds_no_path_segment),
        cmocka_unit_test(test_a_value_is_no_dot_segment),
        cmocka_unit_test(test_a_value_adds_no_argument),
        cmocka_unit_test(test_a_value_adds_no_header),
        cmocka_unit_test(test_a_value_adds_no_member),
        cmocka_unit_test(test_the_payload_travels_untouched),
        cmocka_unit_test(test_values_are_not_templates),
        cmocka_unit_test(test_rendering_appends),
        cmocka_unit_test(test_places_must_name_something),
        cmocka_unit_test(test_the_payload_is_for_bodies_only),
        cmocka_unit_test(test_literal_text_is_checked),
        cmocka_unit_test(test_a_json_template_is_json),
        cmocka_unit_test(test_member_names_have_no_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
