/* The judge's inside: verify_judge.c (life, findings), verify_told.c (the history), verify_log.c
 * (the log and the ledger), verify_finish.c (what is decided when all is known).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_JUDGE_INTERNAL_H
#define CONSUMERS_VERIFY_VERIFY_JUDGE_INTERNAL_H

#include "consumers/verify/verify_jobs.h"
#include "consumers/verify/verify_judge.h"

enum verify_phase { VERIFY_HISTORY, VERIFY_LOG, VERIFY_LEDGER, VERIFY_OVER };

struct verify_judge {
    struct verify_options options;
    struct verify_jobs *jobs;
    enum verify_phase phase;
    struct verify_counts counts;
    struct verify_finding *findings;
    size_t finding_count;
    char **topics;
    uint16_t topic_count;
    int64_t last_ms; /* of the history: its lines do not go back */
    int64_t *begins; /* of faults; sorted by verify_judge_finish */
    int64_t *ends;
    size_t fault_count;
    uint64_t unnamed_dead;
};

/* Facts come in their order. */
void verify_enter(struct verify_judge *judge, enum verify_phase phase);

struct verify_where {
    uint32_t line;                    /* 0: none */
    const struct verify_place *place; /* NULL: none */
};
/* Counts and keeps a finding, unless the job has one of this kind already. */
void verify_find(struct verify_judge *judge, struct verify_job *job, enum verify_kind kind,
                 struct verify_where where, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool verify_has(const struct verify_job *job, enum verify_kind kind);

/* An attempt's leg for this due time, made when there is none; NULL when full. */
struct verify_leg *verify_leg_of_due(struct verify_judge *judge, struct verify_job *job,
                                     const struct verify_leg *like);
/* The first leg of the attempt, NULL when there is none. */
struct verify_leg *verify_leg_of_attempt(const struct verify_judge *judge,
                                         const struct verify_job *job, uint32_t attempt);
uint16_t verify_u16(uint64_t value);

#endif
