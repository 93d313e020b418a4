/* What a client prefers, and what is no such thing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/prefer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_wait_is_found_among_preferences(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int64_t ms; /* -1: none */
    } cases[] = {
        { "wait=10", 10000 },
        { "Wait = 10", 10000 },
        { "respond-async, wait=10", 10000 },
        { "respond-async,wait=\"10\";x=y", 10000 },
        { "wait=0", 0 },
        { "wait=1, wait=2", 1000 },
        { "foo=\"a, wait=5\"", -1 },
        { "foo=\"a\\\", wait=5\", wait=7", 7000 },
        { "foo; wait=5", -1 },
        { "nowait=5", -1 },
        { "wait", -1 },
        { "wait=", -1 },
        { "wait=\"\"", -1 },
        { "wait=1.5", -1 },
        { "wait=-1", -1 },
        { "wait=x, wait=2", -1 },
        { "wait=999999999", INT64_C(999999999000) },
        { "wait=9999999999", -1 },
        { "", -1 },
        { ",;=,", -1 },
        { "\"wait=5", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = -1;
        bool found = prefer_wait_ms(span_of(cases[i].header), &ms);
        assert_int_equal(ms, cases[i].ms);
        assert_int_equal(found, cases[i].ms >= 0);
    }
    int64_t ms = 7;
    assert_false(prefer_wait_ms((struct span){ 0 }, &ms));
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_found_among_preferences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
