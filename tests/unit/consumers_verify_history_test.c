/* History files: read whole or not at all, mistakes named by file and line; and a million jobs in
 * 256 MB.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_history.h"

#include "consumers/verify/verify_jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ID        "0193c0de-7000-7000-8000-000000000000"
#define JOBS      1000000
#define BYTES_MAX ((size_t)256 * 1024 * 1024)
#define BEGIN_MS  INT64_C(1700000000000)
#define FEW_BYTES ((size_t)1024 * 1024)
#define SUBMIT    "{\"do\":\"submit\",\"request\":\"r1\",\"begin\":1000}\n"
#define SUBMITTED                                                                                  \
    "{\"do\":\"submitted\",\"request\":\"r1\",\"begin\":1000,\"end\":1002,\"status\":202,"         \
    "\"id\":\"" ID "\"}\n"

static enum err_code read_text(const char *text, struct verify_judge **ret_judge, struct err *err)
{
    const struct verify_options options = { .bytes_max = FEW_BYTES };
    char path[] = "/tmp/errand-history-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    *ret_judge = verify_judge_new(&options);
    enum err_code code = verify_history_read(*ret_judge, path, err);
    assert_int_equal(unlink(path), 0);
    return code;
}

static void test_a_file_is_read_into_the_judge(void **state)
{
    (void)state;
    struct verify_judge *judge = NULL;
    struct err err = { 0 };
    assert_int_equal(read_text(SUBMIT SUBMITTED
                               "{\"do\":\"read\",\"id\":\"" ID
                               "\",\"begin\":1003,\"end\":1004,\"status\":200,"
                               "\"state\":\"queued\"}\n"
                               "{\"do\":\"fault\",\"what\":\"kill\",\"begin\":900}\n",
                               &judge, &err),
                     ERR_OK);
    assert_int_equal(verify_judge_finish(judge, &err), ERR_OK);
    const struct verify_counts *counts = verify_judge_counts(judge);
    assert_int_equal(counts->submissions, 1);
    assert_int_equal(counts->accepted, 1);
    assert_int_equal(counts->reads, 1);
    assert_int_equal(counts->faults, 1);
    assert_int_equal(counts->by_kind[VERIFY_LOST], 1);
    assert_int_equal(verify_judge_finding(judge, 0)->line, 2);
    verify_judge_free(judge);
}

static void test_mistakes_are_named_by_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *named;
    } cases[] = {
        { SUBMIT "nonsense\n", ":2: " },
        { SUBMIT SUBMITTED SUBMITTED, ":3: no line before it submits this" },
        { SUBMIT "{\"do\":\"submit\",\"request\":\"r2\",\"begin\":999}\n", ":2: the lines are in" },
        { SUBMIT "{\"do\":\"submit\",\"requ", ":2: the line does not end" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct verify_judge *judge = NULL;
        struct err err = { 0 };
        assert_int_not_equal(read_text(cases[i].text, &judge, &err), ERR_OK);
        if (!strstr(err.text, cases[i].named))
            fail_msg("%s", err.text);
        verify_judge_free(judge);
    }
    struct err err = { 0 };
    assert_int_equal(verify_history_read(NULL, "/nonexistent/history", &err), ERR_IO);
}

/* --- a million jobs --- */

static struct id id_of(uint32_t n)
{
    struct id id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 0, 0x80 } };
    for (int i = 0; i < 4; i++)
        id.bytes[8 + i] = (uint8_t)(n >> (24 - 8 * i));
    id.bytes[8] = (uint8_t)(id.bytes[8] | 0x80);
    return id;
}

static void tell(struct verify_judge *judge, const struct history_line *line, uint32_t number)
{
    struct err err = { 0 };
    if (verify_judge_told(judge, line, number, &err) != ERR_OK)
        fail_msg("line %u: %s", number, err.text);
}

static void tell_history(struct verify_judge *judge, uint32_t jobs)
{
    for (uint32_t n = 0; n < jobs; n++) {
        char request[32];
        (void)snprintf(request, sizeof request, "load-%u", n);
        struct history_line line = { .kind = HISTORY_SUBMIT,
                                     .request = span_of(request),
                                     .has_id = true,
                                     .id = id_of(n),
                                     .status = 202,
                                     .version = -1,
                                     .begin_ms = BEGIN_MS + n,
                                     .end_ms = BEGIN_MS + n };
        tell(judge, &line, 4 * n + 1);
        line.kind = HISTORY_SUBMITTED;
        tell(judge, &line, 4 * n + 2);
        line.kind = HISTORY_READ;
        line.status = 200;
        line.has_state = true;
        tell(judge, &line, 4 * n + 3);
        line.state = JOB_SUCCEEDED;
        line.version = n;
        line.digest = n + 1;
        tell(judge, &line, 4 * n + 4);
    }
}

static void tell_log(struct verify_judge *judge, uint32_t jobs)
{
    for (uint32_t n = 0; n < jobs; n++) {
        const struct job_command command = {
            .facts = { .id = id_of(n), .effect_id = id_of(n), .origin_offset = -1 },
            .attempt = 1,
        };
        const struct verify_told_command told = {
            .place = { 0, 0, n }, .command = &command, .committed = true, .calls = true
        };
        verify_judge_command(judge, &told);
    }
    for (uint32_t n = 0; n < jobs; n++) {
        const struct job_event event = {
            .facts = { .id = id_of(n), .effect_id = id_of(n), .origin_offset = -1 },
            .kind = JOB_EVENT_SUCCEEDED,
            .attempt = 1,
            .at_ms = BEGIN_MS + n,
            .started_at_ms = BEGIN_MS + n,
        };
        assert_true(verify_judge_event(judge, &(struct verify_place){ 1, 0, n }, &event, false));
    }
    for (uint32_t n = 0; n < jobs; n++)
        verify_judge_call(judge, &(struct verify_call){ .effect = id_of(n),
                                                        .attempt = 1,
                                                        .started_ms = BEGIN_MS + n,
                                                        .path = SPAN_LIT("/echo") });
}

static void test_a_million_jobs_fit_into_256_mb(void **state)
{
    (void)state;
    const struct verify_options options = { .bytes_max = BYTES_MAX, .ledger = true };
    struct verify_judge *judge = verify_judge_new(&options);
    struct err err = { 0 };
    tell_history(judge, JOBS);
    tell_log(judge, JOBS);
    if (verify_judge_finish(judge, &err) != ERR_OK)
        fail_msg("%s", err.text);
    const struct verify_counts *counts = verify_judge_counts(judge);
    print_message("%zu bytes a job\n", counts->bytes_peak / JOBS);
    assert_int_equal(counts->jobs, JOBS);
    assert_int_equal(counts->findings, 0);
    assert_in_range(counts->bytes_peak, JOBS * (sizeof(struct verify_job) + 1), BYTES_MAX);
    verify_judge_free(judge);
}

/* A judge that could not take everything says so instead of "clean". */
static void test_what_does_not_fit_has_no_verdict(void **state)
{
    (void)state;
    const struct verify_options options = { .bytes_max = FEW_BYTES };
    struct verify_judge *judge = verify_judge_new(&options);
    struct err err = { 0 };
    tell_log(judge, 0);
    for (uint32_t n = 0; n < 20000; n++) {
        const struct job_event event = { .facts = { .id = id_of(n), .effect_id = id_of(n) },
                                         .kind = JOB_EVENT_STARTED };
        verify_judge_event(judge, &(struct verify_place){ 0, 0, n }, &event, false);
    }
    assert_int_equal(verify_judge_finish(judge, &err), ERR_LIMIT);
    assert_true(verify_judge_counts(judge)->bytes_peak <= FEW_BYTES);
    verify_judge_free(judge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_read_into_the_judge),
        cmocka_unit_test(test_mistakes_are_named_by_line),
        cmocka_unit_test(test_a_million_jobs_fit_into_256_mb),
        cmocka_unit_test(test_what_does_not_fit_has_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
