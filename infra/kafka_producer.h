/* Kafka producer: idempotent, acks=all; records sent within one loop turn go out as one batch.
 * Every record is kept until Kafka has acknowledged it. After a fatal client error
 * (librdkafka 2.0.2: out-of-order sequence after a broker bounce) the client is rebuilt, and what
 * was not acknowledged is sent again, in its order, before anything newer: a record may then be in
 * the log twice, which our consumers deduplicate. The same when a record is said to be stored and
 * has no offset, which proves nothing; then newer ones may lie before it.
 * THREADS: all on the loop's thread; librdkafka's own threads only wake the loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_PRODUCER_H
#define INFRA_KAFKA_PRODUCER_H

#include "infra/config.h"
#include "infra/loop.h"
#include "infra/metrics.h"

struct kafka_producer;

struct kafka_producer_options {
    const struct config_kafka *config;
    const char *client_id;
    int64_t timeout_ms; /* a record not acknowledged within it fails; 0: it is tried for ever */
    int64_t linger_ms;  /* a batch waits so long for more; 0 where somebody waits for an answer */
    size_t queue_bytes_max; /* bytes kept unacknowledged; beyond it sending fails with
                               ERR_OVERLOADED */
    struct metrics *metrics;
    struct log *log; /* background errors, once each */
};
enum err_code kafka_producer_open(struct loop *loop, const struct kafka_producer_options *options,
                                  struct kafka_producer **ret_producer, struct err *err) MUST_CHECK;
/* Fails what is unacknowledged (ERR_OUTCOME_UNKNOWN) and frees. Accepts NULL. */
void kafka_producer_close(struct kafka_producer *producer);

struct kafka_header {
    const char *name;
    struct span value;
};
struct kafka_send { /* all borrowed; copied before the call returns */
    const char *topic;
    struct span key;
    struct span value;
    const struct kafka_header *headers;
    size_t header_count;
};
/* code: ERR_OK (acknowledged, at `partition` and `offset`), ERR_KAFKA_UNAVAILABLE (certainly not
 * stored), ERR_OUTCOME_UNKNOWN (possibly stored). Called exactly once, never from inside
 * kafka_produce. */
typedef void (*kafka_delivery_fn)(void *arg, enum err_code code, int32_t partition, int64_t offset);
/* ERR_OVERLOADED when the queue is full: nothing was taken. Partition: murmur2 of the key (Java's
 * default). */
enum err_code kafka_produce(struct kafka_producer *producer, const struct kafka_send *send,
                            kafka_delivery_fn fn, void *arg, struct err *err) MUST_CHECK;
/* Where a record with this key lies in a topic of so many partitions. thread: any */
int32_t kafka_partition_of(struct span key, int32_t partition_count);
/* Fetches the topics' metadata so that the first record is fast; `done` gets ERR_OK when every
 * topic is known with leaders. Runs on the thread pool; tries until `deadline_ms` have passed. */
void kafka_producer_warm(struct kafka_producer *producer, const char *const *topics, size_t count,
                         int64_t deadline_ms,
                         void (*done)(void *arg, enum err_code code, const char *text), void *arg);
size_t kafka_producer_unacknowledged(const struct kafka_producer *producer);
size_t kafka_producer_unacknowledged_bytes(const struct kafka_producer *producer);
/* For tests: behaves as if the client had met a fatal error now. */
void kafka_producer_provoke_fatal(struct kafka_producer *producer);

#endif
