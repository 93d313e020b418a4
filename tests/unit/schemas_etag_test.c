/* Which entity tags say that the client has what it asks for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_tag_is_found_in_a_list_however_weak(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool matches;
    } cases[] = {
        { "\"7\"", true },
        { "*", true },
        { "W/\"7\"", true },
        { "\"6\", \"7\"", true },
        { "W/\"6\",W/\"7\" , \"8\"", true },
        { ", ,\t\"7\",", true },
        { "\"a,b\", \"7\"", true },
        { "\"7\" rubbish", true },
        { "\"6\"", false },
        { "\"77\"", false },
        { "\"\"", false },
        { "7", false },
        { "w/\"7\"", false },
        { "W/ \"7\"", false },
        { "\"6, \"7\"", false },
        { "6, \"7\"", false },
        { "\"7", false },
        { "\"", false },
        { "W/", false },
        { "W", false },
        { "*, \"7\"", false },
        { " , ", false },
        { "", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (etag_matches(span_of(cases[i].header), "\"7\"") != cases[i].matches)
            fail_msg("%s", cases[i].header);
    }
    assert_false(etag_matches((struct span){ 0 }, "\"7\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_found_in_a_list_however_weak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
