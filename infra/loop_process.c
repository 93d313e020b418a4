/* Child processes on the loop, and pipes to them; see loop.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/loop_internal.h"
#include "schemas/buf.h"
#include "schemas/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHILD_FDS = 4, /* stdin, stdout, stderr, and the one inherited descriptor */
    READ_BYTES = 64 * 1024,
};

/* Our end of a pipe. */
struct end {
    int fd; /* -1: closed */
    struct loop_fd *watch;
};

struct loop_process {
    uv_process_t uv;
    loop_exit_fn fn;
    void *arg;
    bool ended;
    bool input_ends; /* once all is read */
    struct end input, output;
    struct buf unread; /* written by us, not taken by the pipe yet */
    size_t unread_from;
    void (*on_output)(void *arg, struct span bytes);
    void (*on_all_read)(void *arg);
};

/* --- pipes --- */

static void close_end(struct end *end)
{
    if (end->fd < 0)
        return;
    loop_fd_free(end->watch);
    close(end->fd);
    *end = (struct end){ .fd = -1 };
}

/* False: nothing more comes, now or at all. */
static bool read_some(struct loop_process *process)
{
    char bytes[READ_BYTES];
    ssize_t size = read(process->output.fd, bytes, sizeof bytes);
    if (size > 0) {
        process->on_output(process->arg, (struct span){ bytes, (size_t)size });
        return true;
    }
    if (size == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(&process->output);
    return false;
}

static void on_readable(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    (void)read_some(arg);
}

static void write_some(struct loop_process *process)
{
    size_t left = process->unread.size - process->unread_from;
    if (left) {
        ssize_t size = write(process->input.fd, process->unread.data + process->unread_from, left);
        if (size > 0) {
            process->unread_from += (size_t)size;
        } else if (size < 0 && errno != EAGAIN && errno != EINTR) { /* it reads no more */
            process->unread_from = process->unread.size;
            process->input_ends = true;
        }
    }
    bool all = process->unread_from == process->unread.size;
    if (all) {
        buf_reset(&process->unread);
        process->unread_from = 0;
    }
    if (all && process->input_ends)
        close_end(&process->input);
    else
        loop_fd_watch(process->input.watch, all ? 0 : LOOP_WRITE);
}

static void on_writable(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    struct loop_process *process = arg;
    write_some(process);
    if (process->unread.size == 0 && process->input.fd >= 0 && process->on_all_read)
        process->on_all_read(process->arg);
}

bool loop_process_write(struct loop_process *process, struct span bytes)
{
    if (process->input.fd < 0 || process->input_ends)
        return true;
    size_t waiting = process->unread.size - process->unread_from;
    if (bytes.size > process->unread.max - waiting)
        return false;
    if (waiting && process->unread_from) { /* the maximum is for what waits */
        memmove(process->unread.data, process->unread.data + process->unread_from, waiting);
        process->unread.size = waiting;
        process->unread_from = 0;
    }
    buf_add_span(&process->unread, bytes);
    if (waiting == 0)
        write_some(process);
    return true;
}

void loop_process_end_input(struct loop_process *process)
{
    process->input_ends = true;
    if (process->input.fd >= 0)
        write_some(process);
}

/* --- processes --- */

static void on_exit_of(uv_process_t *uv, int64_t exit_status, int signal_number)
{
    struct loop_process *process = uv->data;
    process->ended = true;
    while (process->output.fd >= 0 && read_some(process)) {
    }
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

/* The child's ends are for the child alone: another child that held one would keep it open. */
static bool open_pipes(struct loop_process *process, int ret_child[2])
{
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) != 0)
        return false;
    if (pipe2(output, O_CLOEXEC) != 0) {
        close(input[0]);
        close(input[1]);
        return false;
    }
    ret_child[0] = input[0];
    ret_child[1] = output[1];
    process->input.fd = input[1];
    process->output.fd = output[0];
    return true;
}

static void watch_pipes(struct loop *loop, struct loop_process *process)
{
    process->input.watch = loop_fd_new(loop, process->input.fd, on_writable, process);
    process->output.watch = loop_fd_new(loop, process->output.fd, on_readable, process);
    loop_fd_watch(process->output.watch, LOOP_READ);
}

static int spawn(struct loop *loop, struct loop_process *process,
                 const struct loop_process_options *options)
{
    int child[2] = { -1, -1 };
    if (options->piped && !open_pipes(process, child))
        return -errno;
    uv_stdio_container_t fds[CHILD_FDS] = {
        given_fd(child[0]),
        given_fd(options->piped ? child[1] : options->stdout_fd),
        given_fd(options->piped ? STDERR_FILENO : options->stdout_fd),
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
    if (options->piped) {
        close(child[0]);
        close(child[1]);
    }
    return failed;
}

enum err_code loop_process_start(struct loop *loop, const struct loop_process_options *options,
                                 loop_exit_fn fn, void *arg, struct loop_process **ret_process,
                                 struct err *err)
{
    struct loop_process *process = MEM_NEW(*process);
    *process = (struct loop_process){
        .fn = fn,
        .arg = arg,
        .input = { .fd = -1 },
        .output = { .fd = -1 },
        .unread = BUF_INIT(options->unread_bytes_max),
        .on_output = options->on_output,
        .on_all_read = options->on_all_read,
    };
    int failed = spawn(loop, process, options);
    if (!failed) {
        if (options->piped)
            watch_pipes(loop, process);
        *ret_process = process;
        return ERR_OK;
    }
    if (process->input.fd >= 0)
        close(process->input.fd);
    if (process->output.fd >= 0)
        close(process->output.fd);
    if (process->uv.data) /* the handle is part of the loop even so */
        loop_close_handle((uv_handle_t *)&process->uv);
    else
        free(process);
    return err_set(err, ERR_IO, "Cannot start %s: %s.", options->file, uv_strerror(failed));
}

int loop_process_pid(const struct loop_process *process)
{
    return process->uv.pid;
}

void loop_process_kill(struct loop_process *process, int signal_number)
{
    if (!process->ended)
        (void)uv_process_kill(&process->uv, signal_number);
}

void loop_process_free(struct loop_process *process)
{
    if (!process)
        return;
    close_end(&process->input);
    close_end(&process->output);
    buf_free(&process->unread);
    loop_close_handle((uv_handle_t *)&process->uv);
}
