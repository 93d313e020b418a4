/* What one worker makes of grants, and what it does without them. SPDX-License-Identifier:
 * Apache-2.0
 */
#include "consumers/target_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define T0 INT64_C(1000000)

struct scene {
    char name[8], rate[8];
    struct config_target target;
    struct target_lease lease;
};

static void begin(struct scene *scene, const struct config_target *target)
{
    scene->target = *target;
    snprintf(scene->name, sizeof scene->name, "t");
    snprintf(scene->rate, sizeof scene->rate, "-");
    scene->target.name = scene->name;
    scene->target.rate = scene->rate;
    scene->target.in_flight_max = 100;
    if (!scene->target.rate_period_ms)
        scene->target.rate_period_ms = 1000;
    target_lease_init(&scene->lease, &scene->target);
}

static const struct breaker_policy breaker = {
    .enabled = true,
    .failures_percent = 50,
    .calls_min = 4,
    .window_ms = 10000,
    .open_ms = 1000,
    .open_ms_max = 8000,
    .probes = 2,
    .probe_wait_ms = 5000,
};

/* An exchange that gets no answer. */
static void alone(struct target_lease *lease, int64_t now_ms, int64_t waiting)
{
    struct target_report report = target_lease_report(lease, now_ms, waiting);
    target_lease_alone(lease, now_ms, &report);
}

static int64_t start(struct target_lease *lease, int64_t now_ms, int64_t waiting)
{
    int64_t started = 0;
    for (; started < waiting && target_lease_blocked(lease, now_ms) == HOLD_NONE; started++)
        (void)target_lease_take(lease);
    return started;
}

static void end(struct target_lease *lease, int64_t count, enum target_result result)
{
    for (; count > 0; count--)
        target_lease_end(lease, (struct target_ticket){ true, lease->epoch }, result);
}

static void test_a_target_with_nothing_configured_costs_nothing(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ 0 });
    assert_int_equal(target_lease_blocked(&scene.lease, T0), HOLD_NONE);
    assert_int_equal(target_lease_next_ms(&scene.lease, T0, 100, true), -1);
}

/* proves P-44h */
static void test_without_redis_limits_are_divided_by_the_workers_last_known(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .concurrency_max = 10 });
    struct target_report report = target_lease_report(&scene.lease, T0, 9);
    assert_int_equal(report.keep, 0);
    struct target_grant grant = { .ceiling = 4, .workers = 3, .again_ms = 20 };
    target_lease_apply(&scene.lease, T0, &grant);
    assert_int_equal(start(&scene.lease, T0, 9), 4);
    assert_int_equal(target_lease_blocked(&scene.lease, T0), HOLD_CONCURRENCY);
    end(&scene.lease, 4, TARGET_SUCCEEDED);
    alone(&scene.lease, T0 + 500, 9);
    assert_int_equal(start(&scene.lease, T0 + 500, 9), 3);
    grant.workers = 50;
    target_lease_apply(&scene.lease, T0 + 600, &grant);
    end(&scene.lease, 3, TARGET_SUCCEEDED);
    alone(&scene.lease, T0 + 700, 9);
    assert_int_equal(start(&scene.lease, T0 + 700, 9), 1); /* at least one */
}

/* proves P-44h */
static void test_without_redis_the_rate_is_divided_too(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .rate_count = 100, .burst = 4 });
    struct target_grant grant = { .tokens = 1, .workers = 2, .again_ms = 20 };
    (void)target_lease_report(&scene.lease, T0, 1);
    target_lease_apply(&scene.lease, T0, &grant);
    int64_t calls = 0;
    for (int64_t now_ms = T0; now_ms <= T0 + 4000; now_ms += 20) {
        alone(&scene.lease, now_ms, 50);
        calls += start(&scene.lease, now_ms, 50);
        end(&scene.lease, scene.lease.in_flight, TARGET_SUCCEEDED);
    }
    assert_in_range(calls, 198, 203); /* half of it, and the token that it had */
    alone(&scene.lease, T0 + 60000, 50);
    assert_int_equal(start(&scene.lease, T0 + 60000, 50), 2); /* half of the burst */
}

/* proves P-44h */
static void test_without_redis_a_worker_has_a_breaker_of_its_own(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .breaker = breaker });
    struct target_lease *lease = &scene.lease;
    assert_int_equal(target_lease_blocked(lease, T0), HOLD_UNKNOWN);
    alone(lease, T0, 8);
    assert_int_equal(start(lease, T0, 4), 4);
    end(lease, 4, TARGET_FAILED);
    assert_int_equal(target_lease_next_ms(lease, T0, 0, false), T0 + TARGET_LEASE_FAILED_MS);
    alone(lease, T0 + 100, 8);
    assert_int_equal(target_lease_blocked(lease, T0 + 1099), HOLD_OPEN);
    assert_int_equal(target_lease_blocked(lease, T0 + 1100), HOLD_UNKNOWN);
    alone(lease, T0 + 1100, 8);
    assert_int_equal(start(lease, T0 + 1100, 8), 1);
    assert_int_equal(target_lease_blocked(lease, T0 + 1100), HOLD_PROBING);
    end(lease, 1, TARGET_SUCCEEDED);
    assert_int_equal(target_lease_next_ms(lease, T0 + 1100, 0, false),
                     T0 + 1100 + TARGET_LEASE_QUICK_MS);
    alone(lease, T0 + 1120, 8);
    assert_int_equal(start(lease, T0 + 1120, 8), 2);
    end(lease, 2, TARGET_SUCCEEDED);
    alone(lease, T0 + 1140, 8);
    assert_int_equal(lease->state, BREAKER_CLOSED);
    assert_int_equal(start(lease, T0 + 1140, 8), 8);
}

/* proves P-44h */
static void test_its_own_breaker_begins_where_the_fleet_stood(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .breaker = breaker });
    struct target_grant grant = {
        .state = BREAKER_OPEN, .epoch = 5, .left_ms = 3000, .wait_ms = 4000, .workers = 2
    };
    (void)target_lease_report(&scene.lease, T0, 1);
    target_lease_apply(&scene.lease, T0, &grant);
    alone(&scene.lease, T0 + 2999, 1);
    assert_int_equal(target_lease_blocked(&scene.lease, T0 + 2999), HOLD_OPEN);
    alone(&scene.lease, T0 + 3000, 1);
    assert_int_equal(start(&scene.lease, T0 + 3000, 9), 1);
    end(&scene.lease, 1, TARGET_FAILED);
    alone(&scene.lease, T0 + 3001, 1);
    assert_int_equal(scene.lease.wait_ms, 8000);
}

static void test_a_call_that_says_nothing_gives_its_probe_back(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .breaker = breaker, .rate_count = 10 });
    struct target_grant grant = {
        .state = BREAKER_HALF_OPEN, .epoch = 3, .probes = 2, .tokens = 2, .workers = 1
    };
    (void)target_lease_report(&scene.lease, T0, 2);
    target_lease_apply(&scene.lease, T0, &grant);
    struct target_ticket made = target_lease_take(&scene.lease);
    struct target_ticket skipped = target_lease_take(&scene.lease);
    target_lease_end(&scene.lease, made, TARGET_SAID_NOTHING);
    target_lease_give_back(&scene.lease, skipped);
    struct target_report report = target_lease_report(&scene.lease, T0, 0);
    assert_int_equal(report.probes_back, 2);
    assert_int_equal(report.tokens_back, 1); /* the one that was made is spent */
    assert_int_equal(report.successes + report.failures, 0);
    assert_int_equal(scene.lease.in_flight, 0);
}

static void test_a_probe_that_comes_back_during_an_exchange_is_not_lost(void **state)
{
    (void)state;
    for (int64_t epoch = 3; epoch <= 4; epoch++) {
        struct scene scene;
        begin(&scene, &(struct config_target){ .breaker = breaker });
        struct target_grant grant = {
            .state = BREAKER_HALF_OPEN, .epoch = 3, .probes = 1, .workers = 1
        };
        (void)target_lease_report(&scene.lease, T0, 1);
        target_lease_apply(&scene.lease, T0, &grant);
        struct target_ticket skipped = target_lease_take(&scene.lease);
        (void)target_lease_report(&scene.lease, T0, 0);
        target_lease_give_back(&scene.lease, skipped);
        grant.epoch = epoch;
        target_lease_apply(&scene.lease, T0, &grant);
        int64_t probes = epoch == 3 ? 2 : 1; /* those of an epoch end with it */
        assert_int_equal(target_lease_report(&scene.lease, T0, 0).probes_back, probes);
    }
}

static void test_what_an_earlier_epoch_says_is_not_reported(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .breaker = breaker });
    alone(&scene.lease, T0, 1);
    struct target_ticket call = target_lease_take(&scene.lease);
    (void)target_lease_report(&scene.lease, T0, 0);
    struct target_grant grant = { .state = BREAKER_OPEN, .epoch = 9, .left_ms = 1, .workers = 1 };
    target_lease_apply(&scene.lease, T0, &grant);
    target_lease_end(&scene.lease, call, TARGET_FAILED);
    assert_int_equal(target_lease_report(&scene.lease, T0, 0).failures, 0);
}

static void test_an_exchange_is_due_while_the_target_is_used(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, &(struct config_target){ .breaker = breaker, .concurrency_max = 3 });
    struct target_lease *lease = &scene.lease;
    assert_int_equal(target_lease_next_ms(lease, T0, 0, false), -1);
    assert_int_equal(target_lease_next_ms(lease, T0, 1, true), T0 + TARGET_LEASE_QUICK_MS);
    struct target_grant grant = { .ceiling = 1, .workers = 30, .again_ms = 120 };
    target_lease_apply(lease, T0, &grant);
    assert_int_equal(target_lease_next_ms(lease, T0, 5, true), T0 + 120);
    assert_int_equal(target_lease_blocked(lease, T0 + TARGET_LEASE_FRESH_MS), HOLD_NONE);
    assert_int_equal(target_lease_blocked(lease, T0 + TARGET_LEASE_FRESH_MS + 1), HOLD_UNKNOWN);
    /* what it does not use it gives back, and then it is silent */
    assert_int_equal(target_lease_next_ms(lease, T0, 0, false), T0 + TARGET_LEASE_CALM_MS);
    struct target_report report = target_lease_report(lease, T0 + 500, 0);
    assert_int_equal(report.keep, 0);
    assert_int_equal(report.want, 0);
    grant.ceiling = 0;
    target_lease_apply(lease, T0 + 500, &grant);
    assert_int_equal(target_lease_next_ms(lease, T0 + 500, 0, false), -1);
}

static void test_a_burst_is_a_tenth_of_a_second_unless_given(void **state)
{
    (void)state;
    struct config_target target = { .rate_count = 600, .rate_period_ms = 60000 };
    assert_int_equal(target_lease_burst(&target), 1);
    target.rate_period_ms = 1000;
    assert_int_equal(target_lease_burst(&target), 60);
    target.burst = 7;
    assert_int_equal(target_lease_burst(&target), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_with_nothing_configured_costs_nothing),
        cmocka_unit_test(test_without_redis_limits_are_divided_by_the_workers_last_known),
        cmocka_unit_test(test_without_redis_the_rate_is_divided_too),
        cmocka_unit_test(test_without_redis_a_worker_has_a_breaker_of_its_own),
        cmocka_unit_test(test_its_own_breaker_begins_where_the_fleet_stood),
        cmocka_unit_test(test_a_call_that_says_nothing_gives_its_probe_back),
        cmocka_unit_test(test_a_probe_that_comes_back_during_an_exchange_is_not_lost),
        cmocka_unit_test(test_what_an_earlier_epoch_says_is_not_reported),
        cmocka_unit_test(test_an_exchange_is_due_while_the_target_is_used),
        cmocka_unit_test(test_a_burst_is_a_tenth_of_a_second_unless_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
