/* Other verbs of errand, run as children: their work is theirs, and what they hold goes with them.
 * See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "gateway/cli/output.h"
#include "infra/clock.h"
#include "schemas/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF          "/proc/self/exe" /* after exec-child it is still this program */
#define LOOK_EVERY_MS 50

/* In a process group of its own: the Ctrl-C of a terminal is for the run, which ends its children
 * in their turn. */
bool chaos_child_start(struct chaos_child *child, const char *const *words, const char *output_path)
{
    char parent[32];
    char *argv[CHAOS_WORDS_MAX + 7] = { NULL };
    size_t count = 0;
    (void)snprintf(parent, sizeof parent, "--parent=%lld", (long long)getpid());
    const char *const head[] = { SELF, "exec-child", "--at-once", parent, "--", SELF };
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        argv[count++] = mem_dup_text(head[i]);
    for (size_t i = 0; words[i] && i < CHAOS_WORDS_MAX; i++)
        argv[count++] = mem_dup_text(words[i]);

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct buf errors = BUF_INIT(STACK_PATH_SIZE);
    buf_printf(&errors, "%s.err", output_path);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors.data,
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    int failed = posix_spawn(&child->pid, SELF, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    buf_free(&errors);
    for (size_t i = 0; i < count; i++)
        free(argv[i]);
    if (failed)
        child->pid = 0;
    return !failed;
}

bool chaos_child_runs(struct chaos_child *child)
{
    int status = 0;
    if (child->pid == 0)
        return false;
    pid_t ended = waitpid(child->pid, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return true;
    child->pid = 0;
    child->code = 1;
    if (ended > 0)
        child->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return false;
}

void chaos_child_signal(struct chaos_child *child, int signal_number)
{
    if (child->pid)
        (void)kill(child->pid, signal_number);
}

bool chaos_child_wait(struct chaos_child *child, int64_t timeout_ms, const char *progress)
{
    int64_t began_ms = clock_monotonic_ms();
    bool in_time = true;
    while (chaos_child_runs(child)) {
        int64_t waited_ms = clock_monotonic_ms() - began_ms;
        if (waited_ms > timeout_ms && in_time) {
            in_time = false;
            chaos_child_signal(child, SIGKILL);
        }
        if (progress)
            output_progress("%s (%lld s)", progress, (long long)(waited_ms / 1000));
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return in_time;
}
