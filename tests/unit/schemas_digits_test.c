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

static void hex_digits_are_of_either_case(void **state)
{
    (void)state;
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF",
                      none[] = "/:@G`g ";
    for (int i = 0; i < 16; i++) {
        assert_int_equal(digits_hex(lower[i]), i);
        assert_int_equal(digits_hex(upper[i]), i);
    }
    for (size_t i = 0; i < sizeof none; i++)
        assert_int_equal(digits_hex(none[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_digits),
        cmocka_unit_test(hex_digits_are_of_either_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
