/* The schedule of retries. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/retry.h"

enum { FIRST = 100, MOST = 1000 };

/* The longest that chance can make of an attempt's wait. */
static int64_t longest(uint32_t attempt)
{
    int64_t most = 0;
    for (uint64_t random = 0; random < (uint64_t)4 * MOST; random++) {
        int64_t wait = retry_wait_ms(FIRST, MOST, attempt, 0, random);
        assert_true(wait >= 0);
        most = wait > most ? wait : most;
    }
    return most;
}

static void the_span_doubles_up_to_the_longest(void **state)
{
    (void)state;
    static const int64_t spans[] = { 100, 200, 400, 800, 1000, 1000 };
    for (uint32_t i = 0; i < sizeof spans / sizeof *spans; i++)
        assert_int_equal(longest(i + 1), spans[i]);
    assert_int_equal(longest(UINT32_MAX), MOST);
}

static void jitter_is_full(void **state)
{
    (void)state;
    for (uint64_t random = 0; random <= 400; random++)
        assert_int_equal(retry_wait_ms(FIRST, MOST, 3, 0, random), random);
    assert_int_equal(retry_wait_ms(FIRST, MOST, 3, 0, 401), 0);
    assert_in_range(retry_wait_ms(FIRST, MOST, 3, 0, UINT64_MAX), 0, 400);
}

static void what_the_target_asks_for_is_the_least_and_clamped(void **state)
{
    (void)state;
    assert_int_equal(retry_wait_ms(FIRST, MOST, 1, 700, 50), 700);
    assert_int_equal(retry_wait_ms(FIRST, MOST, 4, 300, 650), 650);
    assert_int_equal(retry_wait_ms(FIRST, MOST, 1, MOST + 1, 0), MOST);
    assert_int_equal(retry_wait_ms(FIRST, MOST, 1, INT64_MAX, 0), MOST);
}

static void nothing_overflows_and_no_backoff_is_none(void **state)
{
    (void)state;
    assert_in_range(retry_wait_ms(INT64_MAX / 2, INT64_MAX - 1, 64, 0, UINT64_MAX), 0,
                    INT64_MAX - 1);
    assert_int_equal(retry_wait_ms(0, 0, 9, 0, UINT64_MAX), 0);
    assert_int_equal(retry_wait_ms(0, MOST, 9, 0, UINT64_MAX), 0);
    assert_true(retry_wait_ms(MOST, FIRST, 1, 0, UINT64_MAX) <= FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_span_doubles_up_to_the_longest),
        cmocka_unit_test(jitter_is_full),
        cmocka_unit_test(what_the_target_asks_for_is_the_least_and_clamped),
        cmocka_unit_test(nothing_overflows_and_no_backoff_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
