/* schemas/where: what a condition says of a job, and what is no condition.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/where.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs what stands above. */
#include <cmocka.h>

static bool fits(const char *text)
{
    static const struct job_label labels[] = {
        { .name = SPAN_LIT("team"), .value = SPAN_LIT("blue") },
    };
    static const char payload[] = "{\"city\":\"Lisbon\",\"days\":3,\"far\":true,\"none\":null,"
                                  "\"list\":[{\"a/b\":1.5}],\"text\":\"this and that\"}";
    const struct job_command command = {
        .facts = { .labels = labels, .label_count = 1, .key = SPAN_LIT("account-17") },
        .payload = { payload, sizeof payload - 1 },
    };
    struct where *where = NULL;
    struct err err;
    assert_int_equal(where_parse(span_of(text), &where, &err), ERR_OK);
    bool answer = where_fits(where, &command);
    where_free(where);
    return answer;
}

static void test_what_is_true(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "/city = Lisbon",
        "/city=\"Lisbon\"",
        "/city != Tokyo",
        "/city ~ isb",
        "/city",
        "/days = 3",
        "/days >= 3",
        "/days < 3.5",
        "/days != 4",
        "/far = true",
        "/none = null",
        "/list/0/a~1b > 1",
        "label.team = blue",
        "label.team",
        "label.other != blue",
        "key ~ account",
        "id ~ -",
        "/gone != 1",
        "/city = Lisbon and /days > 2 and label.team=blue",
        "/text = \"this and that\"",
        "/city < Tokyo",
    };
    static const char *const no[] = {
        "/city = lisbon",     "/gone",
        "/gone = 1",          "/days > 3",
        "/days = \"3\"",      "/far = false",
        "label.team != blue", "label.other",
        "key = account",      "/city = Lisbon and /days > 3",
        "/list = 1",          "/days ~ 3",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!fits(yes[i]))
            fail_msg("should fit: %s", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (fits(no[i]))
            fail_msg("should not fit: %s", no[i]);
    }
}

static void test_what_is_no_condition(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "city = Lisbon",
        "/city =",
        "= 1",
        "/city = \"open",
        "label. = 1",
        "/a = 1 and ",
        "/a = 1 and b = 2",
        "/city == Lisbon",
        "/a = b AND /c = d",
        "/a = b or /c = d",
        "/a = b && /c = d",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct where *where = NULL;
        struct err err;
        if (where_parse(span_of(wrong[i]), &where, &err) != ERR_INVALID_FIELD)
            fail_msg("should be refused: '%s'", wrong[i]);
        assert_non_null(strstr(err.text, "allowed is"));
    }
}

static void test_a_payload_that_is_no_json_has_no_members(void **state)
{
    (void)state;
    const struct job_command command = { .payload = SPAN_LIT("{broken") };
    struct where *where = NULL;
    struct err err;
    assert_int_equal(where_parse(span_of("/a"), &where, &err), ERR_OK);
    assert_false(where_fits(where, &command));
    assert_true(where_fits(NULL, &command));
    where_free(where);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_true),
        cmocka_unit_test(test_what_is_no_condition),
        cmocka_unit_test(test_a_payload_that_is_no_json_has_no_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
