/* A record on its way to Kafka, and the list it waits in. For kafka_producer.c only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_OUTGOING_H
#define INFRA_KAFKA_OUTGOING_H

#include "infra/kafka_producer.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

/* A ring of links; the head is one that is no item. */
struct kafka_link {
    struct kafka_link *next, *previous;
};

static inline void kafka_link_init(struct kafka_link *head)
{
    head->next = head->previous = head;
}

static inline void kafka_link_add(struct kafka_link *head, struct kafka_link *item)
{
    *item = (struct kafka_link){ .next = head, .previous = head->previous };
    head->previous->next = item;
    head->previous = item;
}

static inline void kafka_link_remove(struct kafka_link *item)
{
    item->previous->next = item->next;
    item->next->previous = item->previous;
}

struct kafka_outgoing_topic {
    struct kafka_outgoing_topic *next;
    rd_kafka_topic_t *handle; /* of the present client; NULL until its first record */
    struct metric *produced;
    char name[];
};

struct kafka_outgoing {
    struct kafka_link link; /* first: in the producer's `waiting`, or in its `late` */
    struct kafka_outgoing_topic *topic;
    kafka_delivery_fn fn;
    void *arg;
    int64_t sent_at_us;
    size_t size; /* of this allocation */
    size_t key_size, value_size, header_count;
    atomic_int refs; /* of the list, and of each client that may read the bytes */
    bool has_key, has_value;
    bool in_client;       /* the present client has it */
    bool refused;         /* its client failed, and reported this record as certainly not stored */
    bool resent;          /* it outlived a client */
    bool possibly_stored; /* by a client that is gone */
    bool answered;        /* too late for its caller; waits for its report in `late` */
    char bytes[];         /* key, value, headers: name with NUL, size_t, value */
};

/* The bytes that a record takes. */
size_t kafka_outgoing_size(const struct kafka_send *send);
/* A copy of `send` with one reference, sent now; topic, fn and arg are the caller's to set. */
struct kafka_outgoing *kafka_outgoing_new(const struct kafka_send *send, size_t size);
/* thread: any */
void kafka_outgoing_unref(struct kafka_outgoing *record);
/* Its headers for librdkafka, given away; NULL when there are none. */
rd_kafka_headers_t *kafka_outgoing_headers(const struct kafka_outgoing *record);

/* Whether a record that failed with `e` would fail again in the same way. */
bool kafka_refuses_for_good(rd_kafka_resp_err_t e);

/* What a client that was left may still read from. */
struct kafka_held;
struct kafka_held *kafka_held_new(size_t count_max);
/* Moves the client's references from the records of the list to `held`. */
void kafka_held_take(struct kafka_held *held, const struct kafka_link *list);
/* `arg` is a struct kafka_held. thread: any */
void kafka_held_free(void *arg);

#endif
