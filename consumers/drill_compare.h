/* What became of a drill's jobs, held against what had become of their originals; from Kafka alone:
 * the drill's commands say which jobs there are and whose copies they are, the replies of both
 * namespaces say how they ended. The first end counts, as everywhere.
 * THREADS: any; it blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_DRILL_COMPARE_H
#define CONSUMERS_DRILL_COMPARE_H

#include "infra/kafka_admin.h"
#include "schemas/job.h"

#define DRILL_COMPARE_JOBS_MAX  1000000
#define DRILL_COMPARE_SHOWN_MAX 200
#define DRILL_COMPARE_CODE_SIZE 48

enum drill_verdict {
    DRILL_SAME,      /* the same state, error and result, byte for byte */
    DRILL_DIFFERS,   /* another end, but no error that the original had not */
    DRILL_NEW_ERROR, /* it did not succeed, for a reason that the original had not */
    DRILL_UNDECIDED, /* the drill's job has not ended */
    DRILL_UNKNOWN,   /* the original has not ended, or its end is not in Kafka any more */
    DRILL_VERDICT_COUNT
};
/* "same", "differs", "new_error", "undecided", "unknown" */
const char *drill_verdict_text(enum drill_verdict verdict);

struct drill_end { /* how a job ended */
    bool known;
    enum job_state state;
    uint32_t attempt;
    char code[DRILL_COMPARE_CODE_SIZE]; /* of its failure, cut; "" none */
    uint8_t result[8];                  /* of its digest; zeros: no result */
    int32_t partition;                  /* where the event lies */
    int64_t offset;
};

struct drill_job {
    struct id id, original;
    enum drill_verdict verdict;
    struct drill_end before, after;          /* the original's, and in the drill */
    int64_t source_partition, source_offset; /* of the record that was replayed */
};

struct drill_comparison {
    struct drill_job *jobs;
    size_t count;
    int64_t verdicts[DRILL_VERDICT_COUNT];
    int64_t copies; /* records that were replayed of jobs of which another one was: no jobs */
    uint32_t *by_id, *by_original;       /* hash tables of numbers from 1; 0: free */
    uint8_t secret[SIPHASH_SECRET_SIZE]; /* of both */
    size_t slots;
};
void drill_comparison_clear(struct drill_comparison *comparison);

struct drill_compare_options { /* borrowed */
    struct kafka_admin *admin;
    const char *commands, *replies; /* topics of the drill */
    const char *original_replies;   /* the topic of the originals */
    int64_t since_ms;               /* no original was submitted before */
    int64_t wait_ms;                /* for jobs that have not ended */
    bool (*on_progress)(void *arg, size_t ended, size_t count); /* false stops waiting */
    void *arg;
};
/* ERR_LIMIT when there are more jobs than DRILL_COMPARE_JOBS_MAX. */
enum err_code drill_compare(const struct drill_compare_options *options,
                            struct drill_comparison *ret_comparison, struct err *err) MUST_CHECK;
/* Pure: what the two ends mean. */
enum drill_verdict drill_compare_ends(const struct drill_end *before,
                                      const struct drill_end *after);

#endif
