/* What people and programs get to see: tables, jobs, lines of logs, reports of a load.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cli/job_print.h"
#include "gateway/cli/load_print.h"
#include "gateway/cli/log_line.h"
#include "gateway/cli/output.h"
#include "gateway/cli/query.h"
#include "gateway/cli/when.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdlib.h>

static const struct json_limits limits = { .depth_max = 16, .tokens_max = 1000 };

static struct json *parse(const char *text)
{
    struct json *json = NULL;
    struct err err = { 0 };
    assert_int_equal(json_parse(span_of(text), &limits, &json, &err), ERR_OK);
    return json;
}

/* --- times --- */

static void expect_when(int64_t from_now_ms, const char *expected)
{
    struct buf text = BUF_INIT(64);
    when_relative(INT64_C(1800000000000) + from_now_ms, INT64_C(1800000000000), &text);
    assert_string_equal(text.data, expected);
    buf_free(&text);
}

static void test_times_are_said_as_people_do(void **state)
{
    (void)state;
    expect_when(0, "now");
    expect_when(-999, "now");
    expect_when(999, "now");
    expect_when(-1000, "1s ago");
    expect_when(1000, "in 1s");
    expect_when(-119999, "119s ago");
    expect_when(-120000, "2m ago");
    expect_when(7199999, "in 119m");
    expect_when(7200000, "in 2h");
    expect_when(-172799999, "47h ago");
    expect_when(-172800000, "2d ago");
    expect_when(INT64_C(31536000000), "in 365d");
}

static void test_a_query_is_encoded(void **state)
{
    (void)state;
    struct buf path = BUF_INIT(256);
    buf_add_text(&path, "/v1/jobs");
    query_add(&path, "label", span_of("a b=c&d/\xc3\xbc"));
    query_add(&path, "type", span_of("a-Z.0_~"));
    assert_string_equal(path.data, "/v1/jobs?label=a%20b%3Dc%26d%2F%C3%BC&type=a-Z.0_~");
    buf_free(&path);
}

/* --- tables --- */

static void test_columns_are_as_wide_as_they_must_be(void **state)
{
    (void)state;
    static const char *const headings[] = { "NAME", "PID", "LAST" };
    struct table *table = table_new(headings, 3);
    struct buf text = BUF_INIT(4096);
    table_add_text(table, "worker-1");
    table_add_int(table, 7);
    table_add_text(table, "");
    table_add_text(table, "für");
    table_add_int(table, -12345);
    table_add_text(table, "x");
    table_render(table, false, &text);
    assert_string_equal(text.data, "NAME      PID     LAST\n"
                                   "worker-1  7       \n"
                                   "für       -12345  x\n");
    buf_free(&text);
    table_free(table);
    table_free(NULL);
}

static void test_no_cell_can_steer_the_terminal(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4096);
    table_add_safe(&text, span_of("a\033[2Jb\r\nc\x7f d\xc2\x9b"
                                  "e\xff"
                                  "f"));
    assert_string_equal(text.data, "a?[2Jb??c? d?e\xef\xbf\xbd"
                                   "f");
    buf_free(&text);
}

static void test_states_have_colours_and_other_words_have_none(void **state)
{
    (void)state;
    static const char *const headings[] = { "STATE" };
    struct table *table = table_new(headings, 1);
    struct buf text = BUF_INIT(4096);
    table_add_text(table, "failed");
    table_add_text(table, "failures");
    table_render(table, true, &text);
    assert_non_null(strstr(text.data, "\033[31mfailed\033[0m\nfailures\n"));
    buf_free(&text);
    table_free(table);
}

/* --- jobs --- */

static void test_a_job_is_told_member_by_member(void **state)
{
    (void)state;
    struct json *job = parse("{\"id\":\"0193\",\"type\":\"a.b\",\"state\":\"failed\",\"attempt\":2,"
                             "\"labels\":{\"team\":\"blue\"},\"unknown\":1,"
                             "\"error\":{\"code\":\"target_status\",\"detail\":\"503\\nthrice\"}}");
    struct buf text = BUF_INIT(4096);
    job_print_render(job, false, false, &text);
    assert_string_equal(text.data, "id           0193\n"
                                   "type         a.b\n"
                                   "state        failed\n"
                                   "attempt      2\n"
                                   "labels       {\"team\":\"blue\"}\n"
                                   "error        target_status: 503?thrice\n");
    buf_free(&text);
    json_free(job);
}

static void test_how_a_job_ended_is_an_exit_code(void **state)
{
    (void)state;
    static const struct {
        const char *job;
        int code;
        bool finished;
    } cases[] = {
        { "{\"state\":\"succeeded\"}", CLI_OK, true },
        { "{\"state\":\"failed\"}", CLI_JOB_FAILED, true },
        { "{\"state\":\"cancelled\"}", CLI_JOB_ENDED, true },
        { "{\"state\":\"expired\"}", CLI_JOB_ENDED, true },
        { "{\"state\":\"running\"}", CLI_PENDING, false },
        { "{\"state\":\"a new one\"}", CLI_PENDING, false },
        { "{}", CLI_PENDING, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json *job = parse(cases[i].job);
        assert_int_equal(job_print_exit_code(job), cases[i].code);
        assert_int_equal(job_print_is_finished(job), cases[i].finished);
        json_free(job);
    }
}

static void test_statuses_are_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of_status(401), CLI_AUTH);
    assert_int_equal(exit_code_of_status(404), CLI_NOT_FOUND);
    assert_int_equal(exit_code_of_status(410), CLI_NOT_FOUND);
    assert_int_equal(exit_code_of_status(409), CLI_REFUSED);
    assert_int_equal(exit_code_of_status(422), CLI_REFUSED);
    assert_int_equal(exit_code_of_status(429), CLI_OVERLOADED);
    assert_int_equal(exit_code_of_status(503), CLI_OVERLOADED);
    assert_int_equal(exit_code_of_status(500), CLI_FAILED);
}

/* --- logs --- */

static const char structured[] =
    "{\"ts\":\"2026-11-24T03:19:04.424Z\",\"level\":\"warn\",\"process\":\"worker-1\","
    "\"component\":\"kafka\",\"msg\":\"lost a \\u001b[2J peer\",\"job_id\":\"0193\",\"n\":3}";

static void test_a_line_is_shown_with_all_it_says(void **state)
{
    (void)state;
    struct log_line line;
    struct buf text = BUF_INIT(4096);
    log_line_parse("worker-1", span_of(structured), "", &line);
    log_line_render(&line, false, &text);
    assert_string_equal(text.data, "03:19:04.424 worker-1    warn  kafka: lost a ?[2J peer"
                                   " job_id=0193 n=3\n");
    buf_free(&text);
    log_line_clear(&line);
}

static void test_plain_text_stays_behind_the_line_before_it(void **state)
{
    (void)state;
    struct log_line before;
    struct log_line line;
    log_line_parse("redis", span_of(structured), "", &before);
    log_line_parse("redis", span_of("Ready to accept"), before.time, &line);
    line.order = 1;
    assert_false(line.structured);
    assert_true(log_line_compare(&before, &line) < 0);
    assert_true(log_line_compare(&line, &before) > 0);
    log_line_clear(&before);
    log_line_clear(&line);
}

static bool fits(const char *text, const struct log_filter *filter)
{
    struct log_line line;
    log_line_parse("x", span_of(text), "", &line);
    bool result = log_line_fits(&line, filter);
    log_line_clear(&line);
    return result;
}

static void test_lines_are_chosen_by_level_and_job(void **state)
{
    (void)state;
    assert_true(fits(structured, &(struct log_filter){ .any_level = true }));
    assert_true(fits(structured, &(struct log_filter){ .level = LOG_WARN }));
    assert_false(fits(structured, &(struct log_filter){ .level = LOG_ERROR }));
    assert_true(fits(structured, &(struct log_filter){ .any_level = true, .job_id = "0193" }));
    assert_false(fits(structured, &(struct log_filter){ .any_level = true, .job_id = "0194" }));
    assert_true(fits("plain", &(struct log_filter){ .any_level = true }));
    assert_false(fits("plain", &(struct log_filter){ .level = LOG_DEBUG }));
    assert_false(fits("plain", &(struct log_filter){ .any_level = true, .job_id = "0193" }));
    assert_true(fits("{broken", &(struct log_filter){ .any_level = true }));
}

/* --- loads --- */

static struct load_report *make_report(void)
{
    struct load_report *report = MEM_NEW(*report);
    report->elapsed_us = 2000000;
    report->due = report->sent = 10;
    report->accepted = 9;
    report->by_status[202] = 9;
    report->by_status[503] = 1;
    report->connections = 3;
    for (int64_t i = 1; i <= 9; i++)
        histogram_record(&report->latency, 1000 * i);
    return report;
}

static void test_a_load_is_reported_as_json(void **state)
{
    (void)state;
    const struct load_options options = { .type = "a.b", .mode = LOAD_SUBMIT };
    struct load_report *report = make_report();
    struct buf text = BUF_INIT(4096);
    int64_t whole = 0;
    double number = 0;
    load_print_json(&options, report, &text);
    struct json *json = parse(text.data);
    assert_true(json_integer_of(json_get(json, "accepted"), &whole) && whole == 9);
    assert_true(json_real_of(json_get(json, "accepted_per_second"), &number) && number == 4.5);
    assert_true(json_integer_of(json_pointer(json, span_of("/statuses/503")), &whole) &&
                whole == 1);
    assert_true(json_real_of(json_pointer(json, span_of("/latency_ms/max")), &number) &&
                number == 9);
    assert_true(json_real_of(json_pointer(json, span_of("/latency_ms/mean")), &number) &&
                number == 5);
    assert_int_equal(load_print_open(report), 0);
    json_free(json);
    buf_free(&text);
    free(report);
}

static void test_a_load_is_reported_to_people(void **state)
{
    (void)state;
    const struct load_options options = { .type = "a.b", .mode = LOAD_SUBMIT };
    struct load_report *report = make_report();
    struct buf text = BUF_INIT(4096);
    report->due = 12;
    load_print_render(&options, report, &text);
    assert_non_null(strstr(text.data, "accepted      9 (4.5/s)\n"));
    assert_non_null(strstr(text.data, "never sent    2\n"));
    assert_non_null(strstr(text.data, "status 503    1\n"));
    assert_non_null(strstr(text.data, "max 9.00\n"));
    buf_free(&text);
    free(report);
}

static void test_only_a_whole_load_is_a_success(void **state)
{
    (void)state;
    struct load_options options = { .type = "a.b", .mode = LOAD_SUBMIT };
    struct load_report *report = make_report();
    assert_int_equal(load_print_exit_code(&options, report), CLI_OVERLOADED);
    report->accepted = 10;
    assert_int_equal(load_print_exit_code(&options, report), CLI_OK);
    options.mode = LOAD_E2E;
    report->by_status[503] = 0;
    report->by_state[JOB_SUCCEEDED] = 9;
    report->by_state[JOB_FAILED] = 1;
    assert_int_equal(load_print_exit_code(&options, report), CLI_JOB_FAILED);
    *report = (struct load_report){ .due = 5, .sent = 5, .broken = 5 };
    assert_int_equal(load_print_exit_code(&options, report), CLI_UNREACHABLE);
    free(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_said_as_people_do),
        cmocka_unit_test(test_a_query_is_encoded),
        cmocka_unit_test(test_columns_are_as_wide_as_they_must_be),
        cmocka_unit_test(test_no_cell_can_steer_the_terminal),
        cmocka_unit_test(test_states_have_colours_and_other_words_have_none),
        cmocka_unit_test(test_a_job_is_told_member_by_member),
        cmocka_unit_test(test_how_a_job_ended_is_an_exit_code),
        cmocka_unit_test(test_statuses_are_exit_codes),
        cmocka_unit_test(test_a_line_is_shown_with_all_it_says),
        cmocka_unit_test(test_plain_text_stays_behind_the_line_before_it),
        cmocka_unit_test(test_lines_are_chosen_by_level_and_job),
        cmocka_unit_test(test_a_load_is_reported_as_json),
        cmocka_unit_test(test_a_load_is_reported_to_people),
        cmocka_unit_test(test_only_a_whole_load_is_a_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
