/* Times, durations and sizes as text: there and back, and what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/timefmt.h"

#include <inttypes.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define REFUSED     INT64_MIN
#define MINUTE_MS   INT64_C(60000)
#define HOUR_MS     (60 * MINUTE_MS)
#define DAY_MS      (24 * HOUR_MS)

struct expected {
    const char *text;
    int64_t value; /* REFUSED when the text is */
};

static void expect_each(bool (*parse)(struct span text, int64_t *ret_value),
                        const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = REFUSED;
        bool taken = parse(span_of(cases[i].text), &value);
        if (taken != (cases[i].value != REFUSED) || value != cases[i].value)
            fail_msg("\"%s\" gives %" PRId64, cases[i].text, value);
    }
    int64_t value = REFUSED;
    assert_false(parse((struct span){ 0 }, &value));
}

static void test_instants_are_written(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        { "1970-01-01T00:00:00.000Z", 0 },
        { "2026-11-24T01:02:03.004Z", INT64_C(1795482123004) },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "2000-02-29T12:00:00.500Z", INT64_C(951825600500) },
        { "0000-01-01T00:00:00.000Z", INT64_C(-62167219200000) },
        { "0000-01-01T00:00:00.000Z", INT64_MIN },
        { "9999-12-31T23:59:59.999Z", INT64_C(253402300799999) },
        { "9999-12-31T23:59:59.999Z", INT64_MAX },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[TIMEFMT_RFC3339_SIZE];
        timefmt_rfc3339(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_instants_are_read(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        { "2026-11-24T01:02:03.004Z", INT64_C(1795482123004) },
        { "2026-11-24t01:02:03z", INT64_C(1795482123000) },
        { "2026-11-24T02:32:03.0049999999999999999999+01:30", INT64_C(1795482123004) },
        { "2026-11-23T20:02:03.1-05:00", INT64_C(1795482123100) },
        { "2026-11-24T01:02:03.99-00:00", INT64_C(1795482123990) },
        { "1969-12-31T23:59:59.999Z", -1 },
        { "0000-01-01T00:00:00Z", INT64_C(-62167219200000) },
        { "2000-02-29T00:00:00Z", INT64_C(951782400000) },
        { "2016-12-31T23:59:60Z", INT64_C(1483228799999) },
        { "2016-12-31T23:59:60.5Z", INT64_C(1483228799999) },
        { "2017-01-01T05:29:60+05:30", INT64_C(1483228799999) },
        { "2016-12-31T23:58:60Z", REFUSED },
        { "2016-12-31T23:59:60+01:00", REFUSED },
        { "2016-12-31T23:59:61Z", REFUSED },
        { "1900-02-29T00:00:00Z", REFUSED },
        { "2023-02-29T00:00:00Z", REFUSED },
        { "2023-04-31T00:00:00Z", REFUSED },
        { "2023-00-01T00:00:00Z", REFUSED },
        { "2023-13-01T00:00:00Z", REFUSED },
        { "2023-01-00T00:00:00Z", REFUSED },
        { "2023-01-01T24:00:00Z", REFUSED },
        { "2023-01-01T00:60:00Z", REFUSED },
        { "2023-01-01T00:00:00", REFUSED },
        { "2023-01-01T00:00:00.Z", REFUSED },
        { "2023-01-01T00:00:00+24:00", REFUSED },
        { "2023-01-01T00:00:00+00:60", REFUSED },
        { "2023-01-01T00:00:00+0000", REFUSED },
        { "2023-01-01T00:00:00+00", REFUSED },
        { "2023-01-01T00:00:00Zx", REFUSED },
        { "2023-01-01 00:00:00Z", REFUSED },
        { "2023-01-01T00:00Z", REFUSED },
        { "2023-1-01T00:00:00Z", REFUSED },
        { "2023-01-01", REFUSED },
        { "20230101T000000Z", REFUSED },
        { "", REFUSED },
    };
    expect_each(timefmt_parse_rfc3339, cases, COUNT(cases));
}

static void test_every_day_goes_there_and_back(void **state)
{
    (void)state;
    const int64_t step_ms = 97 * DAY_MS + 12345678; /* so that every month and time comes up */
    for (int64_t ms = INT64_C(-62167219200000); ms < INT64_C(253402300800000); ms += step_ms) {
        char text[TIMEFMT_RFC3339_SIZE];
        int64_t again = 0;
        timefmt_rfc3339(ms, text);
        assert_true(timefmt_parse_rfc3339(span_of(text), &again));
        assert_true(again == ms);
    }
}

static void test_http_dates_are_read(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", INT64_C(784111777000) },
        { "Mon, 06 Nov 1994 08:49:37 GMT", INT64_C(784111777000) },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Sat, 31 Dec 2016 23:59:60 GMT", INT64_C(1483228799000) },
        { "Sunday, 06-Nov-94 08:49:37 GMT", REFUSED },
        { "Sun Nov  6 08:49:37 1994", REFUSED },
        { "Sun, 6 Nov 1994 08:49:37 GMT", REFUSED },
        { "Sun, 06 nov 1994 08:49:37 GMT", REFUSED },
        { "Son, 06 Nov 1994 08:49:37 GMT", REFUSED },
        { "Sun, 31 Nov 1994 08:49:37 GMT", REFUSED },
        { "Sun, 06 Nov 1994 08:49:37 UTC", REFUSED },
        { "Sun, 06 Nov 1994 08:49:37 GMT ", REFUSED },
        { "Sun, 06 Nov 1994 08:49:37", REFUSED },
        { "120", REFUSED },
    };
    expect_each(timefmt_parse_http_date, cases, COUNT(cases));
}

static void test_durations_are_read(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        { "250ms", 250 },
        { "5s", 5000 },
        { "2m", 120000 },
        { "1h", HOUR_MS },
        { "7d", 7 * DAY_MS },
        { "1h30m", 90 * MINUTE_MS },
        { "1d12h30m15s250ms", DAY_MS + 12 * HOUR_MS + 30 * MINUTE_MS + 15250 },
        { "1.5s", 1500 },
        { "1.5h", 90 * MINUTE_MS },
        { "1m0.25s", 60250 },
        { "30", 30000 },
        { "0", 0 },
        { "0.25", 250 },
        { "0.0001", 1 }, /* a little is never nothing */
        { "0.333333333333", 334 },
        { "0.1000000000001", 101 },
        { "0.1000000000000", 100 },
        { "106751991167d", INT64_C(106751991167) * DAY_MS },
        { "PT1M30.5S", 90500 },
        { "P1D", DAY_MS },
        { "P2W", 14 * DAY_MS },
        { "P1DT12H", 36 * HOUR_MS },
        { "PT0S", 0 },
        { "PT36H", 36 * HOUR_MS },
        { "106751991168d", REFUSED },
        { "106751991167d24h", REFUSED },
        { "9223372036854775807.5ms", REFUSED },
        { "9223372036854775808ms", REFUSED },
        { "99999999999999999999s", REFUSED },
        { "", REFUSED },
        { "s", REFUSED },
        { "5 s", REFUSED },
        { " 5s", REFUSED },
        { "5s ", REFUSED },
        { "5S", REFUSED },
        { "5sec", REFUSED },
        { "5y", REFUSED },
        { "-5s", REFUSED },
        { "+5s", REFUSED },
        { "1.s", REFUSED },
        { ".5s", REFUSED },
        { "1m1h", REFUSED },
        { "1s1s", REFUSED },
        { "1.5m30s", REFUSED },
        { "1h30", REFUSED },
        { "1e3", REFUSED },
        { "P", REFUSED },
        { "PT", REFUSED },
        { "P1DT", REFUSED },
        { "P1Y", REFUSED },
        { "P1M", REFUSED },
        { "P1H", REFUSED },
        { "PT1D", REFUSED },
        { "PT1S1M", REFUSED },
        { "P1D1W", REFUSED },
        { "P0.5DT1H", REFUSED },
        { "PT1M30", REFUSED },
        { "PT1Mx", REFUSED },
        { "pt1m", REFUSED },
    };
    expect_each(timefmt_parse_duration, cases, COUNT(cases));
}

static void test_durations_are_written(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        { "0s", 0 },
        { "1ms", 1 },
        { "250ms", 250 },
        { "1s", 1000 },
        { "1.5s", 1500 },
        { "1.25s", 1250 },
        { "1.001s", 1001 },
        { "1m", 60000 },
        { "1m5ms", 60005 },
        { "1h30m", 90 * MINUTE_MS },
        { "7d", 7 * DAY_MS },
        { "1d1h1m1.05s", DAY_MS + HOUR_MS + 61050 },
        { "-1.5s", -1500 },
        { "106751991167d7h12m55.807s", INT64_MAX },
        { "-106751991167d7h12m55.808s", INT64_MIN },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out = BUF_INIT(64);
        int64_t again = 0;
        timefmt_duration(cases[i].value, &out);
        assert_string_equal(out.data, cases[i].text);
        if (cases[i].value >= 0) {
            assert_true(timefmt_parse_duration(buf_span(&out), &again));
            assert_true(again == cases[i].value);
        }
        buf_free(&out);
    }
}

static void test_sizes_are_read(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        { "0", 0 },
        { "4096", 4096 },
        { "4096B", 4096 },
        { "64KiB", 65536 },
        { "1MiB", 1048576 },
        { "2GiB", INT64_C(2147483648) },
        { "1TiB", INT64_C(1099511627776) },
        { "10kB", 10000 },
        { "10KB", 10000 },
        { "10MB", 10000000 },
        { "3GB", INT64_C(3000000000) },
        { "1TB", INT64_C(1000000000000) },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775808", REFUSED },
        { "8388608TiB", REFUSED },
        { "", REFUSED },
        { "KiB", REFUSED },
        { "1.5MiB", REFUSED },
        { "-1", REFUSED },
        { "1 MiB", REFUSED },
        { "1M", REFUSED },
        { "1mib", REFUSED },
        { "1MiBs", REFUSED },
    };
    expect_each(timefmt_parse_size, cases, COUNT(cases));
}

static void test_a_time_or_how_long_ago(void **state)
{
    (void)state;
    int64_t ms = 7;
    assert_true(timefmt_parse_since(span_of("1970-01-01T00:00:01Z"), 5000, &ms));
    assert_int_equal(ms, 1000);
    assert_true(timefmt_parse_since(span_of("2s"), 5000, &ms));
    assert_int_equal(ms, 3000);
    assert_true(timefmt_parse_since(span_of("1h"), 5000, &ms));
    assert_int_equal(ms, 0);
    ms = 7;
    assert_false(timefmt_parse_since(span_of("soon"), 5000, &ms));
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instants_are_written),
        cmocka_unit_test(test_instants_are_read),
        cmocka_unit_test(test_every_day_goes_there_and_back),
        cmocka_unit_test(test_http_dates_are_read),
        cmocka_unit_test(test_durations_are_read),
        cmocka_unit_test(test_durations_are_written),
        cmocka_unit_test(test_sizes_are_read),
        cmocka_unit_test(test_a_time_or_how_long_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
