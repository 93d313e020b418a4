/* The exchange against a real Redis, with several simulated workers: the fleet's limits hold
 * whatever they do, and the breaker in Lua is the one in C. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/target_exchange.h"
#include "infra/clock.h"
#include "schemas/seeded.h"
#include "tests/unit/real_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEADLINE_MS 15000
#define WORKERS     5
#define T0          INT64_C(1800000000000)

struct scene {
    struct real_redis server;
    struct loop *loop;
    struct loop_timer *deadline;
    struct redis *redis;
    char target_name[16], rate[16];
    struct config_target target;
    struct target_exchange of[WORKERS];
    struct target_lease lease[WORKERS];
    struct target_grant grant;
    bool answered;
};

static const char *const names[WORKERS] = { "aaaa", "bbbb", "cccc", "dddd", "eeee" };

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("no answer in time");
}

static void on_state(void *arg, bool ready)
{
    struct scene *scene = arg;
    if (ready)
        loop_stop(scene->loop);
}

static void run(struct scene *scene)
{
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_run(scene->loop);
    loop_timer_stop(scene->deadline);
}

static void on_flushed(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct scene *scene = arg;
    (void)reply;
    assert_int_equal(code, ERR_OK);
    loop_stop(scene->loop);
}

static void flush(struct scene *scene)
{
    redis_command_text(scene->redis, on_flushed, scene, 1, "FLUSHALL");
    run(scene);
}

/* A target without limits, and an empty Redis. */
static void begin(struct scene *scene)
{
    snprintf(scene->target_name, sizeof scene->target_name, "probe");
    snprintf(scene->rate, sizeof scene->rate, "0");
    scene->target = (struct config_target){
        .name = scene->target_name,
        .rate = scene->rate,
        .rate_period_ms = 1000,
        .in_flight_max = 1000,
        .breaker = { .failures_percent = 50,
                     .calls_min = 10,
                     .window_ms = 10000,
                     .open_ms = 1000,
                     .open_ms_max = 3000,
                     .probes = 4,
                     .probe_wait_ms = 2000 },
    };
    for (int i = 0; i < WORKERS; i++) {
        scene->of[i] = (struct target_exchange){
            .redis = scene->redis, .namespace_ = "errand", .worker = names[i], .now_ms = T0
        };
    }
    flush(scene);
}

/* Workers that know nothing yet of the target as it now is. */
static void hire(struct scene *scene)
{
    for (int i = 0; i < WORKERS; i++)
        target_lease_init(&scene->lease[i], &scene->target);
}

static int open_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    *state = scene;
    real_redis_start(&scene->server);
    scene->loop = loop_new(100);
    scene->deadline = loop_timer_new(scene->loop, on_late, scene);
    struct redis_options options = { .config = &scene->server.config,
                                     .timeout_ms = 5000,
                                     .pending_max = 1000,
                                     .on_state = on_state,
                                     .arg = scene };
    scene->redis = redis_open(scene->loop, &options);
    run(scene);
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    redis_close(scene->redis);
    loop_timer_free(scene->deadline);
    loop_free(scene->loop);
    real_redis_stop(&scene->server);
    free(scene);
    return 0;
}

static void on_grant(void *arg, const struct target_grant *grant)
{
    struct scene *scene = arg;
    scene->answered = grant != NULL;
    if (grant)
        scene->grant = *grant;
    loop_stop(scene->loop);
}

static struct target_grant ask(struct scene *scene, int worker, int64_t now_ms,
                               const struct target_report *report)
{
    scene->of[worker].now_ms = now_ms;
    target_exchange(&scene->of[worker], &scene->target, report, on_grant, scene);
    run(scene);
    assert_true(scene->answered);
    return scene->grant;
}

/* A whole exchange of a worker that has `waiting` jobs. */
static void trade(struct scene *scene, int worker, int64_t now_ms, int64_t waiting)
{
    struct target_lease *lease = &scene->lease[worker];
    struct target_report report = target_lease_report(lease, now_ms, waiting);
    struct target_grant grant = ask(scene, worker, now_ms, &report);
    target_lease_apply(lease, now_ms, &grant);
}

/* Starts what it may of `waiting` jobs; returns how many. */
static int64_t start(struct target_lease *lease, int64_t now_ms, int64_t waiting)
{
    int64_t started = 0;
    while (started < waiting && target_lease_blocked(lease, now_ms) == HOLD_NONE) {
        assert_true(target_lease_take(lease).taken);
        started++;
    }
    return started;
}

static void end(struct target_lease *lease, int64_t count, enum target_result result)
{
    struct target_ticket ticket = { .taken = true, .epoch = lease->epoch };
    for (; count > 0; count--)
        target_lease_end(lease, ticket, result);
}

static int64_t in_flight(const struct scene *scene)
{
    int64_t sum = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += scene->lease[i].in_flight;
    return sum;
}

/* --- concurrency --- */

/* proves P-44a: five workers that begin, end, ask and lose answers at random. */
static void test_all_together_never_make_more_calls_than_allowed(void **state)
{
    struct scene *scene = *state;
    struct seeded random;
    seeded_init(&random, 7);
    for (int64_t limit = 1; limit <= 13; limit += 4) {
        begin(scene);
        scene->target.concurrency_max = limit;
        hire(scene);
        int64_t now_ms = T0;
        int64_t highest = 0;
        for (int step = 0; step < 400; step++) {
            now_ms += seeded_below(&random, 40);
            int worker = (int)seeded_below(&random, WORKERS);
            struct target_lease *lease = &scene->lease[worker];
            int64_t waiting = seeded_below(&random, 12);
            end(lease, (int64_t)seeded_below(&random, (uint32_t)lease->in_flight + 1),
                TARGET_SUCCEEDED);
            if (seeded_below(&random, 10) == 0) { /* the answer is lost */
                struct target_report report = target_lease_report(lease, now_ms, waiting);
                ask(scene, worker, now_ms, &report);
            } else {
                trade(scene, worker, now_ms, waiting);
            }
            start(lease, now_ms, waiting);
            int64_t all = in_flight(scene);
            assert_in_range(all, 0, limit);
            highest = all > highest ? all : highest;
            for (int i = 0; i < WORKERS; i++) /* they all live */
                if (scene->lease[i].known_at_ms < now_ms - 1500 || i == worker)
                    trade(scene, i, now_ms, 0);
        }
        assert_int_equal(highest, limit);
    }
}

/* proves P-44a */
static void test_every_worker_gets_a_fair_part(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.concurrency_max = 10;
    hire(scene);
    trade(scene, 0, T0, 100);
    assert_int_equal(start(&scene->lease[0], T0, 100), 10); /* while nobody else is there */
    trade(scene, 1, T0 + 20, 100);
    assert_int_equal(start(&scene->lease[1], T0 + 20, 100), 0);
    trade(scene, 0, T0 + 40, 100);
    end(&scene->lease[0], 10, TARGET_SUCCEEDED);
    assert_int_equal(start(&scene->lease[0], T0 + 40, 100), 5); /* gives up half */
    trade(scene, 0, T0 + 60, 100);
    trade(scene, 1, T0 + 80, 100);
    assert_int_equal(start(&scene->lease[1], T0 + 80, 100), 5);
}

/* proves P-44a */
static void test_more_workers_than_calls_take_turns(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.concurrency_max = 1;
    hire(scene);
    int64_t turns[WORKERS] = { 0 };
    for (int64_t now_ms = T0; now_ms < T0 + 10000; now_ms += 50) {
        for (int i = 0; i < WORKERS; i++) {
            end(&scene->lease[i], scene->lease[i].in_flight, TARGET_SUCCEEDED);
            trade(scene, i, now_ms, 3);
            turns[i] += start(&scene->lease[i], now_ms, 3);
            assert_in_range(in_flight(scene), 0, 1);
        }
    }
    for (int i = 0; i < WORKERS; i++)
        assert_true(turns[i] >= 10);
}

/* proves P-44a */
static void test_what_a_dead_worker_had_comes_back(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.concurrency_max = 4;
    hire(scene);
    trade(scene, 0, T0, 10);
    assert_int_equal(start(&scene->lease[0], T0, 10), 4); /* and is never heard of again */
    trade(scene, 1, T0 + TARGET_EXCHANGE_LIFE_MS - 1, 10);
    assert_int_equal(scene->lease[1].ceiling, 0);
    trade(scene, 1, T0 + TARGET_EXCHANGE_LIFE_MS, 10);
    assert_int_equal(scene->lease[1].ceiling, 4);
    assert_int_equal(scene->lease[1].workers, 1);
}

/* proves P-44a */
static void test_an_emptied_redis_gives_nothing_twice(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.concurrency_max = 4;
    hire(scene);
    trade(scene, 0, T0, 1);
    assert_int_equal(start(&scene->lease[0], T0, 2), 2);
    trade(scene, 1, T0, 1);
    assert_int_equal(start(&scene->lease[1], T0, 2), 2);
    flush(scene);
    trade(scene, 0, T0 + 500, 8);
    start(&scene->lease[0], T0 + 500, 8);
    trade(scene, 1, T0 + 510, 8);
    start(&scene->lease[1], T0 + 510, 8);
    assert_int_equal(in_flight(scene), 4);
}

/* --- rate --- */

/* proves P-44b: on Redis's own clock, for three seconds, with workers that want all they get. What
 * flows into a full bucket while the machine stalls is lost, rightly. */
static void test_the_rate_is_kept_to_and_used(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    enum { RATE = 200, BURST = 100, FULL_MS = 1000 * BURST / RATE };
    scene->target.rate_count = RATE;
    scene->target.burst = BURST;
    hire(scene);
    int64_t calls = 0;
    int64_t began_ms = clock_monotonic_ms();
    int64_t now_ms = began_ms;
    int64_t stalled_ms = 0;
    while (now_ms - began_ms < 3000) {
        for (int i = 0; i < WORKERS; i++) {
            struct target_lease *lease = &scene->lease[i];
            struct target_report report = target_lease_report(lease, now_ms, 20);
            struct target_grant grant = ask(scene, i, 0, &report);
            target_lease_apply(lease, now_ms, &grant);
            calls += start(lease, now_ms, 1 + i); /* the rest is given back */
            end(lease, lease->in_flight, TARGET_SUCCEEDED);
        }
        int64_t before_ms = now_ms;
        now_ms = clock_monotonic_ms();
        if (now_ms - before_ms > FULL_MS / 2)
            stalled_ms += now_ms - before_ms;
    }
    double allowed = (double)(now_ms - began_ms) / 1000 * RATE + BURST;
    double lost = (double)stalled_ms / 1000 * RATE;
    assert_true((double)calls <= allowed + 1);
    assert_true((double)calls >= 0.95 * (allowed - lost));
}

/* proves P-44b */
static void test_tokens_given_back_are_not_doubled(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.rate_count = 10;
    scene->target.burst = 6;
    hire(scene);
    int64_t calls = 0;
    for (int round = 0; round < 20; round++) { /* no time passes */
        int worker = round % WORKERS;
        trade(scene, worker, T0, 4);
        calls += start(&scene->lease[worker], T0, 1);
    }
    for (int i = 0; i < WORKERS; i++)
        calls += start(&scene->lease[i], T0, 10);
    assert_int_equal(calls, 6);
    trade(scene, 0, T0 - 5000, 4); /* a clock that goes back makes none */
    assert_int_equal(start(&scene->lease[0], T0, 4), 0);
    trade(scene, 0, T0 + 100, 4);
    assert_int_equal(start(&scene->lease[0], T0 + 100, 4), 1);
}

/* proves P-44b */
static void test_a_slow_rate_says_when_to_ask_again(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.rate_count = 60;
    scene->target.rate_period_ms = 60000;
    hire(scene);
    trade(scene, 0, T0, 1);
    assert_int_equal(start(&scene->lease[0], T0, 1), 1);
    trade(scene, 0, T0 + 100, 1);
    assert_int_equal(target_lease_blocked(&scene->lease[0], T0 + 100), HOLD_RATE);
    assert_int_equal(scene->lease[0].again_ms, 900);
}

/* --- the breaker --- */

/* proves P-44c: the same reports at the same times give the same states, here and there. */
static void test_the_breaker_in_lua_is_the_one_in_c(void **state)
{
    struct scene *scene = *state;
    struct seeded random;
    seeded_init(&random, 11);
    int64_t reached[3] = { 0 };
    for (int life = 0; life < 12; life++) {
        begin(scene);
        scene->target.breaker.enabled = true;
        struct breaker mine = { 0 };
        int64_t now_ms = T0;
        for (int step = 0; step < 150; step++) {
            now_ms += seeded_below(&random, 900);
            bool good = seeded_below(&random, 3) > 0;
            struct target_report report = {
                .known = { .epoch = mine.epoch - (seeded_below(&random, 8) == 0) },
                .successes = seeded_below(&random, good ? 5 : 2),
                .failures = good ? 0 : seeded_below(&random, 6),
                .probes_wanted = seeded_below(&random, 4),
                .probes_back = seeded_below(&random, 8) == 0,
            };
            breaker_give_back(&mine, report.known.epoch, report.probes_back);
            breaker_report(&mine, &scene->target.breaker, now_ms, report.known.epoch,
                           report.successes, report.failures);
            int64_t probes =
                breaker_take(&mine, &scene->target.breaker, now_ms, report.probes_wanted);
            struct target_grant grant = ask(scene, step % WORKERS, now_ms, &report);
            assert_int_equal(grant.state, mine.state);
            assert_int_equal(grant.epoch, mine.epoch);
            assert_int_equal(grant.wait_ms, mine.wait_ms);
            assert_int_equal(grant.probes, probes);
            if (mine.state == BREAKER_OPEN)
                assert_int_equal(grant.left_ms, mine.until_ms - now_ms);
            reached[mine.state]++;
        }
    }
    for (int i = 0; i < 3; i++)
        assert_true(reached[i] > 50);
}

/* proves P-44c */
static void test_what_one_worker_meets_all_know(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.breaker.enabled = true;
    hire(scene);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(target_lease_blocked(&scene->lease[i], T0), HOLD_UNKNOWN);
        trade(scene, i, T0, 1);
        assert_int_equal(target_lease_blocked(&scene->lease[i], T0), HOLD_NONE);
    }
    for (int i = 0; i < 2; i++) { /* neither has seen enough by itself */
        assert_int_equal(start(&scene->lease[i], T0, 6), 6);
        end(&scene->lease[i], 6, TARGET_FAILED);
        trade(scene, i, T0 + 10, 0);
    }
    for (int i = 1; i < WORKERS; i++) {
        trade(scene, i, T0 + 20, 1);
        assert_int_equal(target_lease_blocked(&scene->lease[i], T0 + 20), HOLD_OPEN);
    }
    for (int i = 1; i < WORKERS; i++) /* one probe for all of them */
        trade(scene, i, T0 + 1020, 3);
    int64_t probes = 0;
    for (int i = 1; i < WORKERS; i++)
        probes += start(&scene->lease[i], T0 + 1020, 3);
    assert_int_equal(probes, 1);
}

/* proves P-44c */
static void test_an_emptied_redis_learns_an_open_circuit_again(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene->target.breaker.enabled = true;
    hire(scene);
    trade(scene, 0, T0, 1);
    start(&scene->lease[0], T0, 10);
    end(&scene->lease[0], 10, TARGET_FAILED);
    trade(scene, 0, T0, 1);
    flush(scene);
    trade(scene, 0, T0 + 400, 1);
    trade(scene, 1, T0 + 400, 1);
    assert_int_equal(scene->lease[1].state, BREAKER_OPEN);
    assert_int_equal(scene->lease[1].until_ms, T0 + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_together_never_make_more_calls_than_allowed),
        cmocka_unit_test(test_every_worker_gets_a_fair_part),
        cmocka_unit_test(test_more_workers_than_calls_take_turns),
        cmocka_unit_test(test_what_a_dead_worker_had_comes_back),
        cmocka_unit_test(test_an_emptied_redis_gives_nothing_twice),
        cmocka_unit_test(test_the_rate_is_kept_to_and_used),
        cmocka_unit_test(test_tokens_given_back_are_not_doubled),
        cmocka_unit_test(test_a_slow_rate_says_when_to_ask_again),
        cmocka_unit_test(test_the_breaker_in_lua_is_the_one_in_c),
        cmocka_unit_test(test_what_one_worker_meets_all_know),
        cmocka_unit_test(test_an_emptied_redis_learns_an_open_circuit_again),
    };
    return cmocka_run_group_tests(tests, open_scene, close_scene);
}
