/* A stack: what `errand up` starts on one machine, with all it keeps in one folder (0700):
 *
 *   errand.yaml     the configuration it runs with
 *   secrets/        id and redis: random, made once, 0600
 *   state.json      written by the supervisor: addresses, pids, what is ready; kept for next time
 *   lock            held by whoever changes the folder; while a stack runs, by its supervisor
 *   log/ kafka/ redis/
 *
 * A pid alone proves nothing, since pids are used again: with it stands the process's start
 * time.
 * thread: any; a struct belongs to its caller
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_STACK_H
#define GATEWAY_CLI_STACK_H

#include "gateway/cli/args.h"
#include "schemas/buf.h"
#include "schemas/err.h"

#include <stdint.h>

#define STACK_SCHEMA        "errand.stack/1"
#define STACK_NAME_SIZE     32
#define STACK_ADDRESS_SIZE  128
#define STACK_BROKERS_SIZE  1024
#define STACK_WORKERS_MAX   64
#define STACK_PROCESSES_MAX (STACK_WORKERS_MAX + 10)
#define STACK_PATH_SIZE     4096

#define STACK_BROKER_EMBEDDED "embedded"
#define STACK_BROKER_APACHE   "apache"
#define STACK_BROKER_APACHE_3 "apache:3"

enum stack_phase {
    STACK_NEW, /* never started */
    STACK_STARTING,
    STACK_READY, /* it has been started; a process may be down all the same */
    STACK_STOPPING,
    STACK_STOPPED,
    STACK_FAILED, /* it could not be started */
};

struct stack_pid {
    int64_t pid;        /* 0: none */
    int64_t start_time; /* of /proc/PID/stat, in ticks since the machine started */
};

struct stack_process {
    char name[STACK_NAME_SIZE];       /* "worker-1" */
    char address[STACK_BROKERS_SIZE]; /* "127.0.0.1:4711"; "" not known yet */
    struct stack_pid id;              /* none: not ours, or down */
    bool ready;
    int64_t restarts;
};

/* What was asked of `errand up`; the defaults of the next one. */
struct stack_options {
    char broker[STACK_BROKERS_SIZE]; /* "embedded", "apache", "apache:3" or "HOST:PORT,..." */
    char redis[STACK_BROKERS_SIZE];  /* "HOST:PORT,..." of someone else's, or "" */
    bool redis_password; /* someone else's Redis wants the password in secrets/redis-external */
    bool restart;
    int64_t workers;
};

struct stack_failure {
    char process[STACK_NAME_SIZE];
    char why[512];
    char remedy[256]; /* what to try */
};

struct stack_state {
    enum stack_phase phase;
    struct stack_pid supervisor;
    struct stack_options options;
    char stranger[STACK_NAME_SIZE]; /* a target that is not the simulator, as it was started; "" */
    struct stack_failure failure;
    struct stack_process processes[STACK_PROCESSES_MAX];
    size_t process_count;
};

/* How many Apache brokers the stack runs: 1, 3, or 0 when its broker is another one. */
int stack_apache_brokers(const struct stack_options *options);

/* The folder that --dir, ERRAND_DIR or the default name, as an absolute path; it need not exist.
 * Free with free(). *ret_explicit (may be NULL): someone named it by --dir. */
char *stack_folder(const struct args *args, bool *ret_explicit);
/* "FOLDER/NAME"; free with free(). */
char *stack_path(const char *folder, const char *name);

/* Makes the folder itself, unless it is there. */
enum err_code stack_create(const char *folder, struct err *err) MUST_CHECK;
/* Makes what is in the folder as far as it is missing: secrets, errand.yaml from `config_file`
 * (secrets that lie beside it are referred to by their whole path), or when that is NULL and there
 * is none yet, from the one that the program carries. */
enum err_code stack_prepare(const char *folder, const char *config_file,
                            struct err *err) MUST_CHECK;
/* With all that is in it; false when something stayed. */
bool stack_remove_folder(const char *path);
/* Writes a file (0600) so that it is there whole or not at all. */
enum err_code stack_write_file(const char *path, struct span bytes, struct err *err) MUST_CHECK;
/* The whole file, at most `size_max` bytes; free with buf_free. */
enum err_code stack_read_file(const char *path, size_t size_max, struct buf *ret_bytes,
                              struct err *err) MUST_CHECK;

/* Takes the folder's lock: *ret_fd is closed to give it back. False when another process has it,
 * or there is no folder. */
bool stack_lock(const char *folder, int *ret_fd) MUST_CHECK;
/* Whether a supervisor, or someone else, holds the lock. */
bool stack_is_locked(const char *folder);

/* state.json; without one the phase is STACK_NEW. */
enum err_code stack_state_load(const char *folder, struct stack_state *ret_state,
                               struct err *err) MUST_CHECK;
enum err_code stack_state_save(const char *folder, const struct stack_state *state,
                               struct err *err) MUST_CHECK;
void stack_state_render(const struct stack_state *state, struct buf *out);
enum err_code stack_state_parse(struct span json, struct stack_state *ret_state,
                                struct err *err) MUST_CHECK;
/* NULL when there is none of that name. */
struct stack_process *stack_state_find(struct stack_state *state, const char *name);
/* "ready", "starting", ... */
const char *stack_phase_text(enum stack_phase phase);

/* The process as it is now; pid 0 when there is none. */
struct stack_pid stack_pid_of(int64_t pid);
/* Whether this very process still runs (a zombie does not). */
bool stack_pid_is_alive(struct stack_pid id);
/* Sends a signal to this very process; false when it is gone. */
bool stack_pid_signal(struct stack_pid id, int signal_number);
/* Waits until it is gone, at most `timeout_ms`; true when it is. */
bool stack_pid_wait(struct stack_pid id, int64_t timeout_ms);
/* Ends every process that an earlier supervisor left: SIGTERM, SIGKILL after `grace_ms`. */
void stack_end_leftovers(const struct stack_state *state, int64_t grace_ms);

#endif
