/* The consumer's inside, shared by kafka_consumer.c (records, commits, the interface) and
 * kafka_assignment.c (which partitions are ours, and from where).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_CONSUMER_INTERNAL_H
#define INFRA_KAFKA_CONSUMER_INTERNAL_H

#include "infra/kafka_consumer.h"
#include "infra/kafka_internal.h"

struct kafka_consumer_topic {
    struct kafka_consumer_topic *next;
    struct metric *consumed, *resets, *lost;
    char *name;
};

struct kafka_partition {
    struct kafka_consumer *consumer;
    struct kafka_consumer_topic *topic;
    void *context;
    int64_t next; /* the offset to deliver next: nothing below it is delivered again */
    int32_t number;
    int32_t epoch; /* the leader's, of the record before `next`; or KAFKA_NO_EPOCH */
    bool paused;
};

/* Where the partitions of an assignment stand, being found out on the thread pool. */
struct kafka_lookup;

struct kafka_consumer {
    struct loop *loop;
    struct kafka_consumer_options options; /* without what is borrowed for the opening only */
    struct kafka_client *client;
    rd_kafka_queue_t *queue, *commit_queue;
    struct kafka_wake wake;
    struct kafka_refill refill;
    struct loop_task drain;
    struct loop_timer *poll;
    struct kafka_consumer_topic *topics;
    struct kafka_partition **partitions; /* what is assigned */
    size_t partition_count;
    struct kafka_lookup *lookup; /* an assignment not yet answered */
    intptr_t epoch; /* counts assignments: a commit's answer for an older one is dropped */
    int holds;
    int commits;   /* under way, of earlier assignments too */
    bool active;   /* the partitions are assigned in librdkafka too */
    bool revoking; /* ours until the last hold is released */
    bool has_group, joined;
    bool slowed; /* kafka_consumer_slow */
    struct metric *assigned, *rebalances, *commit_errors;
};

/* Borrowed; made on first use. */
struct kafka_consumer_topic *kafka_consumer_topic_get(struct kafka_consumer *consumer,
                                                      const char *name);
/* NULL when it is not assigned. */
struct kafka_partition *kafka_consumer_find(const struct kafka_consumer *consumer,
                                            const char *topic, int32_t number);

/* librdkafka's rebalance callback; its opaque is the kafka_client. */
void kafka_assignment_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e,
                                rd_kafka_topic_partition_list_t *partitions, void *opaque);
/* Finds out where the partitions stand and then assigns them, starting at their offset where it is
 * >= 0 (manual only). */
void kafka_assignment_begin(struct kafka_consumer *consumer,
                            const rd_kafka_topic_partition_list_t *partitions);
/* Gives everything up now, held or not. */
void kafka_assignment_end(struct kafka_consumer *consumer);

#endif
