/* What is a whole number, and what is none. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/digits.h"

static void digits_are_digits(void **state)
{
    (void)state;
    int64_t number = 77;
    assert_true(digits_parse(span_of("0"), 1, &number) && number == 0);
    assert_true(digits_parse(span_of("007"), 3, &number) && number == 7);
    assert_true(digits_parse(span_of("999999999999999999"), DIGITS_MAX, &number) &&
                number == INT64_C(999999999999999999));
    static const char *const wrong[] = {
        "", "1000000000000000000", "+1", "-1", " 1", "1 ", "1.0", "0x1", "/", ":"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(digits_parse(span_of(wrong[i]), DIGITS_MAX, &number));
    assert_false(digits_parse(span_of("123"), 2, &number));
    assert_false(digits_parse((struct span){ 0 }, DIGITS_MAX, &number));
    assert_int_equal(number, INT64_C(999999999999999999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
