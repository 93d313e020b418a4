/* Percentiles that can be trusted: exact where values are small, within 1 % everywhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "producers/histogram.h"
#include "schemas/mem.h"

#include <stdlib.h>

static int setup(void **state)
{
    struct histogram *histogram = MEM_NEW(*histogram);
    *state = histogram;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void test_an_empty_one_is_all_zero(void **state)
{
    assert_int_equal(histogram_percentile(*state, 50), 0);
    assert_int_equal(histogram_percentile(*state, 100), 0);
    assert_true(histogram_mean(*state) == 0);
}

static void test_small_values_are_exact(void **state)
{
    for (int64_t value = 1; value <= 100; value++)
        histogram_record(*state, value);
    assert_int_equal(histogram_percentile(*state, 50), 50);
    assert_int_equal(histogram_percentile(*state, 99), 99);
    assert_int_equal(histogram_percentile(*state, 99.9), 100);
    assert_int_equal(histogram_percentile(*state, 0), 1);
    assert_true(histogram_mean(*state) == 50.5);
}

static void test_every_value_is_known_to_one_percent(void **state)
{
    struct histogram *histogram = *state;
    for (int64_t value = 1; value < INT64_C(1) << 41; value += value / 3 + 1) {
        *histogram = (struct histogram){ 0 };
        histogram_record(histogram, value);
        histogram_record(histogram, INT64_C(1) << 41); /* so that the maximum does not help */
        int64_t told = histogram_percentile(histogram, 50);
        assert_true(told >= value);
        assert_true(told - value <= value / 100);
    }
}

static void test_the_largest_is_told_as_it_is(void **state)
{
    histogram_record(*state, 1);
    histogram_record(*state, 123457);
    assert_int_equal(histogram_percentile(*state, 100), 123457);
}

static void test_values_out_of_range_count_as_the_nearest(void **state)
{
    histogram_record(*state, -5);
    assert_int_equal(histogram_percentile(*state, 100), 0);
    histogram_record(*state, INT64_MAX);
    assert_int_equal(histogram_percentile(*state, 100), (INT64_C(1) << HISTOGRAM_BITS) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_empty_one_is_all_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_values_are_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_value_is_known_to_one_percent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_largest_is_told_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_out_of_range_count_as_the_nearest, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
