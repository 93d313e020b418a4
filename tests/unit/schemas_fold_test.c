/* The fold: every order in which the two streams of a job can be applied gives one record; the
 * first terminal state wins.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EVENTS_MAX 8

static const struct job_facts facts = {
    .id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12 } },
    .type = SPAN_LIT("quote.fetch"),
    .queue = SPAN_LIT("default"),
    .created_at_ms = 1000,
    .forget_at_ms = 9000,
    .origin_offset = -1,
};

static struct job_event event(enum job_event_kind kind, uint32_t turn, uint32_t attempt)
{
    struct job_event made = {
        .facts = facts,
        .kind = kind,
        .turn = turn,
        .attempt = attempt,
        .at_ms = 2000 + turn * 100 + kind,
        .started_at_ms = 1500 + turn,
        .command_offset = turn,
    };
    if (kind == JOB_EVENT_SUCCEEDED)
        made.result = span_of("{\"a\":1}");
    if (kind == JOB_EVENT_FAILED || kind == JOB_EVENT_RETRYING)
        made.failure =
            (struct job_failure){ .code = SPAN_LIT("target_status"), .attempt = attempt };
    return made;
}

static void assert_records_equal(const struct job_record *a, const struct job_record *b)
{
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->turn, b->turn);
    assert_int_equal(a->attempt, b->attempt);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->started_at_ms, b->started_at_ms);
    assert_int_equal(a->finished_at_ms, b->finished_at_ms);
    assert_int_equal(a->next_at_ms, b->next_at_ms);
    assert_true(span_eq(a->result, b->result));
    assert_true(span_eq(a->failure.code, b->failure.code));
    assert_int_equal(a->command_offset, b->command_offset);
}

/* A view of one job: the two keys of the recorder, kept as it keeps them. */
struct view {
    struct job_record from_command, from_events;
    bool has_command, has_events;
};

static void apply_command(struct view *view)
{
    struct job_command command = { .facts = facts, .attempt = 1, .payload = SPAN_LIT("{}") };
    if (!view->has_events && !view->has_command) /* written only where neither key exists */
        view->has_command = fold_command(NULL, &command, 3, 77, &view->from_command);
}

static void apply_event(struct view *view, const struct job_event *next, int64_t offset)
{
    struct job_record record;
    if (!fold_event(view->has_events ? &view->from_events : NULL, next, offset, &record))
        return;
    view->from_events = record;
    view->has_events = true;
    if (job_state_is_terminal(record.state))
        view->has_command = false;
}

static const struct job_record *read_view(const struct view *view)
{
    return fold_merge(view->has_command ? &view->from_command : NULL,
                      view->has_events ? &view->from_events : NULL);
}

/* The events keep their order (one partition); the command comes at any place among them, and may
 * come again. */
static void assert_one_record(const struct job_event *events, size_t count)
{
    struct view expected = { 0 };
    for (size_t i = 0; i < count; i++)
        apply_event(&expected, &events[i], (int64_t)i);
    for (size_t first = 0; first <= count; first++) {
        for (size_t second = first; second <= count; second++) {
            struct view view = { 0 };
            for (size_t i = 0; i <= count; i++) {
                if (i == first)
                    apply_command(&view);
                if (i == second)
                    apply_command(&view);
                if (i < count)
                    apply_event(&view, &events[i], (int64_t)i);
            }
            assert_records_equal(read_view(&view), read_view(&expected));
        }
    }
}

static const enum job_event_kind kinds[] = {
    JOB_EVENT_STARTED,   JOB_EVENT_PROGRESS, JOB_EVENT_RETRYING,  JOB_EVENT_HELD,
    JOB_EVENT_SUCCEEDED, JOB_EVENT_FAILED,   JOB_EVENT_CANCELLED, JOB_EVENT_EXPIRED,
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* All sequences of up to four events over two turns: 16 + 16^2 + 16^3 + 16^4. */
static void every_interleaving_gives_one_record(void **state)
{
    (void)state;
    struct job_event all[2 * KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        all[2 * i] = event(kinds[i], 0, 1);
        all[2 * i + 1] = event(kinds[i], 1, 2);
    }
    for (size_t length = 1; length <= 4; length++) {
        size_t sequences = 1;
        for (size_t i = 0; i < length; i++)
            sequences *= 2 * KINDS;
        for (size_t sequence = 0; sequence < sequences; sequence++) {
            struct job_event events[EVENTS_MAX];
            size_t rest = sequence;
            for (size_t i = 0; i < length; i++) {
                events[i] = all[rest % (2 * KINDS)];
                rest /= 2 * KINDS;
            }
            assert_one_record(events, length);
        }
    }
}

/* Along every sequence: once terminal, nothing changes; and no move that the table forbids is ever
 * made. */
static void terminal_is_final_and_moves_are_legal(void **state)
{
    (void)state;
    for (size_t sequence = 0; sequence < KINDS * KINDS * KINDS; sequence++) {
        struct job_record record;
        bool exists = false;
        size_t rest = sequence;
        for (int64_t offset = 0; offset < 3; offset++) {
            struct job_event next =
                event(kinds[rest % KINDS], (uint32_t)offset, (uint32_t)offset + 1);
            rest /= KINDS;
            struct job_record changed;
            if (!fold_event(exists ? &record : NULL, &next, offset, &changed))
                continue;
            if (exists) {
                assert_false(job_state_is_terminal(record.state));
                assert_true(job_state_may_move(record.state, changed.state));
            }
            record = changed;
            exists = true;
        }
    }
}

/* proves P-20, P-21 */
static void the_first_terminal_event_wins_whatever_its_turn(void **state)
{
    (void)state;
    struct job_event late = event(JOB_EVENT_SUCCEEDED, 0, 1);
    struct job_event early = event(JOB_EVENT_STARTED, 3, 4);
    struct job_event second = event(JOB_EVENT_FAILED, 3, 4);
    struct view view = { 0 };
    apply_event(&view, &early, 10);
    apply_event(&view, &late, 11);
    apply_event(&view, &second, 12);
    assert_int_equal(read_view(&view)->state, JOB_SUCCEEDED);
    assert_int_equal(read_view(&view)->version, 11);
}

static void an_older_event_changes_nothing(void **state)
{
    (void)state;
    struct job_event newer = event(JOB_EVENT_STARTED, 2, 3);
    struct job_event older = event(JOB_EVENT_RETRYING, 1, 2);
    struct job_record record;
    struct job_record unused;
    assert_true(fold_event(NULL, &newer, 5, &record));
    assert_false(fold_event(&record, &older, 6, &unused));
    assert_false(fold_event(&record, &newer, 7, &unused));
}

/* A job of an ordered queue is tried again and held at its own place: the turn stays.
 * proves P-37b */
static void within_a_turn_attempts_and_holds_follow_each_other(void **state)
{
    (void)state;
    static const struct {
        enum job_event_kind kind;
        uint32_t attempt;
        int64_t started_at_ms, next_at_ms;
        bool news;
    } told[] = {
        { JOB_EVENT_STARTED, 1, 1000, 0, true },
        { JOB_EVENT_RETRYING, 1, 1000, 2000, true },
        { JOB_EVENT_STARTED, 1, 1000, 0, false }, /* a copy, late */
        { JOB_EVENT_HELD, 2, 0, 3000, true },
        { JOB_EVENT_HELD, 2, 0, 3000, false },
        { JOB_EVENT_HELD, 2, 0, 5000, true },
        { JOB_EVENT_STARTED, 2, 4000, 0, false }, /* before the hold */
        { JOB_EVENT_STARTED, 2, 5000, 0, true },
        { JOB_EVENT_HELD, 2, 5000, 7000, true },
        { JOB_EVENT_RETRYING, 2, 7001, 8000, true },
        { JOB_EVENT_RETRYING, 1, 1000, 2000, false },
        { JOB_EVENT_SUCCEEDED, 3, 8000, 0, true },
    };
    struct job_event log[sizeof told / sizeof *told];
    struct job_record record;
    struct job_record changed;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        log[i] = event(told[i].kind, 0, told[i].attempt);
        log[i].started_at_ms = told[i].started_at_ms;
        log[i].next_at_ms = told[i].next_at_ms;
        bool news = fold_event(i ? &record : NULL, &log[i], (int64_t)i, &changed);
        if (news != told[i].news)
            fail_msg("event %zu", i);
        if (news)
            record = changed;
        for (size_t again = 0; again <= i; again++) /* read again, the log has no news */
            assert_false(fold_event(&record, &log[again], (int64_t)again, &changed));
    }
    assert_int_equal(record.state, JOB_SUCCEEDED);
    assert_int_equal(record.attempt, 3);
}

static void a_live_job_keeps_its_last_failure(void **state)
{
    (void)state;
    struct job_event failed = event(JOB_EVENT_RETRYING, 0, 1);
    struct job_event again = event(JOB_EVENT_STARTED, 1, 2);
    struct job_record first;
    struct job_record second;
    assert_true(fold_event(NULL, &failed, 1, &first));
    assert_true(fold_event(&first, &again, 2, &second));
    assert_int_equal(second.state, JOB_RUNNING);
    assert_true(span_is(second.failure.code, "target_status"));
}

static void only_the_first_command_makes_a_record(void **state)
{
    (void)state;
    struct job_command command = { .facts = facts, .attempt = 1, .payload = SPAN_LIT("{}") };
    struct job_record record;
    assert_true(fold_command(NULL, &command, 3, 77, &record));
    assert_int_equal(record.state, JOB_QUEUED);
    assert_int_equal(record.facts.origin_partition, 3);
    assert_int_equal(record.facts.origin_offset, 77);
    command.facts.run_at_ms = 5000;
    assert_true(fold_command(NULL, &command, 3, 77, &record));
    assert_int_equal(record.state, JOB_SCHEDULED);
    command.turn = 1;
    assert_false(fold_command(NULL, &command, 3, 78, &record));
}

/* The id of an idempotency key, used again when its job is forgotten. */
static void a_forgotten_job_s_id_begins_anew(void **state)
{
    (void)state;
    struct job_event before = event(JOB_EVENT_SUCCEEDED, 3, 4);
    before.facts.forget_at_ms = before.facts.created_at_ms + 100;
    struct job_event after = event(JOB_EVENT_STARTED, 0, 1);
    after.facts.created_at_ms = before.facts.forget_at_ms;
    after.facts.forget_at_ms = after.facts.created_at_ms + 100;
    struct job_record first;
    struct job_record second;
    struct job_record unused;
    assert_true(fold_event(NULL, &before, 1, &first));
    assert_true(fold_event(&first, &after, 2, &second));
    assert_int_equal(second.state, JOB_RUNNING);
    assert_int_equal(second.turn, 0);
    assert_false(fold_event(&second, &before, 3, &unused)); /* what still comes of the one before */
    after.facts.created_at_ms--;
    assert_false(fold_event(&first, &after, 2, &unused)); /* that was the same job */
    struct job_event never_kept = before;
    never_kept.facts.forget_at_ms = never_kept.facts.created_at_ms;
    assert_true(fold_event(NULL, &never_kept, 1, &first));
    assert_false(fold_event(&first, &never_kept, 2, &unused)); /* and so is that */

    struct job_command command = { .facts = before.facts, .attempt = 1 };
    assert_true(fold_command(NULL, &command, 3, 1, &first));
    assert_false(fold_command(&first, &command, 3, 2, &unused));
    command.facts.created_at_ms = before.facts.forget_at_ms;
    assert_true(fold_command(&first, &command, 3, 3, &second));
    assert_int_equal(second.command_offset, 3);
}

static void states_have_texts_and_letters_of_their_own(void **state)
{
    (void)state;
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        enum job_state parsed;
        assert_true(job_state_parse(span_of(job_state_text((enum job_state)i)), &parsed));
        assert_int_equal(parsed, i);
        bool upper = job_state_letter((enum job_state)i) < 'a';
        enum job_state back = JOB_STATE_COUNT;
        assert_true(job_state_of_letter(job_state_letter((enum job_state)i), &back));
        assert_int_equal(back, i);
        assert_int_equal(upper, job_state_is_terminal((enum job_state)i));
        for (int j = 0; j < i; j++)
            assert_int_not_equal(job_state_letter((enum job_state)i),
                                 job_state_letter((enum job_state)j));
        for (int to = 0; to < JOB_STATE_COUNT; to++) {
            if (job_state_is_terminal((enum job_state)i))
                assert_false(job_state_may_move((enum job_state)i, (enum job_state)to));
        }
    }
    enum job_state unused;
    assert_false(job_state_parse(span_of("done"), &unused));
    assert_string_equal(job_event_text(JOB_EVENT_HELD), "held");
}

static void test_an_ended_job_keeps_what_readers_are_told(void **state)
{
    (void)state;
    struct job_event started = event(JOB_EVENT_STARTED, 0, 1),
                     ended = event(JOB_EVENT_FAILED, 0, 1);
    struct job_record record, after;
    started.facts.request_id = ended.facts.request_id = span_of("req-1");
    started.facts.tracestate = ended.facts.tracestate = span_of("a=b");
    started.facts.traceparent = ended.facts.traceparent = span_of("00-1-2-01");
    assert_true(fold_event(NULL, &started, 5, &record));
    assert_string_equal(record.facts.request_id.data, "req-1");
    assert_string_equal(record.facts.tracestate.data, "a=b");
    assert_true(fold_event(&record, &ended, 6, &after));
    assert_int_equal(after.facts.request_id.size, 0);
    assert_int_equal(after.facts.tracestate.size, 0);
    assert_string_equal(after.facts.traceparent.data, "00-1-2-01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_ended_job_keeps_what_readers_are_told),
        cmocka_unit_test(every_interleaving_gives_one_record),
        cmocka_unit_test(terminal_is_final_and_moves_are_legal),
        cmocka_unit_test(the_first_terminal_event_wins_whatever_its_turn),
        cmocka_unit_test(an_older_event_changes_nothing),
        cmocka_unit_test(within_a_turn_attempts_and_holds_follow_each_other),
        cmocka_unit_test(a_live_job_keeps_its_last_failure),
        cmocka_unit_test(only_the_first_command_makes_a_record),
        cmocka_unit_test(a_forgotten_job_s_id_begins_anew),
        cmocka_unit_test(states_have_texts_and_letters_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
