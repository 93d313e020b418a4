/* Child processes: what they inherit, how they end, and pipes to them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000, POSTS_MAX = 4 };

struct scene {
    struct loop *loop;
    struct loop_timer *deadline;
};

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("the loop did not stop in time");
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    scene->loop = loop_new(POSTS_MAX);
    scene->deadline = loop_timer_new(scene->loop, on_deadline, NULL);
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    loop_free(scene->loop); /* frees the deadline, too */
    free(scene);
    return 0;
}

struct child {
    struct scene *scene;
    int64_t status;
    int signal_number;
};

static void on_child_exit(void *arg, int64_t status, int signal_number)
{
    struct child *child = arg;
    child->status = status;
    child->signal_number = signal_number;
    loop_stop(child->scene->loop);
}

static void run_child(struct child *child, const char *script, int stdout_fd, int inherit_fd)
{
    char shell[] = "/bin/sh";
    char flag[] = "-c";
    char *text = strdup(script);
    char *const argv[] = { shell, flag, text, NULL };
    struct loop_process_options options = {
        .file = shell, .argv = argv, .stdout_fd = stdout_fd, .inherit_fd = inherit_fd
    };
    struct loop_process *process = NULL;
    struct err err;
    assert_int_equal(
        loop_process_start(child->scene->loop, &options, on_child_exit, child, &process, &err),
        ERR_OK);
    assert_true(loop_process_pid(process) > 0);
    loop_run(child->scene->loop);
    loop_process_free(process);
    free(text);
}

static void test_a_child_writes_where_it_is_told_and_its_exit_is_seen(void **state)
{
    struct child child = { .scene = *state };
    int out[2];
    int extra[2];
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(extra), 0);
    run_child(&child, "echo said; echo passed >&3; exit 7", out[1], extra[1]);
    assert_int_equal(child.status, 7);
    assert_int_equal(child.signal_number, 0);
    char text[16] = { 0 };
    assert_int_equal(read(out[0], text, sizeof text - 1), 5);
    assert_string_equal(text, "said\n");
    assert_int_equal(read(extra[0], text, sizeof text - 1), 7);
    assert_memory_equal(text, "passed\n", 7);
    for (size_t i = 0; i < 2; i++) {
        close(out[i]);
        close(extra[i]);
    }
}

static void test_a_child_killed_by_a_signal_is_told_apart(void **state)
{
    struct child child = { .scene = *state };
    run_child(&child, "kill -9 $$", -1, -1);
    assert_int_equal(child.status, 128 + SIGKILL);
    assert_int_equal(child.signal_number, SIGKILL);
}

/* --- a child on pipes --- */

struct talk {
    struct child child; /* first: on_child_exit's */
    struct loop_process *process;
    char said[256 * 1024];
    size_t size;
    int all_read;
    bool kill_on_word;
};

static void on_said(void *arg, struct span bytes)
{
    struct talk *talk = arg;
    assert_in_range(bytes.size, 1, sizeof talk->said - talk->size);
    memcpy(talk->said + talk->size, bytes.data, bytes.size);
    talk->size += bytes.size;
    if (talk->kill_on_word)
        loop_process_kill(talk->process, SIGKILL);
}

static void on_all_read(void *arg)
{
    struct talk *talk = arg;
    talk->all_read++;
}

static void start_talk(struct talk *talk, const char *script, size_t unread_bytes_max)
{
    char shell[] = "/bin/sh";
    char flag[] = "-c";
    char *text = strdup(script);
    char *const argv[] = { shell, flag, text, NULL };
    struct loop_process_options options = {
        .file = shell,
        .argv = argv,
        .stdout_fd = -1,
        .inherit_fd = -1,
        .piped = true,
        .unread_bytes_max = unread_bytes_max,
        .on_output = on_said,
        .on_all_read = on_all_read,
    };
    struct err err;
    assert_int_equal(loop_process_start(talk->child.scene->loop, &options, on_child_exit, talk,
                                        &talk->process, &err),
                     ERR_OK);
    free(text);
}

static void test_all_that_a_child_said_is_told_before_its_end(void **state)
{
    struct talk *talk = calloc(1, sizeof *talk);
    talk->child.scene = *state;
    start_talk(talk, "head -c 200000 /dev/zero; kill -SEGV $$", 10);
    loop_run(talk->child.scene->loop);
    assert_int_equal(talk->size, 200000);
    assert_int_equal(talk->child.signal_number, SIGSEGV);
    loop_process_kill(talk->process, SIGKILL); /* it has ended */
    loop_process_free(talk->process);
    free(talk);
}

static void test_a_child_reads_what_it_is_given_up_to_the_end(void **state)
{
    struct talk *talk = calloc(1, sizeof *talk);
    talk->child.scene = *state;
    start_talk(talk, "cat", sizeof talk->said);
    char *bytes = calloc(1, 150000); /* more than a pipe holds */
    memset(bytes, 'b', 150000);
    assert_true(loop_process_write(talk->process, (struct span){ bytes, 150000 }));
    loop_process_end_input(talk->process);
    loop_run(talk->child.scene->loop);
    assert_int_equal(talk->size, 150000);
    assert_memory_equal(talk->said, bytes, 150000);
    assert_int_equal(talk->child.status, 0);
    assert_true(loop_process_write(talk->process, span_of("dropped")));
    loop_process_free(talk->process);
    free(bytes);
    free(talk);
}

static void test_what_a_child_has_not_read_is_bounded(void **state)
{
    struct talk *talk = calloc(1, sizeof *talk);
    talk->child.scene = *state;
    talk->kill_on_word = true;
    start_talk(talk, "head -c 80000 >&2 2>/dev/null; echo read; cat >&2 2>/dev/null", 20000);
    char *bytes = calloc(1, 20000);
    size_t taken = 0;
    while (loop_process_write(talk->process, (struct span){ bytes, 20000 }))
        taken += 20000;
    assert_in_range(taken, 60000, 100000); /* a pipe holds 64 KiB, and one more waits */
    while (talk->size == 0)
        loop_run(talk->child.scene->loop);
    assert_int_equal(talk->child.signal_number, SIGKILL);
    assert_in_range(talk->all_read, 1, 2);
    loop_process_free(talk->process);
    free(bytes);
    free(talk);
}

static void test_a_program_that_does_not_exist_is_an_error(void **state)
{
    const struct scene *scene = *state;
    char name[] = "/nonexistent/program";
    char *const argv[] = { name, NULL };
    struct loop_process_options options = {
        .file = name, .argv = argv, .stdout_fd = -1, .inherit_fd = -1
    };
    struct loop_process *process = NULL;
    struct err err = { 0 };
    assert_int_equal(loop_process_start(scene->loop, &options, on_child_exit, NULL, &process, &err),
                     ERR_IO);
    assert_null(process);
    assert_non_null(strstr(err.text, name));
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(test_a_child_writes_where_it_is_told_and_its_exit_is_seen),
        SCENE(test_a_child_killed_by_a_signal_is_told_apart),
        SCENE(test_all_that_a_child_said_is_told_before_its_end),
        SCENE(test_a_child_reads_what_it_is_given_up_to_the_end),
        SCENE(test_what_a_child_has_not_read_is_bounded),
        SCENE(test_a_program_that_does_not_exist_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
