/* The parts of errand-delayer that its two files share. `delayer.c` has the clients, partitions
 * that come and go, commits, start and end; `delayer_records.c` has a record's way from its tier to
 * where it belongs. SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_DELAYER_INTERNAL_H
#define PRODUCERS_DELAYER_INTERNAL_H

#include "infra/kafka_consumer.h"
#include "infra/kafka_watch.h"
#include "producers/delayer.h"
#include "producers/publish.h"
#include "schemas/envelope.h"
#include "schemas/window.h"

struct held {
    struct held *next;
    struct tier_partition *partition;
    uint64_t ticket;
    int64_t offset;
    int64_t release_at_ms;
    size_t bytes;
    struct envelope *envelope; /* NULL: it goes to the dead letters */
    struct err why;
    struct span key, value; /* owned, only of what goes to the dead letters */
};

struct tier_partition {
    struct tier_partition *next;
    struct delayer *delayer;
    struct kafka_partition *handle; /* NULL once revoked */
    char *topic;
    int32_t number;
    int64_t delay_ms;
    struct window *window;
    int64_t committed;
    int64_t old_end; /* of the log when it was assigned: until there it may be handed on already */
    struct held *first, *last; /* waiting for their time */
    struct held *refused;      /* by Kafka: tried again, behind nobody */
    size_t held_bytes;         /* of both */
    struct loop_timer *timer;
    size_t references; /* records under way, and the assignment */
};

struct delayer {
    struct service *service;
    const struct config *config;
    struct loop *loop;
    struct log *log;
    struct kafka_consumer *consumer;
    struct kafka_producer *producer;
    struct publish publish;
    char *source;
    struct tier_partition *partitions;
    struct loop_timer *tick, *drain_timer, *refused_timer;
    int64_t drain_until_ms;
    size_t under_way;
    bool draining;
    struct kafka_watch *watch;
    struct service_condition *kafka_ready;
    struct metric *handed_on, *poison, *waiting;
};

/* --- delayer_records.c --- */
/* kafka_consumer_options.on_record; `arg` is the delayer. */
void delayer_record(void *arg, const struct kafka_record *record);
/* Hands on what is due; `arg` is the partition. */
void delayer_release_due(void *arg);
/* Whatever Kafka has refused is tried again; `arg` is the delayer. */
void delayer_retry_refused(void *arg);
/* What waits is forgotten; it will be delivered to the partition's next owner. */
void delayer_drop_held(struct tier_partition *partition);
/* The last reference frees. */
void delayer_unref(struct tier_partition *partition);

#endif
