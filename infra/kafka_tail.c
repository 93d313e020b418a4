/* See kafka_tail.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_tail.h"

#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define SLICE_MS 100

bool kafka_tail_header(const struct kafka_tail_record *record, size_t i, const char **ret_name,
                       struct span *ret_value)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(record->_message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    return rd_kafka_header_get_all(headers, i, ret_name, &ret_value->data, &ret_value->size) ==
           RD_KAFKA_RESP_ERR_NO_ERROR;
}

struct tailing {
    const struct kafka_tail *tail;
    struct kafka_refill refill;
    rd_kafka_topic_partition_list_t *list; /* as tail->from, each with the offset that comes next */
    bool *done;                            /* by place in tail->from */
    size_t left;
    bool stopped;
};

static size_t place_of(const struct kafka_tail *tail, int32_t partition)
{
    size_t i = 0;
    while (i < tail->count && tail->from[i].partition != partition)
        i++;
    return i;
}

static void finish(struct tailing *tailing, size_t place)
{
    if (place < tailing->tail->count && !tailing->done[place]) {
        tailing->done[place] = true;
        tailing->left--;
        (void)rd_kafka_topic_partition_list_del(tailing->list, tailing->tail->from[place].topic,
                                                tailing->tail->from[place].partition);
    }
}

static void pass(struct tailing *tailing, const rd_kafka_message_t *message)
{
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(
        tailing->list, rd_kafka_topic_name(message->rkt), message->partition);
    if (at)
        at->offset = message->offset + 1;
}

/* The next message; NULL when none came for a moment. */
static rd_kafka_message_t *next(struct kafka_admin *admin, struct tailing *tailing)
{
    rd_kafka_t *rk = admin->client->rk;
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 0);
    if (!message && kafka_refill_is_due(&tailing->refill) && tailing->list->cnt)
        rd_kafka_error_destroy(rd_kafka_seek_partitions(rk, tailing->list, 0));
    return message ? message : rd_kafka_consumer_poll(rk, SLICE_MS);
}

static void take(struct tailing *tailing, const rd_kafka_message_t *message)
{
    const struct kafka_tail *tail = tailing->tail;
    size_t place = place_of(tail, message->partition);
    if (message->err) {
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && tail->ends)
            finish(tailing, place);
        return;
    }
    if (place == tail->count || tailing->done[place])
        return;
    if (tail->ends && message->offset >= tail->ends[place]) {
        finish(tailing, place);
        return;
    }
    const struct kafka_tail_record record = {
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = kafka_message_time(message),
        .key = { message->key, message->key_len },
        .value = { message->payload, message->len },
        ._message = message,
    };
    pass(tailing, message);
    tailing->stopped = !tail->fn(tail->arg, &record);
    if (tail->ends && message->offset + 1 >= tail->ends[place])
        finish(tailing, place);
}

static enum err_code run(struct kafka_admin *admin, struct tailing *tailing, int64_t timeout_ms,
                         struct err *err)
{
    int64_t silent_ms = 0; /* since when nothing comes; 0: something did */
    while (tailing->left && !tailing->stopped) {
        rd_kafka_message_t *message = next(admin, tailing);
        if (message) {
            kafka_refill_took(&tailing->refill, message);
            take(tailing, message);
            rd_kafka_message_destroy(message);
            silent_ms = 0;
            continue;
        }
        if (!silent_ms)
            silent_ms = clock_monotonic_ms() - SLICE_MS;
        tailing->stopped = !tailing->tail->fn(tailing->tail->arg, NULL);
        if (tailing->tail->ends && clock_monotonic_ms() - silent_ms > timeout_ms)
            return err_set(err, ERR_KAFKA, "nothing came for %lld s, and there is more",
                           (long long)(timeout_ms / 1000));
    }
    return ERR_OK;
}

enum err_code kafka_tail_sync(struct kafka_admin *admin, const struct kafka_tail *tail,
                              int64_t timeout_ms, struct err *err)
{
    struct tailing tailing = { .tail = tail };
    tailing.done = mem_zalloc(tail->count, sizeof *tailing.done);
    tailing.list = rd_kafka_topic_partition_list_new((int)tail->count);
    kafka_refill_init(&tailing.refill, admin->client->rk);
    for (size_t i = 0; i < tail->count; i++) {
        tailing.done[i] = tail->ends && tail->from[i].offset >= tail->ends[i];
        tailing.left += !tailing.done[i];
        if (!tailing.done[i])
            rd_kafka_topic_partition_list_add(tailing.list, tail->from[i].topic,
                                              tail->from[i].partition)
                ->offset = tail->from[i].offset;
    }
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&admin->reading);
    rd_kafka_resp_err_t e = rd_kafka_assign(admin->client->rk, tailing.list);
    if (e)
        code = err_set(err, ERR_KAFKA, "reading: %s", rd_kafka_err2str(e));
    else
        code = run(admin, &tailing, timeout_ms, err);
    rd_kafka_assign(admin->client->rk, NULL);
    pthread_mutex_unlock(&admin->reading);
    rd_kafka_topic_partition_list_destroy(tailing.list);
    free(tailing.done);
    return code;
}
