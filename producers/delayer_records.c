/* See delayer_internal.h. A record that Kafka refuses is kept and tried again; one that cannot be
 * handed on at all goes to the dead letters; neither is in the way of others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/delayer_internal.h"

#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdlib.h>

#define HELD_BYTES_MAX      ((size_t)2 * 1024 * 1024) /* of one partition */
#define HELD_OVERHEAD_BYTES 2560
#define WINDOW_SPAN_MAX     1000000 /* offsets read beyond one that Kafka goes on refusing */
#define AGAIN_MS            100     /* after the producer's limit refused a record */
#define REFUSED_AGAIN_MS    1000    /* after Kafka refused a record */

/* --- what waits --- */

static void held_free(struct held *held)
{
    envelope_free(held->envelope);
    mem_free_const(held->key.data);
    mem_free_const(held->value.data);
    free(held);
}

void delayer_unref(struct tier_partition *partition)
{
    if (--partition->references)
        return;
    window_free(partition->window);
    loop_timer_free(partition->timer);
    free(partition->topic);
    free(partition);
}

static void drop_list(struct tier_partition *partition, struct held *list)
{
    while (list) {
        struct held *next = list->next;
        held_free(list);
        list = next;
        metric_add(partition->delayer->waiting, -1);
    }
}

void delayer_drop_held(struct tier_partition *partition)
{
    drop_list(partition, partition->first);
    drop_list(partition, partition->refused);
    partition->first = partition->last = partition->refused = NULL;
    partition->held_bytes = 0;
}

/* --- to where it belongs --- */

/* Read on, or not: what waits is bounded, and so is what a crash would have delivered again. */
static void balance(struct tier_partition *partition)
{
    if (!partition->handle)
        return;
    int64_t span = window_span(partition->window);
    if (partition->held_bytes > HELD_BYTES_MAX || span > WINDOW_SPAN_MAX)
        kafka_partition_pause(partition->handle);
    else if (kafka_partition_is_paused(partition->handle) &&
             partition->held_bytes <= HELD_BYTES_MAX / 2 && span <= WINDOW_SPAN_MAX / 2)
        kafka_partition_resume(partition->handle);
}

/* Not anew for each: who is refused again and again would keep the others waiting. */
static void arm_refused(struct delayer *delayer)
{
    if (!loop_timer_runs(delayer->refused_timer))
        loop_timer_start(delayer->refused_timer, REFUSED_AGAIN_MS, 0);
}

/* Kafka refuses it for good (a missing right, a topic's own limit): until somebody has seen to
 * that. Whoever is not our partition any more is delivered to its next owner. */
static void keep_refused(struct held *held)
{
    struct tier_partition *partition = held->partition;
    struct delayer *delayer = partition->delayer;
    if (!partition->handle || MUTANT(refused_dropped)) {
        held_free(held);
        return;
    }
    held->next = partition->refused;
    partition->refused = held;
    partition->held_bytes += held->bytes;
    metric_add(delayer->waiting, 1);
    arm_refused(delayer);
}

static void on_acknowledged(void *arg, enum err_code code, int32_t number, int64_t offset)
{
    (void)number;
    (void)offset;
    struct held *held = arg;
    struct tier_partition *partition = held->partition;
    struct delayer *delayer = partition->delayer;
    delayer->under_way--;
    if (code == ERR_OK) {
        window_done(partition->window, held->ticket);
        metric_add(held->envelope ? delayer->handed_on : delayer->poison, 1);
        held_free(held);
    } else {
        keep_refused(held);
    }
    balance(partition);
    delayer_unref(partition);
}

static enum err_code bury(struct held *held)
{
    const struct tier_partition *partition = held->partition;
    const struct delayer *delayer = partition->delayer;
    struct publish_dead dead = {
        .queue = span_of(delayer->config->queues[0].name), /* whose it was cannot be read */
        .key = held->key,
        .value = held->value,
        .topic = partition->topic,
        .partition = partition->number,
        .offset = held->offset,
        .reason = span_of(err_code_text(held->why.code)),
        .detail = span_of(held->why.text),
    };
    struct err unsaid; /* the producer is full: it comes again */
    return publish_dead(&delayer->publish, &dead, on_acknowledged, held, &unsaid);
}

/* From now on it is no command any more, but what goes to the dead letters. */
static void condemn(struct held *held, struct span key, struct span value)
{
    held->key = (struct span){ mem_dup(key), key.size };
    held->value = (struct span){ mem_dup(value), value.size };
    envelope_free(held->envelope);
    held->envelope = NULL;
    log_write(held->partition->delayer->log, LOG_ERROR, "delayer",
              &(struct log_about){ .err = &held->why },
              "%s/%d: the record at offset %" PRId64 " cannot be handed on; to the dead letters",
              held->partition->topic, held->partition->number, held->offset);
}

/* A stranger's command that is larger on the next topic than it was here. */
static void condemn_large(struct held *held)
{
    struct buf value = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct err unencoded;
    if (envelope_encode_command(&held->envelope->command, &value, &unencoded))
        buf_reset(&value);
    condemn(held, (struct span){ 0 }, buf_span(&value));
    buf_free(&value);
}

static enum err_code publish(struct held *held)
{
    if (!held->envelope)
        return bury(held);
    enum err_code code =
        publish_handoff(&held->partition->delayer->publish, &held->envelope->command,
                        on_acknowledged, held, &held->why);
    if (code != ERR_LIMIT)
        return code;
    condemn_large(held);
    return bury(held);
}

/* Takes the first of a list to where it belongs now. False when the producer is full: it stays. */
static bool hand_on(struct tier_partition *partition, struct held **list)
{
    struct delayer *delayer = partition->delayer;
    struct held *held = *list;
    if (publish(held))
        return false;
    *list = held->next;
    partition->references++;
    partition->held_bytes -= held->bytes;
    delayer->under_way++;
    metric_add(delayer->waiting, -1);
    return true;
}

void delayer_retry_refused(void *arg)
{
    struct delayer *delayer = arg;
    for (struct tier_partition *p = delayer->partitions; p && !delayer->draining; p = p->next) {
        while (p->refused && hand_on(p, &p->refused))
            continue;
        if (p->refused)
            arm_refused(delayer);
        balance(p);
    }
}

void delayer_release_due(void *arg)
{
    struct tier_partition *partition = arg;
    if (partition->delayer->draining || !partition->handle)
        return;
    while (partition->first) {
        int64_t wait_ms = partition->first->release_at_ms - clock_wall_ms();
        if (wait_ms <= 0 && hand_on(partition, &partition->first))
            continue;
        loop_timer_start(partition->timer, wait_ms > 0 ? wait_ms : AGAIN_MS, 0);
        break;
    }
    balance(partition);
}

/* Whoever names a queue that is not configured would be refused by Kafka, for ever. */
static enum err_code check_command(struct held *held)
{
    const struct config *config = held->partition->delayer->config;
    if (held->envelope->kind != ENVELOPE_COMMAND)
        return err_set(&held->why, ERR_ENVELOPE_INVALID, "an event on a delay topic");
    struct span queue = held->envelope->command.facts.queue;
    if (!config_find_queue(config, queue))
        return err_field(&held->why, ERR_ENVELOPE_INVALID, "queue",
                         "the configuration has no queue \"%.*s\"", SPAN_ARG(queue));
    return ERR_OK;
}

static void read_command(struct held *held, const struct kafka_record *record)
{
    enum err_code code = envelope_decode(record->value, &held->envelope, &held->why);
    if (code == ERR_OK)
        code = check_command(held);
    if (code == ERR_OK) {
        if (held->offset < held->partition->old_end && !MUTANT(repeat_unmarked))
            held->envelope->command.again = true;
        return;
    }
    held->release_at_ms = 0;
    condemn(held, record->key, record->value);
}

void delayer_record(void *arg, const struct kafka_record *record)
{
    struct delayer *delayer = arg;
    struct tier_partition *partition = kafka_partition_context(record->partition);
    if (!partition || !partition->handle)
        return;
    struct held *held = MEM_NEW(*held);
    held->partition = partition;
    held->offset = record->offset;
    held->ticket = window_add(partition->window, record->offset);
    held->bytes = record->value.size + HELD_OVERHEAD_BYTES;
    held->release_at_ms = record->timestamp_ms + partition->delay_ms;
    read_command(held, record);
    if (partition->first)
        partition->last->next = held;
    else
        partition->first = held;
    partition->last = held;
    partition->held_bytes += held->bytes;
    metric_add(delayer->waiting, 1);
    if (partition->first == held)
        delayer_release_due(partition);
    balance(partition);
}
