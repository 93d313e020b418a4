/* Arguments put together in one store. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void arguments_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct redis_args args = REDIS_ARGS_INIT(65536);
    for (int i = 0; i < 1000; i++) { /* the store moves many times on the way */
        redis_args_text(&args, "name");
        redis_args_int(&args, i - 500);
        redis_args_begin(&args);
        buf_printf(&args.store, "%d:%d", i, i);
        redis_args_end(&args);
        redis_args_text(&args, "");
    }
    assert_int_equal(args.count, 4000);
    const struct span *list = redis_args_list(&args);
    for (int i = 0; i < 1000; i++, list += 4) {
        char text[32];
        assert_true(span_is(list[0], "name"));
        snprintf(text, sizeof text, "%d", i - 500);
        assert_true(span_is(list[1], text));
        snprintf(text, sizeof text, "%d:%d", i, i);
        assert_true(span_is(list[2], text));
        assert_int_equal(list[3].size, 0);
    }
    redis_args_free(&args);
}

static void too_much_is_told(void **state)
{
    (void)state;
    struct redis_args args = REDIS_ARGS_INIT(4);
    redis_args_text(&args, "four");
    assert_false(args.store.overflow);
    redis_args_text(&args, "x");
    assert_true(args.store.overflow);
    redis_args_free(&args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_come_out_as_they_went_in),
        cmocka_unit_test(too_much_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
