/* The gate: what a worker asks Redis before an attempt, many questions in one Lua call. For each
 * job it keeps a claim,
 * "<turn> <partition>:<offset> <incarnation> <epoch> <attempt> <due>", that says which turn of the
 * job was taken, from which record, by whom; and, for a job that waits in its worker, which attempt
 * is next and when. A released claim ("... r") is of a turn that its worker has handed on; a claim
 * on a suspect ("... s") makes it one for everybody after us too; one that ends in "n" is of a job
 * that has only been held so far: no attempt of it has begun. A mark ("x" before all of it)
 * says that somebody wants the job cancelled.
 *
 *   claim found                     | verdict
 *   none, or a lower turn           | GO: claimed
 *     with the mark                 | CANCELLED: end the job so, without an attempt; `begun` when
 *                                   | a turn had been claimed before, and was not only held
 *   same turn, same record          | AGAIN: a redelivery, claimed anew
 *     by another incarnation        | AGAIN_OTHER when it lives or left cleanly, else SUSPECT
 *     on a suspect                  | SUSPECT, whoever claimed it
 *     with the mark                 | CANCELLED, `begun` in the same way
 *   same turn, another record       | DUPLICATE: the same command twice in the log
 *   a higher turn                   | SUPERSEDED: the job has been handed on
 *   the job's record is terminal    | TERMINAL; OUTCOME when it is `failed` or `expired` of
 *                                   | this very turn and record
 *   a higher epoch of the partition | STALE: somebody was assigned the partition after us
 *   (Redis does not answer)         | UNKNOWN: go on without the gate, later when
 *                                   | the job may have been begun before
 *
 * A skip rests on a durable fact; a lost claim costs a duplicate attempt, never a job. A claim
 * lives until the job's forget_at; the recorder deletes it with the terminal record.
 * thread: the Redis client's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_GATE_H
#define CONSUMERS_GATE_H

#include "infra/redis.h"
#include "schemas/job.h"

struct gate;

enum gate_verdict {
    GATE_GO,
    GATE_AGAIN,
    GATE_AGAIN_OTHER,
    GATE_SUSPECT,
    GATE_CANCELLED,
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
/* A silent Redis is given up after so many timeouts; until then a late answer is no outage, and
 * what began without the gate could neither be cancelled nor be known to have begun. */
#define GATE_ASKS_MAX 3

/* Borrowed for the callback. */
struct gate_answer {
    enum gate_verdict verdict;
    bool begun;        /* CANCELLED: an attempt had begun, of this turn or an earlier one */
    uint32_t attempt;  /* AGAIN, AGAIN_OTHER, SUSPECT: what gate_keep kept; 0 nothing */
    int64_t due_at_ms; /* the same; 0 nothing */
    bool unbegun;      /* GO and these: no attempt of a turn that was claimed has begun */
    bool emptied;      /* GO: Redis has lost what it knew since the partition was assigned */
    const struct job_failure *failure; /* OUTCOME: what the record says; else NULL */
};
/* Called once for each question, in their order; `index` is the question's. */
typedef void (*gate_answer_fn)(void *arg, size_t index, const struct gate_answer *answer);

/* Borrows everything. `incarnation` names this process's life. */
struct gate *gate_new(struct redis *redis, const char *namespace_, const char *incarnation);
/* No question may be open. Accepts NULL. */
void gate_free(struct gate *gate);
/* Asks `count` (1 to GATE_QUESTIONS_MAX) questions; the answers come later, all at once. */
void gate_ask(struct gate *gate, const struct gate_question *questions, size_t count,
              gate_answer_fn answer, void *arg);
/* Raises the partition's epoch; `done` gets the new one, or -1 when Redis does not answer. */
void gate_raise_epoch(struct gate *gate, const char *topic, int32_t partition,
                      void (*done)(void *arg, int64_t epoch), void *arg);

/* --- gate_claim.c: what becomes of a claim --- */

/* How a claim stands after it was changed. */
enum gate_claim {
    GATE_CLAIM_KEPT,      /* done, and nobody wants the job cancelled */
    GATE_CLAIM_CANCELLED, /* done, and the mark stands: end the job */
    GATE_CLAIM_GONE,      /* it is another's, or the job has ended */
    GATE_CLAIM_UNKNOWN    /* Redis did not answer */
};
typedef void (*gate_claim_fn)(void *arg, enum gate_claim claim);
struct gate_kept {
    uint32_t attempt; /* the next one */
    int64_t due_at_ms;
    bool begun; /* an attempt of the job has begun, as far as is known */
};
/* Keeps what is next with our claim of this turn and record: the job waits in this worker (ordered
 * queues), and a crash forgets nothing. `fn` is called once, later. */
void gate_keep(struct gate *gate, const struct gate_question *of, const struct gate_kept *kept,
               gate_claim_fn fn, void *arg);
/* The turn has been handed on: nobody works on the job until the next one is taken. `begun` as in
 * gate_kept. Without a claim too, when the command only had to wait: should it come again when
 * less is left to wait, it is SUPERSEDED instead of begun beside its successor. */
void gate_release(struct gate *gate, const struct gate_question *of, bool begun, gate_claim_fn fn,
                  void *arg);

/* What a wish to cancel found. */
enum gate_cancel {
    GATE_CANCEL_IDLE,       /* nobody works on the job: whoever asked publishes `cancelled` */
    GATE_CANCEL_IDLE_BEGUN, /* the same; attempts had begun before */
    GATE_CANCEL_RUNNING,    /* a worker does, and has been told: its outcome decides */
    GATE_CANCEL_TERMINAL,   /* the job has ended */
    GATE_CANCEL_UNKNOWN     /* Redis did not answer */
};
/* Marks the job so that no further attempt of it begins, and tells the worker that runs it on the
 * channel of its incarnation (view_incarnation_channel; the message is the job's identity). Without
 * a claim, which Redis may have lost or never got, all workers are told. The mark is kept until
 * forget_at_ms. */
void gate_cancel(struct gate *gate, const struct id *id, int64_t forget_at_ms,
                 void (*done)(void *arg, enum gate_cancel found), void *arg);

#endif
