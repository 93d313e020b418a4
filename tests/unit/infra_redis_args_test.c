/* Arguments put together in one store. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

static void a_command_is_written_as_redis_reads_it(void **state)
{
    (void)state;
    char long_text[1234];
    memset(long_text, 'x', sizeof long_text);
    const struct span argv[] = { { "SET", 3 }, { NULL, 0 }, { "a\0\r\n", 4 }, { long_text, 1234 } };
    size_t size;
    char *bytes = redis_args_format(4, argv, &size);
    static const char head[] = "*4\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\0\r\n\r\n$1234\r\n";
    assert_int_equal(size, sizeof head - 1 + sizeof long_text + 2);
    assert_memory_equal(bytes, head, sizeof head - 1);
    assert_memory_equal(bytes + sizeof head - 1, long_text, sizeof long_text);
    assert_memory_equal(bytes + size - 2, "\r\n", 2);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_come_out_as_they_went_in),
        cmocka_unit_test(too_much_is_told),
        cmocka_unit_test(a_command_is_written_as_redis_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
