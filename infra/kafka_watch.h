/* Whether Kafka answers: asks a producer's client for topics' leaders, at first for all of them (so
 * that no record meets a cold topic), then every two seconds for one, so that readiness tells what
 * would happen to a record now. thread: the loop's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_WATCH_H
#define INFRA_KAFKA_WATCH_H

#include "infra/kafka_producer.h"

struct kafka_watch;

/* `on_look` (may be NULL) is told the outcome of every look: `why` is NULL when Kafka answered.
 * `topics` (at least one) are copied. */
struct kafka_watch *kafka_watch_start(struct loop *loop, struct kafka_producer *producer,
                                      const char *const *topics, size_t count,
                                      void (*on_look)(void *arg, const char *why), void *arg);
/* Why Kafka is not to be counted on; NULL when the last look found everything well. */
const char *kafka_watch_why(const struct kafka_watch *watch);
/* To be called after the producer's end, which forgets a look under way. Accepts NULL. */
void kafka_watch_stop(struct kafka_watch *watch);

#endif
