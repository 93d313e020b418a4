/* The supervisor's parts, private to supervisor*.c.
 *
 * It starts in steps: base (broker and Redis, until both are ready), topics (`errand topics
 * apply`), daemons (until all are ready), running. It stops in the reverse order of enum
 * child_kind, one kind after the other. While it starts, a child that ends is the end of the
 * attempt: started again it would fail again. Once it runs, what dies is restarted.
 * THREADS: everything on the loop's thread, except what supervisor_probe.c does on the thread
 * pool.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_SUPERVISOR_INTERNAL_H
#define GATEWAY_CLI_SUPERVISOR_INTERNAL_H

#include "gateway/cli/port.h"
#include "gateway/cli/stack.h"
#include "infra/config.h"
#include "infra/http_client.h"
#include "infra/log.h"
#include "infra/loop.h"
#include "infra/redis.h"

#define SUPERVISOR_START_TIMEOUT_MS 120000
#define SUPERVISOR_BACKOFF_MS       200
#define SUPERVISOR_BACKOFF_MS_MAX   5000
#define SUPERVISOR_LIFE_MS                                                                         \
    30000 /* a child that lived this long starts from the first backoff again */
/* From SIGTERM to SIGKILL: a gateway may drain for 10 s. */
#define SUPERVISOR_STOP_GRACE_MS 12000
#define SUPERVISOR_WHY_SIZE      256
#define SUPERVISOR_ARGV_MAX      24

/* In the order of starting. */
enum child_kind {
    CHILD_BROKER,
    CHILD_REDIS,
    CHILD_SIMULATOR,
    CHILD_RECORDER,
    CHILD_DELAYER,
    CHILD_WORKER,
    CHILD_GATEWAY,
};

struct child {
    struct supervisor *supervisor;
    enum child_kind kind;
    size_t index;                 /* of its line in state.processes */
    int node;                     /* of an Apache broker, from 1 on */
    bool external;                /* someone else's: never started or stopped, only looked at */
    int listen_fd;                /* held over restarts; -1: it listens for itself */
    struct loop_process *process; /* NULL: not running */
    struct loop_timer *timer;     /* running: SIGKILL when it fires; else: start again */
    int64_t started_at_ms;
    int64_t backoff_ms;
    bool stopping;                 /* SIGTERM has been sent */
    bool renewing;                 /* told to end so that it starts again with new settings */
    bool probing;                  /* an answer to a readiness probe is awaited */
    char why[SUPERVISOR_WHY_SIZE]; /* it is not ready */
};

enum supervisor_step {
    STEP_FORMAT, /* Apache Kafka's data folders are made, once, one after the other */
    STEP_BASE,
    STEP_TOPICS,
    STEP_DAEMONS,
    STEP_RUNNING,
    STEP_STOPPING,
};

struct supervisor {
    struct loop *loop;
    struct log *log;
    const char *folder;
    char *program;    /* this executable */
    char *bin_folder; /* where the others are */
    struct config *config;
    struct stack_state state;
    struct child children[STACK_PROCESSES_MAX];
    size_t child_count;
    enum supervisor_step step;
    int formatting; /* the node whose folder is being made, or was the last */
    bool failed;
    bool broker_lost; /* the embedded broker died with its topics: they must be made again */
    struct loop_process *helper; /* a program that runs once: format, topics apply */
    struct loop_timer *deadline;
    struct loop_timer *prober;
    struct loop_signal *signals[2];
    struct http_client *http;
    struct redis *redis;
    struct broker_probe *broker_probes;
    size_t broker_probe_count;
};

/* --- supervisor.c --- */
void supervisor_save(struct supervisor *supervisor);
/* Looks whether the next step can be taken. */
void supervisor_advance(struct supervisor *supervisor);
/* The attempt to start is over: says why, and stops what runs. */
void supervisor_fail(struct supervisor *supervisor, const char *process, const char *remedy,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* After a child or the helper has ended while stopping. */
void supervisor_stop_next(struct supervisor *supervisor);
/* Runs a program to its end beside the children. */
void supervisor_help(struct supervisor *supervisor, const char *name, char *const *argv);

/* --- supervisor_child.c --- */
struct stack_process *child_shown(struct child *child);
bool child_is_embedded_broker(const struct child *child);
void child_start(struct child *child);
/* SIGTERM, SIGKILL after a while. */
void child_stop(struct child *child);
void child_set_ready(struct child *child, bool ready, const char *why);
struct child_program {
    const char *name; /* its output goes to log/NAME.log */
    char *const *argv;
    int listen_fd; /* inherited as fd 3; -1: none */
    loop_exit_fn on_exit;
    void *arg;
};
/* Starts a process of the stack, that ends with its supervisor. */
enum err_code child_spawn(struct supervisor *supervisor, const struct child_program *program,
                          struct loop_process **ret_process, struct err *err) MUST_CHECK;
/* "exit code 1", "signal 9 (Killed)" */
void child_describe_end(char ret_text[64], int64_t exit_status, int signal_number);

/* --- supervisor_output.c --- */
/* Opens log/NAME.log to be a process's output, appending; -1 where that fails. Close it. */
int output_open(const char *folder, const char *name);
/* When the file has grown too large it becomes log/NAME.log.1 and begins anew. It is copied and
 * then cut, for whoever writes keeps it open: what is written in between is lost. */
void output_rotate(const char *folder, const char *name);

/* --- supervisor_plan.c --- */
/* Decides what there is to run, binds the daemons' listening sockets, and chooses the ports of the
 * others, which `holds` keeps. */
enum err_code plan_children(struct supervisor *supervisor, struct port_holds *holds,
                            struct err *err) MUST_CHECK;
/* Writes what the broker and Redis read; may add to `holds`. */
enum err_code plan_configure(struct supervisor *supervisor, struct port_holds *holds,
                             struct err *err) MUST_CHECK;
/* The program and its arguments; the texts are freed with plan_argv_clear. */
struct plan_argv {
    char *words[SUPERVISOR_ARGV_MAX + 1];
    size_t count;
};
void plan_argv_add(struct plan_argv *argv, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void plan_argv_clear(struct plan_argv *argv);
void plan_argv_of(struct child *child, struct plan_argv *ret_argv);
/* The embedded broker chooses its port itself and writes it down; this forgets what an earlier
 * one wrote. */
void plan_forget_address(const struct child *child);
/* Shows the address that it wrote; false while there is none. */
bool plan_learn_address(struct child *child);

/* --- supervisor_probe.c --- */
void probe_open(struct supervisor *supervisor);
void probe_close(struct supervisor *supervisor);
/* Asks every process whether it is ready; answers come by child_set_ready. */
void probe_all(void *arg);
/* Whether the thread pool still looks at a broker. */
bool probe_is_busy(const struct supervisor *supervisor);

#endif
