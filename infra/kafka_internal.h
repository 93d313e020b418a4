/* Shared by the infra/kafka*.c files, and for nobody else: the one place that builds librdkafka
 * configurations, a counted client, and the wake-up of a loop by a librdkafka queue.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_INTERNAL_H
#define INFRA_KAFKA_INTERNAL_H

#include "infra/config.h"
#include "infra/loop.h"
#include "infra/metrics.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

/* --- configuration (kafka_conf.c) --- */

struct kafka_property {
    const char *name;
    const char *value;
};
/* What every client has (brokers, client id, timeouts fit for a service), then `properties` of this
 * kind of client, then the configuration's own. One of those that librdkafka does not know, or that
 * Errand's promises rest on, is an ERR_CONFIG naming it. */
enum err_code kafka_conf_new(const struct config_kafka *config, const char *client_id,
                             const struct kafka_property *properties, size_t count,
                             rd_kafka_conf_t **ret_conf, struct err *err) MUST_CHECK;
/* For properties that the configuration cannot set. */
void kafka_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value);

/* --- a client: one rd_kafka_t. Its owner's loop uses it, and so do questions on the thread pool;
 * it is destroyed when the owner has left it and the last question has ended --- */
struct kafka_client {
    rd_kafka_t *rk;
    void *owner;                /* for callbacks on the loop's thread */
    void (*on_gone)(void *arg); /* after rk was destroyed, on another thread; may be NULL */
    void *gone_arg;
    _Atomic(struct log *) log; /* librdkafka's threads write to it; NULL once the owner has left */
    atomic_bool stopping;      /* questions give up soon */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    int questions; /* locks: lock */
};
/* Takes `conf`, on failure too. `log` may be NULL. */
enum err_code kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct log *log,
                               void *owner, struct kafka_client **ret_client,
                               struct err *err) MUST_CHECK;
/* Around every use of rk on another thread: begun on the owner's thread, ended anywhere. thread:
 * any */
void kafka_client_begin(struct kafka_client *client);
void kafka_client_end(struct kafka_client *client);
size_t kafka_client_questions(struct kafka_client *client);
/* Destroys the client on a thread of its own, waiting up to deadline_ms (0: not at all) for that. A
 * client that takes longer is left to itself: the process may end meanwhile. */
void kafka_client_leave(struct kafka_client *client, int64_t deadline_ms);

/* When a record was stored, in Unix milliseconds; -1 when that is not known. */
int64_t kafka_message_time(const rd_kafka_message_t *message);

/* --- waking a loop --- */
struct kafka_wake {
    struct loop_fd *watch;
    loop_fn fn;
    void *arg;
    int fd;
};
/* fn(arg) runs on the loop when an empty queue got an event. librdkafka signals that edge only:
 * whoever is woken polls until the queue is empty, or comes back by itself. */
enum err_code kafka_wake_init(struct kafka_wake *wake, struct loop *loop, loop_fn fn, void *arg,
                              struct err *err) MUST_CHECK;
void kafka_wake_enable(const struct kafka_wake *wake, rd_kafka_queue_t *queue);
/* Before the queue's client is left: it must not write to a descriptor that will be another's. */
void kafka_wake_disable(rd_kafka_queue_t *queue);
void kafka_wake_clear(struct kafka_wake *wake);

/* --- metadata before the first record (kafka_warm.c) --- */
struct kafka_warm;
struct kafka_warm_spec {
    struct kafka_client *client;
    struct loop *loop;
    const char *const *topics; /* copied */
    size_t count;              /* 0: one question about all topics that the client knows */
    int64_t deadline_ms;
    void (*done)(void *arg, enum err_code code, const char *text); /* may be NULL */
    void *arg;
};
/* Adds itself to *list, and leaves it before `done`. */
void kafka_warm_start(struct kafka_warm **list, const struct kafka_warm_spec *spec);
/* Their `done` is not called any more. */
void kafka_warm_forget(struct kafka_warm **list);

/* --- blocking questions about offsets (kafka_offsets.c) --- */

/* Sets each element's offset to where its log starts (`which` is RD_KAFKA_OFFSET_BEGINNING) or ends
 * (RD_KAFKA_OFFSET_END). What has no answer is asked again until the deadline or until *stopping;
 * then it is -1 and the code ERR_KAFKA. thread: any */
enum err_code kafka_offsets_query(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                  int64_t which, int64_t until_ms, const atomic_bool *stopping,
                                  struct err *err) MUST_CHECK;
/* The same for the offsets that rk's own group has committed; -1 where there is none. */
enum err_code kafka_offsets_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                      int64_t until_ms, const atomic_bool *stopping,
                                      struct err *err) MUST_CHECK;

/* --- fetching again after a full queue or a pause (kafka_refill.c) --- */
#define KAFKA_NO_EPOCH (-1)
struct kafka_refill {
    size_t full_bytes;  /* a queue of which as much was taken may have been full */
    size_t taken_bytes; /* since it was last seen empty */
};
/* For the configuration of a consumer. */
void kafka_refill_conf(rd_kafka_conf_t *conf);
void kafka_refill_init(struct kafka_refill *refill, rd_kafka_t *rk);
void kafka_refill_took(struct kafka_refill *refill, const rd_kafka_message_t *message);
/* The queue is empty: whether librdkafka may not know, so that its partitions are to be sought to
 * where they stand. */
bool kafka_refill_is_due(struct kafka_refill *refill);
/* The epoch of the leader that wrote a record (KIP-320). */
int32_t kafka_refill_epoch(const rd_kafka_message_t *message);
/* Seeks, without waiting, so that what comes from `offset` on is fetched at once. */
rd_kafka_resp_err_t kafka_refill_seek(rd_kafka_t *rk, const char *topic, int32_t partition,
                                      int64_t offset, int32_t epoch);

/* --- metrics that may be absent --- */
struct metric *kafka_counter(struct metrics *metrics, const char *name, const char *help,
                             const char *label, const char *value);
struct metric *kafka_gauge(struct metrics *metrics, const char *name, const char *help,
                           const char *label, const char *value);
static inline void kafka_count(struct metric *metric)
{
    if (metric)
        metric_add(metric, 1);
}

#endif
