/* Which partitions are ours, and from where they are read; see kafka_consumer_internal.h.
 *
 * DESIGN. librdkafka announces an assignment and then waits for our rd_kafka_assign, for as long as
 * it takes: heartbeats go on by themselves, and no second rebalance is announced before. So the
 * committed offsets and the ends of the logs are asked for on the thread pool while the loop turns,
 * and explicit offsets are assigned when they are known. A revocation is answered the same way:
 * when the caller has released its last hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_consumer_internal.h"

#include "infra/clock.h"
#include "infra/log.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define PATIENCE_MS 10000 /* without an answer: said in the log, and asked on */

struct kafka_lookup {
    struct kafka_consumer *consumer; /* gone when cancelled */
    struct kafka_client *client;
    atomic_bool cancelled; /* nobody wants the answer */
    bool has_group;
    /* The same partitions in the same order. */
    rd_kafka_topic_partition_list_t *wanted; /* offsets: where to start, if >= 0 */
    rd_kafka_topic_partition_list_t *committed, *starts, *ends;
};

/* --- the lookup --- */

static enum err_code ask(struct kafka_lookup *lookup, int64_t until_ms, struct err *err)
{
    rd_kafka_t *rk = lookup->client->rk;
    enum err_code code = ERR_OK;
    if (lookup->has_group)
        code = kafka_offsets_committed(rk, lookup->committed, until_ms, &lookup->cancelled, err);
    if (!code)
        code = kafka_offsets_query(rk, lookup->starts, RD_KAFKA_OFFSET_BEGINNING, until_ms,
                                   &lookup->cancelled, err);
    if (!code)
        code = kafka_offsets_query(rk, lookup->ends, RD_KAFKA_OFFSET_END, until_ms,
                                   &lookup->cancelled, err);
    return code;
}

/* thread: pool */
static void look_up(void *arg)
{
    struct kafka_lookup *lookup = arg;
    struct err err = { 0 };
    for (int i = 0; i < lookup->committed->cnt; i++)
        lookup->committed->elems[i].offset = -1;
    while (ask(lookup, clock_monotonic_ms() + PATIENCE_MS, &err) &&
           !atomic_load(&lookup->cancelled))
        log_write(atomic_load(&lookup->client->log), LOG_WARN, "kafka",
                  &(struct log_about){ .err = &err },
                  "an assignment waits for its offsets, asking on");
    kafka_client_end(lookup->client);
}

static void lookup_free(struct kafka_lookup *lookup)
{
    rd_kafka_topic_partition_list_destroy(lookup->wanted);
    rd_kafka_topic_partition_list_destroy(lookup->committed);
    rd_kafka_topic_partition_list_destroy(lookup->starts);
    rd_kafka_topic_partition_list_destroy(lookup->ends);
    free(lookup);
}

/* Its thread notices soon; the answer is dropped. */
static void lookup_cancel(struct kafka_consumer *consumer)
{
    if (!consumer->lookup)
        return;
    atomic_store(&consumer->lookup->cancelled, true);
    consumer->lookup = NULL;
}

/* --- assigning --- */

static struct kafka_partition *partition_new(struct kafka_consumer *consumer,
                                             const rd_kafka_topic_partition_t *element)
{
    struct kafka_partition *partition = MEM_NEW(*partition);
    partition->consumer = consumer;
    partition->topic = kafka_consumer_topic_get(consumer, element->topic);
    partition->number = element->partition;
    partition->epoch = KAFKA_NO_EPOCH;
    return partition;
}

/* Where the caller wants to start, told what was found. */
static int64_t choose_start(struct kafka_partition *partition, const struct kafka_lookup *lookup,
                            int i)
{
    struct kafka_consumer *consumer = partition->consumer;
    struct kafka_start start = {
        .committed = lookup->committed->elems[i].offset,
        .log_start = lookup->starts->elems[i].offset,
        .log_end = lookup->ends->elems[i].offset,
    };
    start.reset = start.committed < 0 && start.log_start > 0;
    start.lost = start.committed >= 0 &&
                 (start.committed < start.log_start || start.committed > start.log_end);
    if (lookup->has_group && start.reset)
        kafka_count(partition->topic->resets);
    if (start.lost)
        kafka_count(partition->topic->lost);
    int64_t offset = start.committed < 0 || start.lost ? start.log_start : start.committed;
    consumer->options.on_assign(consumer->options.arg, partition, &start, &offset);
    return offset;
}

static void set_active(struct kafka_consumer *consumer,
                       const rd_kafka_topic_partition_list_t *positions)
{
    rd_kafka_resp_err_t e = rd_kafka_assign(consumer->client->rk, positions);
    if (e)
        log_write(consumer->options.log, LOG_ERROR, "kafka", NULL, "the assignment failed: %s",
                  rd_kafka_err2str(e));
    consumer->active = true;
    consumer->joined = true;
    if (consumer->assigned)
        metric_set(consumer->assigned, (double)consumer->partition_count);
    /* Those that the caller paused in on_assign, when librdkafka did not have them yet. */
    for (size_t i = 0; i < consumer->partition_count; i++) {
        if (!consumer->partitions[i]->paused)
            continue;
        consumer->partitions[i]->paused = false;
        kafka_partition_pause(consumer->partitions[i]);
    }
}

static void apply(struct kafka_consumer *consumer, struct kafka_lookup *lookup)
{
    int count = lookup->wanted->cnt;
    consumer->partitions = mem_zalloc((size_t)count, sizeof(struct kafka_partition *));
    for (int i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *element = &lookup->wanted->elems[i];
        struct kafka_partition *partition = partition_new(consumer, element);
        consumer->partitions[consumer->partition_count++] = partition;
        partition->next = element->offset;
        if (element->offset < 0)
            partition->next = choose_start(partition, lookup, i);
        element->offset = partition->next;
    }
    set_active(consumer, lookup->wanted);
}

static void looked_up(void *arg)
{
    struct kafka_lookup *lookup = arg;
    if (!atomic_load(&lookup->cancelled)) {
        struct kafka_consumer *consumer = lookup->consumer;
        consumer->lookup = NULL;
        apply(consumer, lookup);
    }
    lookup_free(lookup);
}

void kafka_assignment_begin(struct kafka_consumer *consumer,
                            const rd_kafka_topic_partition_list_t *partitions)
{
    struct kafka_lookup *lookup = MEM_NEW(*lookup);
    lookup->consumer = consumer;
    lookup->client = consumer->client;
    lookup->has_group = consumer->has_group;
    atomic_init(&lookup->cancelled, false);
    lookup->wanted = rd_kafka_topic_partition_list_copy(partitions);
    lookup->committed = rd_kafka_topic_partition_list_copy(partitions);
    lookup->starts = rd_kafka_topic_partition_list_copy(partitions);
    lookup->ends = rd_kafka_topic_partition_list_copy(partitions);
    consumer->lookup = lookup;
    kafka_client_begin(consumer->client);
    loop_work(consumer->loop, look_up, looked_up, lookup);
}

/* --- giving up --- */

static void free_partitions(struct kafka_consumer *consumer)
{
    for (size_t i = 0; i < consumer->partition_count; i++)
        free(consumer->partitions[i]);
    free(consumer->partitions);
    consumer->partitions = NULL;
    consumer->partition_count = 0;
    if (consumer->assigned)
        metric_set(consumer->assigned, 0);
}

/* librdkafka keeps a pause beyond the assignment: a partition that comes back would be mute. */
static void resume_all(struct kafka_consumer *consumer)
{
    for (size_t i = 0; i < consumer->partition_count; i++) {
        if (consumer->partitions[i]->paused && !MUTANT(pause_outlives_revoke))
            kafka_partition_resume(consumer->partitions[i]);
    }
}

static void finish_revoke(struct kafka_consumer *consumer)
{
    if (consumer->options.on_revoked)
        consumer->options.on_revoked(consumer->options.arg);
    resume_all(consumer);
    /* Commits made until now are in librdkafka's queue before this. */
    rd_kafka_assign(consumer->client->rk, NULL);
    free_partitions(consumer);
    consumer->active = false;
    consumer->revoking = false;
    consumer->epoch++;
}

static void begin_revoke(struct kafka_consumer *consumer, bool lost)
{
    consumer->revoking = true;
    consumer->holds = 1; /* ours, until every partition was told */
    for (size_t i = 0; i < consumer->partition_count; i++)
        consumer->options.on_revoke(consumer->options.arg, consumer->partitions[i], lost);
    kafka_consumer_release_revoke(consumer);
}

void kafka_consumer_hold_revoke(struct kafka_consumer *consumer)
{
    assert(consumer->revoking);
    consumer->holds++;
}

void kafka_consumer_release_revoke(struct kafka_consumer *consumer)
{
    assert(consumer->holds > 0);
    if (--consumer->holds == 0)
        finish_revoke(consumer);
}

void kafka_assignment_end(struct kafka_consumer *consumer)
{
    bool unanswered = consumer->lookup != NULL;
    lookup_cancel(consumer);
    if (consumer->active && !consumer->revoking)
        begin_revoke(consumer, false);
    if (consumer->revoking) {
        consumer->holds = 0;
        finish_revoke(consumer);
    } else if (unanswered) {
        rd_kafka_assign(consumer->client->rk, NULL);
    }
}

/* --- what librdkafka announces --- */

static void on_assign(struct kafka_consumer *consumer,
                      const rd_kafka_topic_partition_list_t *partitions)
{
    kafka_count(consumer->rebalances);
    assert(!consumer->active && !consumer->lookup);
    if (partitions->cnt > 0)
        kafka_assignment_begin(consumer, partitions);
    else
        set_active(consumer, partitions);
}

static void on_revoke(struct kafka_consumer *consumer)
{
    if (consumer->lookup) {
        lookup_cancel(consumer);
        rd_kafka_assign(consumer->client->rk, NULL);
    } else if (!consumer->revoking) {
        begin_revoke(consumer, rd_kafka_assignment_lost(consumer->client->rk));
    }
}

void kafka_assignment_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t e,
                                rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct kafka_client *client = opaque;
    struct kafka_consumer *consumer = client->owner;
    /* Left by its owner, the client closes on a thread of its own: `consumer` is gone. */
    if (atomic_load(&client->stopping)) {
        rd_kafka_assign(rk, NULL);
        return;
    }
    switch (e) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
        on_assign(consumer, partitions);
        break;
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
        on_revoke(consumer);
        break;
    default:
        log_write(consumer->options.log, LOG_ERROR, "kafka", NULL, "rebalance failed: %s",
                  rd_kafka_err2str(e));
        on_revoke(consumer);
        break;
    }
}
