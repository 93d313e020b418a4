/* Which jobs a list shows, and places in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/job_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static const struct job_label team_red[] = { { .name = SPAN_LIT("team"), .value = SPAN_LIT("red") },
                                             { .name = SPAN_LIT("run"),
                                               .value = SPAN_LIT("a=b") } };

static struct job_record job(enum job_state state)
{
    return (struct job_record){
        .facts = { .tenant = SPAN_LIT("default"),
                   .type = SPAN_LIT("quote.fetch"),
                   .labels = team_red,
                   .label_count = 2,
                   .created_at_ms = NOW - 1000 },
        .state = state,
    };
}

static struct job_filter any(void)
{
    return (struct job_filter){ .tenant = SPAN_LIT("default") };
}

static void test_states(void **state)
{
    (void)state;
    struct job_filter filter = any();
    struct job_record running = job(JOB_RUNNING), failed = job(JOB_FAILED);
    struct err err;
    assert_true(job_filter_fits(&filter, &running, NOW));
    assert_int_equal(job_filter_record_states(&filter), (1 << JOB_STATE_COUNT) - 1);
    assert_int_equal(job_filter_add_states(&filter, span_of("failed,expired"), &err), ERR_OK);
    assert_int_equal(job_filter_add_states(&filter, span_of("held"), &err), ERR_OK);
    assert_false(job_filter_fits(&filter, &running, NOW));
    assert_true(job_filter_fits(&filter, &failed, NOW));
    assert_int_equal(filter.states, 1 << JOB_FAILED | 1 << JOB_EXPIRED | 1 << JOB_HELD);
    assert_false(job_filter_looks_inside(&filter));
    static const char *const wrong[] = {
        "", "done", "failed,", ",failed", "FAILED", "failed held"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(job_filter_add_states(&filter, span_of(wrong[i]), &err),
                         ERR_INVALID_PARAMETER);
        assert_string_equal(err.field, "state");
        assert_non_null(strstr(err.text, "succeeded"));
    }
}

/* What was scheduled is queued when its time has come: its record does not say so. */
static void test_a_scheduled_job_whose_time_has_come(void **state)
{
    (void)state;
    struct job_filter filter = any();
    struct job_record record = job(JOB_SCHEDULED);
    struct err err;
    record.facts.run_at_ms = NOW;
    assert_int_equal(job_filter_add_states(&filter, span_of("queued"), &err), ERR_OK);
    assert_int_equal(job_filter_record_states(&filter), 1 << JOB_QUEUED | 1 << JOB_SCHEDULED);
    assert_true(job_filter_looks_inside(&filter));
    assert_false(job_filter_fits(&filter, &record, NOW - 1));
    assert_true(job_filter_fits(&filter, &record, NOW));
    filter.states = 1U << JOB_SCHEDULED;
    assert_int_equal(job_filter_record_states(&filter), 1 << JOB_SCHEDULED);
    assert_true(job_filter_looks_inside(&filter));
    assert_true(job_filter_fits(&filter, &record, NOW - 1));
    assert_false(job_filter_fits(&filter, &record, NOW));
    filter.states |= 1U << JOB_QUEUED;
    assert_false(job_filter_looks_inside(&filter));
}

static void test_tenant_type_and_time(void **state)
{
    (void)state;
    struct job_filter filter = any();
    struct job_record record = job(JOB_RUNNING);
    struct err err;
    filter.tenant = span_of("defaul");
    assert_false(job_filter_fits(&filter, &record, NOW));
    filter = any();
    filter.type = span_of("quote.fetch");
    assert_true(job_filter_fits(&filter, &record, NOW));
    filter.type = span_of("");
    assert_false(job_filter_fits(&filter, &record, NOW));
    filter = any();
    assert_int_equal(job_filter_set_since(&filter, span_of("1s"), NOW, &err), ERR_OK);
    assert_true(job_filter_fits(&filter, &record, NOW));
    assert_int_equal(job_filter_set_since(&filter, span_of("999ms"), NOW, &err), ERR_OK);
    assert_false(job_filter_fits(&filter, &record, NOW));
    assert_int_equal(job_filter_set_since(&filter, span_of("2027-01-15T08:00:00Z"), NOW, &err),
                     ERR_OK);
    assert_int_equal(filter.since_ms, NOW);
    assert_int_equal(job_filter_set_since(&filter, span_of("yesterday"), NOW, &err),
                     ERR_INVALID_PARAMETER);
    assert_string_equal(err.field, "since");
}

static bool fits_labels(const char *first, const char *second)
{
    struct job_filter filter = any();
    struct job_record record = job(JOB_RUNNING);
    struct err err;
    assert_int_equal(job_filter_add_label(&filter, span_of(first), &err), ERR_OK);
    if (second)
        assert_int_equal(job_filter_add_label(&filter, span_of(second), &err), ERR_OK);
    assert_true(job_filter_looks_inside(&filter));
    return job_filter_fits(&filter, &record, NOW);
}

static void test_labels(void **state)
{
    (void)state;
    struct err err;
    assert_true(fits_labels("team=red", NULL));
    assert_true(fits_labels("team", "run=a=b"));
    assert_false(fits_labels("team=re", NULL));
    assert_false(fits_labels("team=", NULL));
    assert_false(fits_labels("tea", NULL));
    assert_false(fits_labels("team=red", "run=a"));
    struct job_filter filter = any();
    assert_int_equal(job_filter_add_label(&filter, span_of(""), &err), ERR_INVALID_PARAMETER);
    assert_int_equal(job_filter_add_label(&filter, span_of("=red"), &err), ERR_INVALID_PARAMETER);
    for (int i = 0; i < JOB_FILTER_LABELS_MAX; i++)
        assert_int_equal(job_filter_add_label(&filter, span_of("a=b"), &err), ERR_OK);
    assert_int_equal(job_filter_add_label(&filter, span_of("a=b"), &err), ERR_INVALID_PARAMETER);
    assert_string_equal(err.field, "label");
}

static void test_a_place_is_what_it_was(void **state)
{
    (void)state;
    struct job_place place = { .created_at_ms = NOW }, again;
    char text[JOB_PLACE_TEXT_SIZE];
    for (size_t i = 0; i < ID_IDENTITY_BYTES; i++)
        place.id.bytes[i] = (uint8_t)(17 * i);
    job_place_text(&place, text);
    assert_string_equal(text, "1800000000000-00112233445566778899aabb");
    assert_true(job_place_parse(span_of(text), &again));
    assert_int_equal(again.created_at_ms, NOW);
    assert_true(id_same(&again.id, &place.id));
    static const char *const wrong[] = {
        "",
        "-",
        "1",
        "1-",
        "-00112233445566778899aabb",
        "1-00112233445566778899aab",
        "1-00112233445566778899aabbc",
        "1-00112233445566778899aabx",
        "+1-00112233445566778899aabb",
        "1234567890123456-00112233445566778899aabb",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(job_place_parse(span_of(wrong[i]), &again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_a_scheduled_job_whose_time_has_come),
        cmocka_unit_test(test_tenant_type_and_time),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_a_place_is_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
