/* The table of rules, and what all rules share: how a payload that does not fit is told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"

#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum err_code run(const char *rule, const char *payload, struct err *err)
{
    const struct json_limits limits = { .depth_max = 32, .tokens_max = 10000 };
    struct json *json = NULL;
    struct buf result = BUF_INIT(100000);
    assert_int_equal(json_parse(span_of(payload), &limits, &json, NULL), ERR_OK);
    struct rule_input input = { .payload = json, .payload_bytes = span_of(payload) };
    const struct rule *found = rule_find(span_of(rule));
    assert_non_null(found);
    enum err_code code = found->run(&input, &result, err);
    buf_free(&result);
    json_free(json);
    return code;
}

static void the_table_is_found_by_name_and_by_place(void **state)
{
    (void)state;
    size_t count = 0;
    for (; rule_at(count); count++)
        assert_ptr_equal(rule_find(span_of(rule_at(count)->name)), rule_at(count));
    assert_int_equal(count, 4);
    assert_null(rule_at(count + 1000));
    assert_null(rule_find(span_of("order.pric")));
    assert_null(rule_find(span_of("order.price ")));
    assert_null(rule_find(span_of("")));
}

static void refuse(const char *rule, const char *payload, const char *field, const char *says)
{
    struct err err = { 0 };
    assert_int_equal(run(rule, payload, &err), ERR_PAYLOAD_INVALID);
    assert_int_equal(err.code, ERR_PAYLOAD_INVALID);
    assert_string_equal(err.field, field);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void a_refusal_names_the_member_and_what_is_allowed(void **state)
{
    (void)state;
    refuse("sentence.make", "[]", "payload", "must be an object");
    refuse("sentence.make", "{\"subjct\":\"x\"}", "subjct", "did you mean \"subject\"?");
    refuse("sentence.make", "{\"zzzzzzzz\":1}", "zzzzzzzz", "does not exist");
    refuse("sentence.make", "{\"subject\":1}", "subject", "must be a text");
    refuse("sentence.make", "{\"subject\":null}", "subject", "must be a text");
    refuse("sentence.make", "{\"subject\":\"\"}", "subject", "1 to 80 bytes");
    refuse("sentence.make", "{\"subject\":\"a\\nb\"}", "subject", "control characters");
    refuse("sentence.make", "{\"seed\":1.5}", "seed", "whole number from 0 to 9007199254740991");
    refuse("sentence.make", "{\"seed\":-1}", "seed", "whole number");
    refuse("sentence.make", "{\"seed\":\"1\"}", "seed", "whole number");
    refuse("sentence.make", "{\"words\":{}}", "words", "must be a list");
    refuse("sentence.make", "{\"words\":[]}", "words", "1 to 8 entries");
    refuse("order.price", "{\"region\":\"DE\"}", "lines", "is missing");
    refuse("order.price", "{\"lines\":[]}", "region", "is missing");
    refuse("order.price", "{\"region\":\"DE\",\"lines\":[7]}", "lines[0]", "must be an object");
    refuse("order.price", "{\"region\":\"DE\",\"lines\":[{\"sku\":\"a\",\"quantty\":1}]}",
           "lines[0].quantty", "did you mean \"quantity\"?");
}

static void a_long_name_is_cut_in_the_refusal(void **state)
{
    (void)state;
    char payload[1024] = "{\"";
    size_t size = 2;
    while (size < 900)
        payload[size++] = 'x';
    memcpy(payload + size, "\":1}", 5);
    struct err err = { 0 };
    assert_int_equal(run("colour.mix", payload, &err), ERR_PAYLOAD_INVALID);
    assert_true(strlen(err.field) <= 64);
    assert_true(strlen(err.text) < 128);
}

static void who_does_not_want_to_know_why_need_not(void **state)
{
    (void)state;
    assert_int_equal(run("colour.mix", "{}", NULL), ERR_PAYLOAD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_found_by_name_and_by_place),
        cmocka_unit_test(a_refusal_names_the_member_and_what_is_allowed),
        cmocka_unit_test(a_long_name_is_cut_in_the_refusal),
        cmocka_unit_test(who_does_not_want_to_know_why_need_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
