/* Waiting for a stack: what it says about itself in state.json, looked at a few times a second.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/watch.h"

#include "gateway/cli/output.h"
#include "infra/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define LOOK_EVERY_MS   50
#define LOG_TAIL_LINES  12
#define LOG_TAIL_BYTES  ((size_t)64 * 1024)
#define LOG_FILE_MAX    ((size_t)64 * 1024 * 1024)
#define STOP_TIMEOUT_MS 60000

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void watch_interrupts(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    const struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };
    struct sigaction before;
    interrupted = 0;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        bool nohup = signals[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
                     before.sa_handler == SIG_IGN;
        if (!nohup)
            (void)sigaction(signals[i], &action, NULL);
    }
}

bool watch_is_interrupted(void)
{
    return interrupted;
}

void watch_print_lines(const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        output_note("  %.*s", (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* The last lines of a process's log. */
static void print_log_tail(const char *folder, const char *process)
{
    char name[STACK_NAME_SIZE + 16];
    struct err err = { 0 };
    struct buf text = BUF_INIT(LOG_FILE_MAX);
    (void)snprintf(name, sizeof name, "log/%s.log", process);
    char *path = stack_path(folder, name);
    if (stack_read_file(path, LOG_FILE_MAX, &text, &err) == ERR_OK && text.size > 0) {
        size_t start = text.size;
        for (int lines = 0; start > 0 && text.size - start < LOG_TAIL_BYTES; start--) {
            if (text.data[start - 1] == '\n' && start != text.size && ++lines == LOG_TAIL_LINES)
                break;
        }
        output_note("  the end of %s:", path);
        watch_print_lines(text.data + start);
    }
    buf_free(&text);
    free(path);
}

static int tell_failure(const char *folder, const struct stack_state *state)
{
    const struct stack_failure *failure = &state->failure;
    output_error("errand could not be started: %s", failure->process);
    output_why("%s", failure->why);
    print_log_tail(folder, failure->process);
    output_try("%s --dir %s", *failure->remedy ? failure->remedy : "errand logs supervisor",
               folder);
    return CLI_FAILED;
}

static int tell_gone(const char *folder)
{
    output_error("errand could not be started: the supervisor ended");
    print_log_tail(folder, "supervisor");
    output_try("errand logs supervisor --dir %s", folder);
    return CLI_FAILED;
}

static int stop_started(const char *folder, struct stack_pid supervisor)
{
    if (supervisor.pid == 0) /* it is someone else's to stop */
        return CLI_INTERRUPTED;
    output_note("interrupted: stopping what was started");
    (void)stack_pid_signal(supervisor, SIGTERM);
    (void)watch_until_stopped(folder, STOP_TIMEOUT_MS);
    return CLI_INTERRUPTED;
}

static void show_progress(const struct stack_state *state, int64_t began_ms)
{
    size_t ready = 0;
    const char *waits_for = NULL;
    for (size_t i = 0; i < state->process_count; i++) {
        if (state->processes[i].ready)
            ready++;
        else if (!waits_for)
            waits_for = state->processes[i].name;
    }
    output_progress("starting: %zu of %zu ready%s%s (%lld s)", ready, state->process_count,
                    waits_for ? ", waiting for " : "", waits_for ? waits_for : "",
                    (long long)((clock_monotonic_ms() - began_ms) / 1000));
}

int watch_until_ready(const char *folder, struct stack_pid supervisor,
                      struct stack_state *ret_state)
{
    struct err err = { 0 };
    int64_t began_ms = clock_monotonic_ms();
    watch_interrupts();
    for (;;) {
        bool alive =
            stack_pid_is_alive(supervisor) || (supervisor.pid == 0 && stack_is_locked(folder));
        if (stack_state_load(folder, ret_state, &err) != ERR_OK) {
            output_error("the stack's state cannot be read");
            output_why("%s", err.text);
            return CLI_FAILED;
        }
        if (ret_state->phase == STACK_READY && alive)
            break;
        if (ret_state->phase == STACK_FAILED)
            return tell_failure(folder, ret_state);
        if (!alive)
            return tell_gone(folder);
        if (watch_is_interrupted())
            return stop_started(folder, supervisor);
        show_progress(ret_state, began_ms);
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    output_progress_end();
    return CLI_OK;
}

bool watch_until_stopped(const char *folder, int64_t timeout_ms)
{
    int64_t began_ms = clock_monotonic_ms();
    while (stack_is_locked(folder)) {
        int64_t waited_ms = clock_monotonic_ms() - began_ms;
        if (waited_ms >= timeout_ms)
            return false;
        output_progress("stopping (%lld s)", (long long)(waited_ms / 1000));
        (void)poll(NULL, 0, LOOK_EVERY_MS);
        (void)waitpid(-1, NULL, WNOHANG);
    }
    output_progress_end();
    return true;
}
