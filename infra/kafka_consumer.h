/* Kafka consumer of a group: eager assignment, offsets committed by the caller only,
 * read_uncommitted. On assign the committed offsets are read and explicit ones assigned; where
 * there is none the log start is taken and the caller is told (`reset`), unless the log starts at
 * 0. A committed offset below the log start is told as `lost`. pause/resume are guarded: a
 * partition that is not paused is never resumed (librdkafka 2.0.2 would deliver again). A manual
 * consumer (group NULL) is assigned by the caller.
 * THREADS: all on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_CONSUMER_H
#define INFRA_KAFKA_CONSUMER_H

#include "infra/config.h"
#include "infra/kafka_producer.h"
#include "infra/loop.h"

struct kafka_consumer;

/* A partition that is assigned to us. Valid from on_assign to on_revoke (inclusive). */
struct kafka_partition;
const char *kafka_partition_topic(const struct kafka_partition *partition);
int32_t kafka_partition_number(const struct kafka_partition *partition);
/* The caller's state. */
void kafka_partition_set_context(struct kafka_partition *partition, void *context);
void *kafka_partition_context(const struct kafka_partition *partition);

struct kafka_start {   /* what was found when the partition was assigned */
    int64_t committed; /* -1: none */
    int64_t log_start, log_end;
    bool reset; /* no committed offset and the log does not start at 0 */
    bool lost;  /* committed < log_start: records were deleted before they were read */
};
struct kafka_record { /* borrowed for the callback */
    struct kafka_partition *partition;
    int64_t offset;
    int64_t timestamp_ms; /* as stored; -1 unknown */
    struct span key, value;
    const void *_message;
};
/* A record header by name (last one wins); data NULL when absent. */
struct span kafka_record_header(const struct kafka_record *record, const char *name);

struct kafka_consumer_options {
    const struct config_kafka *config;
    const char *client_id;
    const char *group; /* NULL: manual */
    const char *const *topics;
    size_t topic_count;
    size_t fetch_bytes_max; /* prefetched in all */
    /* 0: a record is delivered as soon as it is there. Else a broker may keep what is little for so
     * long, to hand over more at once: cheaper for both, where nobody waits for a record. */
    int64_t patience_ms;
    struct metrics *metrics;
    struct log *log;
    void *arg;
    /* Where to start: *ret_offset is preset (committed, or log start); may be changed. Called on
     * the loop, before any record. */
    void (*on_assign)(void *arg, struct kafka_partition *partition, const struct kafka_start *start,
                      int64_t *ret_offset);
    /* The partition is going away; `lost`: it is already another's. To finish work first, call
     * kafka_consumer_hold_revoke inside this callback and kafka_consumer_release_revoke later (both
     * counted); the partitions stay ours until then. */
    void (*on_revoke)(void *arg, struct kafka_partition *partition, bool lost);
    /* After the last on_revoke of a rebalance has been released: the partition handles are freed
     * after this. May be NULL. */
    void (*on_revoked)(void *arg);
    void (*on_record)(void *arg, const struct kafka_record *record);
    /* End of a burst of records: a good moment to act on a batch. May be NULL. */
    void (*on_batch_end)(void *arg);
    /* Answer for one partition of a commit. May be NULL. */
    void (*on_committed)(void *arg, const char *topic, int32_t partition, int64_t offset,
                         enum err_code code, const char *text);
};
enum err_code kafka_consumer_open(struct loop *loop, const struct kafka_consumer_options *options,
                                  struct kafka_consumer **ret_consumer, struct err *err) MUST_CHECK;
/* Leaves the group (on_revoke is called for what is assigned, without holding) and frees; bounded
 * to `deadline_ms`, after which the client is left to die with the process. Accepts NULL. */
void kafka_consumer_close(struct kafka_consumer *consumer, int64_t deadline_ms);

void kafka_consumer_hold_revoke(struct kafka_consumer *consumer);
void kafka_consumer_release_revoke(struct kafka_consumer *consumer);

/* Idempotent and guarded. A pause ends with the assignment. */
void kafka_partition_pause(struct kafka_partition *partition);
void kafka_partition_resume(struct kafka_partition *partition);
bool kafka_partition_is_paused(const struct kafka_partition *partition);
/* Goes on from `offset` (the prefetched records are dropped). */
enum err_code kafka_partition_seek(struct kafka_partition *partition, int64_t offset,
                                   struct err *err) MUST_CHECK;

struct kafka_offset {
    const char *topic;
    int32_t partition;
    int64_t offset; /* the next one to read */
};
/* Commits asynchronously; answers come by on_committed, checked per partition. What is not assigned
 * to us, or was revoked before the answer came, is dropped without one. */
void kafka_consumer_commit(struct kafka_consumer *consumer, const struct kafka_offset *offsets,
                           size_t count);
/* A commit is under way: its answer, by on_committed unless it was dropped, has not come. */
bool kafka_consumer_is_committing(const struct kafka_consumer *consumer);
/* Manual assignment (group NULL): replaces it; offsets may be negative for "log start". on_assign
 * is not called for `offset >= 0`. */
enum err_code kafka_consumer_assign(struct kafka_consumer *consumer,
                                    const struct kafka_offset *offsets, size_t count,
                                    struct err *err) MUST_CHECK;
/* While slowed nearly nothing is delivered, of any partition: Kafka is polled only as often as the
 * group needs it, and a record that comes by that is delivered. Cheaper than to pause: what has
 * been fetched stays fetched. Let go, the delivery goes on in the next turn of the loop. */
void kafka_consumer_slow(struct kafka_consumer *consumer, bool slowed);
/* It has asked to be of its group, for the first time or again after a revoke, and does not know
 * yet what is assigned to it. */
bool kafka_consumer_is_joining(const struct kafka_consumer *consumer);
/* Assigned at least once, or the group is joined with nothing to do. */
bool kafka_consumer_joined(const struct kafka_consumer *consumer);

#endif
