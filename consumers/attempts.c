/* The child's side; see attempts.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/attempts.h"
#include "consumers/handler.h"
#include "infra/service.h"
#include "infra/watchdog.h"
#include "schemas/envelope_attempts.h"
#include "schemas/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define POSTS_MAX      1024
#define HTTP_SHARDS    8
#define STALL_MS       10000 /* as in every process: a loop that hangs is ended, and found */
#define READ_BYTES     ((size_t)64 * 1024)
#define UNTOLD_MAX     (4 * ATTEMPT_MESSAGE_BYTES_MAX) /* beyond it nothing more is begun */
#define EXIT_NO_CONFIG 2

struct child;

struct child_run {
    struct child_run *next, *previous;
    struct child *child;
    uint64_t ticket;
    struct envelope *envelope;
    struct handler *handler;
    struct handler_run *run;
};

struct child_type {
    struct handler *handler;
};

struct child {
    struct config *config;
    struct loop *loop;
    struct http_client *http;
    struct handler_tools tools;
    struct child_type *types; /* the configuration's */
    size_t type_count;
    int out;
    struct loop_fd *in_watch, *out_watch;
    struct buf told;   /* come, not read yet */
    struct buf untold; /* outcomes that the parent has not taken yet */
    struct child_run *runs;
};

/* --- to the parent --- */

static bool is_full(const struct child *child)
{
    return child->untold.size > UNTOLD_MAX;
}

static void flush(struct child *child)
{
    ssize_t size = 0;
    if (child->untold.size)
        size = write(child->out, child->untold.data, child->untold.size);
    if (size < 0 && errno != EAGAIN && errno != EINTR)
        _exit(EXIT_FAILURE); /* nobody listens */
    if (size > 0) {
        child->untold.size -= (size_t)size;
        memmove(child->untold.data, child->untold.data + size, child->untold.size);
    }
    loop_fd_watch(child->out_watch, child->untold.size ? LOOP_WRITE : 0);
    loop_fd_watch(child->in_watch, is_full(child) ? 0 : LOOP_READ);
}

static void on_writable(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    flush(arg);
}

/* A result that no message holds is larger than any type allows. */
static void tell(struct child *child, uint64_t ticket, const struct outcome *outcome)
{
    struct attempt_outcome said = {
        .ticket = ticket,
        .code = outcome->code,
        .class_ = outcome->class_,
        .detail = span_of(outcome->detail),
        .status = outcome->status,
        .retry_after_ms = outcome->retry_after_ms,
        .result = outcome->result,
        .result_kind = outcome->result_kind,
    };
    struct err err;
    if (attempt_encode_outcome(&said, &child->untold, &err) != ERR_OK) {
        child->untold.overflow = false;
        err_set(&err, ERR_RESULT_TOO_LARGE, "the result has %zu bytes", outcome->result.size);
        struct outcome large;
        outcome_fail(&large, &err);
        tell(child, ticket, &large);
        return;
    }
    flush(child);
}

static void tell_failure(struct child *child, uint64_t ticket, const struct err *err)
{
    struct outcome outcome;
    outcome_fail(&outcome, err);
    tell(child, ticket, &outcome);
}

/* --- attempts --- */

static void on_outcome(void *arg, const struct outcome *outcome)
{
    struct child_run *run = arg;
    struct child *child = run->child;
    if (run->previous)
        run->previous->next = run->next;
    else
        child->runs = run->next;
    if (run->next)
        run->next->previous = run->previous;
    tell(child, run->ticket, outcome);
    envelope_free(run->envelope);
    free(run);
}

static struct handler *find_handler(const struct child *child, struct span type)
{
    for (size_t i = 0; i < child->config->type_count; i++) {
        if (span_is(type, child->config->types[i].name))
            return child->types[i].handler;
    }
    return NULL;
}

static void begin(struct child *child, const struct attempt_request *request)
{
    struct envelope *envelope = NULL;
    struct err err;
    enum err_code code = envelope_decode(request->command, &envelope, &err);
    if (code == ERR_OK && envelope->kind != ENVELOPE_COMMAND)
        code = err_set(&err, ERR_ENVELOPE_INVALID, "an event, not a command");
    struct handler *handler = NULL;
    if (code == ERR_OK) {
        handler = find_handler(child, envelope->command.facts.type);
        if (!handler) /* the configuration has changed since the parent was started */
            code = err_set(&err, ERR_INTERNAL, "a child's configuration has no such type");
    }
    if (code || !handler) {
        envelope_free(envelope);
        tell_failure(child, request->ticket, &err);
        return;
    }
    struct child_run *run = MEM_NEW(*run);
    *run = (struct child_run){
        .child = child,
        .ticket = request->ticket,
        .envelope = envelope,
        .handler = handler,
        .next = child->runs,
    };
    if (child->runs)
        child->runs->previous = run;
    child->runs = run;
    run->run = handler->start(handler, &envelope->command, on_outcome, run);
}

static void call_off(struct child *child, uint64_t ticket)
{
    struct child_run *run = child->runs;
    while (run && run->ticket != ticket)
        run = run->next;
    if (run) {
        run->handler->cancel(run->run);
        return;
    }
    /* It has ended, and the parent passes over this; or it never came. */
    struct err err;
    err_set(&err, ERR_CANCELLED, "%s", err_title(ERR_CANCELLED));
    tell_failure(child, ticket, &err);
}

/* --- from the parent --- */

static void read_message(struct child *child, struct span message)
{
    struct attempt_request *request = NULL;
    struct err err;
    if (attempt_decode_request(message, &request, &err) != ERR_OK) {
        (void)fprintf(stderr, "error: %s\n", err.text);
        _exit(EXIT_FAILURE);
    }
    if (request->command.size)
        begin(child, request);
    else
        call_off(child, request->ticket);
    attempt_request_free(request);
}

static void read_messages(struct child *child)
{
    size_t from = 0, used = 0;
    struct err err;
    do {
        struct span message;
        from += used;
        if (attempt_next_message((struct span){ child->told.data + from, child->told.size - from },
                                 &used, &message, &err) != ERR_OK) {
            (void)fprintf(stderr, "error: %s\n", err.text);
            _exit(EXIT_FAILURE);
        }
        if (used)
            read_message(child, message);
    } while (used);
    child->told.size -= from;
    memmove(child->told.data, child->told.data + from, child->told.size);
}

static void on_readable(void *arg, int fd, unsigned events)
{
    (void)events;
    struct child *child = arg;
    if (!buf_reserve(&child->told, READ_BYTES))
        _exit(EXIT_FAILURE);
    ssize_t size = read(fd, child->told.data + child->told.size, READ_BYTES);
    if (size > 0) {
        buf_grow(&child->told, (size_t)size);
        read_messages(child);
    } else if (size == 0 && child->runs) {
        _exit(EXIT_FAILURE); /* the parent is gone, and what runs is nobody's */
    } else if (size == 0) {
        loop_stop(child->loop);
    }
}

/* --- the process --- */

/* It ends with its parent, and by nobody else's wish: whoever ends a group of processes (systemd,
 * a terminal) means the parent, which ends its children itself. */
static void become_child(void)
{
    (void)close_range(STDERR_FILENO + 1, ~0U, 0); /* connections of the parent's */
    service_process_limit();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    (void)sigaction(SIGTERM, &ignore, NULL);
    (void)sigaction(SIGINT, &ignore, NULL);
}

/* The pipe is for outcomes: what a rule prints goes where errors go. -1: not possible. */
static int take_stdout(void)
{
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (out >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        (void)close(STDOUT_FILENO);
    return out;
}

static enum err_code open_handlers(struct child *child, struct err *err)
{
    const struct config *config = child->config;
    struct http_client_options http = { .shards = HTTP_SHARDS,
                                        .connections_max = (size_t)config->worker.in_flight_max };
    loop_pool_more((size_t)config->worker.rule_threads_max);
    enum err_code code = http_client_open(child->loop, &http, &child->http, err);
    child->tools = (struct handler_tools){
        .loop = child->loop,
        .http = child->http,
        .config = config,
        .rule_threads_max = (size_t)config->worker.rule_threads_max,
    };
    child->type_count = config->type_count;
    child->types = mem_zalloc(config->type_count, sizeof *child->types);
    for (size_t i = 0; code == ERR_OK && i < config->type_count; i++) {
        code = handler_new(&child->tools, &config->types[i], &child->types[i].handler, err);
    }
    return code;
}

static void close_all(struct child *child)
{
    http_client_close(child->http);
    for (size_t i = 0; i < child->type_count; i++) {
        if (child->types[i].handler)
            child->types[i].handler->free(child->types[i].handler);
    }
    free(child->types);
    loop_fd_free(child->in_watch);
    loop_fd_free(child->out_watch);
    loop_free(child->loop);
    buf_free(&child->told);
    buf_free(&child->untold);
    config_free(child->config);
}

static void run(struct child *child)
{
    child->in_watch = loop_fd_new(child->loop, STDIN_FILENO, on_readable, child);
    child->out_watch = loop_fd_new(child->loop, child->out, on_writable, child);
    struct watchdog *watchdog = watchdog_start(child->loop, STALL_MS);
    tell(child, 0, &(struct outcome){ .retry_after_ms = -1 }); /* ready */
    loop_run(child->loop);
    watchdog_stop(watchdog);
}

int attempts_main(const char *config_path)
{
    become_child();
    struct child child = {
        .out = take_stdout(),
        .told = BUF_INIT(ATTEMPT_MESSAGE_BYTES_MAX + 2 * READ_BYTES),
        .untold = BUF_INIT(SIZE_MAX / 2), /* by what runs, and UNTOLD_MAX */
    };
    char *report = NULL;
    struct err err = { 0 };
    enum err_code code = child.out < 0 ? err_set(&err, ERR_IO, "no stdout to answer on")
                                       : config_load(config_path, &child.config, &report, &err);
    free(report);
    if (child.config) {
        child.loop = loop_new(POSTS_MAX);
        code = open_handlers(&child, &err);
    }
    if (code == ERR_OK)
        run(&child);
    else
        (void)fprintf(stderr, "error: a child for suspects cannot start: %s\n", err.text);
    close_all(&child);
    return code ? EXIT_NO_CONFIG : EXIT_SUCCESS;
}
