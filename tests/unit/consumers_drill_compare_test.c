/* consumers/drill_compare: what two ends of a job mean.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/drill_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct drill_end ended(enum job_state state, const char *code, uint8_t result)
{
    struct drill_end end = { .known = true, .state = state, .result = { result } };
    for (size_t i = 0; code[i]; i++)
        end.code[i] = code[i];
    return end;
}

static void test_verdicts(void **state)
{
    (void)state;
    const struct drill_end good = ended(JOB_SUCCEEDED, "", 1);
    const struct drill_end other = ended(JOB_SUCCEEDED, "", 2);
    const struct drill_end failed = ended(JOB_FAILED, "target_status", 0);
    const struct drill_end refused = ended(JOB_FAILED, "target_rejected", 0);
    const struct drill_end expired = ended(JOB_EXPIRED, "target_status", 0);
    const struct drill_end none = { 0 };
    const struct {
        const struct drill_end *before, *after;
        enum drill_verdict verdict;
    } cases[] = {
        { &good, &good, DRILL_SAME },           { &failed, &failed, DRILL_SAME },
        { &good, &other, DRILL_DIFFERS },       { &failed, &good, DRILL_DIFFERS },
        { &good, &failed, DRILL_NEW_ERROR },    { &failed, &refused, DRILL_NEW_ERROR },
        { &failed, &expired, DRILL_NEW_ERROR }, { &good, &none, DRILL_UNDECIDED },
        { &none, &none, DRILL_UNDECIDED },      { &none, &good, DRILL_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(drill_compare_ends(cases[i].before, cases[i].after), cases[i].verdict);
    assert_string_equal(drill_verdict_text(DRILL_NEW_ERROR), "new_error");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_verdicts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
