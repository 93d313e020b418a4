/* JSON values: what is accepted, read, built and written.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/json.h"

static const struct json_limits limits = { .depth_max = 8, .tokens_max = 64, .any_value = true };

static struct json *parse(const char *text)
{
    struct json *json = NULL;
    struct err err = { 0 };
    if (json_parse(span_of(text), &limits, &json, &err))
        fail_msg("%s: %s", text, err.text);
    return json;
}

static void expect_written(void (*write)(const struct json *json, struct buf *out),
                           const struct json *json, const char *expected)
{
    struct buf out = BUF_INIT(1024);
    write(json, &out);
    assert_string_equal(out.data, expected);
    buf_free(&out);
}

/* --- parsing --- */

static void expect_refused(struct span text, enum err_code code, const char *message)
{
    struct json *json = NULL;
    struct err err = { 0 };
    enum err_code got = json_parse(text, &limits, &json, &err);
    if (got != code || err.code != code || strncmp(err.text, message, strlen(message)) != 0)
        fail_msg("%.*s: %s %s", SPAN_ARG(text), err_code_text(got), err.text);
    assert_null(json);
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(json_parse(text, &limits, &json, NULL), code);
}

static void test_what_is_invalid_is_named_by_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *message;
    } cases[] = {
        { "", ERR_INVALID_JSON, "line 1, column 1: " },
        { "{\"secret\":1,\n \"secret\":2}", ERR_INVALID_JSON, "line 2, column 9: duplicate" },
        { "{\n\"a\": secret}", ERR_INVALID_JSON, "line 2, column 11: invalid token" },
        { "[1,]", ERR_INVALID_JSON, "line 1, column 4: " },
        { "[1] 2", ERR_INVALID_JSON, "line 1, column 5: end of file expected" },
        { "{\"a\":1", ERR_INVALID_JSON, "line 1, column 6: '}' expected" },
        { "{\"a", ERR_INVALID_JSON, "line 1, column 3: " },
        { "\"secret\\", ERR_INVALID_JSON, "line 1, column 8: " },
        { "]", ERR_INVALID_JSON, "line 1, column 1: " },
        { "[01]", ERR_INVALID_JSON, "line 1, column 2: invalid token" },
        { "[1e999]", ERR_INVALID_JSON, "line 1, column 6: real number overflow" },
        { "[9223372036854775808]", ERR_INVALID_JSON, "line 1, column 20: too big integer" },
        { "[NaN]", ERR_INVALID_JSON, "line 1, column 4: invalid token" },
        { "[\"\\ud800\"]", ERR_INVALID_JSON, "line 1, " },
        { "[\"\\u0000\"]", ERR_INVALID_TEXT, "line 1, column 9: \\u0000 is not allowed" },
        { "{\"\\u0000\":1}", ERR_INVALID_TEXT, "line 1, column 9: \\u0000 is not allowed" },
        { "[\"\xff\"]", ERR_INVALID_TEXT, "line 1, column 2: unable to decode byte 0xff" },
        { "[\"\xc0\xaf\"]", ERR_INVALID_TEXT, "line 1, column 2: unable to decode byte 0xc0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(span_of(cases[i].text), cases[i].code, cases[i].message);
    expect_refused((struct span){ "[1\0]", 4 }, ERR_INVALID_TEXT, "line 1, column 3: a NUL byte");
    expect_refused((struct span){ 0 }, ERR_INVALID_JSON, "line 1, column 1: ");
}

static void test_depth_and_count_are_limited_before_parsing(void **state)
{
    (void)state;
    expect_refused(span_of("\n [[[[[[[[["), ERR_TOO_DEEP,
                   "line 2, column 10: nested more than 8 levels deep");
    expect_refused(span_of("{\"\xc3\xa4\":[{\"\":[[[[[[1]]]]]]}]}"), ERR_TOO_DEEP,
                   "line 1, column 16: nested");
    json_free(parse("[[[[[[[[\"[[[[\\\"[[[\"]]]]]]]]"));
    json_free(parse("[[],[],[],[],[],[],[],[],[],[]]"));

    struct buf text = BUF_INIT(1024);
    buf_add_char(&text, '[');
    for (size_t i = 0; i < 63; i++)
        buf_add_text(&text, i ? ", 17" : "true");
    buf_add_char(&text, ']');
    json_free(parse(text.data));
    text.data[text.size - 1] = ',';
    buf_add_text(&text, "{}");
    expect_refused(buf_span(&text), ERR_BODY_TOO_LARGE,
                   "line 1, column 255: more than 64 values and member names");
    buf_free(&text);
}

static void test_a_scalar_alone_must_be_asked_for(void **state)
{
    (void)state;
    const struct json_limits strict = { .depth_max = 8, .tokens_max = 64 };
    struct json *json = NULL;
    assert_int_equal(json_parse(span_of("42"), &strict, &json, NULL), ERR_INVALID_JSON);
    assert_int_equal(json_parse(span_of("[42]"), &strict, &json, NULL), ERR_OK);
    json_free(json);
    json_free(parse("42"));
    json_free(NULL);
}

/* --- reading --- */

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_type type;
    } cases[] = {
        { "{}", JSON_TYPE_OBJECT },  { "[]", JSON_TYPE_ARRAY },  { "\"\"", JSON_TYPE_TEXT },
        { "-1", JSON_TYPE_INTEGER }, { "1.0", JSON_TYPE_REAL },  { "true", JSON_TYPE_BOOL },
        { "false", JSON_TYPE_BOOL }, { "null", JSON_TYPE_NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *json = parse(cases[i].text);
        assert_int_equal(json_type_of(json), cases[i].type);
        json_free(json);
    }
    assert_int_equal(json_type_of(NULL), JSON_TYPE_NONE);
}

static void test_readers_take_only_their_type(void **state)
{
    (void)state;
    struct json *json =
        parse("{\"t\":\"text\",\"i\":-7,\"r\":2.5,\"b\":true,\"n\":null,\"\":\"\"}");
    int64_t integer = 1;
    double real = 0;
    bool truth = false;
    assert_true(span_is(json_text(json_get(json, "t")), "text"));
    assert_non_null(json_text(json_get(json, "")).data);
    assert_null(json_text(json_get(json, "i")).data);
    assert_null(json_text(json_get(json, "missing")).data);
    assert_true(json_integer_of(json_get(json, "i"), &integer));
    assert_false(json_integer_of(json_get(json, "r"), &integer));
    assert_false(json_integer_of(json_get(json, "missing"), &integer));
    assert_int_equal(integer, -7);
    assert_true(json_real_of(json_get(json, "r"), &real));
    assert_true(real > 2.4 && real < 2.6);
    assert_true(json_real_of(json_get(json, "i"), &real));
    assert_true(real < -6.9);
    assert_false(json_real_of(json_get(json, "t"), &real));
    assert_true(json_bool_of(json_get(json, "b"), &truth));
    assert_true(truth);
    assert_false(json_bool_of(json_get(json, "n"), &truth));
    assert_false(json_bool_of(NULL, &truth));
    json_free(json);
}

static void collect(void *arg, struct span name, const struct json *value)
{
    struct buf *out = arg;
    buf_add_span(out, name);
    buf_add_char(out, '=');
    json_dump(value, out);
    buf_add_char(out, ' ');
}

static void test_containers(void **state)
{
    (void)state;
    struct json *json = parse("{\"z\":1,\"a\":[\"x\",\"y\"],\"m\":{}}");
    struct buf seen = BUF_INIT(64);
    json_each(json, collect, &seen);
    assert_string_equal(seen.data, "z=1 a=[\"x\",\"y\"] m={} ");
    buf_reset(&seen);
    json_each(json_get(json, "a"), collect, &seen);
    json_each(NULL, collect, &seen);
    assert_int_equal(seen.size, 0);
    buf_free(&seen);

    const struct json *array = json_get(json, "a");
    assert_int_equal(json_count(json), 3);
    assert_int_equal(json_count(array), 2);
    assert_int_equal(json_count(json_at(array, 0)), 0);
    assert_int_equal(json_count(NULL), 0);
    assert_true(span_is(json_text(json_at(array, 1)), "y"));
    assert_null(json_at(array, 2));
    assert_null(json_at(json, 0));
    assert_null(json_get(array, "z"));
    assert_null(json_get(NULL, "z"));
    json_free(json);
}

/* The document and the answers of RFC 6901, section 5, with some that it calls errors. */
static void test_pointers(void **state)
{
    (void)state;
    static const struct {
        const char *pointer;
        const char *value; /* NULL: nothing */
    } cases[] = {
        { "/foo", "[\"bar\",\"baz\"]" },
        { "/foo/0", "\"bar\"" },
        { "/", "0" },
        { "/a~1b", "1" },
        { "/c%d", "2" },
        { "/e^f", "3" },
        { "/g|h", "4" },
        { "/i\\j", "5" },
        { "/k\"l", "6" },
        { "/ ", "7" },
        { "/m~0n", "8" },
        { "/foo/2", NULL },
        { "/foo/-", NULL },
        { "/foo/", NULL },
        { "/foo/00", NULL },
        { "/foo/1x", NULL },
        { "/foo/0000000001", NULL },
        { "/foo/18446744073709551616", NULL },
        { "/foo/0/deeper", NULL },
        { "/none", NULL },
        { "/none/deeper", NULL },
        { "foo", NULL },
        { "/m~2n", NULL },
        { "/m~", NULL },
    };
    struct json *json =
        parse("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
              "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}");
    assert_ptr_equal(json_pointer(json, span_of("")), json);
    assert_ptr_equal(json_pointer(json, (struct span){ 0 }), json);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct json *value = json_pointer(json, span_of(cases[i].pointer));
        if (!cases[i].value != !value)
            fail_msg("%s", cases[i].pointer);
        if (value)
            expect_written(json_dump, value, cases[i].value);
    }
    assert_null(json_pointer(NULL, span_of("/foo")));
    json_free(json);
}

static void test_same_means_the_same_value(void **state)
{
    (void)state;
    struct json *a = parse("{\"x\":1,\"y\":[true,null]}");
    struct json *b = parse(" { \"y\" : [ true , null ] , \"x\" : 1 } ");
    struct json *c = parse("{\"x\":1.0,\"y\":[true,null]}");
    assert_true(json_same(a, b));
    assert_false(json_same(a, c));
    assert_false(json_same(a, NULL));
    json_free(a);
    json_free(b);
    json_free(c);
}

/* --- writing --- */

static void test_numbers_are_written_in_the_fewest_digits(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "0.1", "0.1" },
        { "0.30000000000000004", "0.30000000000000004" },
        { "1.0", "1.0" },
        { "-0.0", "-0.0" },
        { "1e2", "100.0" },
        { "1E+100", "1e100" },
        { "2.2250738585072014e-308", "2.2250738585072014e-308" },
        { "5e-324", "4.94065645841247e-324" },
        { "1.7976931348623157e308", "1.7976931348623157e308" },
        { "9223372036854775807", "9223372036854775807" },
        { "[0.1,{\"a\":0.2}]", "[0.1,{\"a\":0.2}]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *json = parse(cases[i][0]);
        expect_written(json_dump, json, cases[i][1]);
        struct json *again = parse(cases[i][1]);
        assert_true(json_same(json, again));
        json_free(json);
        json_free(again);
    }
}

static void test_the_canonical_form_is_one_for_all_spellings(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "{\"b\":[1,{\"d\":null,\"c\":\"\\u00e4\\/\"}],\"a\":0.10,\"ab\":1,\"A\":2,\"\":3}",
        " {\"\":3,\"A\":2,\"a\":1e-1,\n\"ab\":1 ,\"b\":[1,{\"c\":\"\xc3\xa4/\",\"d\":null}]}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct json *json = parse(spellings[i]);
        expect_written(
            json_canonical, json,
            "{\"\":3,\"A\":2,\"a\":0.1,\"ab\":1,\"b\":[1,{\"c\":\"\xc3\xa4/\",\"d\":null}]}");
        json_free(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_invalid_is_named_by_line_and_column),
        cmocka_unit_test(test_depth_and_count_are_limited_before_parsing),
        cmocka_unit_test(test_a_scalar_alone_must_be_asked_for),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_readers_take_only_their_type),
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_same_means_the_same_value),
        cmocka_unit_test(test_numbers_are_written_in_the_fewest_digits),
        cmocka_unit_test(test_the_canonical_form_is_one_for_all_spellings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
