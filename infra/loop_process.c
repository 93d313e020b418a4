/* Child processes on the loop; see loop.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/loop_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

enum { CHILD_FDS = 4 }; /* stdin, stdout, stderr, and the one inherited descriptor */

struct loop_process {
    uv_process_t uv;
    loop_exit_fn fn;
    void *arg;
};

static void on_exit_of(uv_process_t *uv, int64_t exit_status, int signal_number)
{
    const struct loop_process *process = uv->data;
    int64_t status = signal_number ? 128 + signal_number : exit_status;
    process->fn(process->arg, status, signal_number);
}

static uv_stdio_container_t given_fd(int fd)
{
    if (fd < 0)
        return (uv_stdio_container_t){ .flags = UV_IGNORE };
    return (uv_stdio_container_t){ .flags = UV_INHERIT_FD, .data.fd = fd };
}

/* libuv takes argv and environment as char **, and changes neither. */
static char **unconst(char *const *strings)
{
    union {
        char *const *in;
        char **out;
    } same = { .in = strings };
    return same.out;
}

enum err_code loop_process_start(struct loop *loop, const struct loop_process_options *options,
                                 loop_exit_fn fn, void *arg, struct loop_process **ret_process,
                                 struct err *err)
{
    struct loop_process *process = MEM_NEW(*process);
    process->fn = fn;
    process->arg = arg;
    uv_stdio_container_t fds[CHILD_FDS] = {
        given_fd(-1),
        given_fd(options->stdout_fd),
        given_fd(options->stdout_fd),
        given_fd(options->inherit_fd),
    };
    uv_process_options_t spawn = {
        .exit_cb = on_exit_of,
        .file = options->file,
        .args = unconst(options->argv),
        .env = unconst(options->environment),
        .cwd = options->directory,
        .stdio_count = options->inherit_fd < 0 ? CHILD_FDS - 1 : CHILD_FDS,
        .stdio = fds,
    };
    int failed = uv_spawn(&loop->uv, &process->uv, &spawn);
    process->uv.data = process;
    if (failed) {
        /* The handle is part of the loop even so. */
        loop_close_handle((uv_handle_t *)&process->uv);
        return err_set(err, ERR_IO, "Cannot start %s: %s.", options->file, uv_strerror(failed));
    }
    *ret_process = process;
    return ERR_OK;
}

int loop_process_pid(const struct loop_process *process)
{
    return process->uv.pid;
}

void loop_process_free(struct loop_process *process)
{
    if (process)
        loop_close_handle((uv_handle_t *)&process->uv);
}
