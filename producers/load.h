/* The load generator: submits many jobs to a gateway and measures the answers. Open loop (a
 * rate): job n is due at start + n / rate, whatever the answers do, and its latency counts from
 * that moment; so an answer that comes late does not hide those that had to wait behind it (no
 * coordinated omission). Closed loop (connections): each connection submits its next job when
 * its last one is answered. A request that fails is counted and not sent again: what is measured
 * is what a client sees.
 * thread: load_run's caller; it has a loop of its own
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_LOAD_H
#define PRODUCERS_LOAD_H

#include "producers/histogram.h"
#include "schemas/err.h"
#include "schemas/history.h"

#define LOAD_STATUS_MAX      600
#define LOAD_CONNECTIONS_MAX 4096

enum load_mode {
    LOAD_SUBMIT, /* until the job is accepted */
    LOAD_E2E,    /* until it is finished: read with ?wait= on the same connection */
};

struct load_report {
    int64_t elapsed_us;
    uint64_t due; /* by the schedule, or begun by a connection */
    uint64_t sent;
    uint64_t accepted; /* answered 200 or 202 */
    uint64_t finished; /* e2e: seen in a terminal state */
    uint64_t by_state[JOB_STATE_COUNT];
    uint64_t by_status[LOAD_STATUS_MAX]; /* every answer to a submission */
    uint64_t resent;                     /* on a new connection; see `resend` */
    uint64_t broken;                     /* the connection failed: nothing is known about the job */
    uint64_t timeouts;                   /* no answer in time, or e2e not finished in time */
    size_t connections;
    struct histogram latency; /* us; of accepted jobs, e2e of finished ones */
};

struct load_options {
    const char *host; /* name or number */
    const char *port;
    const char *path; /* before /v1/jobs: "" or "/errand" */
    const char *type;
    struct span payload; /* JSON; "{{n}}" in it is the number of the job */
    const char *key;  /* the ordering key, for types of ordered queues; "{{n}}" as in the payload;
                         NULL none */
    int64_t delay_ms; /* they become due so much later; 0: at once */
    enum load_mode mode;
    int64_t rate;        /* thousandths a second; 0: closed loop */
    int64_t connections; /* closed loop: how many; open loop: at most */
    int64_t duration_ms; /* 0: no limit */
    int64_t count;       /* 0: no limit */
    bool keyed;          /* each job gets an Idempotency-Key */
    bool resend; /* with `keyed`: what was sent on a connection that was just being closed, and
                    got no byte of an answer, is sent once more (RFC 9112, 9.3.1) */
    void *arg;
    /* A job was accepted; `key` is empty unless keyed. May be NULL. */
    void (*on_accepted)(void *arg, struct span id, struct span key);
    /* What was done and told, line by line in the order of time (schemas/history.h). Then each
     * submission carries a request id, jobs are asked for every second, and after each job that
     * has ended an earlier one is read again: it may not have changed. May be NULL. */
    void (*on_history)(void *arg, const struct history_line *line);
    /* A few times a second. False stops: nothing more is sent, what is under way is waited for.
     * May be NULL. */
    bool (*on_progress)(void *arg, const struct load_report *report);
};

/* Runs until all jobs of the schedule are answered, or the time for stragglers is over.
 * ERR_INVALID_FIELD when the address cannot be resolved. */
enum err_code load_run(const struct load_options *options, struct load_report *ret_report,
                       struct err *err) MUST_CHECK;

/* When job n of a schedule is due, in us after its start. `rate` in thousandths a second, above
 * 0. */
int64_t load_due_us(int64_t rate, int64_t n);
/* How many jobs of a schedule are due at `elapsed_us`: those with load_due_us(rate, n) <=
 * elapsed_us. */
int64_t load_due_count(int64_t rate, int64_t elapsed_us);

#endif
