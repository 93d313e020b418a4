/* Finding the one that crashes, for every size and place: only it is found, in few rounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/suspect_split.h"
#include "schemas/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMBERS_MAX  70
#define CHILDREN_MAX 4

struct member {
    struct suspect suspect; /* first */
    bool crashes, finished, found;
};

struct world {
    struct split *split;
    struct member members[MEMBERS_MAX];
    size_t count;
    struct split_group *running[CHILDREN_MAX];
    size_t running_count;
    size_t deaths, most_at_once;
};

static void add(struct world *world, bool crashes)
{
    struct member *member = &world->members[world->count++];
    *member = (struct member){ .crashes = crashes };
    (void)split_add(world->split, &member->suspect);
}

static void start_all(struct world *world)
{
    struct split_group *group;
    while ((group = split_next(world->split))) {
        assert_in_range(world->running_count, 0, CHILDREN_MAX - 1);
        world->running[world->running_count++] = group;
    }
    if (world->running_count > world->most_at_once)
        world->most_at_once = world->running_count;
    assert_int_equal(split_running(world->split), world->running_count);
}

static struct member *crasher_in(const struct split_group *group)
{
    for (struct suspect *suspect = group->first; suspect; suspect = suspect->next) {
        struct member *member = (struct member *)suspect;
        if (member->crashes)
            return member;
    }
    return NULL;
}

static void finish(struct world *world, struct member *member)
{
    member->finished = true;
    split_finished(world->split, &member->suspect);
}

/* The child dies of its crasher after `first` of the others have finished, or ends when all have.
 */
static void run_child(struct world *world, struct split_group *group, size_t first)
{
    const struct member *crasher = crasher_in(group);
    struct suspect *next;
    for (struct suspect *suspect = group->first; suspect; suspect = next) {
        next = suspect->next;
        struct member *member = (struct member *)suspect;
        if (crasher && (member->crashes || first == 0))
            continue;
        first -= crasher != NULL;
        finish(world, member);
    }
    world->deaths += crasher != NULL;
    struct suspect *found =
        split_ended(world->split, group, crasher ? SPLIT_SIGNAL : SPLIT_RETIRED);
    if (found) {
        assert_ptr_equal(found, &crasher->suspect);
        assert_int_equal(found->deaths_alone, 2);
        assert_int_equal(found->signals_alone, 2);
        ((struct member *)found)->found = true;
    }
}

static void run_world(struct world *world, size_t first)
{
    for (start_all(world); world->running_count; start_all(world)) {
        struct split_group *group = world->running[0];
        for (size_t i = 1; i < world->running_count; i++)
            world->running[i - 1] = world->running[i];
        world->running_count--;
        run_child(world, group, first);
    }
}

static size_t log2_up(size_t n)
{
    size_t bits = 0;
    while (((size_t)1 << bits) < n)
        bits++;
    return bits;
}

static void check(struct world *world, size_t crashers)
{
    for (size_t i = 0; i < world->count; i++) {
        const struct member *member = &world->members[i];
        assert_int_equal(member->found, member->crashes);
        assert_int_equal(member->finished, !member->crashes);
    }
    assert_in_range(world->deaths, crashers * 2, crashers * (log2_up(world->count) + 4));
    assert_int_equal(split_running(world->split), 0);
    split_free(world->split);
}

/* proves P-38d */
static void only_the_one_that_crashes_is_found_wherever_it_is(void **state)
{
    (void)state;
    static const size_t firsts[] = { 0, 1, 5, MEMBERS_MAX };
    for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
        for (size_t n = 1; n <= MEMBERS_MAX; n++) {
            for (size_t crasher = 0; crasher < n; crasher++) {
                struct world world = { .split = split_new(CHILDREN_MAX) };
                for (size_t i = 0; i < n; i++)
                    add(&world, i == crasher);
                run_world(&world, firsts[f]);
                check(&world, 1);
            }
        }
    }
}

static void two_that_crash_are_both_found(void **state)
{
    (void)state;
    for (size_t a = 0; a < MEMBERS_MAX; a++) {
        for (size_t b = a + 1; b < MEMBERS_MAX; b++) {
            struct world world = { .split = split_new(CHILDREN_MAX) };
            for (size_t i = 0; i < MEMBERS_MAX; i++)
                add(&world, i == a || i == b);
            run_world(&world, 2);
            check(&world, 2);
        }
    }
}

static void nobody_is_found_when_nothing_crashes(void **state)
{
    (void)state;
    struct world world = { .split = split_new(CHILDREN_MAX) };
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        add(&world, false);
    run_world(&world, 0);
    assert_int_equal(world.most_at_once, 1);
    check(&world, 0);
}

/* proves P-38c */
static void halves_run_beside_each_other_and_new_suspects_beside_them(void **state)
{
    (void)state;
    struct world world = { .split = split_new(CHILDREN_MAX) };
    for (size_t i = 0; i < 8; i++)
        add(&world, i == 3);
    start_all(&world);
    struct split_group *first = world.running[--world.running_count];
    run_child(&world, first, 0);
    start_all(&world);
    assert_int_equal(world.running_count, 2);
    add(&world, false);
    start_all(&world);
    assert_int_equal(world.running_count, 3);
    assert_true(world.running[2]->open);
    run_world(&world, 0);
    check(&world, 1);
}

static void one_child_is_kept_for_new_suspects(void **state)
{
    (void)state;
    struct world world = { .split = split_new(2) };
    for (size_t i = 0; i < 8; i++)
        add(&world, i == 3);
    start_all(&world);
    world.running_count = 0;
    run_child(&world, world.running[0], 0);
    start_all(&world);
    assert_int_equal(world.running_count, 1);
    add(&world, false);
    start_all(&world);
    assert_int_equal(world.running_count, 2);
    assert_true(world.running[1]->open);
    run_world(&world, 0);
    check(&world, 1);
}

/* A child that was killed by us, or by want of memory, before it could begin speaks against nobody.
 */
static void a_child_that_never_began_leaves_its_group_whole(void **state)
{
    (void)state;
    struct world world = { .split = split_new(CHILDREN_MAX) };
    add(&world, false);
    for (int i = 0; i < 5; i++) {
        struct split_group *group = split_next(world.split);
        assert_non_null(group);
        assert_null(split_ended(world.split, group, SPLIT_UNBEGUN));
    }
    assert_ptr_equal(split_waiting(world.split), &world.members[0].suspect);
    run_world(&world, 0);
    check(&world, 0);
}

static void one_that_had_company_is_not_found_by_that(void **state)
{
    (void)state;
    struct split *split = split_new(2);
    struct suspect a = { 0 }, b = { 0 };
    (void)split_add(split, &a);
    (void)split_add(split, &b);
    struct split_group *group = split_next(split);
    split_finished(split, &a);
    assert_null(split_ended(split, group, SPLIT_SIGNAL)); /* `a` may have done it */
    assert_int_equal(b.deaths_alone, 0);
    assert_null(split_ended(split, split_next(split), SPLIT_EXIT));
    assert_ptr_equal(split_ended(split, split_next(split), SPLIT_SIGNAL), &b);
    assert_int_equal(b.deaths_alone, 2);
    assert_int_equal(b.signals_alone, 1);
    assert_null(split_next(split));
    split_free(split);
}

static void one_that_leaves_a_waiting_group_takes_the_group_with_it(void **state)
{
    (void)state;
    struct split *split = split_new(2);
    struct suspect suspects[4] = { 0 };
    for (size_t i = 0; i < 4; i++)
        (void)split_add(split, &suspects[i]);
    assert_null(split_ended(split, split_next(split), SPLIT_SIGNAL));
    struct suspect *waiting;
    size_t count = 0;
    while ((waiting = split_waiting(split))) {
        split_finished(split, waiting);
        count++;
    }
    assert_int_equal(count, 4);
    assert_null(split_next(split));
    split_free(split);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_one_that_crashes_is_found_wherever_it_is),
        cmocka_unit_test(two_that_crash_are_both_found),
        cmocka_unit_test(nobody_is_found_when_nothing_crashes),
        cmocka_unit_test(halves_run_beside_each_other_and_new_suspects_beside_them),
        cmocka_unit_test(one_child_is_kept_for_new_suspects),
        cmocka_unit_test(a_child_that_never_began_leaves_its_group_whole),
        cmocka_unit_test(one_that_had_company_is_not_found_by_that),
        cmocka_unit_test(one_that_leaves_a_waiting_group_takes_the_group_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
