/* Which names are of a kind of process. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/process_name.h"

static void test_a_kind_and_its_processes(void **state)
{
    (void)state;
    static const char *const of_it[] = { "worker", "worker-1", "worker-999" };
    static const char *const others[] = { "",        "work",     "workers",
                                          "worker-", "worker-x", "worker-1x",
                                          "worker1", "a-worker", "worker-1000" };
    for (size_t i = 0; i < sizeof of_it / sizeof *of_it; i++)
        assert_true(process_name_is_of(span_of(of_it[i]), "worker"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(process_name_is_of(span_of(others[i]), "worker"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kind_and_its_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
