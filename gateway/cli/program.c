/* Running other programs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/program.h"

#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "infra/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100

/* The file in PATH; false (`ret` is empty) when there is none. */
static bool find(const char *name, char ret[STACK_PATH_SIZE])
{
    *ret = '\0';
    const char *path = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): one thread */
    while (path && *path) {
        size_t length = strcspn(path, ":");
        struct buf file = BUF_INIT(STACK_PATH_SIZE);
        buf_printf(&file, "%.*s/%s", (int)length, path, name);
        bool found = !file.overflow && access(file.data, X_OK) == 0;
        if (found)
            (void)snprintf(ret, STACK_PATH_SIZE, "%s", file.data);
        buf_free(&file);
        if (found)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

bool program_exists(const char *name)
{
    char path[STACK_PATH_SIZE];
    return find(name, path);
}

int64_t program_changed_s(const char *name)
{
    char path[STACK_PATH_SIZE];
    struct stat status;
    return find(name, path) && stat(path, &status) == 0 ? status.st_mtim.tv_sec : 0;
}

static int start(char *const *argv, const char *output_path, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path,
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    int failed = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return failed;
}

int program_run(char *const *argv, const char *output_path, const char *progress)
{
    pid_t pid = 0;
    int status = 0;
    int64_t began_ms = clock_monotonic_ms();
    if (start(argv, output_path, &pid) != 0)
        return -1;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid)
            break;
        if (ended < 0 && errno != EINTR)
            return -1;
        output_progress("%s (%lld s)", progress,
                        (long long)((clock_monotonic_ms() - began_ms) / 1000));
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    output_progress_end();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
