/* Pages of a ledger in, the verdict out, as text and as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_ledger.h"
#include "consumers/verify/verify_report.h"
#include "schemas/json.h"
#include "tests/unit/verify_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_MAX ((size_t)64 * 1024)

static struct json *parse(const char *text)
{
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 1000 };
    struct json *json = NULL;
    struct err err = { 0 };
    if (json_parse(span_of(text), &limits, &json, &err) != ERR_OK)
        fail_msg("%s: %s", err.text, text);
    return json;
}

/* --- the ledger --- */

static const char page_text[] =
    "{\"calls\":[{\"seq\":7,\"path\":\"/echo\",\"attempt\":1,\"started_ms\":1000,"
    "\"idempotency_key\":\"01020304-0506-7000-8000-000000000000\"},"
    "{\"seq\":8,\"path\":\"/echo\",\"attempt\":null,\"started_ms\":1001,"
    "\"idempotency_key\":null}],\"next\":8,\"dropped\":3}";

static struct verify_judge *new_judge(void)
{
    const struct verify_options options = { .bytes_max = 1 << 20, .ledger = true };
    return verify_judge_new(&options);
}

static void test_a_page_of_the_ledger_is_taken(void **state)
{
    (void)state;
    struct verify_judge *judge = new_judge();
    struct verify_page page = { 0 };
    struct json *json = parse(page_text);
    assert_int_equal(verify_ledger_page(judge, json, &page, NULL), ERR_OK);
    assert_int_equal(page.calls, 2);
    assert_int_equal(page.next, 8);
    assert_int_equal(page.dropped, 3);
    assert_int_equal(verify_judge_counts(judge)->calls, 1); /* the other bears no job's key */
    json_free(json);
    verify_judge_free(judge);
}

static void test_what_is_no_page_is_refused(void **state)
{
    (void)state;
    static const char *const pages[] = {
        "{}",
        "{\"calls\":[],\"next\":1}",
        "{\"calls\":{},\"next\":1,\"dropped\":0}",
        "{\"calls\":[{\"seq\":1}],\"next\":1,\"dropped\":0}",
    };
    struct verify_judge *judge = new_judge();
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        struct verify_page page = { 0 };
        struct json *json = parse(pages[i]);
        assert_int_equal(verify_ledger_page(judge, json, &page, NULL), ERR_INVALID_FIELD);
        json_free(json);
    }
    verify_judge_free(judge);
}

static void test_a_file_has_a_page_a_line(void **state)
{
    (void)state;
    char path[] = "/tmp/errand-ledger-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    (void)fprintf(file, "%s\n%s\n", page_text, page_text);
    assert_int_equal(fclose(file), 0);
    struct verify_judge *judge = new_judge();
    int64_t dropped = 0;
    assert_int_equal(verify_ledger_read(judge, path, &dropped, NULL), ERR_OK);
    assert_int_equal(dropped, 3);
    assert_int_equal(verify_judge_counts(judge)->calls, 2);
    assert_int_equal(verify_ledger_read(judge, "/nonexistent/ledger", &dropped, NULL), ERR_IO);
    assert_int_equal(unlink(path), 0);
    verify_judge_free(judge);
}

/* --- the report --- */

static int64_t number(const struct json *json, const char *pointer)
{
    int64_t value = -1;
    (void)json_integer_of(json_pointer(json, span_of(pointer)), &value);
    return value;
}

static void test_a_clean_verdict_says_what_was_not_judged(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct verify_notes notes = { 0 };
    struct buf text = BUF_INIT(TEXT_MAX);
    world_add(world, WORLD_CALL);
    world->now_ms += 1000;
    world_add(world, WORLD_CRASHED);
    struct verify_judge *judge = world_judge(world);
    for (int i = 0; i < VERIFY_NOTES_MAX + 5; i++)
        verify_note(&notes, "check \"%d\"", i);
    assert_true(verify_report_is_clean(judge));
    verify_report_json(judge, &notes, &text);
    struct json *json = parse(text.data);
    assert_true(span_is(json_text(json_get(json, "verdict")), "clean"));
    assert_int_equal(number(json, "/jobs"), 2);
    assert_int_equal(number(json, "/repeats"), 1);
    assert_int_equal(number(json, "/repeats_bound"), 1);
    assert_int_equal(number(json, "/counts/lost"), 0);
    assert_int_equal(json_count(json_get(json, "not_judged")), VERIFY_NOTES_MAX);
    assert_int_equal(json_count(json_get(json, "findings")), 0);
    json_free(json);
    buf_reset(&text);
    verify_report_text(judge, &notes, &text);
    assert_non_null(strstr(text.data, "verdict: clean\n"));
    assert_non_null(strstr(text.data, "not judged: check \"0\"\n"));
    buf_free(&text);
    verify_judge_free(judge);
    free(world);
}

static void test_a_finding_says_where_it_is(void **state)
{
    (void)state;
    struct world *world = world_new();
    const struct verify_notes notes = { 0 };
    struct buf text = BUF_INIT(TEXT_MAX);
    int job = world_add(world, WORLD_FAILED);
    world->dead[0].dropped = true;
    struct verify_judge *judge = world_judge(world);
    assert_false(verify_report_is_clean(judge));
    verify_report_json(judge, &notes, &text);
    struct json *json = parse(text.data);
    struct id id = world_id(job);
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&id, identity);
    assert_true(span_is(json_text(json_get(json, "verdict")), "bad"));
    assert_int_equal(number(json, "/counts/unburied"), 1);
    assert_int_equal(number(json, "/findings_total"), 1);
    const struct json *finding = json_at(json_get(json, "findings"), 0);
    assert_true(span_is(json_text(json_get(finding, "kind")), "unburied"));
    assert_true(span_is(json_text(json_get(finding, "job")), identity));
    assert_true(span_is(json_text(json_get(finding, "topic")), "errand.replies.default"));
    assert_int_equal(number(finding, "/offset"), 0);
    json_free(json);
    buf_reset(&text);
    verify_report_text(judge, &notes, &text);
    assert_non_null(strstr(text.data, "errand.replies.default/0@0: failed, and there is no dead"));
    buf_free(&text);
    verify_judge_free(judge);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_of_the_ledger_is_taken),
        cmocka_unit_test(test_what_is_no_page_is_refused),
        cmocka_unit_test(test_a_file_has_a_page_a_line),
        cmocka_unit_test(test_a_clean_verdict_says_what_was_not_judged),
        cmocka_unit_test(test_a_finding_says_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
