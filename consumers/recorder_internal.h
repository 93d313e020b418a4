/* What the recorder's files share. recorder.c wires clients and service; recorder_partition.c finds
 * where to begin, keeps the queue of records; recorder_fold.c makes and applies batches;
 * recorder_dead.c does the same for dead letters; recorder_certify.c certifies and looks;
 * recorder_clear.c empties a view of another cluster or generation; recorder_list.c keeps the lists
 * by which jobs are found.
 *
 * The life of a partition:
 *   WAITING (assigned, Redis or its identity not known, or something did not match) -> paused
 *   LOCATING (log ends and the view's offsets are being asked)                      -> paused
 *   FOLDING (batch after batch, one under way at a time)
 * Whenever Redis answers something that does not fit (another applied offset, none, a lost
 * connection) the partition goes back to WAITING: it begins again from what it then finds in Redis.
 * A view is certified once every partition has reached the log end that was seen when it was
 * located, under one and the same Redis run id.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_RECORDER_INTERNAL_H
#define CONSUMERS_RECORDER_INTERNAL_H

#include "consumers/recorder.h"
#include "consumers/view_identity.h"
#include "infra/kafka_admin.h"
#include "infra/kafka_consumer.h"
#include "infra/kafka_watch.h"
#include "infra/redis.h"
#include "infra/redis_args.h"
#include "producers/publish.h"
#include "schemas/envelope.h"
#include "schemas/topic.h"

#define RECORDER_BATCH_MAX 512 /* jobs one Lua call may touch */

/* Commands have a consumer and a group of their own: no record is due of them before queued_after,
 * so they are fetched many at once, and never in the way of an event that somebody waits for. */
enum recorder_side { RECORDER_EVENTS, RECORDER_COMMANDS, RECORDER_SIDES };
struct recorder_reader {
    struct kafka_consumer *consumer;
    size_t full_count; /* its partitions that are full */
};

enum recorder_state { RECORDER_WAITING, RECORDER_LOCATING, RECORDER_FOLDING };

/* A delivered record that has not been applied. */
struct recorder_entry {
    struct recorder_entry *next;
    struct recorder_partition *partition;
    int64_t offset;
    int64_t due_ms;       /* wall clock: commands wait for queued_after */
    int64_t timestamp_ms; /* as stored; -1 unknown */
    size_t bytes;
    struct envelope *envelope;  /* NULL: nothing to fold, only to pass */
    bool held;                  /* of a newer version: being put aside */
    struct recorder_dead *dead; /* of a dead topic: what it is to the index; NULL nothing */
};

struct recorder_partition {
    struct recorder_partition *next;
    struct recorder *recorder;
    struct kafka_partition *handle; /* NULL once revoked */
    char *topic;
    int32_t number;
    struct span queue; /* the topic's queue, in `topic` */
    bool commands;     /* else replies, or: */
    bool dead;         /* the queue's dead letters */
    enum recorder_state state;
    unsigned life;   /* raised at every return to WAITING: answers of an earlier life are ignored */
    int64_t applied; /* the next offset to apply */
    int64_t awaited; /* the next offset to be delivered */
    int64_t gap_before; /* records seemed to be missing before this offset; met again, they are */
    int64_t restarted_at_ms;
    char expected[24];          /* the applied offset as Redis has it, "" none */
    int64_t log_start, log_end; /* when located; of dead letters the start goes on */
    char certified[41];         /* run id under which it is certified, as far as we know */
    bool certifying;
    int64_t committed;
    struct recorder_entry *first, *last;
    size_t entry_count, entry_bytes;
    bool full;         /* more is delivered than is applied: nothing is taken meanwhile */
    bool busy;         /* a batch is under way */
    size_t references; /* batches under way, held entries, the assignment */
};

/* recorder_list.c's own. */
struct recorder_sweep {
    struct loop_timer *timer;
    bool asking;
    struct metric *swept;
};

struct recorder {
    struct service *service;
    const struct config *config;
    struct loop *loop;
    struct log *log;
    struct recorder_reader readers[RECORDER_SIDES];
    struct kafka_producer *producer;
    struct publish publish;
    char *source;
    struct kafka_admin *admin;
    struct view_identity *identity;
    struct redis *redis;
    char *hash_key;
    uint8_t secret[SIPHASH_SECRET_SIZE]; /* of a batch's table of jobs */
    struct recorder_partition *partitions;
    struct loop_task locate;
    bool locating;
    bool clearing;
    bool replies_certified; /* as of the last look: commands may be applied */
    bool certified;         /* as of the last look */
    bool draining;
    struct kafka_watch *watch;
    bool asking_ranges; /* the thread pool has a question of ours, which outlives recorder_close */
    bool closed;
    int64_t drain_until_ms, due_at_ms;
    struct loop_timer *look_timer, *due_timer, *drain_timer;
    bool looking;
    struct service_condition *kafka_ready, *redis_ready, *view_ready;
    struct metric *applied_commands, *applied_events, *poison, *refused, *refolds, *batches, *lost,
        *certified_gauge;
    struct metric *held, *applied_letters, *letters_gone;
    struct recorder_lag *lag;
    struct recorder_sweep sweep;
};

/* --- recorder.c --- */
/* Every topic and partition of the view, as fields of its hash; `fn` is called for each. */
void recorder_each_field(const struct recorder *recorder,
                         void (*fn)(void *arg, const char *topic, int32_t partition, bool commands),
                         void *arg);

/* Whose partition it is. */
struct recorder_reader *recorder_reader_of(const struct recorder_partition *partition);

/* --- recorder_partition.c --- */
void recorder_assign(void *arg, struct kafka_partition *handle, const struct kafka_start *start,
                     int64_t *ret_offset);
void recorder_revoke(void *arg, struct kafka_partition *handle, bool lost);
void recorder_revoked(void *arg);
void recorder_record(void *arg, const struct kafka_record *record);
/* Back to WAITING: forgets what was delivered. `why` is logged (NULL: not). */
void recorder_restart(struct recorder_partition *partition, const char *why);
void recorder_restart_all(struct recorder *recorder);
/* Locates every waiting partition (the deferred task, its arg the recorder). */
void recorder_locate(void *arg);
/* The end of recorder_close, once nothing is asked any more. */
void recorder_free(struct recorder *recorder);
void recorder_partition_unref(struct recorder_partition *partition);
/* What Redis answered to a batch: it is applied up to here, or it was refused. */
void recorder_applied(struct recorder_partition *partition, int64_t next_offset);
void recorder_refused(struct recorder_partition *partition, const struct redis_reply *reply);
/* After a batch: certifies if the end is reached, resumes fetching, goes on. */
void recorder_advance(struct recorder_partition *partition);
void recorder_entry_free(struct recorder_entry *entry);
/* The first of those that are delivered and not applied; it is the caller's then. */
struct recorder_entry *recorder_entry_take(struct recorder_partition *partition);
/* Whether what is delivered may be applied: commands wait until the replies are whole. */
bool recorder_flows(const struct recorder_partition *partition);

/* --- recorder_certify.c --- */
/* Marks the partition as whole under this run id of Redis, unless it is already. */
void recorder_certify(struct recorder_partition *partition);
/* Looks at the whole view once: what is certified, whether offsets are still ours; arg: the
 * recorder. */
void recorder_look(void *arg);

/* --- recorder_fold.c --- */
/* Starts the next batch if there is something to apply and none is under way. */
void recorder_pump(struct recorder_partition *partition);

/* --- recorder_dead.c --- */
/* What a record of a dead topic is to the index of dead letters, into entry->dead. */
void recorder_dead_read(struct recorder_entry *entry, const struct kafka_record *record);
/* The same as recorder_pump, of a dead topic that has something to apply. */
void recorder_dead_pump(struct recorder_partition *partition);
/* Accepts NULL. */
void recorder_dead_free(struct recorder_dead *dead);

/* --- recorder_metrics.c --- */
void recorder_metrics_open(struct recorder *recorder);
/* A question under way ends by itself. */
void recorder_metrics_close(struct recorder *recorder);
/* A batch of events has been applied; its oldest was stored then. */
void recorder_metrics_applied(const struct recorder *recorder, int64_t oldest_ms);
/* Once a second. */
void recorder_metrics_tick(const struct recorder *recorder);

/* --- recorder_list.c --- */
/* Every job of the view is an entry of one list, that of its state, tenant and type (view.h), moved
 * by the very Lua call that writes its record. These add one argument (the last: two) of it. */
void recorder_list_sets(const struct recorder *recorder, struct redis_args *args);
void recorder_list_of(const struct recorder *recorder, const struct job_facts *facts,
                      enum job_state state, struct redis_args *args);
void recorder_list_entry(const struct job_facts *facts, struct redis_args *args);
/* Records end by their expiry, entries by being swept: LIST_SWEEP of them are looked at each
 * second, and more at once while many of them are of jobs that are forgotten. Of several recorders
 * one sweeps at a time. */
void recorder_list_open(struct recorder *recorder);
/* After the Redis client's end. */
void recorder_list_close(struct recorder *recorder);

/* --- recorder_clear.c --- */
/* Removes every key of the namespace's view under a lock, writes the identity, then restarts all
 * partitions. `identity` is whose view was found: meanwhile made another one it is left alone. */
void recorder_clear(struct recorder *recorder, struct span identity, const char *why);

#endif
