/* Which words are near enough to be suggested.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/suggest.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const char *const words[] = {
    "type", "payload", "labels", "max_age", "retention", "", "in_flight", "a", "status", "state",
};

static void expect(const char *word, const char *expected)
{
    const char *nearest = suggest_nearest(span_of(word), words, COUNT(words));
    if (!nearest != !expected || (nearest && strcmp(nearest, expected) != 0))
        fail_msg("\"%s\" suggests %s", word, nearest ? nearest : "nothing");
}

static void test_each_kind_of_slip(void **state)
{
    (void)state;
    expect("typ", "type");        /* missing */
    expect("typee", "type");      /* too many */
    expect("tipe", "type");       /* wrong */
    expect("ytpe", "type");       /* swapped */
    expect("payload", "payload"); /* none */
    expect("Payload", "payload");
    expect("paylaod", "payload");
    expect("retnetoin", "retention"); /* two swaps in nine letters */
}

static void test_what_is_too_far(void **state)
{
    (void)state;
    expect("tyqqe", NULL);
    expect("colour", NULL);
    expect("b", NULL); /* no letter in common with "a" */
    expect("", NULL);
    expect("lables!", "labels");
    expect("lebals!", NULL);
}

static void test_the_nearest_wins_and_the_first_of_equals(void **state)
{
    (void)state;
    expect("statu", "status");
    expect("stat", "state");
    static const char *const equals[] = { "cat", "bat", "rat", "hat" };
    assert_string_equal(suggest_nearest(span_of("zat"), equals, COUNT(equals)), "cat");
    assert_null(suggest_nearest(span_of("cat"), NULL, 0));
}

static void test_long_words_are_not_compared(void **state)
{
    (void)state;
    char longest[98];
    memset(longest, 'x', sizeof longest);
    longest[97] = '\0';
    const char *const candidates[] = { longest, longest + 1 };
    assert_null(suggest_nearest(span_of(longest), candidates, 2));
    assert_ptr_equal(suggest_nearest(span_of(longest + 1), candidates, 2), longest + 1);
    assert_ptr_equal(suggest_nearest(span_of(longest + 2), candidates, 2), longest + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_of_slip),
        cmocka_unit_test(test_what_is_too_far),
        cmocka_unit_test(test_the_nearest_wins_and_the_first_of_equals),
        cmocka_unit_test(test_long_words_are_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
