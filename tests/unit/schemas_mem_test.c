/* Memory: what is given is zeroed or copied, and running out of it ends the process.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_new_memory_is_zeroed(void **state)
{
    (void)state;
    struct pair {
        int64_t a, b;
    } *pair = MEM_NEW(*pair);
    assert_true(pair->a == 0 && pair->b == 0);
    free(pair);
    void *nothing = mem_zalloc(0, 0);
    assert_non_null(nothing);
    free(nothing);
}

static void test_resizing_keeps_the_bytes(void **state)
{
    (void)state;
    char *bytes = mem_resize(NULL, 4, 1);
    memcpy(bytes, "abc", 4);
    bytes = mem_resize(bytes, 1000, 4);
    assert_string_equal(bytes, "abc");
    bytes = mem_resize(bytes, 0, 4);
    assert_non_null(bytes);
    free(bytes);
}

static void test_copies_are_terminated(void **state)
{
    (void)state;
    char *copy = mem_dup((struct span){ "a\0bc", 3 });
    assert_memory_equal(copy, "a\0b\0", 4);
    free(copy);
    copy = mem_dup((struct span){ 0 });
    assert_string_equal(copy, "");
    free(copy);
    copy = mem_dup_text("text");
    assert_string_equal(copy, "text");
    free(copy);
}

static void test_running_out_aborts(void **state)
{
    (void)state;
    volatile size_t most = SIZE_MAX / 2; /* hidden from the compiler, which knows it is too much */
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr))
            free(mem_resize(NULL, most, 4));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_memory_is_zeroed),
        cmocka_unit_test(test_resizing_keeps_the_bytes),
        cmocka_unit_test(test_copies_are_terminated),
        cmocka_unit_test(test_running_out_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
