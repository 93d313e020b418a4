/* What clients may submit, and what they are told when they may not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/submission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct submission_limits limits = { .depth_max = 8,
                                                 .tokens_max = 1000,
                                                 .labels_max = 2 };

static enum err_code parse(const char *body, struct submission *submission, struct err *err)
{
    return submission_parse(span_of(body), &limits, submission, err);
}

static void a_submission_keeps_the_payloads_bytes(void **state)
{
    (void)state;
    struct submission submission;
    struct err err;
    const char *body = "{ \"labels\":{\"team\":\"blue\"}, \"p\\u0061yload\" : { \"a\" : [1, 2.50] "
                       "} ,\"type\":\"x\"}";
    assert_int_equal(parse(body, &submission, &err), ERR_OK);
    assert_true(span_is(submission.type, "x"));
    assert_true(span_is(submission.payload, "{ \"a\" : [1, 2.50] }"));
    assert_int_equal(submission.label_count, 1);
    assert_true(span_is(submission.labels[0].name, "team"));
    assert_true(span_is(submission.labels[0].value, "blue"));
    submission_clear(&submission);
}

static void a_job_may_be_put_off(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t delay_ms, run_at_ms;
    } cases[] = {
        { "{\"type\":\"x\",\"payload\":{}}", -1, 0 },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":1.5}", 1500, 0 },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":\"PT1M\"}", 60000, 0 },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":\"90s\"}", 90000, 0 },
        { "{\"type\":\"x\",\"payload\":{},\"run_at\":\"1970-01-01T00:00:09Z\"}", -1, 9000 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct submission submission;
        assert_int_equal(parse(cases[i].body, &submission, NULL), ERR_OK);
        assert_int_equal(submission.delay_ms, cases[i].delay_ms);
        assert_int_equal(submission.run_at_ms, cases[i].run_at_ms);
        submission_clear(&submission);
    }
}

static void a_job_may_have_a_deadline(void **state)
{
    (void)state;
    struct submission submission;
    assert_int_equal(parse("{\"type\":\"x\",\"payload\":{},\"deadline\":\"1970-01-01T00:00:09Z\"}",
                           &submission, NULL),
                     ERR_OK);
    assert_int_equal(submission.deadline_ms, 9000);
    submission_clear(&submission);
    assert_int_equal(
        parse("{\"type\":\"x\",\"payload\":{},\"deadline\":\"30s\"}", &submission, NULL), ERR_OK);
    assert_int_equal(submission.deadline_after_ms, 30000);
    submission_clear(&submission);
    struct err err;
    assert_int_equal(parse("{\"type\":\"x\",\"payload\":{},\"deadline\":5}", &submission, &err),
                     ERR_INVALID_FIELD);
    assert_string_equal(err.field, "deadline");
}

static void only_times_that_a_command_can_carry_are_taken(void **state)
{
    (void)state;
    static const char *const members[] = {
        "\"run_at\":\"1969-12-31T23:59:59Z\"",
        "\"run_at\":\"1970-01-01T00:00:00Z\"",
        "\"run_at\":\"9999-12-31T23:59:59-01:00\"",
        "\"deadline\":\"0001-01-01T00:00:00Z\"",
        "\"deadline\":\"1970-01-01T00:00:00Z\"",
        "\"deadline\":\"9999-12-31T23:59:59-00:01\"",
        "\"deadline\":\"3651d\"",
        "\"deadline\":\"0s\"",
        "\"deadline\":\"9223372036854775807ms\"",
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char body[128];
        struct submission submission;
        struct err err;
        snprintf(body, sizeof body, "{\"type\":\"x\",\"payload\":{},%s}", members[i]);
        assert_int_equal(parse(body, &submission, &err), ERR_INVALID_FIELD);
        assert_memory_equal(err.field, members[i] + 1, strlen(err.field));
    }
}

static void a_key_is_text_of_1_to_255_bytes(void **state)
{
    (void)state;
    struct submission submission;
    assert_int_equal(
        parse("{\"type\":\"x\",\"payload\":{},\"key\":\"caf\\u00e9 17\"}", &submission, NULL),
        ERR_OK);
    assert_true(span_is(submission.key, "caf\xc3\xa9 17"));
    submission_clear(&submission);
    for (int size = 255; size <= 256; size++) {
        char body[512];
        snprintf(body, sizeof body, "{\"type\":\"x\",\"payload\":{},\"key\":\"%0*d\"}", size, 0);
        struct err err;
        assert_int_equal(parse(body, &submission, &err), size == 255 ? ERR_OK : ERR_INVALID_FIELD);
        if (size == 255)
            submission_clear(&submission);
        else
            assert_string_equal(err.field, "key");
    }
}

/* proves P-37 */
static void an_ordered_queue_needs_a_key_and_another_takes_none(void **state)
{
    (void)state;
    static const struct {
        const char *more; /* members */
        bool ordered;
        enum err_code code;
        const char *field;
        const char *words;
    } cases[] = {
        { "", false, ERR_OK, "", "" },
        { ",\"key\":\"a\"", true, ERR_OK, "", "" },
        { ",\"key\":\"a\",\"deadline\":\"5s\"", true, ERR_OK, "", "" },
        { "", true, ERR_MISSING_FIELD, "key", "\"ledger\" is ordered" },
        { ",\"key\":\"a\"", false, ERR_INVALID_FIELD, "key", "have no order" },
        { ",\"key\":\"a\",\"delay\":0", true, ERR_INVALID_FIELD, "delay", "wait behind it" },
        { ",\"key\":\"a\",\"delay\":\"5s\"", true, ERR_INVALID_FIELD, "delay", "put off" },
        { ",\"key\":\"a\",\"run_at\":\"2026-11-24T09:30:00Z\"", true, ERR_INVALID_FIELD, "run_at",
          "put off" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        struct submission submission;
        struct err err = { 0 };
        snprintf(body, sizeof body, "{\"type\":\"x\",\"payload\":{}%s}", cases[i].more);
        assert_int_equal(parse(body, &submission, NULL), ERR_OK);
        assert_int_equal(submission_check_order(&submission, "ledger", cases[i].ordered, &err),
                         cases[i].code);
        assert_string_equal(err.field, cases[i].field);
        assert_non_null(strstr(err.text, cases[i].words));
        submission_clear(&submission);
    }
}

static void mistakes_name_their_field(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum err_code code;
        const char *field;
        const char *words; /* in the text */
    } cases[] = {
        { "{", ERR_INVALID_JSON, "", "" },
        { "", ERR_INVALID_JSON, "", "" },
        { "{\"type\":\"x\",\"payload\":{}} x", ERR_INVALID_JSON, "", "" },
        { "{\"type\":\"x\",\"type\":\"y\",\"payload\":{}}", ERR_INVALID_JSON, "", "" },
        { "[]", ERR_INVALID_FIELD, "", "object" },
        { "{\"payload\":{}}", ERR_MISSING_FIELD, "type", "GET /v1/types" },
        { "{\"type\":1,\"payload\":{}}", ERR_INVALID_FIELD, "type", "string" },
        { "{\"type\":\"x\"}", ERR_MISSING_FIELD, "payload", "required" },
        { "{\"type\":\"x\",\"payload\":[]}", ERR_INVALID_FIELD, "payload", "object" },
        { "{\"type\":\"x\",\"payload\":null}", ERR_INVALID_FIELD, "payload", "object" },
        { "{\"type\":\"x\",\"payload\":{},\"lables\":{}}", ERR_UNKNOWN_FIELD, "lables", "labels" },
        { "{\"type\":\"x\",\"payload\":{},\"priority\":1}", ERR_UNKNOWN_FIELD, "priority",
          "payload" },
        { "{\"type\":\"x\",\"payload\":{},\"labels\":[]}", ERR_INVALID_FIELD, "labels", "object" },
        { "{\"type\":\"x\",\"payload\":{},\"labels\":{\"a\":1}}", ERR_INVALID_FIELD, "labels",
          "string" },
        { "{\"type\":\"x\",\"payload\":{},\"labels\":{\"\":\"v\"}}", ERR_INVALID_FIELD, "labels",
          "1 to 63" },
        { "{\"type\":\"x\",\"payload\":{},\"labels\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}}",
          ERR_INVALID_FIELD, "labels", "at most 2" },
        { "{\"type\":\"x\",\"payload\":{\"a\":[[[[[[[[1]]]]]]]]}}", ERR_TOO_DEEP, "", "8" },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":-1}", ERR_INVALID_FIELD, "delay", "7 days" },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":\"8d\"}", ERR_INVALID_FIELD, "delay",
          "7 days" },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":\"soon\"}", ERR_INVALID_FIELD, "delay", "90s" },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":true}", ERR_INVALID_FIELD, "delay", "90s" },
        { "{\"type\":\"x\",\"payload\":{},\"run_at\":5}", ERR_INVALID_FIELD, "run_at", "RFC 3339" },
        { "{\"type\":\"x\",\"payload\":{},\"delay\":1,\"run_at\":\"2026-11-24T09:30:00Z\"}",
          ERR_INVALID_FIELD, "run_at", "not both" },
        { "{\"type\":\"x\",\"payload\":{},\"key\":7}", ERR_INVALID_FIELD, "key", "a string" },
        { "{\"type\":\"x\",\"payload\":{},\"key\":\"\"}", ERR_INVALID_FIELD, "key", "1 to 255" },
        { "{\"type\":\"x\",\"payload\":{},\"key\":null}", ERR_INVALID_FIELD, "key", "a string" },
        { "{\"type\":\"\xff\",\"payload\":{}}", ERR_INVALID_TEXT, "", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct submission submission;
        struct err err = { 0 };
        enum err_code code = parse(cases[i].body, &submission, &err);
        if (code != cases[i].code)
            fail_msg("case %zu (%s): %s: %s", i, cases[i].body, err_code_text(code), err.text);
        assert_string_equal(err.field, cases[i].field);
        assert_non_null(strstr(err.text, cases[i].words));
    }
}

static void a_nul_is_refused(void **state)
{
    (void)state;
    struct submission submission;
    struct err err;
    static const char raw[] = "{\"type\":\"a\0b\",\"payload\":{}}";
    struct span body = { raw, sizeof raw - 1 };
    assert_int_equal(submission_parse(body, &limits, &submission, &err), ERR_INVALID_TEXT);
    assert_int_not_equal(parse("{\"type\":\"a\\u0000b\",\"payload\":{}}", &submission, &err),
                         ERR_OK);
}

static void fingerprint(const char *body, uint8_t ret[JOB_FINGERPRINT_SIZE])
{
    struct submission submission;
    assert_int_equal(parse(body, &submission, NULL), ERR_OK);
    submission_fingerprint(&submission, ret);
    submission_clear(&submission);
}

static void bodies_that_mean_the_same_have_one_fingerprint(void **state)
{
    (void)state;
    uint8_t a[JOB_FINGERPRINT_SIZE];
    uint8_t b[JOB_FINGERPRINT_SIZE];
    uint8_t c[JOB_FINGERPRINT_SIZE];
    fingerprint("{\"type\":\"x\",\"payload\":{\"a\":1,\"b\":\"\\u0041\"}}", a);
    fingerprint("{ \"payload\" : {\"b\":\"A\", \"a\":1}, \"type\":\"x\" }", b);
    fingerprint("{\"type\":\"x\",\"payload\":{\"a\":2,\"b\":\"A\"}}", c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    fingerprint("{\"type\":\"x\",\"payload\":{\"a\":1,\"b\":\"A\"},\"key\":\"k\"}", c);
    assert_memory_not_equal(a, c, sizeof a); /* the ordering key counts */
}

static void keys_are_quoted_strings_or_bare(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *key; /* NULL: refused */
    } cases[] = {
        { "\"abc\"", "abc" },
        { "abc", "abc" },
        { "  \"a b\"  ", "a b" },
        { "\"a\\\"b\\\\\"", "a\"b\\" },
        { "\"\"", NULL },
        { "", NULL },
        { "\"a\"b\"", NULL },
        { "\"a\\x\"", NULL },
        { "\"caf\xc3\xa9\"", NULL },
        { "\"a\\\"", NULL },
        { "a\tb", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf key = BUF_INIT(1024);
        struct err err;
        enum err_code code = submission_idempotency_key(span_of(cases[i].header), &key, &err);
        assert_int_equal(code, cases[i].key ? ERR_OK : ERR_INVALID_PARAMETER);
        if (cases[i].key)
            assert_true(span_is(buf_span(&key), cases[i].key));
        else
            assert_string_equal(err.field, "Idempotency-Key");
        buf_free(&key);
    }
    char longest[300];
    memset(longest, 'k', sizeof longest);
    for (size_t size = 255; size <= 256; size++) {
        struct buf key = BUF_INIT(1024);
        enum err_code code = submission_idempotency_key((struct span){ longest, size }, &key, NULL);
        assert_int_equal(code, size == 255 ? ERR_OK : ERR_INVALID_PARAMETER);
        buf_free(&key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_submission_keeps_the_payloads_bytes),
        cmocka_unit_test(a_job_may_be_put_off),
        cmocka_unit_test(a_job_may_have_a_deadline),
        cmocka_unit_test(only_times_that_a_command_can_carry_are_taken),
        cmocka_unit_test(a_key_is_text_of_1_to_255_bytes),
        cmocka_unit_test(an_ordered_queue_needs_a_key_and_another_takes_none),
        cmocka_unit_test(mistakes_name_their_field),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(bodies_that_mean_the_same_have_one_fingerprint),
        cmocka_unit_test(keys_are_quoted_strings_or_bare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
