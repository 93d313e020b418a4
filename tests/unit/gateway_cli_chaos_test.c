/* What a run of chaos is worth: how clients' histories are counted, when the promises count as
 * kept, and what the page shows. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cli/chaos_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

enum { BEGIN_MS = 1000000, JOBS = 10, APART_MS = 100 };

static const struct json_limits limits = { .depth_max = 10, .tokens_max = 10000 };

static struct json *parsed(const char *text)
{
    struct json *json = NULL;
    struct err err = { 0 };
    assert_int_equal(json_parse(span_of(text), &limits, &json, &err), ERR_OK);
    return json;
}

/* --- measuring --- */

static struct id job(uint8_t number)
{
    struct id id = { .bytes = { 0x01, 0x93, 0xc0, 0xde, 0x70, 0, 0x70, 0, 0x80, 0, 0, number } };
    return id;
}

static void submit(struct chaos_measure *measure, uint8_t number, int64_t at_ms, int status)
{
    const struct history_line line = { .kind = HISTORY_SUBMITTED,
                                       .has_id = status == 202,
                                       .id = job(number),
                                       .status = status,
                                       .begin_ms = BEGIN_MS + at_ms,
                                       .end_ms = BEGIN_MS + at_ms + 10 };
    chaos_measure_take(measure, 0, &line);
}

static void end(struct chaos_measure *measure, uint8_t number, int64_t at_ms, enum job_state state)
{
    const struct history_line line = { .kind = HISTORY_READ,
                                       .has_id = true,
                                       .id = job(number),
                                       .status = 200,
                                       .begin_ms = BEGIN_MS + at_ms - 5,
                                       .end_ms = BEGIN_MS + at_ms,
                                       .has_state = true,
                                       .state = state };
    chaos_measure_take(measure, 0, &line);
}

static void plan_of_one_kind(struct drill_plan *plan)
{
    drill_plan_init(plan, "a test");
    drill_plan_add_jobs(plan, "quote.fetch", "{}", NULL, 1, JOB_SUCCEEDED);
}

static void test_jobs_are_counted_once_and_wrong_ends_are_told(void **state)
{
    (void)state;
    struct drill_plan plan;
    plan_of_one_kind(&plan);
    struct chaos_measure *measure = chaos_measure_new(&plan);
    for (int64_t i = 0; i < JOBS; i++)
        submit(measure, (uint8_t)i, APART_MS * i, 202);
    submit(measure, JOBS, 1000, 503);
    submit(measure, JOBS, 1100, 0);
    for (int64_t i = 0; i < JOBS - 1; i++) {
        uint8_t number = (uint8_t)i;
        end(measure, number, APART_MS * i + 40, JOB_RUNNING); /* not an end */
        end(measure, number, APART_MS * i + 60, i == 3 ? JOB_FAILED : JOB_SUCCEEDED);
        end(measure, number, 5000, JOB_SUCCEEDED); /* read again: it counts once */
    }
    struct chaos_counts counts = chaos_measure_counts(measure);
    assert_int_equal(counts.submitted, 12);
    assert_int_equal(counts.accepted, 10);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.unanswered, 1);
    assert_int_equal(counts.ended, 9);
    assert_int_equal(counts.wrong, 1);
    struct chaos_percentiles ended = chaos_measure_end(measure);
    assert_int_equal(ended.p50, 60);
    assert_int_equal(ended.max, 60);
    assert_int_equal(chaos_measure_accept(measure).p99, 10);

    struct id open;
    size_t kind = 7;
    assert_true(chaos_measure_open_job(measure, 0, &open, &kind));
    struct id last = job(JOBS - 1);
    assert_true(id_same(&open, &last) && kind == 0);
    assert_false(chaos_measure_open_job(measure, 1, &open, &kind));
    chaos_measure_free(measure);
    drill_plan_clear(&plan);
}

/* Job 3 fails: it was submitted 300 ms after the begin, and ended 60 ms later. */
static uint64_t wrong_beside(struct chaos_fault fault, enum job_state state, bool calls)
{
    struct drill_plan plan;
    plan_of_one_kind(&plan);
    struct chaos_measure *measure = chaos_measure_new(&plan);
    fault.begin_ms += BEGIN_MS;
    fault.end_ms += fault.end_ms ? BEGIN_MS : 0;
    submit(measure, 3, 300, 202);
    end(measure, 3, 360, state);
    if (calls)
        chaos_measure_calls(measure, 0);
    chaos_measure_faults(measure, &fault, 1);
    uint64_t wrong = chaos_measure_counts(measure).wrong;
    chaos_measure_free(measure);
    drill_plan_clear(&plan);
    return wrong;
}

static void test_a_third_party_excuses_who_calls_it_while_it_is_broken_and_nobody_else(void **state)
{
    (void)state;
    const struct chaos_fault down = { DRILL_THIRD_PARTY, "down", .begin_ms = 100, .end_ms = 320 };
    const struct chaos_fault before = { DRILL_THIRD_PARTY, "down", .begin_ms = 100, .end_ms = 299 };
    const struct chaos_fault later = { DRILL_THIRD_PARTY, "down", .begin_ms = 361, .end_ms = 400 };
    const struct chaos_fault on = { DRILL_THIRD_PARTY, "flaky", .begin_ms = 350 };
    const struct chaos_fault slow = { DRILL_THIRD_PARTY, "slow", .begin_ms = 100, .end_ms = 320 };
    const struct chaos_fault kill = { DRILL_KILL, "worker-1", .begin_ms = 100, .end_ms = 320 };
    assert_int_equal(wrong_beside(down, JOB_FAILED, true), 0);
    assert_int_equal(wrong_beside(on, JOB_FAILED, true), 0);
    assert_int_equal(wrong_beside(down, JOB_FAILED, false), 1);
    assert_int_equal(wrong_beside(down, JOB_CANCELLED, true), 1);
    assert_int_equal(wrong_beside(before, JOB_FAILED, true), 1);
    assert_int_equal(wrong_beside(later, JOB_FAILED, true), 1);
    assert_int_equal(wrong_beside(slow, JOB_FAILED, true), 1);
    assert_int_equal(wrong_beside(kill, JOB_FAILED, true), 1);
}

static void test_thousands_of_jobs_are_found_by_their_ids(void **state)
{
    (void)state;
    struct drill_plan plan;
    plan_of_one_kind(&plan);
    struct chaos_measure *measure = chaos_measure_new(&plan);
    struct history_line line = { .has_id = true,
                                 .status = 202,
                                 .has_state = true,
                                 .state = JOB_SUCCEEDED,
                                 .begin_ms = BEGIN_MS,
                                 .end_ms = BEGIN_MS + 1 };
    for (int i = 0; i < 5000; i++) {
        line.id = job((uint8_t)i);
        line.id.bytes[10] = (uint8_t)(i >> 8);
        line.kind = HISTORY_SUBMITTED;
        chaos_measure_take(measure, 0, &line);
        line.kind = HISTORY_READ;
        chaos_measure_take(measure, 0, &line);
    }
    assert_int_equal(chaos_measure_counts(measure).ended, 5000);
    chaos_measure_free(measure);
    drill_plan_clear(&plan);
}

static void test_a_fault_is_felt_as_long_as_jobs_are_late_or_refused(void **state)
{
    (void)state;
    struct drill_plan plan;
    plan_of_one_kind(&plan);
    struct chaos_measure *measure = chaos_measure_new(&plan);
    submit(measure, 0, 900, 202); /* under way when it began */
    end(measure, 0, 4000, JOB_SUCCEEDED);
    submit(measure, 1, 2000, 202);
    end(measure, 1, 2050, JOB_SUCCEEDED); /* as usual: it felt nothing */
    submit(measure, 2, 6000, 503);
    submit(measure, 3, 9000, 202);
    end(measure, 3, 9050, JOB_SUCCEEDED);
    struct chaos_fault faults[] = {
        { .begin_ms = BEGIN_MS + 1000, .end_ms = BEGIN_MS + 1100 },
        { .begin_ms = BEGIN_MS + 5000, .end_ms = BEGIN_MS + 5100 },
        { .begin_ms = BEGIN_MS + 8000, .end_ms = BEGIN_MS + 8100 },
    };
    struct chaos_percentiles recover = chaos_measure_recover(measure, faults, 3);
    assert_int_equal(faults[0].recover_ms, 3000);
    assert_int_equal(faults[1].recover_ms, 1010);
    assert_int_equal(faults[2].recover_ms, 0);
    assert_int_equal(recover.p50, 1010);
    assert_int_equal(recover.p99, 3000);
    assert_int_equal(chaos_measure_silence(measure), 9000 - 2010);

    struct chaos_fault unfelt[] = {
        { .begin_ms = BEGIN_MS + 1000, .end_ms = BEGIN_MS + 1100 },
        { .begin_ms = BEGIN_MS + 20000, .end_ms = BEGIN_MS + 20100 }, /* nobody was there */
    };
    recover = chaos_measure_recover(measure, unfelt, 2);
    assert_int_equal(unfelt[1].recover_ms, CHAOS_UNKNOWN);
    assert_int_equal(recover.count, 1);

    struct chaos_second *seconds = chaos_measure_seconds(measure, BEGIN_MS, 10);
    assert_int_equal(seconds[0].accepted, 1);
    assert_int_equal(seconds[6].refused, 1);
    assert_int_equal(seconds[4].ended, 1);
    assert_int_equal(seconds[0].p99_ms, 3100);
    assert_int_equal(seconds[5].p50_ms, -1);
    free(seconds);
    chaos_measure_free(measure);
    drill_plan_clear(&plan);
}

/* --- judging --- */

#define CHECKED(found)                                                                             \
    "{\"accepted\":10,\"calls\":12,\"repeats\":2,\"repeats_bound\":5,\"counts\":{" found           \
    "},\"not_judged\":[],\"findings\":[]}"

static bool is_kept(const char *checked, struct chaos_counts counts, char *ret_reason)
{
    struct drill_plan plan;
    plan_of_one_kind(&plan);
    plan.levels[DRILL_END_P99] = 1000;
    struct json *json = checked ? parsed(checked) : NULL;
    struct chaos_fault fault = { .act = DRILL_KILL, .name = "worker-1" };
    struct chaos_result *result = MEM_NEW(*result);
    *result = (struct chaos_result){ .plan = &plan,
                                     .counts = counts,
                                     .end = { .p99 = 900, .count = 10 },
                                     .faults = &fault,
                                     .fault_count = 1,
                                     .checked = json };
    chaos_judge(result);
    bool kept = result->kept;
    assert_true(kept == (result->reason_count == 0));
    (void)snprintf(ret_reason, CHAOS_REASON_SIZE, "%s", kept ? "" : result->reasons[0]);
    json_free(json);
    free(result);
    drill_plan_clear(&plan);
    return kept;
}

static void test_each_broken_promise_breaks_the_verdict(void **state)
{
    (void)state;
    char reason[CHAOS_REASON_SIZE];
    const struct chaos_counts good = { .submitted = 10, .accepted = 10, .ended = 10 };
    assert_true(is_kept(CHECKED("\"lost\":0,\"doubled\":0,\"repeated\":0"), good, reason));
    static const struct {
        const char *checked;
        struct chaos_counts counts;
        const char *reason;
    } broken[] = {
        { CHECKED("\"lost\":1"),
          { .submitted = 10, .accepted = 10, .ended = 9 },
          "1 jobs were lost" },
        { CHECKED("\"commit\":2"),
          { .submitted = 10, .accepted = 10, .ended = 8 },
          "2 jobs were lost" },
        { CHECKED("\"doubled\":1"),
          { .submitted = 10, .accepted = 10, .ended = 10 },
          "1 jobs ended twice" },
        { CHECKED("\"repeated\":1"),
          { .submitted = 10, .accepted = 10, .ended = 10 },
          "calls were repeated beyond what the faults excuse: 1 attempts" },
        { CHECKED("\"view\":3"),
          { .submitted = 10, .accepted = 10, .ended = 10 },
          "3 jobs with the finding 'view'" },
        { CHECKED("\"lost\":0"),
          { .submitted = 11, .accepted = 11, .ended = 11 },
          "clients were told of 11 accepted jobs, the checker of 10" },
        { CHECKED("\"lost\":0"),
          { .submitted = 10, .accepted = 10, .ended = 9 },
          "of 10 accepted jobs 9 were seen ended and 0 are lost" },
        { CHECKED("\"lost\":0"),
          { .submitted = 10, .accepted = 10, .ended = 10, .wrong = 1 },
          "1 jobs ended otherwise than they had to" },
        { "{\"accepted\":10,\"counts\":{\"lost\":0},\"not_judged\":[\"the records in Redis\"]}",
          { .submitted = 10, .accepted = 10, .ended = 10 },
          "not judged: the records in Redis" },
        { NULL,
          { .submitted = 10, .accepted = 10, .ended = 10 },
          "there is no verdict of the checker" },
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_false(is_kept(broken[i].checked, broken[i].counts, reason));
        assert_string_equal(reason, broken[i].reason);
    }
}

static void test_what_the_plan_asks_for_is_held_against_what_was_measured(void **state)
{
    (void)state;
    struct drill_plan plan;
    plan_of_one_kind(&plan);
    plan.levels[DRILL_END_P99] = 1000;
    plan.levels[DRILL_SILENCE] = 500;
    plan.levels[DRILL_RECOVER_P99] = 500;
    plan.faults_min = 3;
    plan.refused_percent = 10;
    struct json *json = parsed(CHECKED("\"lost\":0"));
    struct chaos_result result = {
        .plan = &plan,
        .counts = { .submitted = 12, .accepted = 10, .ended = 10, .refused = 1, .unanswered = 1 },
        .end = { .p99 = 1001, .count = 10 },
        .silence_ms = 500,
        .fault_count = 2,
        .checked = json,
        .failure = "Redis cannot be emptied",
        .unsubmitted = "order.price",
    };
    chaos_judge(&result);
    assert_int_equal(result.reason_count, 6);
    assert_string_equal(result.reasons[0], "no job of type order.price was submitted");
    assert_string_equal(result.reasons[1], "end_p99 is 1001 ms, at most 1000 ms are allowed");
    assert_non_null(strstr(result.reasons[2], "how long faults were felt is not known"));
    assert_string_equal(result.reasons[3], "only 2 faults were made, at least 3 were to be");
    assert_string_equal(result.reasons[4], "Redis cannot be emptied");
    assert_string_equal(result.reasons[5],
                        "2 of 12 submissions were not accepted, at most 10 % may be");
    json_free(json);
    drill_plan_clear(&plan);
}

/* --- the page --- */

static void test_the_page_escapes_what_it_is_given_and_loads_nothing(void **state)
{
    (void)state;
    struct json *report = parsed(
        "{\"name\":\"<script>alert('1')</script>\",\"description\":\"a & "
        "b\",\"verdict\":\"broken\","
        "\"reasons\":[\"<img src=x>\"],\"seed\":7,\"jobs\":{\"accepted\":10},\"accept_ms\":null,"
        "\"faults\":[{\"do\":\"kill\",\"name\":\"\\\"><b>\",\"begin_ms\":100,\"end_ms\":200,"
        "\"back_ms\":null,\"recover_ms\":0}],\"canaries\":[],\"levels\":[],\"findings\":[],"
        "\"series\":{\"step_ms\":1000,\"accepted\":[1,2],\"ended\":[1,2],\"refused\":[0,0],"
        "\"latency_p50_ms\":[5,null],\"latency_p99_ms\":[null,6],\"lag\":[null,null]}}");
    struct buf page = BUF_INIT(1000000);
    chaos_html(report, &page);
    assert_false(page.overflow);
    assert_null(strstr(page.data, "<script"));
    assert_null(strstr(page.data, "<img"));
    assert_null(strstr(page.data, "<b>"));
    assert_null(strstr(page.data, "http:"));
    assert_null(strstr(page.data, "https:"));
    assert_non_null(strstr(page.data, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    assert_non_null(strstr(page.data, "data-figure=\"/jobs/accepted\">10</td>"));
    assert_non_null(strstr(page.data, "data-figure=\"/accept_ms/p50\">not known</td>"));
    buf_free(&page);
    json_free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_counted_once_and_wrong_ends_are_told),
        cmocka_unit_test(
            test_a_third_party_excuses_who_calls_it_while_it_is_broken_and_nobody_else),
        cmocka_unit_test(test_thousands_of_jobs_are_found_by_their_ids),
        cmocka_unit_test(test_a_fault_is_felt_as_long_as_jobs_are_late_or_refused),
        cmocka_unit_test(test_each_broken_promise_breaks_the_verdict),
        cmocka_unit_test(test_what_the_plan_asks_for_is_held_against_what_was_measured),
        cmocka_unit_test(test_the_page_escapes_what_it_is_given_and_loads_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
