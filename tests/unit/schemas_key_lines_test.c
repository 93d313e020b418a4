/* Lines by key against a naive model with random operations, and what they cost with many keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/key_lines.h"
#include "schemas/mem.h"
#include "schemas/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PLACES 2000

static const uint8_t secret[SIPHASH_SECRET_SIZE] = { 9, 8, 7, 6, 5, 4, 3, 2, 1 };

/* The model: everybody in one line, in the order of joining; first of a key is the first found. */
struct waiter {
    struct key_place place;
    char key[16];
    bool waits;
};

struct model {
    struct waiter waiters[PLACES];
    size_t count;
};

static struct waiter *first_of(struct model *model, const char *key)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->waiters[i].waits && strcmp(model->waiters[i].key, key) == 0)
            return &model->waiters[i];
    }
    return NULL;
}

static size_t keys_of(struct model *model)
{
    size_t keys = 0;
    for (size_t i = 0; i < model->count; i++)
        keys +=
            model->waiters[i].waits && first_of(model, model->waiters[i].key) == &model->waiters[i];
    return keys;
}

static void join(struct key_lines *lines, struct model *model, uint32_t key)
{
    struct waiter *waiter = &model->waiters[model->count++];
    snprintf(waiter->key, sizeof waiter->key, "key-%u", key);
    bool alone = !first_of(model, waiter->key);
    waiter->waits = true;
    waiter->place.key = span_of(waiter->key);
    waiter->place.owner = waiter;
    assert_int_equal(key_lines_join(lines, &waiter->place), alone);
}

static void leave(struct key_lines *lines, struct model *model, struct waiter *waiter)
{
    bool was_first = first_of(model, waiter->key) == waiter;
    waiter->waits = false;
    struct waiter *expected = was_first ? first_of(model, waiter->key) : NULL;
    const struct key_place *next = key_lines_leave(lines, &waiter->place);
    assert_ptr_equal(next ? next->owner : NULL, expected);
}

/* One of those who wait: the first of a key, or now and then one out of the middle. */
static struct waiter *pick(struct model *model, struct seeded *random)
{
    size_t from = seeded_below(random, (uint32_t)model->count);
    for (size_t i = 0; i < model->count; i++) {
        struct waiter *waiter = &model->waiters[(from + i) % model->count];
        if (waiter->waits)
            return seeded_below(random, 4) ? first_of(model, waiter->key) : waiter;
    }
    return NULL;
}

static void run_one(uint64_t seed)
{
    struct seeded random;
    seeded_init(&random, seed);
    struct model *model = MEM_NEW(*model);
    struct key_lines *lines = key_lines_new(secret);
    uint32_t keys = 1 + seeded_below(&random, 200);
    uint32_t eagerness = 1 + seeded_below(&random, 9);
    for (size_t step = 0; step < 500; step++) {
        struct waiter *waiter = NULL;
        if (model->count && seeded_below(&random, 10) < eagerness)
            waiter = pick(model, &random);
        if (waiter)
            leave(lines, model, waiter);
        else
            join(lines, model, seeded_below(&random, keys));
        if (step % 16 == 0)
            assert_int_equal(key_lines_count(lines), keys_of(model));
    }
    for (struct waiter *waiter; (waiter = pick(model, &random)) != NULL;)
        leave(lines, model, waiter);
    assert_int_equal(key_lines_count(lines), 0);
    key_lines_free(lines);
    free(model);
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++)
        run_one(seed);
}

static void a_line_goes_in_the_order_of_joining(void **state)
{
    (void)state;
    struct key_lines *lines = key_lines_new(secret);
    struct key_place places[5] = { 0 };
    for (size_t i = 0; i < 5; i++) {
        places[i].key = span_of("account");
        assert_int_equal(key_lines_join(lines, &places[i]), i == 0);
    }
    assert_null(key_lines_leave(lines, &places[2]));
    assert_null(key_lines_leave(lines, &places[4]));
    assert_ptr_equal(key_lines_leave(lines, &places[0]), &places[1]);
    assert_false(key_lines_join(lines, &places[0]));
    assert_ptr_equal(key_lines_leave(lines, &places[1]), &places[3]);
    assert_ptr_equal(key_lines_leave(lines, &places[3]), &places[0]);
    assert_null(key_lines_leave(lines, &places[0]));
    key_lines_free(lines);
}

/* What a job costs is a handful of looks, whether there are a hundred keys or a hundred thousand,
 * and however long a line is. */
static void the_cost_of_a_job_does_not_grow(void **state)
{
    (void)state;
    enum { JOBS = 100000, LOOKS_MAX = 6 };
    static const size_t key_counts[] = { 1, 100, JOBS };
    struct key_place *places = mem_zalloc(JOBS, sizeof *places);
    char(*keys)[16] = mem_zalloc(JOBS, sizeof *keys);
    for (size_t i = 0; i < JOBS; i++)
        snprintf(keys[i], sizeof keys[i], "%zu", i);
    for (size_t n = 0; n < sizeof key_counts / sizeof *key_counts; n++) {
        struct key_lines *lines = key_lines_new(secret);
        for (size_t i = 0; i < JOBS; i++) {
            places[i].key = span_of(keys[i % key_counts[n]]);
            key_lines_join(lines, &places[i]);
        }
        assert_int_equal(key_lines_count(lines), key_counts[n]);
        for (size_t i = 0; i < JOBS; i++)
            key_lines_leave(lines, &places[i]);
        assert_true(key_lines_steps(lines) <= (uint64_t)LOOKS_MAX * JOBS);
        key_lines_free(lines);
    }
    free(keys);
    free(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_the_model),
        cmocka_unit_test(a_line_goes_in_the_order_of_joining),
        cmocka_unit_test(the_cost_of_a_job_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
