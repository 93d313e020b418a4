/* One child of the supervisor: started, watched, started again, stopped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/child_env.h"
#include "gateway/cli/stack_settings.h"
#include "gateway/cli/supervisor_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define INHERITED_FD_ARGUMENT "--listen"

struct stack_process *child_shown(struct child *child)
{
    return &child->supervisor->state.processes[child->index];
}

bool child_is_embedded_broker(const struct child *child)
{
    return child->kind == CHILD_BROKER && !child->external &&
           strcmp(child->supervisor->state.options.broker, STACK_BROKER_EMBEDDED) == 0;
}

void child_describe_end(char ret_text[64], int64_t exit_status, int signal_number)
{
    if (signal_number)
        (void)snprintf(ret_text, 64, "signal %d (%s)", signal_number, sigabbrev_np(signal_number));
    else
        (void)snprintf(ret_text, 64, "exit code %lld", (long long)exit_status);
}

static void set_variable(void *arg, const char *name, const char *value)
{
    child_env_set(arg, name, value);
}

static struct child_env *environment_of(struct supervisor *supervisor, const char *name)
{
    char file[STACK_NAME_SIZE + 16];
    struct child_env *env = child_env_new(environ);
    stack_settings_each(supervisor->folder, &supervisor->state, set_variable, env);
    char *config = stack_path(supervisor->folder, "errand.yaml");
    (void)snprintf(file, sizeof file, "log/%s.log", name);
    char *log = stack_path(supervisor->folder, file);
    child_env_set(env, "ERRAND_CONFIG", config);
    child_env_set(env, "ERRAND_PROCESS", name);
    child_env_set(env, "ERRAND_LOG_PATH", log);
    free(config);
    free(log);
    return env;
}

enum err_code child_spawn(struct supervisor *supervisor, const struct child_program *program,
                          struct loop_process **ret_process, struct err *err)
{
    struct plan_argv words = { 0 };
    plan_argv_add(&words, "%s", supervisor->program);
    plan_argv_add(&words, "exec-child");
    plan_argv_add(&words, "--parent=%lld", (long long)getpid());
    if (program->listen_fd >= 0)
        plan_argv_add(&words, INHERITED_FD_ARGUMENT);
    plan_argv_add(&words, "--");
    for (size_t i = 0; program->argv[i]; i++)
        plan_argv_add(&words, "%s", program->argv[i]);

    struct child_env *env = environment_of(supervisor, program->name);
    int output = output_open(supervisor->folder, program->name);
    const struct loop_process_options options = {
        .file = supervisor->program,
        .argv = words.words,
        .environment = child_env_list(env),
        .directory = supervisor->folder,
        .stdout_fd = output,
        .inherit_fd = program->listen_fd,
    };
    enum err_code code = loop_process_start(supervisor->loop, &options, program->on_exit,
                                            program->arg, ret_process, err);
    if (output >= 0)
        (void)close(output);
    child_env_free(env);
    plan_argv_clear(&words);
    return code;
}

void child_set_ready(struct child *child, bool ready, const char *why)
{
    struct stack_process *shown = child_shown(child);
    (void)snprintf(child->why, sizeof child->why, "%s", ready ? "" : why);
    if (shown->ready == ready)
        return;
    shown->ready = ready;
    supervisor_save(child->supervisor);
    log_write(child->supervisor->log, LOG_INFO, "supervisor", NULL, "%s is %s%s%s", shown->name,
              ready ? "ready" : "not ready", ready ? "" : ": ", child->why);
    if (ready)
        supervisor_advance(child->supervisor);
}

static void start_again(struct child *child)
{
    int64_t lived_ms = loop_now_ms(child->supervisor->loop) - child->started_at_ms;
    if (lived_ms >= SUPERVISOR_LIFE_MS || child->backoff_ms == 0)
        child->backoff_ms = SUPERVISOR_BACKOFF_MS;
    int64_t delay_ms = child->renewing ? 0 : child->backoff_ms;
    if (!child->renewing)
        child->backoff_ms *= 2;
    if (child->backoff_ms > SUPERVISOR_BACKOFF_MS_MAX)
        child->backoff_ms = SUPERVISOR_BACKOFF_MS_MAX;
    child->renewing = false;
    child_shown(child)->restarts++;
    loop_timer_start(child->timer, delay_ms, 0);
}

/* What to do about a child that ended. */
static void decide(struct child *child, const char *end)
{
    struct supervisor *supervisor = child->supervisor;
    const char *name = child_shown(child)->name;
    if (supervisor->step == STEP_STOPPING) {
        supervisor_stop_next(supervisor);
        return;
    }
    log_write(supervisor->log, child->renewing ? LOG_INFO : LOG_WARN, "supervisor", NULL,
              "%s ended with %s", name, end);
    if (supervisor->step != STEP_RUNNING) {
        supervisor_fail(supervisor, name, "errand logs",
                        "it ended with %s while it was being started", end);
    } else if (supervisor->state.options.restart || child->renewing) {
        if (child_is_embedded_broker(child))
            supervisor->broker_lost = true;
        start_again(child);
    }
}

static void on_child_exit(void *arg, int64_t exit_status, int signal_number)
{
    struct child *child = arg;
    char end[64];
    struct stack_process *shown = child_shown(child);
    child_describe_end(end, exit_status, signal_number);
    loop_process_free(child->process);
    child->process = NULL;
    loop_timer_stop(child->timer);
    shown->id = (struct stack_pid){ 0 };
    shown->ready = false;
    (void)snprintf(child->why, sizeof child->why, "it ended with %s", end);
    decide(child, end);
    supervisor_save(child->supervisor);
}

static void on_timer(void *arg)
{
    struct child *child = arg;
    if (!child->process) {
        child_start(child);
        return;
    }
    log_write(child->supervisor->log, LOG_WARN, "supervisor", NULL,
              "%s did not end within %d s: killed", child_shown(child)->name,
              SUPERVISOR_STOP_GRACE_MS / 1000);
    (void)kill((pid_t)loop_process_pid(child->process), SIGKILL);
}

void child_start(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    struct stack_process *shown = child_shown(child);
    struct plan_argv argv = { 0 };
    struct err err = { 0 };
    if (!child->timer)
        child->timer = loop_timer_new(supervisor->loop, on_timer, child);
    child->started_at_ms = loop_now_ms(supervisor->loop);
    child->stopping = false;
    if (child_is_embedded_broker(child))
        plan_forget_address(child);
    plan_argv_of(child, &argv);
    const struct child_program program = {
        .name = shown->name,
        .argv = argv.words,
        .listen_fd = child->listen_fd,
        .on_exit = on_child_exit,
        .arg = child,
    };
    enum err_code code = child_spawn(supervisor, &program, &child->process, &err);
    plan_argv_clear(&argv);
    if (code == ERR_OK) {
        shown->id = stack_pid_of(loop_process_pid(child->process));
        log_write(supervisor->log, LOG_INFO, "supervisor", NULL, "%s is started: pid %lld",
                  shown->name, (long long)shown->id.pid);
    } else if (supervisor->step == STEP_RUNNING) {
        log_write(supervisor->log, LOG_ERROR, "supervisor", &(struct log_about){ .err = &err },
                  "%s cannot be started", shown->name);
        start_again(child);
    } else {
        supervisor_fail(supervisor, shown->name, "errand logs supervisor", "%s", err.text);
    }
    supervisor_save(supervisor);
}

void child_stop(struct child *child)
{
    if (!child->process || child->stopping) /* a second SIGTERM would cut short what it finishes */
        return;
    child->stopping = true;
    (void)kill((pid_t)loop_process_pid(child->process), SIGTERM);
    loop_timer_start(child->timer, SUPERVISOR_STOP_GRACE_MS, 0);
}
