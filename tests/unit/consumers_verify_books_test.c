/* The books on synthetic facts: jobs of every end balance; a loss, a flip, a phantom, and a record
 * of the view that is changed, gone or made up are each found, located and counted, and nothing
 * else with them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_report.h"
#include "schemas/envelope.h"
#include "schemas/fold.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BEGIN_MS INT64_C(1700000000000)
#define HOUR_MS  INT64_C(3600000)

enum { COMMANDS, DELAYS, REPLIES, OTHER_REPLIES };

struct scene {
    struct verify_books *books;
    int64_t offsets[4];
};

static struct scene open_scene(int64_t from_ms, int64_t to_ms)
{
    const struct verify_books_options options = { .bytes_max = VERIFY_BOOKS_BYTES_MAX,
                                                  .from_ms = from_ms,
                                                  .to_ms = to_ms };
    struct scene scene = { .books = verify_books_new(&options) };
    assert_int_equal(verify_books_range_add(scene.books, "errand.commands.a", 3, false), COMMANDS);
    assert_int_equal(verify_books_range_add(scene.books, "errand.delay.5s", 0, false), DELAYS);
    assert_int_equal(verify_books_range_add(scene.books, "errand.replies.a", 1, true), REPLIES);
    assert_int_equal(verify_books_range_add(scene.books, "errand.replies.a", 2, true),
                     OTHER_REPLIES);
    return scene;
}

static struct scene scene_new(void)
{
    return open_scene(INT64_MIN, INT64_MAX);
}

static struct job_facts facts_of(int job)
{
    struct job_facts facts = {
        .id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 0, 0x80 } },
        .type = span_of(job % 2 ? "odd" : "even"),
        .queue = span_of("a"),
        .tenant = span_of("default"),
        .created_at_ms = BEGIN_MS + job,
        .not_after_ms = BEGIN_MS + job + HOUR_MS,
        .forget_at_ms = BEGIN_MS + job + 2 * HOUR_MS,
        .origin_offset = -1,
        .fingerprint = { "0123456789abcdef", JOB_FINGERPRINT_SIZE },
    };
    facts.id.bytes[9] = (uint8_t)(job >> 16);
    facts.id.bytes[10] = (uint8_t)(job >> 8);
    facts.id.bytes[11] = (uint8_t)job;
    facts.effect_id = facts.id;
    return facts;
}

static int64_t add_command_of(struct scene *scene, const struct job_facts *facts, uint16_t range,
                              uint32_t turn, bool committed)
{
    const struct job_command command = { .facts = *facts, .turn = turn, .attempt = turn + 1 };
    const struct verify_books_place place = { range, scene->offsets[range]++ };
    verify_books_command(scene->books, &place, &command, committed);
    return place.offset;
}

static int64_t add_command(struct scene *scene, int job, uint16_t range, uint32_t turn,
                           bool committed)
{
    struct job_facts facts = facts_of(job);
    return add_command_of(scene, &facts, range, turn, committed);
}

static struct job_event event_of(int job, enum job_event_kind kind)
{
    return (struct job_event){ .facts = facts_of(job),
                               .kind = kind,
                               .attempt = 1,
                               .at_ms = BEGIN_MS + 1000,
                               .started_at_ms = BEGIN_MS + 500,
                               .result = span_of("{}"),
                               .command_offset = -1 };
}

static int64_t add_event(struct scene *scene, int job, enum job_event_kind kind, uint16_t range)
{
    const struct job_event event = event_of(job, kind);
    const struct verify_books_place place = { range, scene->offsets[range]++ };
    verify_books_event(scene->books, &place, &event);
    return place.offset;
}

static void add_whole(struct scene *scene, int job, enum job_event_kind kind)
{
    add_command(scene, job, COMMANDS, 0, true);
    add_event(scene, job, kind, REPLIES);
}

static struct verify_books_sums finish(struct scene *scene)
{
    struct verify_books_sums total;
    for (uint16_t i = 0; i < 4; i++) {
        struct verify_books_range *range = verify_books_range_at(scene->books, i);
        range->to = range->committed = scene->offsets[i];
        range->records = (uint64_t)range->to;
    }
    assert_int_equal(verify_books_finish(scene->books, NULL), ERR_OK);
    verify_books_total(scene->books, &total);
    assert_int_equal(total.residual, (int64_t)total.accepted -
                                         (int64_t)(total.succeeded + total.failed +
                                                   total.cancelled + total.expired + total.live));
    return total;
}

static void assert_one(const struct scene *scene, enum verify_books_kind kind, int job,
                       uint16_t range, int64_t offset)
{
    const struct verify_books_finding *found = verify_books_finding(scene->books, 0);
    struct job_facts facts = facts_of(job);
    assert_non_null(found);
    assert_int_equal(verify_books_counts(scene->books)->findings, 1);
    assert_int_equal(verify_books_counts(scene->books)->by_kind[kind], 1);
    assert_string_equal(verify_books_kind_text(found->kind), verify_books_kind_text(kind));
    assert_true(found->has_job && id_same(&found->job, &facts.id));
    assert_int_equal(found->place.offset, offset);
    assert_int_equal(found->place.range, range);
    assert_false(verify_books_balance(scene->books));
}

/* --- the log --- */

static void every_end_balances(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    add_whole(&scene, 2, JOB_EVENT_FAILED);
    add_whole(&scene, 3, JOB_EVENT_CANCELLED);
    add_whole(&scene, 4, JOB_EVENT_EXPIRED);
    add_command(&scene, 5, COMMANDS, 0, false);
    add_command(&scene, 6, COMMANDS, 0, true); /* retries: its next turn waits */
    add_command(&scene, 6, DELAYS, 1, false);
    struct verify_books_sums total = finish(&scene);
    assert_true(verify_books_balance(scene.books));
    assert_int_equal(total.accepted, 6);
    assert_int_equal(total.succeeded, 1);
    assert_int_equal(total.failed, 1);
    assert_int_equal(total.cancelled, 1);
    assert_int_equal(total.expired, 1);
    assert_int_equal(total.live, 2);
    assert_int_equal(total.residual, 0);

    struct span name;
    const struct verify_books_sums *even = verify_books_type(scene.books, 0, &name);
    assert_true(span_is(name, "even"));
    assert_int_equal(even->accepted, 3);
    const struct verify_books_sums *odd = verify_books_type(scene.books, 1, &name);
    assert_true(span_is(name, "odd"));
    assert_int_equal(odd->accepted, 3);
    assert_null(verify_books_type(scene.books, 2, &name));
    verify_books_free(scene.books);
}

static void a_command_that_nobody_will_do_is_lost(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    int64_t at = add_command(&scene, 2, COMMANDS, 0, true);
    add_command(&scene, 3, COMMANDS, 0, false);
    struct verify_books_sums total = finish(&scene);
    assert_int_equal(total.residual, 1);
    assert_int_equal(total.lost, 1);
    assert_one(&scene, VERIFY_BOOKS_LOST, 2, COMMANDS, at);
    verify_books_free(scene.books);
}

static void only_copies_of_the_newest_turn_keep_a_job_alive(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_command(&scene, 1, COMMANDS, 0, false); /* an old turn, read again */
    int64_t at = add_command(&scene, 1, DELAYS, 1, true);
    add_command(&scene, 2, COMMANDS, 0, true);
    add_command(&scene, 2, COMMANDS, 1, false); /* handed on by the delayer: one copy is enough */
    add_command(&scene, 2, DELAYS, 1, true);
    assert_int_equal(finish(&scene).live, 1);
    assert_one(&scene, VERIFY_BOOKS_LOST, 1, DELAYS, at);
    verify_books_free(scene.books);
}

static void a_second_other_end_is_a_flip(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    add_event(&scene, 1, JOB_EVENT_SUCCEEDED, REPLIES); /* a worker died before its commit */
    add_event(&scene, 1, JOB_EVENT_CANCELLED, REPLIES); /* P-22a: the first end wins */
    add_event(&scene, 1, JOB_EVENT_FAILED, REPLIES);
    add_event(&scene, 1, JOB_EVENT_EXPIRED, REPLIES); /* each kind once a job */
    struct verify_books_sums total = finish(&scene);
    assert_int_equal(total.succeeded, 1);
    assert_int_equal(total.failed, 0);
    assert_int_equal(verify_books_counts(scene.books)->superseded, 2);
    verify_books_free(scene.books);

    scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    int64_t at = add_event(&scene, 1, JOB_EVENT_FAILED, REPLIES);
    finish(&scene);
    assert_one(&scene, VERIFY_BOOKS_FLIP, 1, REPLIES, at);
    verify_books_free(scene.books);

    scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    at = add_event(&scene, 1, JOB_EVENT_SUCCEEDED, OTHER_REPLIES);
    finish(&scene);
    assert_one(&scene, VERIFY_BOOKS_FLIP, 1, OTHER_REPLIES, at);
    verify_books_free(scene.books);
}

static void what_nobody_submitted_is_a_phantom(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    int64_t at = add_event(&scene, 2, JOB_EVENT_SUCCEEDED, REPLIES);
    struct verify_books_sums total = finish(&scene);
    assert_int_equal(total.residual, -1);
    assert_int_equal(total.phantom, 1);
    assert_one(&scene, VERIFY_BOOKS_PHANTOM, 2, REPLIES, at);
    verify_books_free(scene.books);

    scene = scene_new();
    at = add_command(&scene, 3, COMMANDS, 1, false);
    assert_int_equal(finish(&scene).accepted, 0);
    assert_one(&scene, VERIFY_BOOKS_PHANTOM, 3, COMMANDS, at);
    verify_books_free(scene.books);
}

static void a_loss_and_a_phantom_do_not_make_up_for_each_other(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_command(&scene, 2, COMMANDS, 0, true);
    add_event(&scene, 4, JOB_EVENT_SUCCEEDED, REPLIES);
    assert_int_equal(finish(&scene).residual, 0);
    assert_int_equal(verify_books_counts(scene.books)->findings, 2);
    assert_false(verify_books_balance(scene.books));
    verify_books_free(scene.books);
}

static void a_window_counts_what_was_accepted_in_it(void **state)
{
    (void)state;
    struct scene scene = open_scene(BEGIN_MS + 2, BEGIN_MS + 4);
    add_command(&scene, 1, COMMANDS, 0, true); /* lost, and before the window */
    add_whole(&scene, 2, JOB_EVENT_SUCCEEDED);
    add_whole(&scene, 3, JOB_EVENT_FAILED);
    add_event(&scene, 4, JOB_EVENT_FAILED, REPLIES); /* a phantom behind it */
    struct verify_books_sums total = finish(&scene);
    assert_int_equal(total.accepted, 2);
    assert_int_equal(total.succeeded, 1);
    assert_int_equal(total.failed, 1);
    assert_true(verify_books_balance(scene.books));
    verify_books_free(scene.books);
}

/* The same submission twice is one job; the id of one that is forgotten stands for another. */
static void lives_of_an_id_are_told_apart(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    struct job_facts again = facts_of(1);
    again.created_at_ms += 10;
    again.forget_at_ms += 10;
    struct job_facts next = facts_of(1);
    next.created_at_ms = again.forget_at_ms;
    next.forget_at_ms = next.created_at_ms + HOUR_MS;
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    add_command_of(&scene, &again, COMMANDS, 0, true);
    add_command_of(&scene, &next, COMMANDS, 0, false);
    struct job_event event = event_of(1, JOB_EVENT_FAILED);
    event.facts = next;
    verify_books_event(scene.books, &(struct verify_books_place){ REPLIES, 7 }, &event);
    struct verify_books_sums total = finish(&scene);
    assert_int_equal(total.accepted, 2);
    assert_int_equal(total.succeeded, 1);
    assert_int_equal(total.failed, 1);
    assert_true(verify_books_balance(scene.books));
    verify_books_free(scene.books);
}

/* --- the view --- */

struct expected {
    struct buf bytes;
    int64_t expires_ms;
};

static struct expected record_of_event(int job, enum job_event_kind kind, int64_t offset)
{
    const struct job_event event = event_of(job, kind);
    struct expected made = { BUF_INIT(ENVELOPE_RECORD_BYTES_MAX), event.facts.forget_at_ms };
    struct job_record record;
    assert_true(fold_event(NULL, &event, offset, &record));
    assert_int_equal(envelope_encode_record(&record, &made.bytes, NULL), ERR_OK);
    return made;
}

static void compare(struct scene *scene, const struct expected *expected, int64_t now_ms)
{
    const struct verify_books_found found = { .record = buf_span(&expected->bytes),
                                              .record_expires_ms = expected->expires_ms,
                                              .now_ms = now_ms };
    struct id id;
    assert_int_equal(verify_books_job_count(scene->books), 1);
    assert_true(verify_books_is_viewed(scene->books, 1, &id));
    verify_books_compare(scene->books, 1, &found);
}

static struct scene one_job(enum job_event_kind kind)
{
    struct scene scene = scene_new();
    add_command(&scene, 1, COMMANDS, 0, kind != JOB_EVENT_STARTED);
    add_event(&scene, 1, kind, REPLIES);
    finish(&scene);
    return scene;
}

static void a_record_is_held_against_a_fresh_fold(void **state)
{
    (void)state;
    struct expected expected = record_of_event(1, JOB_EVENT_SUCCEEDED, 0);
    struct scene scene = one_job(JOB_EVENT_SUCCEEDED);
    struct verify_books_sums total;
    compare(&scene, &expected, BEGIN_MS);
    verify_books_total(scene.books, &total);
    assert_int_equal(total.view.succeeded, 1);
    assert_true(verify_books_balance(scene.books));
    verify_books_free(scene.books);

    expected.bytes.data[expected.bytes.size - 1] ^= 1;
    scene = one_job(JOB_EVENT_SUCCEEDED);
    compare(&scene, &expected, BEGIN_MS);
    assert_one(&scene, VERIFY_BOOKS_DIFFERS, 1, REPLIES, 0);
    verify_books_free(scene.books);

    expected.bytes.data[expected.bytes.size - 1] ^= 1;
    expected.expires_ms++;
    scene = one_job(JOB_EVENT_SUCCEEDED);
    compare(&scene, &expected, BEGIN_MS);
    assert_one(&scene, VERIFY_BOOKS_DIFFERS, 1, REPLIES, 0);
    verify_books_free(scene.books);
    buf_free(&expected.bytes);
}

static void a_record_that_is_gone_is_absent_until_it_is_forgotten(void **state)
{
    (void)state;
    struct expected none = { BUF_INIT(1), 0 };
    struct scene scene = one_job(JOB_EVENT_FAILED);
    compare(&scene, &none, BEGIN_MS);
    assert_one(&scene, VERIFY_BOOKS_ABSENT, 1, REPLIES, 0);
    verify_books_free(scene.books);

    scene = one_job(JOB_EVENT_FAILED);
    compare(&scene, &none, BEGIN_MS + 3 * HOUR_MS);
    assert_true(verify_books_balance(scene.books));
    assert_int_equal(verify_books_counts(scene.books)->forgotten, 1);
    verify_books_free(scene.books);
}

/* A live job may have gone on since the log was read, but not changed within what was read. */
static void a_live_record_may_have_moved_and_an_ended_one_may_not(void **state)
{
    (void)state;
    struct expected later = record_of_event(1, JOB_EVENT_SUCCEEDED, 1);
    struct expected before = record_of_event(1, JOB_EVENT_SUCCEEDED, 0);
    struct scene scene = one_job(JOB_EVENT_STARTED);
    compare(&scene, &later, BEGIN_MS);
    assert_true(verify_books_balance(scene.books));
    assert_int_equal(verify_books_counts(scene.books)->moved, 1);
    verify_books_free(scene.books);

    scene = one_job(JOB_EVENT_STARTED);
    compare(&scene, &before, BEGIN_MS);
    assert_one(&scene, VERIFY_BOOKS_DIFFERS, 1, REPLIES, 0);
    verify_books_free(scene.books);

    scene = one_job(JOB_EVENT_FAILED);
    compare(&scene, &later, BEGIN_MS);
    assert_one(&scene, VERIFY_BOOKS_DIFFERS, 1, REPLIES, 0);
    verify_books_free(scene.books);
    buf_free(&later.bytes);
    buf_free(&before.bytes);
}

/* What a live job's record keeps of the attempt before is part of the fold. */
static void events_of_a_job_are_folded_one_after_the_other(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    struct job_event retrying = event_of(1, JOB_EVENT_RETRYING);
    retrying.failure = (struct job_failure){ .code = span_of("target_status"),
                                             .class_ = span_of("retry"),
                                             .detail = span_of("503"),
                                             .attempt = 1 };
    struct job_event started = event_of(1, JOB_EVENT_STARTED);
    started.turn = 1;
    started.attempt = 2;
    struct job_record first;
    struct job_record second;
    struct expected expected = { BUF_INIT(ENVELOPE_RECORD_BYTES_MAX), retrying.facts.forget_at_ms };
    assert_true(fold_event(NULL, &retrying, 0, &first));
    assert_true(fold_event(&first, &started, 1, &second));
    assert_int_equal(envelope_encode_record(&second, &expected.bytes, NULL), ERR_OK);
    add_command(&scene, 1, COMMANDS, 0, true);
    add_command(&scene, 1, COMMANDS, 1, false);
    verify_books_event(scene.books, &(struct verify_books_place){ REPLIES, 0 }, &retrying);
    verify_books_event(scene.books, &(struct verify_books_place){ REPLIES, 1 }, &started);
    scene.offsets[REPLIES] = 2;
    assert_int_equal(finish(&scene).live, 1);
    compare(&scene, &expected, BEGIN_MS);
    assert_true(verify_books_balance(scene.books));
    assert_int_equal(verify_books_counts(scene.books)->moved, 0);
    verify_books_free(scene.books);
    buf_free(&expected.bytes);
}

static void a_job_that_waits_has_the_record_of_its_command(void **state)
{
    (void)state;
    struct scene scene = scene_new();
    add_command(&scene, 1, COMMANDS, 0, false);
    finish(&scene);
    const struct job_command command = { .facts = facts_of(1), .attempt = 1 };
    struct buf bytes = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    struct job_record record;
    struct id id;
    assert_true(fold_command(NULL, &command, 3, 0, &record));
    assert_int_equal(envelope_encode_record(&record, &bytes, NULL), ERR_OK);
    struct verify_books_found found = { .command = buf_span(&bytes),
                                        .command_expires_ms = command.facts.forget_at_ms,
                                        .now_ms = BEGIN_MS };
    assert_true(verify_books_is_viewed(scene.books, 1, &id));
    verify_books_compare(scene.books, 1, &found);
    assert_true(verify_books_balance(scene.books));
    found.command_expires_ms--;
    verify_books_compare(scene.books, 1, &found);
    assert_one(&scene, VERIFY_BOOKS_DIFFERS, 1, COMMANDS, 0);
    verify_books_free(scene.books);
    buf_free(&bytes);
}

static void records_of_nobody_are_stray(void **state)
{
    (void)state;
    struct scene scene = one_job(JOB_EVENT_SUCCEEDED);
    struct job_facts known = facts_of(1);
    struct job_facts unknown = facts_of(2);
    assert_true(verify_books_knows(scene.books, &known.id));
    assert_false(verify_books_knows(scene.books, &unknown.id));
    assert_int_equal(verify_books_counts(scene.books)->keys, 2);
    verify_books_stray(scene.books, &unknown.id, "made up");
    assert_one(&scene, VERIFY_BOOKS_STRAY, 2, 0, -1);
    verify_books_free(scene.books);
}

static void a_view_that_is_not_whole_is_told_and_balances_nothing(void **state)
{
    (void)state;
    struct scene scene = one_job(JOB_EVENT_SUCCEEDED);
    assert_true(verify_books_balance(scene.books));
    verify_books_behind(scene.books, REPLIES, -1);
    const struct verify_books_finding *finding = verify_books_finding(scene.books, 0);
    assert_non_null(finding);
    assert_int_equal(finding->kind, VERIFY_BOOKS_BEHIND);
    assert_int_equal(finding->place.range, REPLIES);
    assert_false(verify_books_balance(scene.books));
    verify_books_uncertified(scene.books);
    assert_int_equal(verify_books_counts(scene.books)->by_kind[VERIFY_BOOKS_BEHIND], 2);
    verify_books_free(scene.books);
}

/* --- limits, the certificate --- */

static void a_million_jobs_fit_into_256_mb(void **state)
{
    (void)state;
    const int jobs = 50000; /* just beyond a doubling of the table: its worst moment */
    struct scene scene = scene_new();
    for (int job = 0; job < jobs; job++)
        add_command(&scene, job, COMMANDS, 0, true);
    for (int job = 0; job < jobs; job++) {
        add_event(&scene, job, JOB_EVENT_STARTED, REPLIES);
        add_event(&scene, job, JOB_EVENT_SUCCEEDED, REPLIES);
    }
    assert_int_equal(finish(&scene).succeeded, jobs);
    size_t peak = verify_books_counts(scene.books)->bytes_peak;
    print_message("%zu bytes a job\n", peak / (size_t)jobs);
    assert_true(peak / (size_t)jobs < 256);
    verify_books_free(scene.books);
}

static void books_that_are_not_whole_are_none(void **state)
{
    (void)state;
    const struct verify_books_options options = { .bytes_max = 100000,
                                                  .from_ms = INT64_MIN,
                                                  .to_ms = INT64_MAX };
    struct scene scene = scene_new();
    struct err err = { 0 };
    verify_books_free(scene.books);
    scene.books = verify_books_new(&options);
    verify_books_range_add(scene.books, "errand.commands.a", 0, false);
    for (int job = 0; job < 10000; job++)
        add_command(&scene, job, COMMANDS, 0, true);
    assert_int_equal(verify_books_finish(scene.books, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "100000"));
    verify_books_free(scene.books);
}

static void the_certificate_says_what_was_read_and_found(void **state)
{
    (void)state;
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 10000 };
    struct scene scene = scene_new();
    add_whole(&scene, 1, JOB_EVENT_SUCCEEDED);
    add_command(&scene, 2, COMMANDS, 0, true);
    finish(&scene);
    struct verify_books_certificate certificate = { .books = scene.books,
                                                    .cluster_id = "a-cluster",
                                                    .namespace_ = "errand",
                                                    .began_ms = BEGIN_MS,
                                                    .ended_ms = BEGIN_MS + 5,
                                                    .view = false };
    struct buf text = BUF_INIT(65536);
    struct json *json = NULL;
    int64_t number = 0;
    bool balanced = true;
    assert_int_equal(verify_books_json(&certificate, &text, NULL), ERR_OK);
    assert_int_equal(json_parse(buf_span(&text), &limits, &json, NULL), ERR_OK);
    assert_true(json_bool_of(json_get(json, "balanced"), &balanced));
    assert_false(balanced);
    assert_true(span_is(json_text(json_get(json, "cluster")), "a-cluster"));
    assert_true(json_integer_of(json_pointer(json, span_of("/total/residual")), &number) &&
                number == 1);
    assert_true(json_integer_of(json_pointer(json, span_of("/read/0/to")), &number) && number == 2);
    assert_true(json_integer_of(json_pointer(json, span_of("/findings/0/offset")), &number) &&
                number == 1);
    assert_true(json_integer_of(json_pointer(json, span_of("/findings/0/partition")), &number) &&
                number == 3);
    assert_int_equal(json_text(json_get(json, "digest")).size, 7 + 64);
    assert_null(json_get(json, "view"));
    json_free(json);
    buf_reset(&text);
    verify_books_text(&certificate, &text);
    assert_non_null(strstr(text.data, "books: not balanced"));
    assert_non_null(strstr(text.data, "errand.commands.a/3@1"));
    buf_free(&text);
    verify_books_free(scene.books);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_balances),
        cmocka_unit_test(a_command_that_nobody_will_do_is_lost),
        cmocka_unit_test(only_copies_of_the_newest_turn_keep_a_job_alive),
        cmocka_unit_test(a_second_other_end_is_a_flip),
        cmocka_unit_test(what_nobody_submitted_is_a_phantom),
        cmocka_unit_test(a_loss_and_a_phantom_do_not_make_up_for_each_other),
        cmocka_unit_test(a_window_counts_what_was_accepted_in_it),
        cmocka_unit_test(lives_of_an_id_are_told_apart),
        cmocka_unit_test(a_record_is_held_against_a_fresh_fold),
        cmocka_unit_test(a_record_that_is_gone_is_absent_until_it_is_forgotten),
        cmocka_unit_test(a_live_record_may_have_moved_and_an_ended_one_may_not),
        cmocka_unit_test(events_of_a_job_are_folded_one_after_the_other),
        cmocka_unit_test(a_job_that_waits_has_the_record_of_its_command),
        cmocka_unit_test(records_of_nobody_are_stray),
        cmocka_unit_test(a_view_that_is_not_whole_is_told_and_balances_nothing),
        cmocka_unit_test(a_million_jobs_fit_into_256_mb),
        cmocka_unit_test(books_that_are_not_whole_are_none),
        cmocka_unit_test(the_certificate_says_what_was_read_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
