/* Which faults excuse a repeated call, and which do not. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/verify_world.h"

#include <stdlib.h>

static void test_a_fault_excuses_what_was_open_and_nothing_else(void **state)
{
    (void)state;
    struct world *world = world_new();
    int job = world_add(world, WORLD_FAILED); /* called at 21, its outcome at 100 */
    world_call_again(world, job);
    int64_t t = world->lines[0].line.begin_ms;
    struct world_line *fault = &world->lines[world->line_count++];
    *fault = (struct world_line){ .line = { .kind = HISTORY_FAULT, .what = span_of("kill") },
                                  .job = -1 };
    static const struct {
        int64_t at;
        bool excuses;
    } cases[] = { { 5, false }, { 11, true }, { 60, true }, { 105, true }, { 106, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t j = 0; j < world->line_count; j++) {
            if (world->lines[j].line.kind == HISTORY_FAULT)
                world->lines[j].line.begin_ms = t + cases[i].at;
        }
        struct verify_judge *judge = world_judge(world);
        assert_int_equal(verify_judge_counts(judge)->findings, !cases[i].excuses);
        assert_int_equal(verify_judge_counts(judge)->bound, cases[i].excuses);
        assert_int_equal(verify_judge_counts(judge)->repeats, 1);
        verify_judge_free(judge);
    }
    free(world);
}

static void test_a_fault_of_those_who_call_nobody_excuses_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool excuses;
    } cases[] = {
        { "slow", false },
        { "", true },
        { "worker-1", true },
        { "everything", true },
        { "gateway-1+worker-2", true },
        { "gatewayish", true },
        { "broker", true },
        { "gateway-1", false },
        { "recorder-1+delayer-1", false },
        { "delayer", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *world = world_new();
        int job = world_add(world, WORLD_FAILED);
        world_call_again(world, job);
        struct world_line *fault = &world->lines[world->line_count++];
        *fault = (struct world_line){ .line = { .kind = HISTORY_FAULT,
                                                .what = span_of(i ? "kill" : "third-party"),
                                                .name = span_of(cases[i].name),
                                                .begin_ms = world->lines[0].line.begin_ms + 60 },
                                      .job = -1 };
        struct verify_judge *judge = world_judge(world);
        assert_int_equal(verify_judge_counts(judge)->bound, cases[i].excuses);
        assert_int_equal(verify_judge_counts(judge)->findings, !cases[i].excuses);
        assert_int_equal(verify_judge_counts(judge)->faults, 1);
        verify_judge_free(judge);
        free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fault_excuses_what_was_open_and_nothing_else),
        cmocka_unit_test(test_a_fault_of_those_who_call_nobody_excuses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
