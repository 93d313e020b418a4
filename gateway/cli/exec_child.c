/* The step between the supervisor and a program it starts: nothing outlives its supervisor. The
 * kernel sends SIGTERM (or SIGKILL) to a child whose parent dies, but only if the child asks for
 * it, and only the child knows the pid that systemd's protocol for inherited sockets wants
 * (sd_listen_fds(3)).
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/exit_code.h"
#include "gateway/cli/verbs.h"

#include "schemas/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CANNOT_EXECUTE 127

int exec_child_run(const struct args *args)
{
    (void)prctl(PR_SET_PDEATHSIG, args_has(args, "at-once") ? SIGKILL : SIGTERM);
    if (getppid() != (pid_t)args_number(args, "parent", getppid()))
        return CLI_FAILED; /* the parent was gone before the kernel knew that it matters */
    if (args_has(args, "listen")) {
        char pid[24];
        (void)snprintf(pid, sizeof pid, "%lld", (long long)getpid());
        (void)setenv("LISTEN_PID", pid, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
        (void)setenv("LISTEN_FDS", "1", 1); /* NOLINT(concurrency-mt-unsafe) */
    }
    char **words = mem_zalloc(args->item_count + 1, sizeof *words);
    for (size_t i = 0; i < args->item_count; i++)
        words[i] = mem_dup_text(args->items[i]);
    (void)execvp(words[0], words);
    char reason[128];
    (void)fprintf(stderr, "cannot start %s: %s\n", words[0],
                  strerror_r(errno, reason, sizeof reason));
    for (size_t i = 0; i < args->item_count; i++)
        free(words[i]);
    free(words);
    return CANNOT_EXECUTE;
}
