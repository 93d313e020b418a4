/* The event loop: one libuv loop a thread, and the only file family that knows libuv.
 * THREADS: a loop and all that is made on it belong to the thread that runs it. The one call
 * allowed from another thread is loop_post. Callbacks run on the loop's thread, never with a lock
 * held.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_LOOP_H
#define INFRA_LOOP_H

#include "schemas/err.h"

#include <stdint.h>

struct loop;
typedef void (*loop_fn)(void *arg);

/* A loop whose post queue holds at most `posts_max` entries. */
struct loop *loop_new(size_t posts_max);
/* Frees a stopped loop and every handle still open on it. Waits for blocking work that runs, whose
 * `done` is still called; posts and tasks that have not run are dropped. Accepts NULL. */
void loop_free(struct loop *loop);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn, in place of loop_run, for a caller whose own work blocks in between: does what is due,
 * and when nothing is and `wait` is true, waits for it. */
void loop_turn(struct loop *loop, bool wait);

/* Monotonic milliseconds / nanoseconds as of the loop's current turn (cheap; loop thread). */
int64_t loop_now_ms(const struct loop *loop);
/* Monotonic milliseconds at which the loop last turned. thread: any (the watchdog reads it). */
int64_t loop_turned_at_ms(const struct loop *loop);

/* Runs fn(arg) on the loop's thread, in posting order. False when the queue is full: the caller
 * decides. thread: any */
bool loop_post(struct loop *loop, loop_fn fn, void *arg) MUST_CHECK;

/* --- tasks: run once at the end of the current turn, after its I/O, in the order deferred --- */
/* Embedded in its owner; deferring a task that is already deferred does nothing. */
struct loop_task {
    loop_fn fn;
    void *arg;
    struct loop_task *next;
    bool deferred;
};
void loop_defer(struct loop *loop, struct loop_task *task);
/* Takes a deferred task out (before its owner is freed). */
void loop_undefer(struct loop *loop, struct loop_task *task);

/* --- timers --- */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg);
/* Fires once after delay_ms (0: next turn), then every repeat_ms if that is > 0. Restarts a running
 * timer. */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms, int64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
/* Whether it is going to fire; not of one that fires once, in its own callback. */
bool loop_timer_runs(const struct loop_timer *timer);
/* Stops and frees; allowed inside its own callback. Accepts NULL. */
void loop_timer_free(struct loop_timer *timer);

/* --- file descriptors (level-triggered) --- */
enum loop_events {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4, /* peer closed; delivered with READ when asked for */
};
struct loop_fd;
/* `events` is a set of enum loop_events; an error on fd is delivered as READ|WRITE of what was
 * asked. */
typedef void (*loop_fd_fn)(void *arg, int fd, unsigned events);
/* Borrows fd: close it only after loop_fd_free. */
struct loop_fd *loop_fd_new(struct loop *loop, int fd, loop_fd_fn fn, void *arg);
/* What to watch; 0 stops watching. */
void loop_fd_watch(struct loop_fd *watch, unsigned events);
void loop_fd_free(struct loop_fd *watch);

/* --- signals --- */
struct loop_signal;
typedef void (*loop_signal_fn)(void *arg, int signal_number);
struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn fn,
                                    void *arg);
void loop_signal_free(struct loop_signal *watch);

/* --- blocking work, on libuv's thread pool; the caller bounds how much is queued --- */
/* How many threads the process's pool has besides those for questions to the system, to Kafka and
 * to Redis's name server (LOOP_POOL_OWN of them, which are libuv's four if this is never called),
 * so that slow work of others does not hold these up. Once, before the first loop_work, while
 * nothing else reads the environment. At most LOOP_POOL_MORE_MAX. */
enum { LOOP_POOL_OWN = 4, LOOP_POOL_MORE_MAX = 512 };
void loop_pool_more(size_t threads);
/* `work` runs on a pool thread, then `done` on the loop. */
void loop_work(struct loop *loop, loop_fn work, loop_fn done, void *arg);

/* --- child processes (loop_process.c) --- */
struct loop_process_options {
    const char *file;         /* program */
    char *const *argv;        /* NULL-terminated */
    char *const *environment; /* NULL-terminated; NULL inherits */
    const char *directory;    /* working directory; NULL inherits */
    int stdout_fd;            /* where the child's stdout and stderr go; -1 closes them */
    int inherit_fd;           /* becomes fd 3 in the child; -1 for none */
    /* Or pipes: the child reads what loop_process_write gives it, `on_output` is told what it
     * writes (borrowed for the call), and its stderr is ours. */
    bool piped;
    size_t unread_bytes_max; /* written and not read by the child yet */
    void (*on_output)(void *arg, struct span bytes);
    void (*on_all_read)(void *arg); /* nothing waits to be read any more; may be NULL */
};
struct loop_process;
/* exit_status, or 128 + signal when signal != 0. What the child wrote has all been told before. */
typedef void (*loop_exit_fn)(void *arg, int64_t exit_status, int signal_number);
/* The child lives on when this process dies, unless it asks for its parent's death
 * (PR_SET_PDEATHSIG) or sees the end of its pipe. `arg` goes to all callbacks. */
enum err_code loop_process_start(struct loop *loop, const struct loop_process_options *options,
                                 loop_exit_fn fn, void *arg, struct loop_process **ret_process,
                                 struct err *err) MUST_CHECK;
int loop_process_pid(const struct loop_process *process);
/* All of it or, when it would be more than unread_bytes_max, nothing and false. What a child does
 * not read any more is dropped. */
bool loop_process_write(struct loop_process *process, struct span bytes) MUST_CHECK;
/* The child reads what was written, then the end. */
void loop_process_end_input(struct loop_process *process);
/* Does nothing once it has ended. */
void loop_process_kill(struct loop_process *process, int signal_number);
/* Frees the handle (a living child stays). Not in on_output or on_all_read. Accepts NULL. */
void loop_process_free(struct loop_process *process);

#endif
