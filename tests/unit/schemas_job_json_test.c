/* The job as clients see it, and the view's names. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/job_json.h"
#include "schemas/json.h"
#include "schemas/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct job_label labels[] = {
    { .name = SPAN_LIT("team"), .value = SPAN_LIT("blue \"sky\"") },
    { .name = SPAN_LIT("b"), .value = SPAN_LIT("") },
};

static struct job_record sample(enum job_state state)
{
    struct id id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16 } };
    return (struct job_record){
        .facts = { .id = id,
                   .effect_id = id,
                   .type = SPAN_LIT("quote.fetch"),
                   .queue = SPAN_LIT("default"),
                   .key = SPAN_LIT("k"),
                   .labels = labels,
                   .label_count = 2,
                   .created_at_ms = 1000,
                   .run_at_ms = 5000,
                   .forget_at_ms = 9000,
                   .deadline_ms = 8000,
                   .traceparent =
                       SPAN_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                   .origin_partition = 3,
                   .origin_offset = 42 },
        .state = state,
        .attempt = 2,
        .version = 7,
        .started_at_ms = 2000,
        .finished_at_ms = 3000,
        .result = SPAN_LIT("{\"a\":1}"),
        .failure = { SPAN_LIT("target_status"), SPAN_LIT("retry"), SPAN_LIT("503"), 2, 503, NULL },
    };
}

static struct json *render(const struct job_record *record, int64_t now_ms)
{
    struct json_limits json_limits = { .depth_max = 10, .tokens_max = 1000 };
    struct buf out = BUF_INIT(65536);
    struct json *json;
    struct err err;
    job_json(record, "errand", now_ms, &out);
    if (json_parse(buf_span(&out), &json_limits, &json, &err))
        fail_msg("%s: %s", err.text, out.data);
    buf_free(&out);
    return json;
}

static void assert_text(const struct json *json, const char *pointer, const char *text)
{
    assert_true(span_is(json_text(json_pointer(json, span_of(pointer))), text));
}

static void a_succeeded_job_shows_its_result(void **state)
{
    (void)state;
    struct job_record record = sample(JOB_SUCCEEDED);
    struct json *json = render(&record, 10000);
    assert_text(json, "/id", "01020304-0506-7008-800a-0b0c0d0e0f10");
    assert_text(json, "/state", "succeeded");
    assert_text(json, "/created_at", "1970-01-01T00:00:01.000Z");
    assert_text(json, "/labels/team", "blue \"sky\"");
    assert_text(json, "/command/topic", "errand.commands.default");
    assert_text(json, "/trace_id", "0af7651916cd43dd8448eb211c80319c");
    assert_text(json, "/links/result", "/v1/jobs/01020304-0506-7008-800a-0b0c0d0e0f10/result");
    int64_t number;
    assert_true(json_integer_of(json_pointer(json, span_of("/result/a")), &number));
    assert_int_equal(number, 1);
    assert_null(json_get(json, "error"));
    json_free(json);
}

static void a_text_result_is_a_string(void **state)
{
    (void)state;
    struct job_record record = sample(JOB_SUCCEEDED);
    record.result = span_of("line\n\"quoted\"");
    record.result_kind = JOB_RESULT_TEXT;
    struct json *json = render(&record, 10000);
    assert_text(json, "/result", "line\n\"quoted\"");
    json_free(json);
}

static void a_failed_job_shows_its_error_and_no_result(void **state)
{
    (void)state;
    struct job_record record = sample(JOB_FAILED);
    struct json *json = render(&record, 10000);
    assert_text(json, "/error/code", "target_status");
    assert_text(json, "/error/class", "retry");
    assert_null(json_get(json, "result"));
    json_free(json);
}

static void a_scheduled_job_is_queued_when_its_time_has_come(void **state)
{
    (void)state;
    struct job_record record = sample(JOB_SCHEDULED);
    assert_int_equal(job_json_state(&record, 4999), JOB_SCHEDULED);
    assert_int_equal(job_json_state(&record, 5000), JOB_QUEUED);
}

static void absent_members_are_left_out(void **state)
{
    (void)state;
    struct job_record record = {
        .facts = { .type = SPAN_LIT("t"), .queue = SPAN_LIT("q"), .origin_offset = -1 }
    };
    struct json *json = render(&record, 0);
    assert_int_equal(json_count(json), 5); /* id, type, queue, state, links */
    json_free(json);
}

static void an_accepted_job_is_queued(void **state)
{
    (void)state;
    struct id id = sample(JOB_QUEUED).facts.id;
    struct buf out = BUF_INIT(1024);
    job_json_accepted(&id, &out);
    assert_non_null(strstr(out.data, "\"state\":\"queued\""));
    buf_free(&out);
}

static void the_views_names_are_the_protocols(void **state)
{
    (void)state;
    struct id id = sample(JOB_QUEUED).facts.id;
    struct buf out = BUF_INIT(1024);
    view_key(&out, "errand", VIEW_RECORD, &id);
    assert_string_equal(out.data, "errand:r:0102030405067008800a0b0c");
    buf_reset(&out);
    view_hash_key(&out, "errand");
    assert_string_equal(out.data, "errand:view");
    buf_reset(&out);
    view_epoch_key(&out, "errand", "errand.commands.default", 3);
    assert_string_equal(out.data, "errand:e:errand.commands.default:3");
    buf_reset(&out);
    view_applied_field(&out, "t", 1);
    view_certified_field(&out, "t", 2);
    assert_string_equal(out.data, "a:t:1p:t:2");
    buf_reset(&out);
    struct buf identity = BUF_INIT(100);
    view_identity_join(&identity, "cluster", "generation");
    view_certificate(&out, "run", identity.data);
    assert_string_equal(out.data, "run/cluster/generation");
    buf_free(&identity);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_succeeded_job_shows_its_result),
        cmocka_unit_test(a_text_result_is_a_string),
        cmocka_unit_test(a_failed_job_shows_its_error_and_no_result),
        cmocka_unit_test(a_scheduled_job_is_queued_when_its_time_has_come),
        cmocka_unit_test(absent_members_are_left_out),
        cmocka_unit_test(an_accepted_job_is_queued),
        cmocka_unit_test(the_views_names_are_the_protocols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
