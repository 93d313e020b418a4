/* When librdkafka fetches again. It stops when as much waits in its queue as it may read ahead, and
 * then nobody tells its broker's thread that the queue was read empty, or that a partition goes on
 * after a pause: it looks by itself, a second later at most. Since 2.2 there is a property for that
 * (fetch.queue.backoff.ms). Before, a seek to where a partition stands anyway wakes the thread, and
 * costs nothing while nothing is queued.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_internal.h"

#include "schemas/mutant.h"

#include <stdint.h>
#include <stdlib.h>

#define BACKOFF    "fetch.queue.backoff.ms"
#define BACKOFF_MS "5"
#define QUEUE      "queued.max.messages.kbytes"

void kafka_refill_conf(rd_kafka_conf_t *conf)
{
    /* Unknown to older ones; these are woken. */
    (void)rd_kafka_conf_set(conf, BACKOFF, BACKOFF_MS, NULL, 0);
}

void kafka_refill_init(struct kafka_refill *refill, rd_kafka_t *rk)
{
    char text[32];
    size_t size = sizeof text;
    const rd_kafka_conf_t *conf = rd_kafka_conf(rk);
    *refill = (struct kafka_refill){ .full_bytes = SIZE_MAX };
    if (rd_kafka_conf_get(conf, BACKOFF, text, &size) == RD_KAFKA_CONF_OK)
        return;
    size = sizeof text;
    if (rd_kafka_conf_get(conf, QUEUE, text, &size) == RD_KAFKA_CONF_OK)
        refill->full_bytes = strtoul(text, NULL, 10) * 1024 / 2; /* its count and ours may differ */
}

void kafka_refill_took(struct kafka_refill *refill, const rd_kafka_message_t *message)
{
    refill->taken_bytes += message->len + message->key_len;
}

bool kafka_refill_is_due(struct kafka_refill *refill)
{
    bool was_full = refill->taken_bytes >= refill->full_bytes;
    refill->taken_bytes = 0;
    return was_full && !MUTANT(full_queue_sleeps);
}
