/* See kafka_tail.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_tail.h"

#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define SLICE_MS 100
#define DONE     INT64_MIN

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
    int64_t *next; /* by place in tail->from: the offset that comes next, or DONE */
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
    if (place < tailing->tail->count && tailing->next[place] != DONE) {
        tailing->next[place] = DONE;
        tailing->left--;
    }
}

static void refill(rd_kafka_t *rk, struct tailing *tailing)
{
    const struct kafka_tail *tail = tailing->tail;
    if (!kafka_refill_is_due(&tailing->refill))
        return;
    for (size_t i = 0; i < tail->count; i++) {
        if (tailing->next[i] != DONE)
            (void)kafka_refill_seek(rk, tail->from[i].topic, tail->from[i].partition,
                                    tailing->next[i], KAFKA_NO_EPOCH);
    }
}

/* NULL when none came for a moment. */
static rd_kafka_message_t *next_message(rd_kafka_t *rk, struct tailing *tailing)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 0);
    if (message)
        return message;
    refill(rk, tailing);
    return rd_kafka_consumer_poll(rk, SLICE_MS);
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
    if (place == tail->count || tailing->next[place] == DONE)
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
    tailing->next[place] = message->offset + 1;
    tailing->stopped = !tail->fn(tail->arg, &record);
    if (tail->ends && message->offset + 1 >= tail->ends[place])
        finish(tailing, place);
}

static enum err_code run(struct kafka_admin *admin, struct tailing *tailing, int64_t timeout_ms,
                         struct err *err)
{
    int64_t silent_ms = 0; /* since when nothing comes; 0: something did */
    while (tailing->left && !tailing->stopped) {
        rd_kafka_message_t *message = next_message(admin->client->rk, tailing);
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
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)tail->count);
    tailing.next = mem_zalloc(tail->count, sizeof *tailing.next);
    kafka_refill_init(&tailing.refill, admin->client->rk);
    for (size_t i = 0; i < tail->count; i++) {
        bool done = tail->ends && tail->from[i].offset >= tail->ends[i];
        tailing.next[i] = done ? DONE : tail->from[i].offset;
        tailing.left += !done;
        if (!done)
            rd_kafka_topic_partition_list_add(list, tail->from[i].topic, tail->from[i].partition)
                ->offset = tail->from[i].offset;
    }
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&admin->reading);
    rd_kafka_resp_err_t e = rd_kafka_assign(admin->client->rk, list);
    if (e)
        code = err_set(err, ERR_KAFKA, "reading: %s", rd_kafka_err2str(e));
    else
        code = run(admin, &tailing, timeout_ms, err);
    rd_kafka_assign(admin->client->rk, NULL);
    pthread_mutex_unlock(&admin->reading);
    rd_kafka_topic_partition_list_destroy(list);
    free(tailing.next);
    return code;
}
