/* Drill plans: which jobs come in, what is broken when, and what must hold all the same. Read from
 * a drill file (YAML; docs/BREAKING.md shows every key), or put together from a command line. A
 * file is read as the configuration is: unknown keys and bad values are named with their lines.
 * thread: any; a plan belongs to its caller SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_PLAN_H
#define INFRA_CONFIG_PLAN_H

#include "schemas/buf.h"
#include "schemas/err.h"
#include "schemas/job.h"

#define DRILL_FILE_MAX      ((size_t)256 * 1024)
#define DRILL_FAULTS_MAX    200
#define DRILL_JOBS_MAX      16
#define DRILL_DURATION_MIN  1000    /* ms */
#define DRILL_DURATION_MAX  3600000 /* ms */
#define DRILL_RATE_MAX      5000    /* jobs/s */
#define DRILL_AT_ONCE_MAX   16
#define DRILL_HOLD_MS       6000 /* longer than a session on a broker of our own */
#define DRILL_RATE_DEFAULT  200000
#define DRILL_DURATION_MS   60000
#define DRILL_EVERY_MS      5000
#define DRILL_PERCENT_UNSET (-1)

enum drill_act {
    DRILL_KILL,        /* SIGKILL; the supervisor starts it again */
    DRILL_STOP,        /* SIGSTOP, and SIGCONT after `hold` */
    DRILL_RESTART,     /* SIGTERM, as a deployment does */
    DRILL_THIRD_PARTY, /* the simulator misbehaves for `hold` */
    DRILL_FLUSH_REDIS, /* FLUSHALL */
    DRILL_ACT_COUNT
};
/* "kill", ... */
const char *drill_act_text(enum drill_act act);

/* A fault, or one again and again. */
struct drill_fault {
    enum drill_act act;
    char *what;       /* a kind of process, or one by its name; of a third party how: "slow" */
    int64_t at_ms;    /* after the load began */
    int64_t every_ms; /* 0: once */
    int64_t hold_ms;
    int64_t count; /* victims at once */
};

/* Jobs whose end is known beforehand. */
struct drill_jobs {
    char *type;
    char *payload; /* JSON; "{{n}}" in it is the number of the job */
    char *key;     /* the ordering key, the same; NULL none */
    int64_t share; /* of the rate, as weighed against the others */
    enum job_state ends;
};

/* Service levels; 0: none is asked for. In ms. */
enum drill_level {
    DRILL_ACCEPT_P99,  /* from a submission to its answer */
    DRILL_END_P99,     /* from a submission until the job has ended */
    DRILL_RECOVER_P99, /* from a fault until it is no longer felt */
    DRILL_SILENCE,     /* the longest time in which nothing was accepted */
    DRILL_LEVEL_COUNT
};
const char *drill_level_text(enum drill_level level);

/* How clients submit. */
enum drill_client {
    DRILL_PLAIN,   /* each job once, without an idempotency key */
    DRILL_CAREFUL, /* with one; where a connection is closed under a submission it is sent once more
                    */
};

struct drill_plan {
    char *name;
    char *description;
    int64_t seed; /* 0: another one each time */
    int64_t duration_ms;
    int64_t rate; /* thousandths of a job a second */
    enum drill_client client;
    struct drill_jobs *jobs; /* none: those that `errand chaos` submits */
    size_t job_count;
    struct drill_fault *faults;
    size_t fault_count;
    int64_t levels[DRILL_LEVEL_COUNT];
    int64_t faults_min;      /* fewer: the drill has shown nothing */
    int64_t refused_percent; /* of the submissions, at most; DRILL_PERCENT_UNSET */
};

/* A plan with the defaults, without faults. */
void drill_plan_init(struct drill_plan *plan, const char *name);
void drill_plan_clear(struct drill_plan *plan);
/* Appends; copies the texts. `key` may be NULL. */
void drill_plan_add_fault(struct drill_plan *plan, const struct drill_fault *fault);
void drill_plan_add_jobs(struct drill_plan *plan, const char *type, const char *payload,
                         const char *key, int64_t share, enum job_state ends);

/* Whether `what` is one that `act` may be done to; `*ret_allowed` (may be NULL) is what may. */
bool drill_what_is_known(enum drill_act act, struct span what, const char **ret_allowed);
/* What the simulator does when it is told to be slow, down, flaky or to hang. NULL: none of these.
 */
const char *drill_third_party_words(const char *how);

/* Reads a file's text; `file` is its name in messages. ERR_CONFIG: err has the first mistake, and
 * *ret_report every one, a line each, to be freed. */
enum err_code drill_plan_parse(const char *file, struct span text, struct drill_plan *ret_plan,
                               char **ret_report, struct err *err) MUST_CHECK;

#endif
