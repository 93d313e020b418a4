/* Children, pipes and outcomes; see suspects.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/suspects.h"
#include "consumers/suspect_split.h"
#include "infra/clock.h"
#include "schemas/envelope_attempts.h"
#include "schemas/mem.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNREAD_BYTES_MAX (4 * ATTEMPT_MESSAGE_BYTES_MAX) /* to one child, in its pipe's queue */
#define LINGER_MS        1000 /* a child without work waits so long for more */
#define AGAIN_MS         1000 /* after one that could not begin */

struct child {
    struct child *next;
    struct suspects *suspects;
    struct split_group *group;
    struct loop_process *process;
    struct buf output; /* come, not read yet */
    bool ready;        /* it has said so: what happens from now on is its attempts' doing */
    bool killed;       /* by us */
    bool retired;      /* told to end */
    struct loop_timer *linger;
};

struct handler_run {
    struct suspect suspect;              /* first: the book gives it back */
    struct handler_run *next, *previous; /* of those that no child has */
    struct suspects *suspects;
    const struct job_command *command;
    struct suspects_place place;
    uint64_t ticket;
    struct child *sent; /* who has it; NULL: nobody, and it is in the list of those */
    bool cancelled;
    bool unheard; /* its child has no room for being told that it is called off */
    outcome_fn fn;
    void *arg;
};

struct suspects {
    struct suspects_options use;
    struct split *split;
    struct child *children;
    struct handler_run *unsent; /* those that no child has */
    struct loop_task task;      /* gives groups children, and children attempts */
    struct loop_timer *again;   /* after a child that could not begin */
    struct loop_timer *expiry;  /* the first last moment of those that no child has */
    bool pausing;
    uint64_t tickets;
    struct metric *total, *convicted, *children_gauge;
};

static void look(void *arg);
static void on_again(void *arg);

struct suspects *suspects_new(const struct suspects_options *options)
{
    struct suspects *suspects = MEM_NEW(*suspects);
    suspects->use = *options;
    suspects->split = split_new(options->children_max);
    suspects->task = (struct loop_task){ .fn = look, .arg = suspects };
    suspects->again = loop_timer_new(options->loop, on_again, suspects);
    suspects->expiry = loop_timer_new(options->loop, look, suspects);
    suspects->total = metrics_counter(
        options->metrics, "errand_suspects_total",
        "Attempts run in a child process, since the command may have crashed a worker.", NULL);
    suspects->convicted =
        metrics_counter(options->metrics, "errand_suspects_convicted_total",
                        "Commands given up on because they crash their process.", NULL);
    suspects->children_gauge =
        metrics_gauge(options->metrics, "errand_children", "Child processes for suspects.", NULL);
    return suspects;
}

/* --- those that no child has --- */

static void link_unsent(struct handler_run *run)
{
    struct suspects *suspects = run->suspects;
    run->sent = NULL;
    run->unheard = false;
    run->previous = NULL;
    run->next = suspects->unsent;
    if (run->next)
        run->next->previous = run;
    suspects->unsent = run;
}

static void unlink_unsent(struct handler_run *run)
{
    if (run->previous)
        run->previous->next = run->next;
    else
        run->suspects->unsent = run->next;
    if (run->next)
        run->next->previous = run->previous;
}

/* --- outcomes --- */

/* The attempt is over; it is in no group any more. */
static void tell(struct handler_run *run, const struct outcome *outcome)
{
    if (!run->sent)
        unlink_unsent(run);
    run->fn(run->arg, outcome);
    free(run);
}

static void tell_code(struct handler_run *run, enum err_code code)
{
    struct outcome outcome;
    outcome_fail_code(&outcome, code);
    tell(run, &outcome);
}

static struct handler_run *run_of(struct suspect *suspect)
{
    return (struct handler_run *)suspect;
}

static struct handler_run *find_run(const struct split_group *group, uint64_t ticket)
{
    for (struct suspect *suspect = group->first; suspect; suspect = suspect->next) {
        if (run_of(suspect)->ticket == ticket)
            return run_of(suspect);
    }
    return NULL;
}

static void linger_if_idle(struct child *child)
{
    if (child->group->count == 0)
        loop_timer_start(child->linger, child->group->open ? LINGER_MS : 0, 0);
}

static void on_outcome(struct child *child, const struct attempt_outcome *said)
{
    if (said->ticket == 0) {
        child->ready = true;
        return;
    }
    struct handler_run *run = find_run(child->group, said->ticket);
    if (!run)
        return;
    struct outcome outcome = {
        .code = said->code,
        .class_ = said->class_,
        .status = said->status,
        .retry_after_ms = said->retry_after_ms,
        .result = said->result,
        .result_kind = said->result_kind,
    };
    snprintf(outcome.detail, sizeof outcome.detail, "%.*s", SPAN_ARG(said->detail));
    split_finished(child->suspects->split, &run->suspect);
    tell(run, &outcome);
    linger_if_idle(child);
}

static void kill_child(struct child *child)
{
    child->killed = true;
    loop_process_kill(child->process, SIGKILL);
}

static enum err_code read_message(struct child *child, struct span message, struct err *err)
{
    struct attempt_outcome *outcome = NULL;
    enum err_code code = attempt_decode_outcome(message, &outcome, err);
    if (code == ERR_OK)
        on_outcome(child, outcome);
    attempt_outcome_free(outcome);
    return code;
}

static void on_output(void *arg, struct span bytes)
{
    struct child *child = arg;
    buf_add_span(&child->output, bytes);
    size_t from = 0, used = 0;
    struct err err;
    enum err_code code = ERR_OK;
    do {
        struct span message;
        from += used;
        code = attempt_next_message(
            (struct span){ child->output.data + from, child->output.size - from }, &used, &message,
            &err);
        if (code == ERR_OK && used)
            code = read_message(child, message, &err);
    } while (code == ERR_OK && used);
    if (code && !child->killed) {
        log_write(child->suspects->use.log, LOG_ERROR, "suspects",
                  &(struct log_about){ .err = &err }, "child %d writes what it should not; killed",
                  loop_process_pid(child->process));
        kill_child(child);
    }
    if (code)
        from = child->output.size;
    child->output.size -= from;
    memmove(child->output.data, child->output.data + from, child->output.size);
}

/* --- what is sent --- */

static bool send_request(struct child *child, const struct handler_run *run)
{
    struct buf envelope = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct buf message = BUF_INIT(ATTEMPT_MESSAGE_BYTES_MAX + 16);
    struct attempt_request request = { .ticket = run->ticket,
                                       .topic = span_of(run->place.topic),
                                       .partition = run->place.partition,
                                       .offset = run->place.offset };
    struct err err;
    enum err_code code = ERR_OK;
    if (!run->cancelled)
        code = envelope_encode_command(run->command, &envelope, &err);
    request.command = buf_span(&envelope);
    if (code == ERR_OK)
        code = attempt_encode_request(&request, &message, &err);
    bool sent = code == ERR_OK && loop_process_write(child->process, buf_span(&message));
    buf_free(&envelope);
    buf_free(&message);
    return sent;
}

/* ERR_OK while it may begin. The last moment counts when a child gets it. */
static enum err_code why_not(const struct handler_run *run)
{
    int64_t not_after_ms = run->command->facts.not_after_ms;
    if (run->cancelled)
        return ERR_CANCELLED;
    return not_after_ms && clock_wall_ms() > not_after_ms ? ERR_EXPIRED : ERR_OK;
}

/* What there is room for; the rest when the child has read it. */
static void send_more(struct child *child)
{
    if (child->killed || child->retired)
        return;
    for (struct suspect *suspect = child->group->first; suspect; suspect = suspect->next) {
        struct handler_run *run = run_of(suspect);
        if (run->sent && !run->unheard)
            continue;
        if (!run->sent && why_not(run)) {
            loop_defer(child->suspects->use.loop, &child->suspects->task); /* to end it */
            continue;
        }
        if (!send_request(child, run))
            break;
        if (!run->sent)
            unlink_unsent(run);
        run->sent = child;
        run->unheard = false;
    }
}

static void on_all_read(void *arg)
{
    send_more(arg);
}

/* --- children --- */

static void on_linger(void *arg)
{
    struct child *child = arg;
    if (child->group->count)
        return;
    split_close(child->suspects->split, child->group);
    child->retired = true;
    loop_process_end_input(child->process);
}

static void convict(struct suspects *suspects, struct suspect *suspect, const char *how)
{
    struct handler_run *run = run_of(suspect);
    bool crashed = suspect->signals_alone == suspect->deaths_alone;
    struct err err;
    struct outcome outcome;
    if (crashed)
        err_set(&err, ERR_CRASHED,
                "%s: the process that ran the attempt died of it, twice, with nothing else in it",
                how);
    else
        err_set(&err, ERR_INTERNAL, "the process that ran the attempt ended: %s", how);
    outcome_fail(&outcome, &err);
    if (crashed)
        metric_add(suspects->convicted, 1);
    tell(run, &outcome);
}

static void forget_child(const struct child *child)
{
    struct child **link = &child->suspects->children;
    while (*link != child)
        link = &(*link)->next;
    *link = child->next;
}

/* It is in no list any more. */
static void child_free(struct child *child)
{
    loop_process_free(child->process);
    loop_timer_free(child->linger);
    buf_free(&child->output);
    free(child);
}

static enum split_end judge(const struct child *child, int signal_number)
{
    if (child->group->count == 0)
        return SPLIT_RETIRED;
    if (!child->ready)
        return SPLIT_UNBEGUN;
    return signal_number && !child->killed ? SPLIT_SIGNAL : SPLIT_EXIT;
}

static void forget_sent(struct split_group *group)
{
    for (struct suspect *suspect = group->first; suspect; suspect = suspect->next) {
        if (run_of(suspect)->sent)
            link_unsent(run_of(suspect));
    }
}

static void on_exit_of(void *arg, int64_t status, int signal_number)
{
    struct child *child = arg;
    struct suspects *suspects = child->suspects;
    struct split_group *group = child->group;
    enum split_end end = judge(child, signal_number);
    char how[64];
    const char *name = signal_number ? sigabbrev_np(signal_number) : NULL;
    if (name)
        snprintf(how, sizeof how, "SIG%s", name);
    else
        snprintf(how, sizeof how, signal_number ? "signal %lld" : "exit code %lld",
                 (long long)(signal_number ? signal_number : status));
    if (end != SPLIT_RETIRED)
        log_write(suspects->use.log, LOG_WARN, "suspects", NULL,
                  "child %d ended (%s) with %zu attempts in it%s", loop_process_pid(child->process),
                  how, group->count, end == SPLIT_UNBEGUN ? ", none of which had begun" : "");
    forget_sent(group);
    forget_child(child);
    child_free(child);
    if (end == SPLIT_UNBEGUN) {
        suspects->pausing = true;
        loop_timer_start(suspects->again, AGAIN_MS, 0);
    }
    struct suspect *found = split_ended(suspects->split, group, end);
    metric_set(suspects->children_gauge, (double)split_running(suspects->split));
    if (found)
        convict(suspects, found, how);
    loop_defer(suspects->use.loop, &suspects->task);
}

static enum err_code start_process(struct child *child, struct err *err)
{
    char file[] = "/proc/self/exe"; /* this very program, also when its file has been replaced */
    char name[] = "errand-worker", mode[] = "--attempts", option[] = "--config";
    const char *path = child->suspects->use.config_path;
    char *config = path ? mem_dup_text(path) : NULL;
    char *const argv[] = { name, mode, path ? option : NULL, config, NULL };
    struct loop_process_options options = {
        .file = file,
        .argv = argv,
        .stdout_fd = -1,
        .inherit_fd = -1,
        .piped = true,
        .unread_bytes_max = UNREAD_BYTES_MAX,
        .on_output = on_output,
        .on_all_read = on_all_read,
    };
    enum err_code code = loop_process_start(child->suspects->use.loop, &options, on_exit_of, child,
                                            &child->process, err);
    free(config);
    return code;
}

static void child_start(struct suspects *suspects, struct split_group *group)
{
    struct child *child = MEM_NEW(*child);
    *child = (struct child){
        .next = suspects->children,
        .suspects = suspects,
        .group = group,
        .output = BUF_INIT(2 * (ATTEMPT_MESSAGE_BYTES_MAX + (size_t)64 * 1024)),
        .linger = loop_timer_new(suspects->use.loop, on_linger, child),
    };
    suspects->children = child;
    group->child = child;
    struct err err;
    if (start_process(child, &err) == ERR_OK) {
        send_more(child);
        return;
    }
    log_write(suspects->use.log, LOG_ERROR, "suspects", &(struct log_about){ .err = &err },
              "no child for %zu suspects; tried again", group->count);
    forget_child(child);
    child_free(child);
    (void)split_ended(suspects->split, group, SPLIT_UNBEGUN);
    suspects->pausing = true;
    loop_timer_start(suspects->again, AGAIN_MS, 0);
}

static void on_again(void *arg)
{
    struct suspects *suspects = arg;
    suspects->pausing = false;
    look(suspects);
}

/* Nobody has it: nobody else can say how it went. */
static void end_unsent(struct handler_run *run, enum err_code code)
{
    struct split_group *group = run->suspect.group;
    struct child *child = group->child; /* when it runs; a group that waits may be gone now */
    split_finished(run->suspects->split, &run->suspect);
    tell_code(run, code);
    if (child)
        linger_if_idle(child);
}

/* Neither a place among the children nor a child that can begin may ever come. */
static void end_those_not_wanted(struct suspects *suspects)
{
    int64_t first_ms = INT64_MAX;
    for (struct handler_run *run = suspects->unsent, *next; run; run = next) {
        enum err_code code = why_not(run);
        int64_t not_after_ms = run->command->facts.not_after_ms;
        next = run->next;
        if (code)
            end_unsent(run, code);
        else if (not_after_ms && not_after_ms < first_ms)
            first_ms = not_after_ms;
    }
    loop_timer_stop(suspects->expiry);
    if (first_ms < INT64_MAX)
        loop_timer_start(suspects->expiry, first_ms - clock_wall_ms() + 1, 0);
}

static void look(void *arg)
{
    struct suspects *suspects = arg;
    struct split_group *group;
    end_those_not_wanted(suspects);
    while (!suspects->pausing && (group = split_next(suspects->split)))
        child_start(suspects, group);
    for (struct child *child = suspects->children; child; child = child->next) {
        if (child->group->open)
            send_more(child);
    }
    metric_set(suspects->children_gauge, (double)split_running(suspects->split));
}

/* --- attempts --- */

struct handler_run *suspects_start(struct suspects *suspects, const struct job_command *command,
                                   const struct suspects_place *place, outcome_fn fn, void *arg)
{
    struct handler_run *run = MEM_NEW(*run);
    *run = (struct handler_run){
        .suspects = suspects,
        .command = command,
        .place = *place,
        .ticket = ++suspects->tickets,
        .fn = fn,
        .arg = arg,
    };
    link_unsent(run);
    metric_add(suspects->total, 1);
    (void)split_add(suspects->split, &run->suspect);
    loop_defer(suspects->use.loop, &suspects->task);
    return run;
}

/* A child that has it answers for it. */
void suspects_cancel(struct handler_run *run)
{
    run->cancelled = true;
    if (!run->sent)
        loop_defer(run->suspects->use.loop, &run->suspects->task);
    else if (!send_request(run->sent, run))
        run->unheard = true; /* until it has read what it has been sent */
}

void suspects_stop(struct suspects *suspects)
{
    if (!suspects)
        return;
    while (suspects->children) { /* what they ran goes back into groups that wait */
        struct child *child = suspects->children;
        struct split_group *group = child->group;
        kill_child(child);
        forget_sent(group);
        suspects->children = child->next;
        child_free(child);
        (void)split_ended(suspects->split, group, SPLIT_UNBEGUN);
    }
    struct suspect *waiting;
    while ((waiting = split_waiting(suspects->split))) {
        split_finished(suspects->split, waiting);
        tell_code(run_of(waiting), ERR_CANCELLED);
    }
}

void suspects_free(struct suspects *suspects)
{
    if (!suspects)
        return;
    loop_undefer(suspects->use.loop, &suspects->task);
    loop_timer_free(suspects->again);
    loop_timer_free(suspects->expiry);
    split_free(suspects->split);
    free(suspects);
}
