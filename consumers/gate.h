/* The gate: what a worker asks Redis before an attempt, many questions in one Lua call. For each
 * job it keeps a claim,
 * "<turn> <partition>:<offset> <incarnation> <epoch>", that says which turn of the job was taken,
 * from which record, by whom.
 *
 *   claim found                     | verdict
 *   none, or a lower turn           | GO: claimed
 *   same turn, same record          | AGAIN: a redelivery, claimed anew
 *     by another incarnation        | AGAIN_OTHER: the same
 *   same turn, another record       | DUPLICATE: the same command twice in the log
 *   a higher turn                   | SUPERSEDED: the job has been handed on
 *   the job's record is terminal    | TERMINAL; OUTCOME when it is `failed` or `expired` of
 *                                   | this very turn and record
 *   a higher epoch of the partition | STALE: somebody was assigned the partition after us
 *   (Redis does not answer)         | UNKNOWN: go on without the gate
 *
 * A skip rests on a durable fact; a lost claim costs a duplicate attempt, never a job. A claim
 * lives until the job's forget_at; the recorder deletes it with the terminal record.
 * thread: the Redis client's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_GATE_H
#define CONSUMERS_GATE_H

#include "infra/redis.h"
#include "schemas/id.h"

struct gate;

enum gate_verdict {
    GATE_GO,
    GATE_AGAIN,
    GATE_AGAIN_OTHER,
    GATE_DUPLICATE,
    GATE_SUPERSEDED,
    GATE_TERMINAL,
    GATE_OUTCOME,
    GATE_STALE,
    GATE_UNKNOWN,
    GATE_VERDICT_COUNT
};
const char *gate_verdict_text(enum gate_verdict verdict);

struct gate_question {
    const struct id *id; /* borrowed for the call */
    const char *topic;   /* borrowed for the call */
    int32_t partition;
    uint32_t turn;
    int64_t offset;
    int64_t epoch;
    int64_t forget_at_ms;
};
#define GATE_QUESTIONS_MAX 256

/* Borrows everything. `incarnation` names this process's life. */
struct gate *gate_new(struct redis *redis, const char *namespace_, const char *incarnation);
/* No question may be open. Accepts NULL. */
void gate_free(struct gate *gate);
/* Asks `count` (1 to GATE_QUESTIONS_MAX) questions; the verdicts come in their order, once, later.
 */
void gate_ask(struct gate *gate, const struct gate_question *questions, size_t count,
              void (*answer)(void *arg, const enum gate_verdict *verdicts, size_t count),
              void *arg);
/* Raises the partition's epoch; `done` gets the new one, or -1 when Redis does not answer. */
void gate_raise_epoch(struct gate *gate, const char *topic, int32_t partition,
                      void (*done)(void *arg, int64_t epoch), void *arg);
size_t gate_open(const struct gate *gate);

#endif
