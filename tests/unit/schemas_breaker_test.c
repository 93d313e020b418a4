/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct breaker_policy policy = {
    .enabled = true,
    .failures_percent = 50,
    .calls_min = 10,
    .window_ms = 10000,
    .open_ms = 1000,
    .open_ms_max = 3000,
    .probes = 4,
    .probe_wait_ms = 2000,
};
#define T0 1000000

static void report(struct breaker *breaker, int64_t now_ms, int64_t successes, int64_t failures)
{
    breaker_report(breaker, &policy, now_ms, breaker->epoch, successes, failures);
}

static struct breaker opened(void)
{
    struct breaker breaker = { 0 };
    report(&breaker, T0, 0, 10);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    return breaker;
}

/* All of the round's probes are granted and succeed. */
static void succeed(struct breaker *breaker, int64_t now_ms, int64_t round)
{
    assert_int_equal(breaker_take(breaker, &policy, now_ms, 100), round);
    assert_int_equal(breaker_take(breaker, &policy, now_ms, 100), 0);
    report(breaker, now_ms, round, 0);
}

static void test_it_opens_when_enough_calls_failed(void **state)
{
    (void)state;
    struct breaker breaker = { 0 };
    report(&breaker, T0, 0, 9); /* too few to tell */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    report(&breaker, T0, 12, 0);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    report(&breaker, T0, 0, 2); /* 11 of 23 */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    report(&breaker, T0 + 100, 0, 1);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker.until_ms, T0 + 1100);
}

static void test_what_is_older_than_the_window_does_not_count(void **state)
{
    (void)state;
    struct breaker breaker = { 0 };
    report(&breaker, T0, 0, 9);
    report(&breaker, T0 + 10000, 0, 1);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    report(&breaker, T0 + 14999, 0, 8);
    report(&breaker, T0 + 15001, 0, 1); /* the half before is still seen */
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

static void test_a_success_never_opens_it(void **state)
{
    (void)state;
    struct breaker breaker = { 0 };
    report(&breaker, T0, 0, 9);
    report(&breaker, T0, 1, 0);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void test_nothing_is_granted_while_it_is_open(void **state)
{
    (void)state;
    struct breaker breaker = opened();
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 999, 5), 0);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 1000, 5), 1);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
}

static void test_probes_ramp_up_until_it_closes(void **state)
{
    (void)state;
    struct breaker breaker = opened();
    succeed(&breaker, T0 + 1000, 1);
    succeed(&breaker, T0 + 1010, 2);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    succeed(&breaker, T0 + 1020, 4);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    report(&breaker, T0 + 1030, 0, 9); /* it counts from nothing */
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    report(&breaker, T0 + 1030, 0, 1);
    assert_int_equal(breaker.until_ms, T0 + 2030); /* and begins with the shortest wait */
}

/* A few jobs may fail by their own doing: that does not keep the others waiting. */
static void test_a_round_in_which_most_succeed_goes_well(void **state)
{
    (void)state;
    for (int64_t failures = 1; failures <= 2; failures++) {
        struct breaker breaker = opened();
        succeed(&breaker, T0 + 1000, 1);
        succeed(&breaker, T0 + 1010, 2);
        assert_int_equal(breaker_take(&breaker, &policy, T0 + 1020, 100), 4);
        report(&breaker, T0 + 1020, 0, failures);
        report(&breaker, T0 + 1030, 4 - failures, 0);
        assert_int_equal(breaker.state, failures == 1 ? BREAKER_CLOSED : BREAKER_OPEN);
    }
}

static void test_the_wait_doubles_up_to_its_limit(void **state)
{
    (void)state;
    struct breaker breaker = opened();
    static const int64_t waits[] = { 2000, 3000, 3000 };
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        int64_t now_ms = breaker.until_ms + 7;
        assert_int_equal(breaker_take(&breaker, &policy, now_ms, 1), 1);
        report(&breaker, now_ms, 0, 1);
        assert_int_equal(breaker.state, BREAKER_OPEN);
        assert_int_equal(breaker.until_ms, now_ms + waits[i]);
    }
}

static void test_calls_of_an_earlier_epoch_do_not_count(void **state)
{
    (void)state;
    struct breaker breaker = opened();
    int64_t before = breaker.epoch - 1;
    breaker_report(&breaker, &policy, T0 + 1, before, 50, 0);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 1000, 1), 1);
    breaker_report(&breaker, &policy, T0 + 1001, before, 0, 50);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    breaker_report(&breaker, &policy, T0 + 1001, before, 50, 0);
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 1001, 1), 0);
}

static void test_a_probe_that_is_given_back_or_lost_is_granted_again(void **state)
{
    (void)state;
    struct breaker breaker = opened();
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 1000, 1), 1);
    breaker_give_back(&breaker, breaker.epoch - 1, 1); /* another epoch's */
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 1001, 1), 0);
    breaker_give_back(&breaker, breaker.epoch, 1);
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 1002, 1), 1);
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 3001, 1), 0);
    assert_int_equal(breaker_take(&breaker, &policy, T0 + 3002, 1), 1);
}

static void test_it_goes_on_from_what_is_known_elsewhere(void **state)
{
    (void)state;
    struct breaker mine = { 0 };
    struct breaker known = opened();
    breaker_adopt(&mine, &known);
    assert_int_equal(breaker_take(&mine, &policy, T0 + 999, 1), 0);
    assert_int_equal(breaker_take(&mine, &policy, T0 + 1000, 3), 1);
    known = mine;
    breaker_adopt(&mine, &known);
    assert_int_equal(breaker_take(&mine, &policy, T0 + 1000, 3), 1); /* a round of its own */
    report(&mine, T0 + 1001, 0, 1);
    assert_int_equal(mine.wait_ms, 2000);
}

static void test_states_have_names(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_text(BREAKER_CLOSED), "closed");
    assert_string_equal(breaker_state_text(BREAKER_HALF_OPEN), "half-open");
    assert_string_equal(breaker_state_text(BREAKER_OPEN), "open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens_when_enough_calls_failed),
        cmocka_unit_test(test_what_is_older_than_the_window_does_not_count),
        cmocka_unit_test(test_a_success_never_opens_it),
        cmocka_unit_test(test_nothing_is_granted_while_it_is_open),
        cmocka_unit_test(test_probes_ramp_up_until_it_closes),
        cmocka_unit_test(test_a_round_in_which_most_succeed_goes_well),
        cmocka_unit_test(test_the_wait_doubles_up_to_its_limit),
        cmocka_unit_test(test_calls_of_an_earlier_epoch_do_not_count),
        cmocka_unit_test(test_a_probe_that_is_given_back_or_lost_is_granted_again),
        cmocka_unit_test(test_it_goes_on_from_what_is_known_elsewhere),
        cmocka_unit_test(test_states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
