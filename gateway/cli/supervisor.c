/* The supervisor that `errand up` leaves running: starts a stack's processes in their order,
 * starts again what dies, stops everything at SIGTERM. What it knows is in state.json for the
 * other commands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"
#include "gateway/cli/exit_code.h"
#include "gateway/cli/stack_settings.h"
#include "gateway/cli/supervisor_internal.h"
#include "gateway/cli/verbs.h"
#include "schemas/mem.h"

#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POSTS_MAX        64
#define LOG_ROTATE_BYTES ((size_t)16 * 1024 * 1024)
#define LOG_BUFFER_BYTES ((size_t)256 * 1024)

void supervisor_save(struct supervisor *supervisor)
{
    struct err err = { 0 };
    if (stack_state_save(supervisor->folder, &supervisor->state, &err) != ERR_OK)
        log_write(supervisor->log, LOG_ERROR, "supervisor", &(struct log_about){ .err = &err },
                  "the state cannot be written; `errand status` tells an old one");
}

/* --- stopping --- */

static void finish(struct supervisor *supervisor)
{
    supervisor->state.phase = supervisor->failed ? STACK_FAILED : STACK_STOPPED;
    supervisor->state.supervisor = (struct stack_pid){ 0 };
    supervisor_save(supervisor);
    log_write(supervisor->log, LOG_INFO, "supervisor", NULL, "everything is stopped");
    loop_stop(supervisor->loop);
}

/* Broker and Redis need nothing of each other: they stop together. */
static enum child_kind stop_group(enum child_kind kind)
{
    return kind == CHILD_REDIS ? CHILD_BROKER : kind;
}

void supervisor_stop_next(struct supervisor *supervisor)
{
    int last = -1;
    for (size_t i = 0; i < supervisor->child_count; i++) {
        const struct child *child = &supervisor->children[i];
        int group = (int)stop_group(child->kind);
        if (child->process && group > last)
            last = group;
    }
    if (last < 0) {
        if (!supervisor->helper && !probe_is_busy(supervisor))
            finish(supervisor);
        return;
    }
    for (size_t i = 0; i < supervisor->child_count; i++) {
        if ((int)stop_group(supervisor->children[i].kind) == last)
            child_stop(&supervisor->children[i]);
    }
}

static void stop_all(struct supervisor *supervisor)
{
    if (supervisor->step == STEP_STOPPING)
        return;
    supervisor->step = STEP_STOPPING;
    loop_timer_stop(supervisor->deadline);
    loop_timer_stop(supervisor->prober);
    for (size_t i = 0; i < supervisor->child_count; i++) {
        const struct child *child = &supervisor->children[i];
        if (!child->process && child->timer) /* somebody else's has neither */
            loop_timer_stop(child->timer);
    }
    if (supervisor->helper)
        (void)kill((pid_t)loop_process_pid(supervisor->helper), SIGTERM);
    supervisor->state.phase = STACK_STOPPING;
    supervisor_save(supervisor);
    supervisor_stop_next(supervisor);
}

void supervisor_fail(struct supervisor *supervisor, const char *process, const char *remedy,
                     const char *format, ...)
{
    struct stack_failure *failure = &supervisor->state.failure;
    if (supervisor->step == STEP_STOPPING)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(failure->why, sizeof failure->why, format, arguments);
    va_end(arguments);
    (void)snprintf(failure->process, sizeof failure->process, "%s", process);
    (void)snprintf(failure->remedy, sizeof failure->remedy, "%s", remedy);
    supervisor->failed = true;
    log_write(supervisor->log, LOG_ERROR, "supervisor", NULL, "%s: %s", process, failure->why);
    stop_all(supervisor);
}

static void on_signal(void *arg, int signal_number)
{
    struct supervisor *supervisor = arg;
    log_write(supervisor->log, LOG_INFO, "supervisor", NULL, "signal %d: stopping", signal_number);
    stop_all(supervisor);
}

/* --- starting --- */

static bool is_base(const struct child *child)
{
    return child->kind == CHILD_BROKER || child->kind == CHILD_REDIS;
}

static void start_those(struct supervisor *supervisor, bool base)
{
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if (is_base(child) == base && !child->external)
            child_start(child);
    }
}

static bool all_ready(struct supervisor *supervisor, bool base_only)
{
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if ((!base_only || is_base(child)) && !child_shown(child)->ready)
            return false;
    }
    return true;
}

static void apply_topics(struct supervisor *supervisor)
{
    struct plan_argv argv = { 0 };
    plan_argv_add(&argv, "%s", supervisor->program);
    plan_argv_add(&argv, "topics");
    plan_argv_add(&argv, "apply");
    plan_argv_add(&argv, "--dir");
    plan_argv_add(&argv, "%s", supervisor->folder);
    supervisor_help(supervisor, "topics", argv.words);
    plan_argv_clear(&argv);
}

/* A daemon reads where the broker is when it starts. */
static void renew_daemons(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if (is_base(child) || child->kind == CHILD_SIMULATOR)
            continue;
        child->renewing = child->process != NULL;
        child_stop(child);
    }
}

/* False when there is no folder to make, any more. */
static bool format_next(struct supervisor *supervisor)
{
    struct apache_node node = { .number = supervisor->formatting + 1,
                                .count = stack_apache_brokers(&supervisor->state.options) };
    while (node.number <= node.count && apache_is_formatted(supervisor->folder, node))
        node.number++;
    if (node.number > node.count)
        return false;
    struct err err = { 0 };
    char cluster_id[APACHE_CLUSTER_ID_SIZE];
    supervisor->formatting = node.number;
    if (apache_cluster_id(supervisor->folder, cluster_id, &err) != ERR_OK) {
        supervisor_fail(supervisor, "format", "errand logs supervisor", "%s", err.text);
        return true;
    }
    struct plan_argv argv = { 0 };
    apache_format_argv(supervisor->folder, node, cluster_id, &argv);
    supervisor_help(supervisor, "format", argv.words);
    plan_argv_clear(&argv);
    return true;
}

static void enter(struct supervisor *supervisor, enum supervisor_step step)
{
    supervisor->step = step;
    switch (step) {
    case STEP_FORMAT:
        if (!format_next(supervisor))
            enter(supervisor, STEP_BASE);
        break;
    case STEP_BASE:
        start_those(supervisor, true);
        break;
    case STEP_TOPICS:
        apply_topics(supervisor);
        break;
    case STEP_DAEMONS:
        start_those(supervisor, false);
        break;
    case STEP_RUNNING:
        loop_timer_stop(supervisor->deadline);
        supervisor->state.phase = STACK_READY;
        supervisor_save(supervisor);
        log_write(supervisor->log, LOG_INFO, "supervisor", NULL, "everything is ready");
        break;
    case STEP_STOPPING:
        break;
    }
}

void supervisor_advance(struct supervisor *supervisor)
{
    if (supervisor->step == STEP_BASE && all_ready(supervisor, true))
        enter(supervisor, STEP_TOPICS);
    else if (supervisor->step == STEP_DAEMONS && all_ready(supervisor, false))
        enter(supervisor, STEP_RUNNING);
    else if (supervisor->step == STEP_RUNNING && supervisor->broker_lost && !supervisor->helper &&
             all_ready(supervisor, true))
        apply_topics(supervisor);
}

static void after_helper(struct supervisor *supervisor)
{
    if (supervisor->step == STEP_FORMAT) {
        enter(supervisor, STEP_FORMAT);
    } else if (supervisor->step == STEP_TOPICS) {
        enter(supervisor, STEP_DAEMONS);
    } else if (supervisor->broker_lost) {
        supervisor->broker_lost = false;
        renew_daemons(supervisor);
    }
}

static void on_helper_exit(void *arg, int64_t exit_status, int signal_number)
{
    struct supervisor *supervisor = arg;
    char end[64];
    const char *name = supervisor->step == STEP_FORMAT ? "format" : "topics";
    loop_process_free(supervisor->helper);
    supervisor->helper = NULL;
    child_describe_end(end, exit_status, signal_number);
    if (supervisor->step == STEP_STOPPING)
        supervisor_stop_next(supervisor);
    else if (exit_status == 0)
        after_helper(supervisor);
    else if (supervisor->step == STEP_RUNNING) /* tried again at the next probe */
        log_write(supervisor->log, LOG_ERROR, "supervisor", NULL,
                  "%s ended with %s; see log/%s.log", name, end, name);
    else
        supervisor_fail(supervisor, name, "errand logs", "it ended with %s", end);
}

void supervisor_help(struct supervisor *supervisor, const char *name, char *const *argv)
{
    struct err err = { 0 };
    const struct child_program program = {
        .name = name,
        .argv = argv,
        .listen_fd = -1,
        .on_exit = on_helper_exit,
        .arg = supervisor,
    };
    if (child_spawn(supervisor, &program, &supervisor->helper, &err) != ERR_OK)
        supervisor_fail(supervisor, name, "errand logs supervisor", "%s", err.text);
}

static void on_deadline(void *arg)
{
    struct supervisor *supervisor = arg;
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if (child_shown(child)->ready || (supervisor->step != STEP_DAEMONS && !is_base(child)))
            continue;
        supervisor_fail(supervisor, child_shown(child)->name, "errand logs",
                        "it did not become ready within %d s: %s",
                        SUPERVISOR_START_TIMEOUT_MS / 1000, child->why);
        return;
    }
    supervisor_fail(supervisor, "topics", "errand logs topics", "it did not end within %d s",
                    SUPERVISOR_START_TIMEOUT_MS / 1000);
}

/* --- life --- */

static enum err_code open_log(struct supervisor *supervisor, struct err *err)
{
    char *path = stack_path(supervisor->folder, "log/supervisor.log");
    const struct log_options options = {
        .process = "supervisor",
        .path = path,
        .level = LOG_INFO,
        .rotate_bytes = LOG_ROTATE_BYTES,
        .buffer_bytes = LOG_BUFFER_BYTES,
    };
    enum err_code code = log_open(&options, &supervisor->log, err);
    free(path);
    return code;
}

static enum err_code find_programs(struct supervisor *supervisor, struct err *err)
{
    supervisor->program = realpath("/proc/self/exe", NULL);
    if (!supervisor->program)
        return err_set(err, ERR_IO,
                       "cannot tell where this program is: /proc/self/exe cannot be read");
    char *copy = mem_dup_text(supervisor->program);
    supervisor->bin_folder =
        mem_dup_text(dirname(copy)); /* NOLINT(concurrency-mt-unsafe): on a copy */
    free(copy);
    return ERR_OK;
}

static enum err_code prepare(struct supervisor *supervisor, struct err *err)
{
    const struct http_client_options http = { .shards = 1, .connections_max = STACK_PROCESSES_MAX };
    struct port_holds holds = { 0 };
    enum err_code code = find_programs(supervisor, err);
    if (code == ERR_OK)
        code = stack_settings_load(supervisor->folder, &supervisor->state, &supervisor->config,
                                   NULL, err);
    const char *stranger = code == ERR_OK ? stack_stranger(supervisor->config) : NULL;
    (void)snprintf(supervisor->state.stranger, sizeof supervisor->state.stranger, "%.*s",
                   (int)sizeof supervisor->state.stranger - 1, stranger ? stranger : "");
    if (code == ERR_OK)
        code = plan_children(supervisor, &holds, err);
    if (code == ERR_OK)
        code = plan_configure(supervisor, &holds, err);
    port_holds_let_go(&holds);
    if (code == ERR_OK)
        code = http_client_open(supervisor->loop, &http, &supervisor->http, err);
    if (code == ERR_OK)
        probe_open(supervisor);
    return code;
}

static void start(struct supervisor *supervisor)
{
    loop_timer_start(supervisor->deadline, SUPERVISOR_START_TIMEOUT_MS, 0);
    loop_timer_start(supervisor->prober, 0, 0);
    supervisor_save(supervisor);
    enter(supervisor, STEP_FORMAT);
}

static void open_handles(struct supervisor *supervisor)
{
    supervisor->loop = loop_new(POSTS_MAX);
    supervisor->deadline = loop_timer_new(supervisor->loop, on_deadline, supervisor);
    supervisor->prober = loop_timer_new(supervisor->loop, probe_all, supervisor);
    supervisor->signals[0] = loop_signal_new(supervisor->loop, SIGTERM, on_signal, supervisor);
    supervisor->signals[1] = loop_signal_new(supervisor->loop, SIGINT, on_signal, supervisor);
}

static void close_all(struct supervisor *supervisor)
{
    probe_close(supervisor);
    http_client_close(supervisor->http);
    for (size_t i = 0; i < supervisor->child_count; i++) {
        loop_timer_free(supervisor->children[i].timer);
        if (supervisor->children[i].listen_fd >= 0)
            (void)close(supervisor->children[i].listen_fd);
    }
    loop_timer_free(supervisor->deadline);
    loop_timer_free(supervisor->prober);
    loop_signal_free(supervisor->signals[0]);
    loop_signal_free(supervisor->signals[1]);
    loop_free(supervisor->loop);
    config_free(supervisor->config);
    log_close(supervisor->log);
    free(supervisor->program);
    free(supervisor->bin_folder);
}

static enum err_code begin(struct supervisor *supervisor, struct err *err)
{
    enum err_code code = open_log(supervisor, err);
    if (code == ERR_OK)
        code = stack_state_load(supervisor->folder, &supervisor->state, err);
    if (code != ERR_OK)
        return code;
    stack_end_leftovers(&supervisor->state, SUPERVISOR_STOP_GRACE_MS);
    supervisor->state.phase = STACK_STARTING;
    supervisor->state.supervisor = stack_pid_of(getpid());
    supervisor->state.failure = (struct stack_failure){ 0 };
    open_handles(supervisor);
    return prepare(supervisor, err);
}

int supervise_run(const struct args *args)
{
    struct err err = { 0 };
    struct supervisor *supervisor = MEM_NEW(*supervisor);
    supervisor->folder = args_text(args, "dir");
    (void)sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    (void)sigaction(SIGHUP, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    /* The lock is held by this process alone: a child that inherited it would keep the folder
     * locked. */
    (void)fcntl((int)args_number(args, "lock", -1), F_SETFD, FD_CLOEXEC);

    enum err_code code = begin(supervisor, &err);
    if (code == ERR_OK) {
        start(supervisor);
        loop_run(supervisor->loop);
    } else {
        supervisor->state.phase = STACK_FAILED;
        (void)snprintf(supervisor->state.failure.process, STACK_NAME_SIZE, "supervisor");
        (void)snprintf(supervisor->state.failure.why, sizeof supervisor->state.failure.why, "%s",
                       err.text);
        supervisor_save(supervisor);
    }
    bool failed = supervisor->failed || code != ERR_OK;
    close_all(supervisor);
    free(supervisor);
    return failed ? CLI_FAILED : CLI_OK;
}
