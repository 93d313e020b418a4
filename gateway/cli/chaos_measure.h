/* What clients felt while things were broken, from what they wrote down (schemas/history.h):
 * counts, latencies, how long each fault was felt, and how all of it went over time. Pure: no I/O,
 * no clock. Times are Unix milliseconds. thread: the owner's SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_CHAOS_MEASURE_H
#define GATEWAY_CLI_CHAOS_MEASURE_H

#include "infra/config_plan.h"
#include "schemas/history.h"

#define CHAOS_NAME_SIZE 128
#define CHAOS_STEP_MS   1000 /* of what goes over time */
#define CHAOS_UNKNOWN   (-1) /* instead of ms */
#define CHAOS_USUAL_MS  1000 /* a plain job that takes longer has felt something */

/* A fault that was made. */
struct chaos_fault {
    enum drill_act act;
    char name[CHAOS_NAME_SIZE]; /* "worker-1", "worker-1+worker-2", "slow" */
    int64_t begin_ms;
    int64_t end_ms;     /* the dead are dead, who was stopped goes on, the third party is well */
    int64_t back_ms;    /* whoever died is ready again; 0: nobody died, or not yet */
    int64_t recover_ms; /* how long plain jobs felt it; by chaos_measure_recover */
};

struct chaos_counts {
    uint64_t submitted, accepted, refused, unanswered;
    uint64_t ended; /* accepted jobs of which a client was told that they have ended */
    uint64_t wrong; /* of these, the ones that have ended otherwise than they had to */
};

struct chaos_percentiles {
    int64_t p50, p99, max;
    uint64_t count;
};

struct chaos_measure;

/* Of the jobs of this plan, which is borrowed. */
struct chaos_measure *chaos_measure_new(const struct drill_plan *plan);
/* Accepts NULL. */
void chaos_measure_free(struct chaos_measure *measure);
/* Jobs of this kind call the third party, and may fail when it does not only answer late at a time
 * that lies within their lives: by the faults told last, which are borrowed. */
void chaos_measure_calls(struct chaos_measure *measure, size_t kind);
void chaos_measure_faults(struct chaos_measure *measure, const struct chaos_fault *faults,
                          size_t count);
/* A line of the history of jobs of this kind. */
void chaos_measure_take(struct chaos_measure *measure, size_t kind,
                        const struct history_line *line);

struct chaos_counts chaos_measure_counts(const struct chaos_measure *measure);
struct chaos_counts chaos_measure_counts_of(const struct chaos_measure *measure, size_t kind);
/* From a submission to its acceptance, and to the end of its job. */
struct chaos_percentiles chaos_measure_accept(const struct chaos_measure *measure);
struct chaos_percentiles chaos_measure_end(const struct chaos_measure *measure);
/* The longest time, between the first and the last submission, in which nothing was accepted. */
int64_t chaos_measure_silence(const struct chaos_measure *measure);
/* Sets recover_ms of each fault (they are in the order of their begin): from its begin to the end
 * of the last plain job that was under way or submitted then, before the next fault, and that took
 * more than CHAOS_USUAL_MS or was not accepted. 0: nobody felt it; CHAOS_UNKNOWN: there
 * was no plain job, and the fault is not counted in what is returned. */
struct chaos_percentiles chaos_measure_recover(const struct chaos_measure *measure,
                                               struct chaos_fault *faults, size_t count);

/* The i-th accepted job that nobody has seen ended, for a last look; false past the last one. */
bool chaos_measure_open_job(const struct chaos_measure *measure, size_t i, struct id *ret_id,
                            size_t *ret_kind);

/* A second of the run. */
struct chaos_second {
    uint64_t accepted, refused, ended;
    int64_t p50_ms, p99_ms; /* of jobs submitted in it, until they had ended; -1: of none */
};
/* From `begin_ms` on; to be freed with free(). */
struct chaos_second *chaos_measure_seconds(const struct chaos_measure *measure, int64_t begin_ms,
                                           size_t count);

#endif
