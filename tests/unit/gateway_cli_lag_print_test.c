/* What monitors and people are shown of a look at the lag. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/cli/lag_print.h"
#include "schemas/mem.h"

#include <stdlib.h>

enum { NOW_MS = 9000000 };

static void add_group(struct lag_look *look, const char *name, int64_t committed, int64_t age_ms)
{
    look->groups = mem_resize(look->groups, look->count + 1, sizeof *look->groups);
    struct lag_group *group = &look->groups[look->count++];
    *group = (struct lag_group){ .name = mem_dup_text(name),
                                 .state = "Stable",
                                 .members = 1,
                                 .topics = MEM_NEW(*group->topics),
                                 .count = 1 };
    group->topics[0] = (struct lag_topic){ .name = mem_dup_text("t"),
                                           .partitions = MEM_NEW(struct lag_partition),
                                           .count = 1 };
    group->topics[0].partitions[0] = (struct lag_partition){ .end = 10,
                                                             .committed = committed,
                                                             .oldest = LAG_OLDEST_RECORD,
                                                             .oldest_offset = committed,
                                                             .oldest_ms = NOW_MS - age_ms };
    look->at_ms = NOW_MS;
    lag_judge(look, NULL);
}

static void assert_check(const struct lag_look *look, enum lag_state state, const char *line)
{
    const struct lag_limits limits = { .warn_ms = 30000, .crit_ms = 300000 };
    struct buf text = BUF_INIT(4096);
    assert_int_equal(lag_print_check(look, &limits, &text), state);
    buf_add_char(&text, '\0');
    assert_string_equal(text.data, line);
    buf_free(&text);
}

static void test_a_check_is_about_the_worst_group(void **state)
{
    (void)state;
    struct lag_look *look = MEM_NEW(*look);
    assert_check(look, LAG_STATE_UNKNOWN, "LAG UNKNOWN - there are no groups\n");
    add_group(look, "well", 10, 0);
    assert_check(
        look, LAG_OK,
        "LAG OK - well: 0 records, 0s behind | behind_seconds=0.000;30.000;300.000 lag=0\n");
    add_group(look, "late", 4, 45500);
    add_group(look, "later", 3, 50000);
    assert_check(look, LAG_WARNING,
                 "LAG WARNING - later: 7 records, 50s behind | "
                 "behind_seconds=50.000;30.000;300.000 lag=7\n");
    add_group(look, "unknown", -1, 0);
    assert_check(look, LAG_STATE_UNKNOWN,
                 "LAG UNKNOWN - unknown: lag not known, age of the oldest not known | "
                 "behind_seconds=U;30.000;300.000 lag=U\n");
    add_group(look, "worst", 0, 400000);
    assert_check(look, LAG_CRITICAL,
                 "LAG CRITICAL - worst: 10 records, 6m40s behind | "
                 "behind_seconds=400.000;30.000;300.000 lag=10\n");
    add_group(look, "after it", 10, 0);
    assert_check(look, LAG_CRITICAL,
                 "LAG CRITICAL - worst: 10 records, 6m40s behind | "
                 "behind_seconds=400.000;30.000;300.000 lag=10\n");
    lag_look_free(look);
}

static void assert_table(const struct lag_look *look, enum lag_print_by by, const char *expected)
{
    struct buf text = BUF_INIT(4096);
    struct table *table = lag_print_table(look, by);
    table_render(table, false, &text);
    buf_add_char(&text, '\0');
    assert_string_equal(text.data, expected);
    table_free(table);
    buf_free(&text);
}

static void test_tables_have_dashes_for_what_is_not_known(void **state)
{
    (void)state;
    struct lag_look *look = MEM_NEW(*look);
    add_group(look, "late", 4, 45500);
    add_group(look, "nowhere", -1, 0);
    assert_false(lag_print_is_exact(look));
    assert_table(
        look, LAG_PRINT_TOPIC,
        "GROUP    TOPIC  PART  STATE   LAG  BEHIND  TREND  IN  OUT  DRAIN  LOST  HOW\n"
        "late     t      -     Stable  6    45.5s   -      -   -    -      0     exact\n"
        "nowhere  t      -     Stable  -    -       -      -   -    -      0     unknown\n");
    assert_table(
        look, LAG_PRINT_PARTITION,
        "GROUP    TOPIC  PART  STATE   CURRENT  END  LAG  BEHIND  TREND  IN  OUT  DRAIN  LOST  "
        "HOW      OWNER\n"
        "late     t      0     Stable  4        10   6    45.5s   -      -   -    -      0     "
        "exact    -\n"
        "nowhere  t      0     Stable  -        10   -    -       -      -   -    -      0     "
        "unknown  -\n");
    lag_look_free(look);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_check_is_about_the_worst_group),
        cmocka_unit_test(test_tables_have_dashes_for_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
