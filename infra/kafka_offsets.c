/* Blocking questions about offsets, for the thread pool and the command line; see kafka_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_internal.h"

#include "infra/clock.h"

#include <time.h>

#define SLICE_MS 2000 /* one request; between two of them the client may be left */
#define PAUSE_MS 50

/* False when it is time to give up. */
static bool pause_before_retry(int64_t until_ms, const atomic_bool *stopping)
{
    if (atomic_load(stopping) || clock_monotonic_ms() + PAUSE_MS >= until_ms)
        return false;
    nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
    return true;
}

static int slice_ms(int64_t until_ms)
{
    int64_t left_ms = until_ms - clock_monotonic_ms();
    return left_ms < 1 ? 1 : left_ms < SLICE_MS ? (int)left_ms : SLICE_MS;
}

/* Those of `list` whose offset is not known yet, ready to be asked for. */
static rd_kafka_topic_partition_list_t *unknown_of(const rd_kafka_topic_partition_list_t *list,
                                                   int64_t which)
{
    rd_kafka_topic_partition_list_t *unknown = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        if (element->offset < 0)
            rd_kafka_topic_partition_list_add(unknown, element->topic, element->partition)->offset =
                which;
    }
    return unknown;
}

/* The answers have the order of `list`, with gaps: each is looked for behind the one before, so
 * that a thousand partitions cost a thousand steps. */
static rd_kafka_topic_partition_t *next_of(rd_kafka_topic_partition_list_t *list, int *next,
                                           const rd_kafka_topic_partition_t *answer)
{
    for (int i = *next; i < list->cnt; i++) {
        if (list->elems[i].partition == answer->partition &&
            strcmp(list->elems[i].topic, answer->topic) == 0) {
            *next = i + 1;
            return &list->elems[i];
        }
    }
    return rd_kafka_topic_partition_list_find(list, answer->topic, answer->partition);
}

/* Takes over what was answered; returns an error met on the way. A topic just made answers -1
 * without an error. */
static rd_kafka_resp_err_t take_answers(rd_kafka_topic_partition_list_t *list,
                                        const rd_kafka_topic_partition_list_t *answers)
{
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_NO_ERROR;
    int next = 0;
    for (int i = 0; i < answers->cnt; i++) {
        const rd_kafka_topic_partition_t *answer = &answers->elems[i];
        rd_kafka_topic_partition_t *element = next_of(list, &next, answer);
        if (answer->err)
            e = answer->err;
        else if (answer->offset < 0)
            e = RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;
        else if (element)
            element->offset = answer->offset;
    }
    return e;
}

/* librdkafka remembers for minutes who leads a partition, and a client that reads nothing would ask
 * a leader that is gone again and again. Asking for all topics makes it forget. */
static void forget_leaders(rd_kafka_t *rk, int64_t until_ms)
{
    const struct rd_kafka_metadata *metadata;
    if (!rd_kafka_metadata(rk, 1, NULL, &metadata, slice_ms(until_ms)))
        rd_kafka_metadata_destroy(metadata);
}

enum err_code kafka_offsets_query(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                  int64_t which, int64_t until_ms, const atomic_bool *stopping,
                                  struct err *err)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = -1;
    for (;;) {
        rd_kafka_topic_partition_list_t *unknown = unknown_of(list, which);
        if (unknown->cnt == 0) {
            rd_kafka_topic_partition_list_destroy(unknown);
            return ERR_OK;
        }
        rd_kafka_resp_err_t failed = rd_kafka_offsets_for_times(rk, unknown, slice_ms(until_ms));
        rd_kafka_resp_err_t e = failed ? failed : take_answers(list, unknown);
        rd_kafka_topic_partition_list_destroy(unknown);
        if (e && !pause_before_retry(until_ms, stopping))
            return err_set(err, ERR_KAFKA, "the ends of the logs are not known: %s",
                           rd_kafka_err2str(e));
        if (e && e != RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE)
            forget_leaders(rk, until_ms);
    }
}

enum err_code kafka_offsets_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                      int64_t until_ms, const atomic_bool *stopping,
                                      struct err *err)
{
    for (;;) {
        rd_kafka_resp_err_t e = rd_kafka_committed(rk, list, slice_ms(until_ms));
        for (int i = 0; i < list->cnt && !e; i++)
            e = list->elems[i].err;
        if (!e)
            break;
        if (!pause_before_retry(until_ms, stopping))
            return err_set(err, ERR_KAFKA, "the committed offsets are not known: %s",
                           rd_kafka_err2str(e));
    }
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].offset < 0)
            list->elems[i].offset = -1;
    }
    return ERR_OK;
}
