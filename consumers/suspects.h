/* Suspects: attempts that may have crashed a worker (gate.h), run in child processes, many at once,
 * so that another crash takes a child only. Children are this same program (`--attempts`,
 * attempts.h), spoken to over pipes (schemas/envelope_attempts.h). Only a child's own fatal signal,
 * seen here, speaks against an attempt; whose it was is found by splitting (suspect_split.h), and
 * that attempt fails with ERR_CRASHED.
 * thread: the worker's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_SUSPECTS_H
#define CONSUMERS_SUSPECTS_H

#include "consumers/handler.h"
#include "infra/log.h"
#include "infra/metrics.h"

struct suspects;

struct suspects_options { /* borrowed */
    struct loop *loop;
    struct log *log;
    struct metrics *metrics;
    const char *config_path; /* NULL none */
    size_t children_max;     /* at least 2 */
};
struct suspects *suspects_new(const struct suspects_options *options);
/* Where the attempt's command stands. */
struct suspects_place {
    const char *topic;
    int32_t partition;
    int64_t offset;
};
/* Like a handler's start: the callback comes once, never from inside. The command is borrowed until
 * then; the type's handler of the child does it. One that no child has had by the job's last moment
 * ends with ERR_EXPIRED. */
struct handler_run *suspects_start(struct suspects *suspects, const struct job_command *command,
                                   const struct suspects_place *place, outcome_fn fn, void *arg);
/* Like a handler's cancel. */
void suspects_cancel(struct handler_run *run);
/* Kills the children; what runs is told ERR_CANCELLED before it returns. Accepts NULL. */
void suspects_stop(struct suspects *suspects);
/* After suspects_stop. Accepts NULL. */
void suspects_free(struct suspects *suspects);

#endif
