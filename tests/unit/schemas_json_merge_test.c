/* JSON Merge Patch: the examples of RFC 7396, appendix A, and what order members are in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/json_merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const cases[][3] = {
    { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
    { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
    { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
    { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
    { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
    { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
    { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
    { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
    { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
    { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
    { "{\"a\":\"foo\"}", "null", "null" },
    { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
    { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
    { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
    { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
};

static void test_the_examples_of_the_standard(void **state)
{
    (void)state;
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 100, .any_value = true };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *target = NULL;
        struct json *patch = NULL;
        struct buf out = BUF_INIT(1024);
        assert_int_equal(json_parse(span_of(cases[i][0]), &limits, &target, NULL), ERR_OK);
        assert_int_equal(json_parse(span_of(cases[i][1]), &limits, &patch, NULL), ERR_OK);
        json_merge_patch(target, patch, &out);
        assert_string_equal(out.data, cases[i][2]);
        json_free(target);
        json_free(patch);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_the_examples_of_the_standard) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
