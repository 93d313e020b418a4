/* The time in a zone: offsets, and the seconds around the changes of clocks, as the zones' laws
 * have them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/answers.h"
#include "infra/simulator/answers_data.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_local(const char *zone, const char *at, const char *local, const char *offset)
{
    struct buf answer = BUF_INIT(4096);
    struct buf wanted = BUF_INIT(4096);
    struct err err = { 0 };
    if (answers_time(span_of(zone), span_of(at), &answer, &err))
        fail_msg("%s", err.text);
    buf_printf(&wanted, "\"local\":\"%s\"", local);
    if (!strstr(answer.data, wanted.data))
        fail_msg("%s is not in %s", wanted.data, answer.data);
    buf_reset(&wanted);
    buf_printf(&wanted, "\"utc_offset\":\"%s\",\"daylight_saving_rule\"", offset);
    if (!strstr(answer.data, wanted.data))
        fail_msg("%s is not in %s", wanted.data, answer.data);
    buf_free(&answer);
    buf_free(&wanted);
}

static void europe_changes_at_one_utc(void **state)
{
    (void)state;
    expect_local("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:59:59.000", "+01:00");
    expect_local("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00.000", "+02:00");
    expect_local("Europe/Berlin", "2026-10-25T00:59:59Z", "2026-10-25T02:59:59.000", "+02:00");
    expect_local("Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00.000", "+01:00");
    expect_local("Europe/Lisbon", "2026-07-01T12:00:00Z", "2026-07-01T13:00:00.000", "+01:00");
    expect_local("europe/athens", "2026-07-01T12:00:00Z", "2026-07-01T15:00:00.000", "+03:00");
}

static void america_changes_at_two_local(void **state)
{
    (void)state;
    expect_local("America/New_York", "2026-03-08T06:59:59Z", "2026-03-08T01:59:59.000", "-05:00");
    expect_local("America/New_York", "2026-03-08T07:00:00Z", "2026-03-08T03:00:00.000", "-04:00");
    expect_local("America/New_York", "2026-11-01T05:59:59Z", "2026-11-01T01:59:59.000", "-04:00");
    expect_local("America/New_York", "2026-11-01T06:00:00Z", "2026-11-01T01:00:00.000", "-05:00");
    expect_local("America/St_Johns", "2026-12-01T00:00:00Z", "2026-11-30T20:30:00.000", "-03:30");
}

static void summer_spans_the_new_year_in_the_south(void **state)
{
    (void)state;
    expect_local("Australia/Sydney", "2026-01-01T00:00:00Z", "2026-01-01T11:00:00.000", "+11:00");
    expect_local("Australia/Sydney", "2026-04-04T15:59:59Z", "2026-04-05T02:59:59.000", "+11:00");
    expect_local("Australia/Sydney", "2026-04-04T16:00:00Z", "2026-04-05T02:00:00.000", "+10:00");
    expect_local("Australia/Sydney", "2026-10-03T15:59:59Z", "2026-10-04T01:59:59.000", "+10:00");
    expect_local("Australia/Sydney", "2026-10-03T16:00:00Z", "2026-10-04T03:00:00.000", "+11:00");
    expect_local("Pacific/Auckland", "2026-09-26T13:59:59Z", "2026-09-27T01:59:59.000", "+12:00");
    expect_local("Pacific/Auckland", "2026-09-26T14:00:00Z", "2026-09-27T03:00:00.000", "+13:00");
    /* new year there is still last year in UTC */
    expect_local("Pacific/Auckland", "2025-12-31T23:00:00Z", "2026-01-01T12:00:00.000", "+13:00");
}

static void other_zones_never_change(void **state)
{
    (void)state;
    expect_local("Asia/Kolkata", "2026-07-01T00:00:00.250Z", "2026-07-01T05:30:00.250", "+05:30");
    expect_local("Asia/Kathmandu", "2026-01-01T00:00:00Z", "2026-01-01T05:45:00.000", "+05:45");
    expect_local("UTC", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000", "+00:00");
    expect_local("Pacific/Honolulu", "2026-07-01T12:00:00+02:00", "2026-07-01T00:00:00.000",
                 "-10:00");
}

static void without_an_instant_the_rules_are_told(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    assert_int_equal(answers_time(span_of("Europe/Berlin"), span_of(""), &answer, NULL), ERR_OK);
    assert_string_equal(
        answer.data,
        "{\"zone\":\"Europe/Berlin\",\"utc_offset\":\"+01:00\",\"daylight_saving_rule\":"
        "{\"utc_offset\":\"+02:00\",\"from\":\"last Sunday in March, 01:00 UTC\","
        "\"until\":\"last Sunday in October, 01:00 UTC\"}}");
    buf_reset(&answer);
    assert_int_equal(answers_time(span_of("Asia/Tokyo"), span_of(""), &answer, NULL), ERR_OK);
    assert_string_equal(
        answer.data,
        "{\"zone\":\"Asia/Tokyo\",\"utc_offset\":\"+09:00\",\"daylight_saving_rule\":null}");
    buf_free(&answer);
}

static void all_zones_answer_on_every_day_of_a_leap_year(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    struct buf at = BUF_INIT(64);
    for (size_t i = 0; i < answers_data_zone_count; i++) {
        for (int month = 1; month <= 12; month++) {
            buf_reset(&at);
            buf_reset(&answer);
            buf_printf(&at, "2028-%02d-29T12:00:00Z", month);
            assert_int_equal(
                answers_time(span_of(answers_data_zones[i].name), buf_span(&at), &answer, NULL),
                ERR_OK);
        }
    }
    buf_free(&answer);
    buf_free(&at);
}

static void an_instant_must_be_one(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    struct err err = { 0 };
    assert_int_equal(answers_time(span_of("UTC"), span_of("noon"), &answer, &err),
                     ERR_INVALID_PARAMETER);
    assert_string_equal(err.field, "at");
    assert_int_equal(answer.size, 0);
    buf_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(europe_changes_at_one_utc),
        cmocka_unit_test(america_changes_at_two_local),
        cmocka_unit_test(summer_spans_the_new_year_in_the_south),
        cmocka_unit_test(other_zones_never_change),
        cmocka_unit_test(without_an_instant_the_rules_are_told),
        cmocka_unit_test(all_zones_answer_on_every_day_of_a_leap_year),
        cmocka_unit_test(an_instant_must_be_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
