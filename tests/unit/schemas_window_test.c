/* The window against a naive model with random operations. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/mem.h"
#include "schemas/seeded.h"
#include "schemas/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DELIVERIES 3000

/* The model: every delivery ever made, in order. */
struct model {
    int64_t start;
    int64_t offsets[DELIVERIES];
    uint64_t tickets[DELIVERIES];
    bool done[DELIVERIES];
    size_t count;
};

static int64_t model_watermark(const struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        if (!model->done[i])
            return model->offsets[i];
    }
    return model->count ? model->offsets[model->count - 1] + 1 : model->start;
}

static size_t model_open(const struct model *model)
{
    size_t open = 0;
    for (size_t i = 0; i < model->count; i++)
        open += !model->done[i];
    return open;
}

static void assert_same(const struct window *window, const struct model *model)
{
    int64_t newest = model->count ? model->offsets[model->count - 1] + 1 : model->start;
    assert_int_equal(window_watermark(window), model_watermark(model));
    assert_int_equal(window_open(window), model_open(model));
    assert_int_equal(window_span(window), newest - model_watermark(model));
}

static void finish_one(struct window *window, struct model *model, struct seeded *random)
{
    size_t open = model_open(model);
    if (open == 0)
        return;
    size_t which = seeded_below(random, (uint32_t)open);
    for (size_t i = 0; i < model->count; i++) {
        if (!model->done[i] && which-- == 0) {
            window_done(window, model->tickets[i]);
            model->done[i] = true;
            return;
        }
    }
}

static void run_one(uint64_t seed)
{
    struct seeded random;
    seeded_init(&random, seed);
    struct model *model = MEM_NEW(*model);
    model->start = seeded_below(&random, 1000);
    struct window *window = window_new(model->start);
    int64_t next = model->start;
    uint32_t eagerness =
        1 + seeded_below(&random, 9); /* of ten operations, how many finish something */
    for (size_t step = 0; step < 600; step++) {
        if (seeded_below(&random, 10) < eagerness) {
            finish_one(window, model, &random);
        } else {
            next += seeded_below(&random, 4) == 0 ? seeded_below(&random, 50)
                                                  : 0; /* offsets are sparse */
            model->offsets[model->count] = next;
            model->tickets[model->count++] = window_add(window, next++);
        }
        assert_same(window, model);
    }
    while (model_open(model)) {
        finish_one(window, model, &random);
        assert_same(window, model);
    }
    window_free(window);
    free(model);
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        run_one(seed);
}

static void an_empty_window_commits_where_it_starts(void **state)
{
    (void)state;
    struct window *window = window_new(42);
    assert_int_equal(window_watermark(window), 42);
    assert_int_equal(window_span(window), 0);
    window_free(window);
}

static void one_stuck_delivery_holds_the_watermark(void **state)
{
    (void)state;
    struct window *window = window_new(0);
    uint64_t stuck = window_add(window, 0);
    for (int64_t offset = 1; offset <= 10000; offset++)
        window_done(window, window_add(window, offset));
    assert_int_equal(window_watermark(window), 0);
    assert_int_equal(window_span(window), 10001);
    window_done(window, stuck);
    assert_int_equal(window_watermark(window), 10001);
    window_free(window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_agree_with_the_model),
        cmocka_unit_test(an_empty_window_commits_where_it_starts),
        cmocka_unit_test(one_stuck_delivery_holds_the_watermark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
