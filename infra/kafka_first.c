/* See kafka_first.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_first.h"

#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define SLICE_MS 100

struct reading {
    struct kafka_admin *admin;
    struct kafka_first **sorted; /* by topic and partition */
    size_t count, left;
};

static int compare(const struct kafka_first *a, const struct kafka_first *b)
{
    int order = strcmp(a->topic, b->topic);
    return order ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static int by_place(const void *a, const void *b)
{
    return compare(*(struct kafka_first *const *)a, *(struct kafka_first *const *)b);
}

static struct kafka_first *find(const struct reading *reading, const rd_kafka_message_t *message)
{
    const struct kafka_first wanted = { .topic = rd_kafka_topic_name(message->rkt),
                                        .partition = message->partition };
    const struct kafka_first *key = &wanted;
    struct kafka_first **found =
        bsearch(&key, reading->sorted, reading->count, sizeof(struct kafka_first *), by_place);
    return found ? *found : NULL;
}

static void settle(struct reading *reading, struct kafka_first *item, enum kafka_first_found found)
{
    item->found = found;
    reading->left--;
}

/* Passing troubles (a leader that moves) are no answer: what follows them is. */
static void take(struct reading *reading, const rd_kafka_message_t *message)
{
    if (!message->rkt)
        return;
    struct kafka_first *item = find(reading, message);
    if (!item || item->found != KAFKA_FIRST_UNKNOWN)
        return;
    /* What lies behind the end came after the look at it. */
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
        (!message->err && message->offset >= item->end)) {
        settle(reading, item, KAFKA_FIRST_NONE);
    } else if (!message->err && message->offset >= item->from) {
        item->offset = message->offset;
        item->timestamp_ms = kafka_message_time(message);
        settle(reading, item, KAFKA_FIRST_RECORD);
    }
}

static enum err_code assign(struct reading *reading, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)reading->count);
    for (size_t i = 0; i < reading->count; i++)
        rd_kafka_topic_partition_list_add(list, reading->sorted[i]->topic,
                                          reading->sorted[i]->partition)
            ->offset = reading->sorted[i]->from;
    rd_kafka_resp_err_t e = rd_kafka_assign(reading->admin->client->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return e ? err_set(err, ERR_KAFKA, "reading first records: %s", rd_kafka_err2str(e)) : ERR_OK;
}

static void read_until(struct reading *reading, int64_t until_ms)
{
    struct kafka_client *client = reading->admin->client;
    while (reading->left && clock_monotonic_ms() < until_ms && !atomic_load(&client->stopping)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client->rk, SLICE_MS);
        if (!message)
            continue;
        take(reading, message);
        rd_kafka_message_destroy(message);
    }
}

enum err_code kafka_first_sync(struct kafka_admin *admin, struct kafka_first *items, size_t count,
                               int64_t timeout_ms, struct err *err)
{
    if (count == 0)
        return ERR_OK;
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct reading reading = { .admin = admin, .count = count, .left = count };
    reading.sorted = mem_zalloc(count, sizeof(struct kafka_first *));
    for (size_t i = 0; i < count; i++) {
        items[i].found = KAFKA_FIRST_UNKNOWN;
        items[i].offset = items[i].timestamp_ms = -1;
        reading.sorted[i] = &items[i];
    }
    qsort(reading.sorted, count, sizeof(struct kafka_first *), by_place);
    pthread_mutex_lock(&admin->reading);
    enum err_code code = assign(&reading, err);
    if (!code)
        read_until(&reading, until_ms);
    rd_kafka_assign(admin->client->rk, NULL);
    pthread_mutex_unlock(&admin->reading);
    if (!code && reading.left)
        code = err_set(err, ERR_KAFKA, "the first records of %zu of %zu partitions did not come",
                       reading.left, count);
    free(reading.sorted);
    return code;
}
