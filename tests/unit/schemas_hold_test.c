/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static int64_t wait_of(struct hold_case of)
{
    of.now_ms = NOW;
    of.wait_ms_max = 600000;
    return hold_due_ms(&of) - NOW;
}

static void test_the_wait_doubles_up_to_its_limit(void **state)
{
    (void)state;
    int64_t wait = 1000;
    for (uint32_t holds = 0; holds < 40; holds++) {
        for (uint64_t random = 0; random < 50; random++) {
            int64_t got = wait_of((struct hold_case){
                .reason = HOLD_RATE, .holds = holds, .random = random * 0x9e3779b97f4a7c15ULL });
            assert_in_range(got, wait / 2, wait);
        }
        wait = 2 * wait < 600000 ? 2 * wait : 600000;
    }
}

static void test_the_wait_is_spread(void **state)
{
    (void)state;
    assert_int_equal(wait_of((struct hold_case){ .reason = HOLD_CONCURRENCY, .random = 0 }), 500);
    assert_int_equal(wait_of((struct hold_case){ .reason = HOLD_CONCURRENCY, .random = 500 }),
                     1000);
}

static void test_an_open_circuit_holds_until_it_tries_again_and_not_much_longer(void **state)
{
    (void)state;
    for (uint32_t holds = 0; holds < 20; holds++) {
        for (uint64_t random = 0; random < 100000; random += 77) {
            struct hold_case of = { .reason = HOLD_OPEN,
                                    .holds = holds,
                                    .until_ms = NOW + 4000,
                                    .open_ms = 5000,
                                    .random = random };
            assert_in_range(wait_of(of), 4000, 9000);
            of.until_ms = NOW + 600000;
            assert_in_range(wait_of(of), 600000, 675000);
        }
    }
    struct hold_case first = {
        .reason = HOLD_OPEN, .until_ms = NOW + 4000, .open_ms = 5000, .random = 999
    };
    assert_int_equal(wait_of(first), 4999);
}

static void test_while_probes_are_made_a_job_is_soon_looked_at_again(void **state)
{
    (void)state;
    for (uint32_t holds = 0; holds < 40; holds++)
        assert_in_range(
            wait_of((struct hold_case){
                .reason = HOLD_PROBING, .holds = holds, .open_ms = 5000, .random = holds }),
            500, 5000);
}

static void test_a_hold_that_outlasts_the_job_ends_behind_its_last_moment(void **state)
{
    (void)state;
    struct hold_case of = {
        .reason = HOLD_OPEN, .until_ms = NOW + 60000, .open_ms = 1000, .not_after_ms = NOW + 30000
    };
    assert_int_equal(wait_of(of), 30001);
    of.not_after_ms = NOW + 60000;
    assert_int_equal(wait_of(of), 60000); /* its very last moment: it may still begin */
    of.not_after_ms = NOW + 90000;
    assert_int_equal(wait_of(of), 60000);
}

static void test_it_is_always_later(void **state)
{
    (void)state;
    struct hold_case of = { .reason = HOLD_OPEN, .until_ms = NOW - 50, .open_ms = 100 };
    assert_int_equal(wait_of(of), 1);
}

static void test_reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(hold_reason_text(HOLD_OPEN), "open");
    assert_string_equal(hold_reason_text(HOLD_OUTCOME), "outcome");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_wait_doubles_up_to_its_limit),
        cmocka_unit_test(test_the_wait_is_spread),
        cmocka_unit_test(test_an_open_circuit_holds_until_it_tries_again_and_not_much_longer),
        cmocka_unit_test(test_while_probes_are_made_a_job_is_soon_looked_at_again),
        cmocka_unit_test(test_a_hold_that_outlasts_the_job_ends_behind_its_last_moment),
        cmocka_unit_test(test_it_is_always_later),
        cmocka_unit_test(test_reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
