/* The judge: true histories of every kind pass, and each kind of lie, told once, is found, located
 * and named, and nothing else with it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/verify_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_MS  3600000
#define APART_MS 1000 /* so that no job's fault excuses another's call */

static void print_findings(const struct verify_judge *judge)
{
    const struct verify_finding *found = NULL;
    for (size_t i = 0; (found = verify_judge_finding(judge, i)) != NULL; i++)
        print_message("%s: line %u, offset %lld: %s\n", verify_kind_text(found->kind), found->line,
                      found->has_place ? (long long)found->place.offset : -1LL, found->text);
}

static void assert_clean(struct world *world)
{
    struct verify_judge *judge = world_judge(world);
    if (verify_judge_counts(judge)->findings)
        print_findings(judge);
    assert_int_equal(verify_judge_counts(judge)->findings, 0);
    verify_judge_free(judge);
}

/* --- falsifications: each makes of a job of the kind a case for exactly one finding --- */

static void drop_lines(struct world *world, int job, int kind)
{
    for (size_t i = 0; i < world->line_count; i++) {
        struct world_line *line = &world->lines[i];
        if (line->job == job && (kind < 0 || line->line.kind == (enum history_kind)kind))
            line->dropped = true;
    }
}

static struct world_line *last_terminal(struct world *world, int job)
{
    struct world_line *last = NULL;
    for (size_t i = 0; i < world->line_count; i++) {
        struct world_line *line = &world->lines[i];
        if (line->job == job && line->line.has_state && job_state_is_terminal(line->line.state) &&
            (!last || line->line.end_ms > last->line.end_ms))
            last = line;
    }
    assert_non_null(last);
    return last;
}

static void drop_ends(struct world *world, int job)
{
    for (size_t i = 0; i < world->event_count; i++) {
        if (world->events[i].job == job &&
            job_state_is_terminal(job_event_state(world->events[i].event.kind)))
            world->events[i].dropped = true;
    }
}

static void lose(struct world *world, int job)
{
    drop_ends(world, job);
    world_last_command(world, job)->told.committed = false;
}

static void commit_unsafely(struct world *world, int job)
{
    drop_ends(world, job);
}

static void lose_command(struct world *world, int job)
{
    for (size_t i = 0; i < world->command_count; i++)
        world->commands[i].dropped |= world->commands[i].job == job;
    drop_ends(world, job);
}

static void haunt(struct world *world, int job)
{
    drop_lines(world, job, -1);
}

static void haunt_refused(struct world *world, int job)
{
    drop_lines(world, job, HISTORY_READ);
    for (size_t i = 0; i < world->line_count; i++) {
        struct history_line *line = &world->lines[i].line;
        if (world->lines[i].job != job || line->kind != HISTORY_SUBMITTED)
            continue;
        line->status = 503;
        line->code = span_of("kafka_unavailable");
        line->has_id = false;
    }
}

/* The client is told the second end. */
static void tell_second(struct world *world, int job)
{
    last_terminal(world, job)->line.version = world_last_event(world, job)->place.offset;
}

static void end_elsewhere(struct world *world, int job)
{
    world_last_event(world, job)->place.partition++;
}

static void flip_bytes(struct world *world, int job)
{
    last_terminal(world, job)->line.digest++;
}

static void flip_state(struct world *world, int job)
{
    last_terminal(world, job)->line.state = JOB_FAILED;
}

static void go_back(struct world *world, int job)
{
    world_add_read(world, job, last_terminal(world, job)->line.end_ms + 1, JOB_QUEUED, -1);
}

static void go_back_to_running(struct world *world, int job)
{
    struct world_line *end = last_terminal(world, job);
    struct world_line *back = world_add_read(world, job, end->line.end_ms + 1, JOB_RUNNING, 0);
    for (size_t i = 0; i < world->line_count; i++) {
        if (world->lines[i].job == job && world->lines[i].line.state == JOB_RUNNING &&
            world->lines[i].line.version > 0)
            back->line.version = world->lines[i].line.version;
    }
}

static void invent_end(struct world *world, int job)
{
    last_terminal(world, job)->line.version += 5000;
}

static void invent_state(struct world *world, int job)
{
    int64_t version = world_last_event(world, job)->place.offset;
    world_add_read(world, job, last_terminal(world, job)->line.begin_ms - 5, JOB_HELD,
                   version > 0 ? version - 1 : 0);
}

static void deny(struct world *world, int job)
{
    struct world_line *read =
        world_add_read(world, job, last_terminal(world, job)->line.end_ms + 1, JOB_QUEUED, -1);
    read->line.status = 404;
    read->line.has_state = false;
}

static void begin_early(struct world *world, int job)
{
    struct world_event *event = world_last_event(world, job);
    event->event.started_at_ms = world_last_command(world, job)->command.due_at_ms - 1;
}

static void begin_ordered_early(struct world *world, int job)
{
    struct world_event *event = world_last_event(world, job);
    event->event.started_at_ms = (event - 1)->event.next_at_ms - 1;
}

static void call_early(struct world *world, int job)
{
    world_last_call(world, job)->call.started_ms =
        world_last_command(world, job)->command.due_at_ms - 1;
}

static void begin_late(struct world *world, int job)
{
    struct world_event *event = world_last_event(world, job);
    event->event.started_at_ms = event->event.facts.not_after_ms + 1;
}

static void begin_out_of_order(struct world *world, int job)
{
    struct world_event *event = world_last_event(world, job);
    event->event.started_at_ms = event->event.facts.created_at_ms - HOUR_MS;
}

static void call_uncounted(struct world *world, int job)
{
    world_call_again(world, job);
    world->calls[world->call_count - 1].call.attempt = 9;
}

static void call_never(struct world *world, int job)
{
    for (size_t i = 0; i < world->call_count; i++)
        world->calls[i].dropped |= world->calls[i].job == job;
}

static void leave_unburied(struct world *world, int job)
{
    for (size_t i = 0; i < world->dead_count; i++)
        world->dead[i].dropped |= world->dead[i].job == job;
}

static const struct falsification {
    const char *name;
    void (*apply)(struct world *world, int job);
    enum verify_kind expected;
    enum world_kind of;
} falsifications[] = {
    { "an end that is not in the log", lose, VERIFY_LOST, WORLD_CALL },
    { "a scheduled job without an end", lose, VERIFY_LOST, WORLD_SCHEDULED },
    { "a command that is not in the log", lose_command, VERIFY_LOST, WORLD_RULE },
    { "an unanswered submission's job without an end", lose, VERIFY_LOST, WORLD_SILENT },
    { "a commit beyond an unfinished command", commit_unsafely, VERIFY_COMMIT, WORLD_CALL },
    { "a commit beyond a waiting command", commit_unsafely, VERIFY_COMMIT, WORLD_SCHEDULED },
    { "a job that nobody submitted", haunt, VERIFY_GHOST, WORLD_RULE },
    { "a job that was refused", haunt_refused, VERIFY_GHOST, WORLD_CALL },
    { "a second end that is told", tell_second, VERIFY_DOUBLED, WORLD_CRASHED },
    { "a second end elsewhere", end_elsewhere, VERIFY_DOUBLED, WORLD_CRASHED },
    { "an end with other bytes", flip_bytes, VERIFY_FLIPPED, WORLD_CALL },
    { "an end in another state", flip_state, VERIFY_FLIPPED, WORLD_CALL },
    { "queued after its end", go_back, VERIFY_WENT_BACK, WORLD_FAILED },
    { "running after its end", go_back_to_running, VERIFY_WENT_BACK, WORLD_LONG },
    { "an end that the log has elsewhere", invent_end, VERIFY_UNFOUNDED, WORLD_RULE },
    { "an end in a state that the log has not", flip_state, VERIFY_UNFOUNDED, WORLD_RETRY },
    { "a state that the log has not", invent_state, VERIFY_UNFOUNDED, WORLD_RETRY },
    { "404 for a job that there is", deny, VERIFY_ABSENT, WORLD_CANCELLED },
    { "a retry before its time", begin_early, VERIFY_EARLY, WORLD_RETRY },
    { "a scheduled job before its time", begin_early, VERIFY_EARLY, WORLD_SCHEDULED },
    { "an ordered retry before its time", begin_ordered_early, VERIFY_EARLY, WORLD_POSTPONED },
    { "an ordered job's call twice", world_call_again, VERIFY_REPEATED, WORLD_POSTPONED },
    { "an ordered job's call of no attempt", call_uncounted, VERIFY_REPEATED, WORLD_POSTPONED },
    { "a call before its time", call_early, VERIFY_EARLY, WORLD_RETRY },
    { "an attempt after the last moment", begin_late, VERIFY_LATE, WORLD_RULE },
    { "a job before its predecessor's end", begin_out_of_order, VERIFY_ORDER, WORLD_ORDERED },
    { "a call twice, without a fault", world_call_again, VERIFY_REPEATED, WORLD_FAILED },
    { "a call more than the fault excuses", world_call_again, VERIFY_REPEATED, WORLD_CRASHED },
    { "a call more than holds announce", world_call_again, VERIFY_REPEATED, WORLD_HELD },
    { "a call of an attempt that was not asked for", call_uncounted, VERIFY_REPEATED, WORLD_CALL },
    { "success without a call", call_never, VERIFY_UNCALLED, WORLD_CALL },
    { "a failure without a dead letter", leave_unburied, VERIFY_UNBURIED, WORLD_FAILED },
    { "expired without a dead letter", leave_unburied, VERIFY_UNBURIED, WORLD_EXPIRED },
};
#define FALSIFICATION_COUNT (sizeof falsifications / sizeof falsifications[0])

/* One finding, of the kind and the job, that says where. */
static void assert_found(struct world *world, int job, const struct falsification *lie)
{
    struct verify_judge *judge = world_judge(world);
    const struct verify_counts *counts = verify_judge_counts(judge);
    const struct verify_finding *found = verify_judge_finding(judge, 0);
    struct id id = world_id(job);
    if (counts->findings != 1 || counts->by_kind[lie->expected] != 1) {
        print_message("%s (job %d):\n", lie->name, job);
        print_findings(judge);
    }
    assert_int_equal(counts->findings, 1);
    assert_int_equal(found->kind, lie->expected);
    assert_true(id_same(&found->job, &id));
    assert_true(found->line || found->has_place || strstr(found->text, "call "));
    verify_judge_free(judge);
}

static void test_true_histories_pass(void **state)
{
    (void)state;
    for (int kind = 0; kind < WORLD_KIND_COUNT; kind++) {
        struct world *world = world_new();
        world_add(world, (enum world_kind)kind);
        world_add(world, (enum world_kind)kind);
        assert_clean(world);
        free(world);
    }
}

static void test_each_lie_is_found_located_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < FALSIFICATION_COUNT; i++) {
        struct world *world = world_new();
        world_add(world, falsifications[i].of);
        world->now_ms += APART_MS;
        int job = world_add(world, falsifications[i].of);
        world->now_ms += APART_MS;
        world_add(world, WORLD_CALL);
        falsifications[i].apply(world, job);
        assert_found(world, job, &falsifications[i]);
        free(world);
    }
}

/* --- at random, with fixed seeds --- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct world *random_world(uint64_t *random)
{
    struct world *world = world_new();
    size_t count = 20 + next_random(random) % 180;
    for (size_t i = 0; i < count; i++) {
        world->now_ms += (int64_t)(next_random(random) % 50);
        world_add(world, (enum world_kind)(next_random(random) % WORLD_KIND_COUNT));
    }
    return world;
}

/* A job of the kind, not the first of them (which has no predecessor); -1: there is none. */
static int pick(const struct world *world, enum world_kind kind, uint64_t *random)
{
    int jobs[WORLD_RECORDS_MAX];
    size_t count = 0;
    bool seen = false;
    for (int i = 0; i < world->job_count; i++) {
        if (world->kinds[i] != kind)
            continue;
        if (seen)
            jobs[count++] = i;
        seen = true;
    }
    return count ? jobs[next_random(random) % count] : -1;
}

static void test_random_true_histories_pass(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15ULL;
        struct world *world = random_world(&random);
        assert_clean(world);
        free(world);
    }
}

/* Faults of other jobs in the same world may excuse a repeated call: such lies are told apart from
 * them. */
static bool is_excused(const struct world *world, int job, const struct falsification *lie)
{
    if (lie->expected != VERIFY_REPEATED || lie->apply == call_uncounted)
        return false;
    int64_t t = 0;
    for (size_t i = 0; i < world->line_count; i++) {
        if (world->lines[i].job == job && world->lines[i].line.kind == HISTORY_SUBMIT)
            t = world->lines[i].line.begin_ms;
    }
    for (size_t i = 0; i < world->line_count; i++) {
        const struct history_line *line = &world->lines[i].line;
        bool own = lie->of == WORLD_CRASHED && line->begin_ms == t + 50;
        if (line->kind == HISTORY_FAULT && !own && llabs(line->begin_ms - t) < 300)
            return true;
    }
    return false;
}

static void test_a_random_lie_among_true_histories_is_found(void **state)
{
    (void)state;
    size_t told = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        for (size_t i = 0; i < FALSIFICATION_COUNT; i++) {
            uint64_t random = (seed * FALSIFICATION_COUNT + i + 1) * 0x9e3779b97f4a7c15ULL;
            struct world *world = random_world(&random);
            int job = pick(world, falsifications[i].of, &random);
            if (job >= 0 && !is_excused(world, job, &falsifications[i])) {
                falsifications[i].apply(world, job);
                assert_found(world, job, &falsifications[i]);
                told++;
            }
            free(world);
        }
    }
    assert_true(told > 500);
}

/* --- finer points --- */

static void test_answers_that_overlap_may_come_in_any_order(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_FAILED);
    int64_t end_ms = last_terminal(world, job)->line.end_ms;
    struct world_line *slow = world_add_read(world, job, end_ms - 1, JOB_QUEUED, -1);
    slow->line.end_ms = end_ms + 100; /* began before the end was told, came after it */
    assert_clean(world);
    free(world);
}

/* Of several answers the highest that came before a read began counts, also when a higher one came
 * in between. */
static void test_an_older_answer_still_binds_a_slow_reader(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_LONG);
    struct world_line *end = last_terminal(world, job);
    struct world_line *slow = world_add_read(world, job, end->line.end_ms - 1, JOB_QUEUED, -1);
    slow->line.begin_ms = end->line.begin_ms; /* after `running` was told, before the end was */
    slow->line.end_ms = end->line.end_ms + 50;
    const struct falsification lie = { "a slow reader", NULL, VERIFY_WENT_BACK, WORLD_LONG };
    assert_found(world, job, &lie);
    free(world);
}

static void test_503_says_nothing(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_CALL);
    go_back(world, job);
    world->lines[world->line_count - 1].line.status = 503;
    world->lines[world->line_count - 1].line.has_state = false;
    assert_clean(world);
    free(world);
}

static void test_a_redirect_is_no_repeat(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_CALL);
    world_call_again(world, job);
    world->calls[world->call_count - 1].call.path = span_of("/elsewhere");
    assert_clean(world);
    free(world);
}

/* The gate kept the second attempt; its worker died before it could announce it. */
static void
test_an_ordered_retry_that_a_crash_left_unannounced_is_announced_by_its_event(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_POSTPONED);
    (world_last_event(world, job) - 1)->dropped = true;
    assert_clean(world);
    free(world);
}

static void test_a_redriven_job_calls_with_the_old_effect_id(void **state)
{
    (void)state;
    struct world *world = world_new();
    int old = world_add(world, WORLD_FAILED);
    int heir = world_add(world, WORLD_CALL);
    world_last_command(world, heir)->command.facts.effect_id = world_id(old);
    world_last_call(world, heir)->call.effect = world_id(old);
    assert_clean(world);
    world_call_again(world, heir);
    const struct falsification lie = { "one call more", NULL, VERIFY_REPEATED, WORLD_FAILED };
    assert_found(world, old, &lie);
    free(world);
}

static void test_jobs_from_before_are_not_judged(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->partial = true;
    int job = world_add(world, WORLD_CALL);
    haunt(world, job);
    world->commands[0].told.foreign = true;
    world->commands[0].command.turn = 1;
    lose(world, job);
    assert_clean(world);
    free(world);
}

static void test_a_letter_without_a_name_excuses_one_that_is_missing(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_FAILED);
    leave_unburied(world, job);
    struct verify_judge *judge = world_judge(world);
    assert_int_equal(verify_judge_counts(judge)->by_kind[VERIFY_UNBURIED], 1);
    verify_judge_free(judge);
    const struct verify_options options = { .bytes_max = 1 << 20 };
    judge = verify_judge_new(&options);
    verify_judge_event(judge, &(struct verify_place){ 0 }, &world->events[0].event, false);
    verify_judge_dead(judge, NULL);
    assert_int_equal(verify_judge_finish(judge, NULL), ERR_OK);
    assert_int_equal(verify_judge_counts(judge)->by_kind[VERIFY_UNBURIED], 0);
    verify_judge_free(judge);
    free(world);
}

static void test_a_view_that_tells_otherwise_is_found_once_a_job(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct id id = world_id(world_add(world, WORLD_CALL));
    struct verify_judge *judge = world_judge(world);
    const struct verify_place place = { .offset = 7 };
    verify_judge_view(judge, &id, &place, "another state");
    verify_judge_view(judge, &id, &place, "other bytes");
    assert_int_equal(verify_judge_counts(judge)->by_kind[VERIFY_VIEW], 1);
    assert_string_equal(verify_judge_finding(judge, 0)->text, "another state");
    verify_judge_free(judge);
    free(world);
}

static void test_lines_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct verify_options options = { .bytes_max = 1 << 20 };
    struct verify_judge *judge = verify_judge_new(&options);
    struct history_line submit = {
        .kind = HISTORY_SUBMIT, .request = SPAN_LIT("r1"), .begin_ms = 1000, .version = -1
    };
    struct history_line submitted = { .kind = HISTORY_SUBMITTED,
                                      .request = SPAN_LIT("r2"),
                                      .begin_ms = 1000,
                                      .end_ms = 1001,
                                      .status = 202,
                                      .version = -1 };
    struct err err = { 0 };
    assert_int_equal(verify_judge_told(judge, &submit, 1, &err), ERR_OK);
    assert_int_equal(verify_judge_told(judge, &submit, 2, &err), ERR_INVALID_FIELD);
    assert_int_equal(verify_judge_told(judge, &submitted, 3, &err), ERR_INVALID_FIELD);
    submitted.request = submit.request;
    assert_int_equal(verify_judge_told(judge, &submitted, 4, &err), ERR_MISSING_FIELD);
    submit.request = span_of("r3");
    submit.begin_ms = 999;
    assert_int_equal(verify_judge_told(judge, &submit, 5, &err), ERR_INVALID_FIELD);
    assert_non_null(strstr(err.text, "order of time"));
    verify_judge_free(judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_histories_pass),
        cmocka_unit_test(test_each_lie_is_found_located_and_named),
        cmocka_unit_test(test_random_true_histories_pass),
        cmocka_unit_test(test_a_random_lie_among_true_histories_is_found),
        cmocka_unit_test(test_answers_that_overlap_may_come_in_any_order),
        cmocka_unit_test(test_an_older_answer_still_binds_a_slow_reader),
        cmocka_unit_test(test_503_says_nothing),
        cmocka_unit_test(test_a_redirect_is_no_repeat),
        cmocka_unit_test(
            test_an_ordered_retry_that_a_crash_left_unannounced_is_announced_by_its_event),
        cmocka_unit_test(test_a_redriven_job_calls_with_the_old_effect_id),
        cmocka_unit_test(test_jobs_from_before_are_not_judged),
        cmocka_unit_test(test_a_letter_without_a_name_excuses_one_that_is_missing),
        cmocka_unit_test(test_a_view_that_tells_otherwise_is_found_once_a_job),
        cmocka_unit_test(test_lines_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
