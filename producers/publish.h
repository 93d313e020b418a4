/* Putting commands, events and dead letters on their topics: the envelope as value, the job's
 * identity (or ordering key) as key, CloudEvents 1.0 attributes in binary mode and W3C trace
 * context as headers, so that any Kafka client can read a record.
 * thread: the producer's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_PUBLISH_H
#define PRODUCERS_PUBLISH_H

#include "infra/kafka_producer.h"
#include "schemas/job.h"
#include "schemas/topic.h"

struct publish {
    struct kafka_producer *producer;
    const char *namespace_;         /* borrowed */
    const char *source;             /* CloudEvents source, "/errand/gateway-1"; borrowed */
    const struct topic_tier *tiers; /* for publish_handoff; borrowed */
    size_t tier_count;
};

/* Each returns what kafka_produce or the codec returns; on ERR_OK `fn` is called once, later. */
enum err_code publish_command(const struct publish *publish, const struct job_command *command,
                              kafka_delivery_fn fn, void *arg, struct err *err) MUST_CHECK;
/* The same with headers of its own besides, at most PUBLISH_MORE_MAX; borrowed. */
#define PUBLISH_MORE_MAX 8
struct publish_more {
    const struct kafka_header *headers;
    size_t count;
};
enum err_code publish_command_with(const struct publish *publish, const struct job_command *command,
                                   const struct publish_more *more, kafka_delivery_fn fn, void *arg,
                                   struct err *err) MUST_CHECK;
/* Hands a command on to where it waits until it is due: a delay topic, or its command topic when
 * what is left is the worker's own timer. */
enum err_code publish_handoff(const struct publish *publish, const struct job_command *command,
                              kafka_delivery_fn fn, void *arg, struct err *err) MUST_CHECK;
enum err_code publish_event(const struct publish *publish, const struct job_event *event,
                            kafka_delivery_fn fn, void *arg, struct err *err) MUST_CHECK;

/* A command that was given up on: its bytes as they were, and why. A record too large to be carried
 * along with the reason is buried without its key and bytes. */
struct publish_dead {
    struct span queue;
    struct span key;    /* the record's key */
    struct span value;  /* the record's bytes */
    struct span job_id; /* empty when the record could not be read */
    const char *topic;  /* where it was */
    int32_t partition;
    int64_t offset;
    uint32_t turn;
    struct span reason; /* stable error code */
    struct span detail;
    struct span target; /* the third party that was called; empty: none */
    uint32_t status;    /* what it answered, 0: nothing */
    struct span traceparent;
};
enum err_code publish_dead(const struct publish *publish, const struct publish_dead *dead,
                           kafka_delivery_fn fn, void *arg, struct err *err) MUST_CHECK;

/* What became of a dead letter, onto the topic on which it lies. */
enum err_code publish_resolution(const struct publish *publish, struct span queue,
                                 const struct job_resolution *resolution, kafka_delivery_fn fn,
                                 void *arg, struct err *err) MUST_CHECK;

#endif
