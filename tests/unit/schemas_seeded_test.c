/* The picks are part of what demonstrations and replays show: they must be the same on every
 * machine, so some of them are written down here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/seeded.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_same_seed_and_text_pick_the_same(void **state)
{
    (void)state;
    struct seeded a;
    struct seeded b;
    seeded_init(&a, 7);
    seeded_init(&b, 7);
    seeded_mix(&a, span_of("quote"));
    seeded_mix(&b, span_of("quote"));
    for (int i = 0; i < 100; i++)
        assert_true(seeded_next(&a) == seeded_next(&b));
}

static void the_generator_is_splitmix64(void **state)
{
    (void)state;
    /* The first outputs of the reference implementation for seed 0. */
    struct seeded seeded = { .state = 0 };
    assert_true(seeded_next(&seeded) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(seeded_next(&seeded) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(seeded_next(&seeded) == UINT64_C(0x06c45d188009454f));
}

static uint64_t first(uint64_t seed, const char *one, const char *two)
{
    struct seeded seeded;
    seeded_init(&seeded, seed);
    seeded_mix(&seeded, span_of(one));
    seeded_mix(&seeded, span_of(two));
    return seeded_next(&seeded);
}

static void seed_text_and_where_a_text_ends_matter(void **state)
{
    (void)state;
    assert_true(first(1, "ab", "c") != first(2, "ab", "c"));
    assert_true(first(1, "ab", "c") != first(1, "ab", "d"));
    assert_true(first(1, "ab", "c") != first(1, "a", "bc"));
    assert_true(first(1, "", "abc") != first(1, "abc", ""));
}

static void all_of_a_range_is_picked_about_as_often(void **state)
{
    (void)state;
    int counts[10] = { 0 };
    struct seeded seeded;
    seeded_init(&seeded, 42);
    for (int i = 0; i < 10000; i++) {
        uint32_t pick = seeded_below(&seeded, 10);
        assert_true(pick < 10);
        counts[pick]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    for (int i = 0; i < 10; i++)
        assert_int_equal(seeded_below(&seeded, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_and_text_pick_the_same),
        cmocka_unit_test(the_generator_is_splitmix64),
        cmocka_unit_test(seed_text_and_where_a_text_ends_matter),
        cmocka_unit_test(all_of_a_range_is_picked_about_as_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
