/* What the worker's files share. worker.c wires clients and service; worker_partition.c turns
 * deliveries into attempts and keeps windows; worker_dispatch.c decides what runs when;
 * worker_targets.c what the fleet's limits and breakers allow, and what is held for them;
 * worker_redelivery.c lets redeliveries wait for the view; worker_adopt.c gives calls that outlived
 * a revoke their commands back; worker_outcome.c publishes what became of an attempt;
 * worker_order.c keeps the jobs of a key in their order; worker_cancel.c hears what is called off.
 *
 * The life of an attempt (struct attempt), each state with the place it is kept:
 *
 *   delivered -> IN_LINE (ordered queues: in the line of its key, until those before it are done)
 *             -> EARLY (partition's list, while the partition's epoch is being asked for)
 *             -> WAITING (a timer, until due) -> READY (its type's lane)
 *             -> ASKED (a batch at the gate)  -> RUNNING (its handler, or a child process for a
 *                                                suspect; worker's list for `started`)
 *             -> PUBLISHING (records under way to Kafka) -> done: its ticket in the window
 *
 * One whose target takes no more calls goes from READY through the gate too, and is then held
 * instead of run.
 * An attempt of an ordered queue that is to be tried again, or is held, goes from PUBLISHING back
 * to WAITING. A redelivery goes from ASKED to REDELIVERED (its queue's list) until the view has
 * caught up, then to READY again, once.
 *
 * A partition that is revoked drops what has not begun; what runs goes on and is published: the
 * gate and the fold make that harmless. Should the partition come back meanwhile, its redelivered
 * command is not begun: the attempt that runs moves to the new assignment (adopt_running).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_WORKER_INTERNAL_H
#define CONSUMERS_WORKER_INTERNAL_H

#include "consumers/gate.h"
#include "consumers/handler.h"
#include "consumers/suspects.h"
#include "consumers/target_exchange.h"
#include "consumers/worker.h"
#include "consumers/worker_registry.h"
#include "infra/kafka_admin.h"
#include "infra/kafka_consumer.h"
#include "infra/kafka_watch.h"
#include "infra/redis.h"
#include "producers/publish.h"
#include "schemas/envelope.h"
#include "schemas/key_lines.h"
#include "schemas/topic.h"
#include "schemas/window.h"

enum attempt_state {
    ATTEMPT_IN_LINE,
    ATTEMPT_EARLY,
    ATTEMPT_WAITING,
    ATTEMPT_REDELIVERED,
    ATTEMPT_READY,
    ATTEMPT_ASKED,
    ATTEMPT_RUNNING,
    ATTEMPT_PUBLISHING
};

/* The records that an outcome consists of, in the order in which each waits for the one before.
 * PUBLISH_WAIT is none: the attempt goes back to waiting (ordered queues). */
enum publication { PUBLISH_NOTHING, PUBLISH_EVENT, PUBLISH_NEXT, PUBLISH_DEAD, PUBLISH_WAIT };

struct attempt {
    struct attempt *next, *previous;            /* in the list of its state */
    struct attempt *sibling, *sibling_previous; /* all attempts of the partition */
    struct attempt *same_bucket;                /* worker_cancel.c: commands by identity */
    enum attempt_state state;
    struct worker_partition *partition;
    struct worker_type *type; /* NULL when the type is unknown or the record unreadable */
    uint64_t ticket;
    int64_t offset;
    size_t bytes;                      /* counted in its queue's and partition's held_bytes */
    struct envelope *envelope;         /* NULL for a record that could not be read */
    const struct job_command *command; /* in the envelope */
    struct span key, value; /* the record as it was, owned; only for one that could not be read */
    struct loop_timer *due;
    int64_t due_at_ms;         /* when it rings */
    int64_t ready_at_ms;       /* monotonic */
    enum hold_reason hold;     /* ASKED, in order to be held */
    bool has_room;             /* counted in the limits */
    struct target_ticket call; /* in those of the fleet */
    struct handler_run *run;
    struct key_place place; /* ordered queues: in the line of its key; no owner: in none */
    uint32_t next_attempt;  /* ordered queues: its number when it has waited */
    bool blocked;           /* ordered queues: waits where it is, its key behind it */
    bool recalled; /* what the gate had kept of it is known, or was decided here: asked no more */
    int64_t started_at_ms, started_monotonic_us;
    bool started_told;
    bool cancelled;               /* by revoke or shutdown */
    bool suspect;                 /* it may have crashed a worker */
    bool in_child;                /* RUNNING: a child process runs it */
    bool waited;                  /* for the view, as a redelivery, if it had to */
    int64_t redelivered_until_ms; /* monotonic; 0: did not have to */
    uint64_t ends_needed;         /* which ends of the replies it waits for, as redelivery counts */
    bool called_off;              /* somebody wants the job cancelled */
    bool claimed;                 /* the gate has our claim of this turn, not released */
    bool begun;                   /* this attempt, or maybe one before it */
    enum publication plan[2];
    size_t step;
    /* what is to be published */
    enum job_event_kind event;
    struct err failure;
    enum err_class failure_class;
    uint32_t failure_status;
    int64_t at_ms, next_at_ms;
    char *result; /* owned, NULL none */
    size_t result_size;
    enum job_result_kind result_kind;
};

struct attempt_list {
    struct attempt *first, *last;
    size_t count;
};
/* Behind `after`, which is in the list; first when that is NULL. */
void attempt_list_insert(struct attempt_list *list, struct attempt *after, struct attempt *attempt);
void attempt_list_append(struct attempt_list *list, struct attempt *attempt);
void attempt_list_remove(struct attempt_list *list, struct attempt *attempt);

struct worker_target {
    const struct config_target *config;
    struct worker *worker;
    size_t in_flight;
    struct target_lease lease;
    struct target_report report; /* the one under way */
    bool asking;
    struct loop_timer *timer;
    int64_t asked_at_ms, next_at_ms; /* next_at_ms: the timer's; 0 none */
    int64_t waiting;                 /* jobs in lanes */
    bool blocked;                    /* some may not start because of the fleet's limits */
    int64_t limited_at_ms;           /* since when, without a break; 0 not */
    enum breaker_state told_state;
    int64_t told_epoch;
    struct metric *state_gauge, *in_flight_gauge, *holds[HOLD_REASON_COUNT];
};

/* That a job is to wait, decided apart from how that is done. */
struct hold {
    enum hold_reason reason;
    int64_t due_at_ms;
    struct err why;
};

struct worker_type {
    const struct config_type *config;
    struct worker_target *target; /* NULL for rules */
    struct handler *handler;
    struct attempt_list ready; /* the lane */
    size_t in_flight;
    struct metric *succeeded, *failed, *retried, *expired, *cancelled;
    struct metric *attempt_seconds;
    struct metric *wait_seconds, *job_seconds;
};

/* worker_metrics.c's own. */
struct worker_counts {
    struct metric *without_gate;
    int64_t without_gate_ms; /* not counted yet */
    int64_t ticked_at_ms;    /* monotonic */
    double unknown;          /* answers of the gate that did not come, as of then */
};

/* A queue that is served: one consumer group each, so that queues are bulkheads and lag is told by
 * queue. */
struct worker_queue {
    struct worker *worker;
    const char *name;
    bool ordered;
    size_t held_bytes; /* of its attempts, and what that leads to: */
    bool slowed, paused;
    struct kafka_consumer *consumer;
    struct worker_partition *partitions;
    struct worker_partition *departed; /* revoked, with attempts that still run */
    struct redelivery *redelivery;
};

enum { EPOCH_UNKNOWN = -1 };

struct worker_partition {
    struct worker_partition *next;
    struct worker *worker;
    struct worker_queue *queue;
    struct kafka_partition *handle; /* NULL once revoked */
    char *topic;
    int32_t number;
    struct window *window;
    int64_t committed;
    int64_t old_end; /* of the log when it was assigned: what lies before may have been begun */
    int64_t epoch;
    bool epoch_asked;
    size_t epoch_asks; /* that were not answered, in a row */
    bool stale; /* somebody was assigned it after us: nothing begins until Kafka has had time to
                   take it away; if it does not, it is ours and a higher epoch says so */
    int64_t epoch_at_ms; /* monotonic time at which to ask for an epoch (again); 0: not */
    bool revoking, holding;
    bool departed; /* revoked, and some of its attempts still run */
    struct loop_timer *drain;
    struct attempt *attempts; /* all, by sibling */
    struct attempt_list early;
    struct key_lines *lines; /* ordered queues, else NULL */
    size_t held_bytes;       /* its part of the queue's */
    size_t under_way;        /* ASKED, RUNNING, PUBLISHING */
    size_t references;       /* attempts, open questions, and the assignment */
};

struct worker_cancel;

struct worker {
    struct service *service;
    const struct config *config;
    struct loop *loop;
    struct log *log;
    struct kafka_producer *producer;
    struct redis *redis;
    struct gate *gate;
    struct worker_registry *registry;
    struct suspects *suspects;
    struct kafka_admin *admin; /* log ends, for redeliveries */
    struct worker_cancel *cancel;
    struct http_client *http;
    struct handler_tools tools;
    struct publish publish;
    char *source;
    struct worker_type *types;
    size_t type_count;
    struct worker_target *targets;
    struct target_exchange exchange;
    struct worker_queue *queues;
    const char **queue_names;
    size_t queue_count;
    size_t next_lane;
    size_t in_flight;
    bool draining, closed;
    bool leaving, has_left; /* tells Redis that it leaves; has told */
    struct kafka_watch *watch;
    int64_t drain_until_ms, settle_until_ms;
    bool drain_committed; /* what was done by then */
    struct attempt_list running;
    struct attempt_list blocked; /* heads of their keys that wait for a retry or hold */
    size_t ordered_partitions;
    struct attempt *untold; /* the oldest running attempt that `started` has not been told of */
    bool started_armed;
    struct attempt_list
        stuck; /* publications that the producer's limit refused; tried again by a timer */
    struct loop_task dispatch;
    struct loop_timer *started_timer, *commit_timer, *tick_timer, *stuck_timer, *drain_timer;
    bool commit_due;
    int64_t ticked_at_ms; /* monotonic; a long gap means that the process was stopped */
    uint64_t random;
    struct service_condition *kafka_ready, *redis_ready;
    struct metric *gate_verdicts[GATE_VERDICT_COUNT];
    struct metric *keys_blocked, *head_age, *unkept;
    struct worker_counts counts;
    struct metric *in_flight_gauge, *held_gauge, *poison, *forgotten, *window_gauge;
    struct metric *redelivery_waits, *adopted;
};

/* --- worker_partition.c; the first five are a consumer's callbacks, their arg the queue --- */
void partition_assign(void *arg, struct kafka_partition *handle, const struct kafka_start *start,
                      int64_t *ret_offset);
void partition_revoke(void *arg, struct kafka_partition *handle, bool lost);
void partition_revoked(void *arg);
void partition_record(void *arg, const struct kafka_record *record);
/* Asks for epochs that are due (twice a second). */
void partition_ask_epochs(struct worker *worker);
/* Nothing of the partition may begin before its epoch has been asked for again: the attempt waits.
 */
void partition_wait_for_epoch(struct attempt *attempt);
bool partition_waits_for_epoch(const struct worker_partition *partition);
/* The gate says that the partition was assigned to somebody else after us. */
void partition_stale(struct worker_partition *partition);
void partition_unref(struct worker_partition *partition);
/* Puts the attempt among the partition's own, with a reference; takes it out, and leaves the
 * reference to the caller. */
void partition_link(struct worker_partition *partition, struct attempt *attempt);
void partition_unlink(struct attempt *attempt);
/* Whoever is first in the line of its key, or in none, takes its way: unknown, due later, ready. */
void partition_begin(struct attempt *attempt);
/* Its forget_at has passed, so its record is gone from every view and nothing may begin anew;
 * counted. */
bool partition_is_forgotten(const struct attempt *attempt);
/* The same command may have been begun before: from this record, by another worker or a life before
 * this one, or from another copy of it. */
bool partition_comes_again(const struct attempt *attempt);
/* The attempt is over: its ticket is done, its memory goes; the next of its key begins. */
void partition_attempt_done(struct attempt *attempt);
/* Its ticket is done although the attempt goes on (a mutant's: nothing else may). */
void partition_attempt_counts_as_done(struct attempt *attempt);
/* The attempt is dropped without being done (it will be delivered again, to whoever has the
 * partition). */
void partition_attempt_drop(struct attempt *attempt);
void partition_commit_all(struct worker *worker);
/* Pauses or resumes by what is held. */
void partition_balance(struct worker_partition *partition);

/* --- worker_dispatch.c --- */
/* Puts an attempt that may run (in no list, its timer freed) into its lane and sees to it that the
 * lanes are looked at. */
void dispatch_ready(struct attempt *attempt);
/* The same at that moment (wall clock), never before it. */
void dispatch_at(struct attempt *attempt, int64_t due_at_ms);
void dispatch_soon(struct worker *worker);
/* Aborts an attempt that runs; its outcome comes soon. */
void dispatch_abort(struct attempt *attempt);
/* Fills what room there is (the deferred task, its arg the worker). */
void dispatch_run(void *arg);
/* What the gate is asked about an attempt; borrows from it. */
struct gate_question dispatch_question(const struct attempt *attempt);
/* Tells `started` for attempts that run for long; re-arms the timer (arg: the worker). */
void dispatch_tell_started(void *arg);

/* --- worker_order.c: ordered queues --- */
void order_open(struct worker *worker);
/* A partition of an ordered queue has come, and has gone. */
void order_assigned(struct worker_partition *partition);
void order_revoked(struct worker_partition *partition);
/* Bytes of commands that the partition may hold before it is paused: blocked keys must not use up
 * what the other partitions live on. */
size_t order_share(const struct worker_partition *partition);
/* Takes its place in the line of its key. False: others are before it, it is begun
 * (partition_begin) when the last of them is done. */
bool order_join(struct attempt *attempt);
/* Out of the line and whatever list it waits in; returns who is first by that, or NULL. */
struct attempt *order_leave(struct attempt *attempt);
/* Whether the attempt's job waits in this worker, at its own offset, instead of being handed on.
 * Such an attempt stays with the assignment that delivered it: its place is in that one's lines. */
bool order_keeps(const struct attempt *attempt);
/* Out of the heads that block their keys, if it is one: it goes on, however long it was to wait. */
void order_unblock(struct attempt *attempt);
/* An attempt of an ordered queue waits until `until_ms` (at the latest until its job's last moment)
 * and is then number `next_attempt`: the next one after a failure, the same one for a hold. The
 * gate keeps both, then `event` (retrying, held) is told with what attempt->failure says. From any
 * state but PUBLISHING, out of every list; its room must have been given back. */
void order_postpone(struct attempt *attempt, enum job_event_kind event, uint32_t next_attempt,
                    int64_t until_ms);
/* Everything has been told (PUBLISH_WAIT): it waits. */
void order_wait(struct attempt *attempt);
/* What the gate kept of an attempt (ASKED) counts from now on. True: it is not due yet, and waits.
 */
bool order_recall(struct attempt *attempt, const struct gate_answer *answer);
/* The partition is lost: calls of ordered jobs end, or they would go on beside the next owner's. */
void order_abort(struct worker_partition *partition);
/* Twice a second. */
void order_tell(struct worker *worker);
/* --- worker_redelivery.c --- */
void redelivery_open(struct worker_queue *queue);
/* The partitions of the queue are gone. */
void redelivery_close(struct worker_queue *queue);
/* A partition has been assigned: what its last owner published is in the log by now. */
void redelivery_assigned(struct worker_partition *partition);
/* What the view has applied counts no more: Redis knows less than it did, or an attempt of a
 * partition that has been revoked has published its outcome. */
void redelivery_anew(struct worker_queue *queue);
/* The gate allows the attempt. True: its job may have ended, so it waits for the view (or
 * for its limit), and the gate is asked again; it counts as under way no more. False: go on. */
bool redelivery_waits(struct attempt *attempt, enum gate_verdict verdict);
/* It waits no more. */
void redelivery_forget(struct attempt *attempt);

/* --- worker_adopt.c --- */
/* A partition has been revoked, and left its queue's list: its attempts that go on can be adopted.
 */
void adopt_departed(struct worker_partition *partition);
/* They have all ended. */
void adopt_forget(struct worker_partition *partition);
/* The command at `offset`, delivered again, is one that still runs in an assignment before: the
 * attempt is the partition's now. False: there is none. */
bool adopt_running(struct worker_partition *partition, int64_t offset);

/* --- worker_targets.c --- */
void targets_open(struct worker *worker);
void targets_close(struct worker *worker);
/* Whether the fleet's limits let a call start now; true for a type without a target. */
bool targets_let(const struct worker_type *type);
/* Why the first job of the type's lane is to be held now; HOLD_NONE: it is not. */
enum hold_reason targets_hold(const struct worker_type *type);
/* Counts the attempt as a call, and takes that back; or says how the call ended. */
void targets_take(struct attempt *attempt);
void targets_give_back(struct attempt *attempt);
void targets_end(struct attempt *attempt, const struct outcome *outcome);
/* After the lanes were looked at: asks for more where jobs are blocked. */
void targets_review(struct worker *worker);
/* Until when and why the attempt is held, for attempt->hold. */
void targets_decide(struct attempt *attempt, struct hold *ret_hold);
/* --- worker_metrics.c --- */
/* Once the types are there. */
void worker_metrics_open(struct worker *worker);
/* The handler is about to be started. */
void worker_metrics_began(const struct attempt *attempt);
/* All records of an outcome are acknowledged; only a job's end counts. */
void worker_metrics_ended(const struct attempt *attempt);
/* Its dead letter is acknowledged. */
void worker_metrics_dead(const struct attempt *attempt);
/* Twice a second. */
void worker_metrics_tick(struct worker *worker);

/* --- worker_outcome.c --- */
/* xorshift64*: jitter needs spread, not secrecy. */
uint64_t outcome_random(struct worker *worker);
/* The attempt waits without being spent: its next command is due later; in an ordered queue it
 * waits where it is. Its room must have been given back. */
void outcome_held(struct attempt *attempt, const struct hold *hold);
/* What a handler said; arg: the attempt. */
void outcome_of_handler(void *arg, const struct outcome *outcome);
/* The attempt is due so late that it waits in a delay topic. */
void outcome_wait(struct attempt *attempt);
/* The attempt has been postponed (order_postpone): attempt->event is told, then it waits. */
void outcome_postponed(struct attempt *attempt);
/* The attempt ends without having run. */
void outcome_expired(struct attempt *attempt);
void outcome_failed(struct attempt *attempt, const struct err *err);
/* A record that is no command: to the dead letters, with its reason. */
void outcome_poison(struct attempt *attempt, const struct err *err);
/* The dead letter of an attempt whose `failed` or `expired` is known to the view, as told there. */
void outcome_repair(struct attempt *attempt, const struct job_failure *failure);
/* Somebody called the job off; `begun` tells that an attempt had begun. */
void outcome_cancelled(struct attempt *attempt, bool begun);
void outcome_started(struct attempt *attempt);
/* Publishes what the producer refused before; arg: the worker. */
void outcome_retry_stuck(void *arg);

/* --- worker_cancel.c --- */
void cancel_open(struct worker *worker, const struct redis_options *options);
/* Hears nothing any more; before the Redis client is closed. */
void cancel_deafen(struct worker *worker);
/* When no attempt is left. */
void cancel_close(struct worker *worker);
/* Every command that is held can be found by its job. */
void cancel_index_add(struct attempt *attempt);
void cancel_index_remove(struct attempt *attempt);
/* Subscribes at the master, unless that is done or not possible now (at each tick). */
void cancel_listen(struct worker *worker);
/* Asks the gate about all that runs: a wish may have been missed while Redis was away. */
void cancel_recheck(struct worker *worker);
/* With the gate's answer: notes the claim; true when the attempt would begin, but was called off
 * meanwhile. `ret_begun` then tells whether one may have begun before. */
bool cancel_before_run(struct attempt *attempt, const struct gate_answer *answer, bool *ret_begun);
/* Whether a running attempt's outcome ends its job as `cancelled`: it was called off, and neither
 * succeeded nor failed for good before that came to pass. */
bool cancel_decides(const struct attempt *attempt, const struct outcome *outcome);
/* Releases the claim of a turn that was handed on; the attempt is done, or ends as `cancelled`,
 * with the gate's answer. False: there is nothing to release. */
bool cancel_release(struct attempt *attempt);

#endif
