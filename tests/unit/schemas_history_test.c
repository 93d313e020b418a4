/* Lines of a history: what is written is read back, and what is wrong is named.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/history.h"

#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID "0193c0de-7000-7000-8000-000000000000"

static const struct id id = { .bytes = { 0x01, 0x93, 0xc0, 0xde, 0x70, 0, 0x70, 0, 0x80 } };

static void assert_written(const struct history_line *line, const char *expected)
{
    struct buf text = BUF_INIT(HISTORY_LINE_BYTES_MAX);
    struct history_line back;
    struct json *json = NULL;
    struct err err = { 0 };
    history_write(line, &text);
    assert_string_equal(text.data, expected);
    text.size--; /* the newline */
    if (history_parse(buf_span(&text), &back, &json, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(back.kind, line->kind);
    assert_true(span_eq(back.request, line->request));
    assert_true(span_eq(back.key, line->key));
    assert_true(span_eq(back.code, line->code));
    assert_true(span_eq(back.what, line->what));
    assert_true(span_eq(back.name, line->name));
    assert_int_equal(back.has_id, line->has_id);
    assert_true(id_same(&back.id, &line->id));
    assert_int_equal(back.status, line->status);
    assert_int_equal(back.begin_ms, line->begin_ms);
    assert_int_equal(back.end_ms, line->end_ms);
    assert_int_equal(back.has_state, line->has_state);
    assert_int_equal(back.state, line->state);
    assert_int_equal(back.version, line->version);
    assert_true(back.digest == line->digest);
    json_free(json);
    buf_free(&text);
}

static void test_what_is_written_is_read_back(void **state)
{
    (void)state;
    assert_written(&(struct history_line){ .kind = HISTORY_SUBMIT,
                                           .request = SPAN_LIT("load-1"),
                                           .key = SPAN_LIT("a \"key\""),
                                           .begin_ms = 10,
                                           .version = -1 },
                   "{\"do\":\"submit\",\"request\":\"load-1\",\"key\":\"a \\\"key\\\"\","
                   "\"begin\":10}\n");
    assert_written(&(struct history_line){ .kind = HISTORY_SUBMITTED,
                                           .request = SPAN_LIT("load-1"),
                                           .has_id = true,
                                           .id = id,
                                           .status = 202,
                                           .begin_ms = 10,
                                           .end_ms = 12,
                                           .version = -1 },
                   "{\"do\":\"submitted\",\"request\":\"load-1\",\"id\":\"" ID
                   "\",\"begin\":10,\"end\":12,\"status\":202}\n");
    assert_written(&(struct history_line){ .kind = HISTORY_READ,
                                           .has_id = true,
                                           .id = id,
                                           .status = 200,
                                           .has_state = true,
                                           .state = JOB_SUCCEEDED,
                                           .version = 42,
                                           .digest = UINT64_C(0xfeedfacecafebeef),
                                           .begin_ms = 20,
                                           .end_ms = 21 },
                   "{\"do\":\"read\",\"id\":\"" ID "\",\"begin\":20,\"end\":21,\"status\":200,"
                   "\"state\":\"succeeded\",\"version\":42,\"digest\":\"feedfacecafebeef\"}\n");
    assert_written(&(struct history_line){ .kind = HISTORY_CANCEL,
                                           .has_id = true,
                                           .id = id,
                                           .status = 503,
                                           .code = SPAN_LIT("view_behind"),
                                           .begin_ms = 20,
                                           .end_ms = 21,
                                           .version = -1 },
                   "{\"do\":\"cancel\",\"id\":\"" ID "\",\"begin\":20,\"end\":21,\"status\":503,"
                   "\"code\":\"view_behind\"}\n");
    assert_written(&(struct history_line){ .kind = HISTORY_FAULT,
                                           .what = SPAN_LIT("kill"),
                                           .name = SPAN_LIT("worker-1"),
                                           .begin_ms = 30,
                                           .version = -1 },
                   "{\"do\":\"fault\",\"what\":\"kill\",\"name\":\"worker-1\",\"begin\":30}\n");
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum err_code code;
        const char *named;
    } cases[] = {
        { "", ERR_INVALID_JSON, "" },
        { "[1]", ERR_INVALID_JSON, "one JSON object" },
        { "{\"do\":\"submit\",\"request\":\"r\",\"begin\":", ERR_INVALID_JSON, "" },
        { "{\"do\":\"jump\"}", ERR_INVALID_FIELD, "do must be submit" },
        { "{\"do\":\"submit\",\"begin\":1}", ERR_MISSING_FIELD, "request is missing" },
        { "{\"do\":\"submit\",\"request\":\"r\",\"begin\":1,\"status\":200}", ERR_UNKNOWN_FIELD,
          "submit has no status" },
        { "{\"do\":\"submit\",\"request\":\"r\",\"begin\":1,\"colour\":1}", ERR_UNKNOWN_FIELD,
          "\"colour\"" },
        { "{\"do\":\"submit\",\"request\":\"\",\"begin\":1}", ERR_INVALID_FIELD, "request" },
        { "{\"do\":\"submit\",\"request\":\"r\",\"begin\":-1}", ERR_INVALID_FIELD, "begin" },
        { "{\"do\":\"submit\",\"request\":\"r\",\"begin\":\"1\"}", ERR_INVALID_FIELD, "begin" },
        { "{\"do\":\"read\",\"id\":\"x\",\"begin\":1,\"end\":2,\"status\":200}", ERR_INVALID_FIELD,
          "id must be" },
        { "{\"do\":\"read\",\"id\":\"" ID "\",\"begin\":1,\"end\":2,\"status\":200}",
          ERR_MISSING_FIELD, "state" },
        { "{\"do\":\"read\",\"id\":\"" ID "\",\"begin\":3,\"end\":2,\"status\":503}",
          ERR_INVALID_FIELD, "end must be" },
        { "{\"do\":\"read\",\"id\":\"" ID "\",\"begin\":1,\"end\":2,\"status\":600}",
          ERR_INVALID_FIELD, "status" },
        { "{\"do\":\"read\",\"id\":\"" ID "\",\"begin\":1,\"end\":2,\"status\":200,"
          "\"state\":\"done\"}",
          ERR_INVALID_FIELD, "state" },
        { "{\"do\":\"read\",\"id\":\"" ID "\",\"begin\":1,\"end\":2,\"status\":200,"
          "\"state\":\"queued\",\"digest\":\"xyz\"}",
          ERR_INVALID_FIELD, "digest" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct history_line line;
        struct json *json = NULL;
        struct err err = { 0 };
        enum err_code code = history_parse(span_of(cases[i].line), &line, &json, &err);
        if (code != cases[i].code || !strstr(err.text, cases[i].named))
            fail_msg("%s: %s: %s", cases[i].line, err_code_text(code), err.text);
    }
}

static void test_a_digest_tells_answers_apart(void **state)
{
    (void)state;
    assert_true(history_digest(span_of("{\"a\":1}")) == history_digest(span_of("{\"a\":1}")));
    assert_true(history_digest(span_of("{\"a\":1}")) != history_digest(span_of("{\"a\":2}")));
    assert_true(history_digest(span_of("")) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read_back),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_a_digest_tells_answers_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
