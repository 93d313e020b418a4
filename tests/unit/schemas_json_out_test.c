/* Members of a JSON object: commas where they belong, nothing where there is nothing to say.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/json_out.h"

static void test_each_member_but_the_first_has_a_comma(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(256);
    struct id id;
    assert_true(id_parse(span_of("0193c0de-0123-7abc-9def-0123456789ab"), &id));
    buf_add_char(&out, '{');
    json_out_text(&out, "absent", (struct span){ 0 });
    json_out_text(&out, "text", span_of("a \"{\""));
    json_out_name(&out, "inner");
    buf_add_char(&out, '{');
    json_out_number(&out, "number", -7);
    json_out_instant(&out, "at", 1);
    buf_add_char(&out, '}');
    json_out_id(&out, "id", &id);
    json_out_json(&out, "json", span_of("[{}]"));
    json_out_number(&out, "last", 0);
    buf_add_char(&out, '}');
    assert_string_equal(out.data, "{\"text\":\"a \\\"{\\\"\",\"inner\":{\"number\":-7,\"at\":"
                                  "\"1970-01-01T00:00:00.001Z\"},\"id\":\"0193c0de-0123-7abc-9def-"
                                  "0123456789ab\",\"json\":[{}],\"last\":0}");
    buf_free(&out);
}

static void test_what_is_absent_leaves_no_trace(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(64);
    json_out_instant(&out, "at", 0);
    json_out_instant(&out, "at", -1);
    json_out_json(&out, "json", (struct span){ 0 });
    json_out_text(&out, "text", span_of(""));
    assert_int_equal(out.size, 0);
    json_out_number(&out, "first", 1); /* of an object whose brace the caller adds later */
    assert_string_equal(out.data, "\"first\":1");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_member_but_the_first_has_a_comma),
        cmocka_unit_test(test_what_is_absent_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
