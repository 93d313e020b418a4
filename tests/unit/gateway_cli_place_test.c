/* Places in a log as people write them. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cli/place.h"

#define NOW_MS ((int64_t)1790000000000)

static void test_what_may_be_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct place place;
    } good[] = {
        { "start", { .kind = PLACE_START, .value = 0 } },
        { "end", { .kind = PLACE_END, .value = 0 } },
        { "0", { .kind = PLACE_OFFSET, .value = 0 } },
        { "42", { .kind = PLACE_OFFSET, .value = 42 } },
        { "+10", { .kind = PLACE_FORWARD, .value = 10 } },
        { "-10", { .kind = PLACE_BACK, .value = 10 } },
        { "@1760000000", { .kind = PLACE_TIME, .value = 1760000000000 } },
        { "@1760000000001", { .kind = PLACE_TIME, .value = 1760000000001 } },
        { "@2026-02-14T08:00:00Z", { .kind = PLACE_TIME, .value = 1771056000000 } },
        { "@2026-02-14", { .kind = PLACE_TIME, .value = 1771027200000 } },
        { "@-1h", { .kind = PLACE_TIME, .value = NOW_MS - 3600000 } },
        { "@-PT5M", { .kind = PLACE_TIME, .value = NOW_MS - 300000 } },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct place place;
        assert_true(place_parse(span_of(good[i].text), NOW_MS, &place));
        assert_int_equal(place.kind, good[i].place.kind);
        assert_int_equal(place.value, good[i].place.value);
    }
}

static void test_places_of_some_partitions(void **state)
{
    (void)state;
    struct place place;
    assert_true(place_parse_each(span_of("0:42,3:17"), NOW_MS, &place));
    assert_int_equal(place.kind, PLACE_EACH);
    assert_int_equal(place_each(&place, 0), 42);
    assert_int_equal(place_each(&place, 3), 17);
    assert_int_equal(place_each(&place, 1), -1);
    assert_true(place_parse_each(span_of("-10"), NOW_MS, &place));
    assert_int_equal(place.kind, PLACE_BACK);
    static const char *const bad[] = { "",    "0:",   ":1",      "0:1,", ",0:1", "0:1,2",   "a:1",
                                       "0:x", "0:-1", "0:1;1:2", "0 :1", "0:1 ", "0:1,,1:1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(place_parse_each(span_of(bad[i]), NOW_MS, &place));
    assert_false(place_parse(span_of("0:42"), NOW_MS, &place));
}

static void test_what_may_not(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "-",
                                       "+",
                                       "@",
                                       "@-",
                                       "4 2",
                                       "-x",
                                       "1e3",
                                       "beginning",
                                       "@now",
                                       "--1",
                                       "9999999999999999999",
                                       "@2026-02-30",
                                       "@2026-2-144" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct place place;
        assert_false(place_parse(span_of(bad[i]), NOW_MS, &place));
    }
}

static int64_t at(struct place place, int64_t from, int64_t at_time)
{
    return place_offset(&place, 100, 200, from, at_time);
}

static void test_a_place_is_within_its_log(void **state)
{
    (void)state;
    assert_int_equal(at((struct place){ .kind = PLACE_START, .value = 0 }, -1, -1), 100);
    assert_int_equal(at((struct place){ .kind = PLACE_END, .value = 0 }, -1, -1), 200);
    assert_int_equal(at((struct place){ .kind = PLACE_OFFSET, .value = 150 }, -1, -1), 150);
    assert_int_equal(at((struct place){ .kind = PLACE_OFFSET, .value = 7 }, -1, -1), 100);
    assert_int_equal(at((struct place){ .kind = PLACE_OFFSET, .value = 700 }, -1, -1), 200);
    assert_int_equal(at((struct place){ .kind = PLACE_FORWARD, .value = 5 }, 150, -1), 155);
    assert_int_equal(at((struct place){ .kind = PLACE_BACK, .value = 5 }, 150, -1), 145);
    assert_int_equal(at((struct place){ .kind = PLACE_BACK, .value = 500 }, 150, -1), 100);
    assert_int_equal(at((struct place){ .kind = PLACE_BACK, .value = 5 }, -1, -1), -1);
    assert_int_equal(at((struct place){ .kind = PLACE_TIME, .value = 1 }, -1, 170), 170);
    assert_int_equal(at((struct place){ .kind = PLACE_TIME, .value = 1 }, -1, -1), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_may_be_written),
        cmocka_unit_test(test_places_of_some_partitions),
        cmocka_unit_test(test_what_may_not),
        cmocka_unit_test(test_a_place_is_within_its_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
