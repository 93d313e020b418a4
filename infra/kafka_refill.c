/* When librdkafka fetches again. It stops when as much waits in its queue as it may read ahead, and
 * then nobody tells its broker's thread that the queue was read empty, or that a partition goes on
 * after a pause: it looks by itself, a second later at most. Before 2.1 a seek to where a partition
 * stands anyway wakes the thread, and costs nothing while nothing is queued. Since then only a
 * request to the leader wakes it; a seek that tells the leader's epoch makes one, as the position
 * is to be validated (KIP-320). For the full queue there is a property since 2.2.
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

int32_t kafka_refill_epoch(const rd_kafka_message_t *message)
{
#if RD_KAFKA_VERSION >= 0x020100ff
    return rd_kafka_message_leader_epoch(message);
#else
    (void)message;
    return KAFKA_NO_EPOCH;
#endif
}

rd_kafka_resp_err_t kafka_refill_seek(rd_kafka_t *rk, const char *topic, int32_t partition,
                                      int64_t offset, int32_t epoch)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(list, topic, partition);
    place->offset = offset;
#if RD_KAFKA_VERSION >= 0x020100ff
    if (epoch != KAFKA_NO_EPOCH) {
        /* The second seek does not wait for the answer, which is outdated by it. */
        rd_kafka_topic_partition_set_leader_epoch(place, epoch);
        rd_kafka_error_destroy(rd_kafka_seek_partitions(rk, list, 0));
        rd_kafka_topic_partition_set_leader_epoch(place, KAFKA_NO_EPOCH);
    }
#else
    (void)epoch;
#endif
    rd_kafka_error_destroy(rd_kafka_seek_partitions(rk, list, 0)); /* which tells by the place */
    rd_kafka_resp_err_t e = place->err;
    rd_kafka_topic_partition_list_destroy(list);
    return e == RD_KAFKA_RESP_ERR__IN_PROGRESS ? RD_KAFKA_RESP_ERR_NO_ERROR : e;
}

bool kafka_refill_is_due(struct kafka_refill *refill)
{
    bool was_full = refill->taken_bytes >= refill->full_bytes;
    refill->taken_bytes = 0;
    return was_full && !MUTANT(full_queue_sleeps);
}
