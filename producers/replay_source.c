/* See replay_source.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/replay.h"

#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <stdlib.h>

#define TIMEOUT_MS    30000
#define LOOK_UP_EVERY 4096 /* records, though none fits: whoever waits is heard */
#define ITEM_BYTES    512  /* what a decoded command takes besides its bytes, about */

struct item {
    struct item *next;
    struct envelope *envelope;
    struct replay_record record;
    int64_t order_ms; /* the time, but never less than that of the one before */
    char key[];
};

struct lane { /* a range */
    struct item *first, **end;
    int64_t order_ms;
    bool over; /* nothing more comes */
};

struct reading {
    const struct replay_source *source;
    replay_record_fn fn;
    void *arg;
    struct replay_tally tally;
    struct lane *lanes;
    size_t waiting_bytes;
    bool stopped;
};

static bool is_chosen(struct reading *reading, const struct kafka_tail_record *record,
                      const struct job_command *command)
{
    const struct replay_source *source = reading->source;
    bool first = command->turn == 0 && command->facts.origin_offset < 0;
    if (!source->letters && !first) {
        reading->tally.copies++;
        return false;
    }
    bool fits = (!source->type.size || span_eq(source->type, command->facts.type)) &&
                (!source->key.size || span_eq(source->key, command->facts.key) ||
                 span_eq(source->key, record->key)) &&
                (where_fits(source->where, command) || MUTANT(replay_filter_ignored));
    reading->tally.others += !fits;
    return fits;
}

static void add(struct reading *reading, struct lane *lane, const struct kafka_tail_record *record,
                struct envelope *envelope)
{
    struct item *item = mem_zalloc(1, sizeof *item + record->key.size);
    int64_t at_ms =
        record->timestamp_ms > 0 ? record->timestamp_ms : envelope->command.facts.created_at_ms;
    if (at_ms > lane->order_ms)
        lane->order_ms = at_ms;
    if (record->key.size)
        memcpy(item->key, record->key.data, record->key.size);
    item->envelope = envelope;
    item->order_ms = lane->order_ms;
    item->record =
        (struct replay_record){ .partition = record->partition,
                                .offset = record->offset,
                                .timestamp_ms = at_ms,
                                .key = { item->key, record->key.size },
                                .bytes = record->key.size + record->value.size,
                                .resolved = replay_seen_has(reading->source->resolved,
                                                            record->partition, record->offset),
                                .command = &envelope->command };
    *lane->end = item;
    lane->end = &item->next;
    reading->waiting_bytes += item->record.bytes + ITEM_BYTES;
}

static struct item *take(struct reading *reading, struct lane *lane)
{
    struct item *item = lane->first;
    lane->first = item->next;
    if (!lane->first)
        lane->end = &lane->first;
    reading->waiting_bytes -= item->record.bytes + ITEM_BYTES;
    return item;
}

static void item_free(struct item *item)
{
    envelope_free(item->envelope);
    free(item);
}

/* The lane whose first is the oldest; NULL when a lane may still get an older one. */
static struct lane *oldest(const struct reading *reading)
{
    struct lane *found = NULL;
    bool full = reading->waiting_bytes > REPLAY_WAITING_BYTES_MAX;
    for (size_t i = 0; i < reading->source->range_count; i++) {
        struct lane *lane = &reading->lanes[i];
        if (!lane->first && !lane->over && !full)
            return NULL;
        if (lane->first && (!found || lane->first->order_ms < found->first->order_ms))
            found = lane;
    }
    return found;
}

static void give(struct reading *reading)
{
    struct lane *lane = NULL;
    while (!reading->stopped && (lane = oldest(reading))) {
        struct item *item = take(reading, lane);
        reading->tally.chosen += !item->record.resolved;
        reading->stopped =
            !reading->fn(reading->arg, &item->record) ||
            (!item->record.resolved && reading->tally.chosen == reading->source->limit &&
             !MUTANT(replay_limit_ignored));
        item_free(item);
    }
}

static bool on_record(void *arg, const struct kafka_tail_record *record)
{
    struct reading *reading = arg;
    if (!record)
        return reading->fn(reading->arg, NULL);
    size_t i = 0;
    while (reading->source->ranges[i].partition != record->partition)
        i++; /* there is one: nothing else is read */
    struct envelope *envelope = NULL;
    struct err ignored;
    if (++reading->tally.read % LOOK_UP_EVERY == 0 && !reading->fn(reading->arg, NULL))
        reading->stopped = true;
    if (envelope_decode(record->value, &envelope, &ignored) != ERR_OK)
        envelope = NULL;
    bool command = envelope && envelope->kind == ENVELOPE_COMMAND;
    bool told = envelope && envelope->kind == ENVELOPE_RESOLUTION && reading->source->letters;
    reading->tally.unreadable += !command && !told;
    if (command && is_chosen(reading, record, &envelope->command))
        add(reading, &reading->lanes[i], record, envelope);
    else
        envelope_free(envelope);
    reading->lanes[i].over = record->offset + 1 >= reading->source->ranges[i].to;
    give(reading);
    return !reading->stopped;
}

enum err_code replay_source_read(const struct replay_source *source, replay_record_fn fn, void *arg,
                                 struct replay_tally *ret_tally, struct err *err)
{
    struct reading reading = { .source = source, .fn = fn, .arg = arg };
    size_t count = source->range_count;
    reading.lanes = mem_zalloc(count, sizeof *reading.lanes);
    struct kafka_offset *from = mem_zalloc(count, sizeof *from);
    int64_t *ends = mem_zalloc(count, sizeof *ends);
    for (size_t i = 0; i < count; i++) {
        const struct replay_range *range = &source->ranges[i];
        reading.lanes[i] =
            (struct lane){ .end = &reading.lanes[i].first, .over = range->from >= range->to };
        from[i] = (struct kafka_offset){ source->topic, range->partition, range->from };
        ends[i] = range->to;
    }
    const struct kafka_tail tail = {
        .from = from, .ends = ends, .count = count, .fn = on_record, .arg = &reading
    };
    enum err_code code = kafka_tail_sync(source->admin, &tail, TIMEOUT_MS, err);
    for (size_t i = 0; i < count; i++)
        reading.lanes[i].over = true; /* a log may have nothing at the end of a range */
    if (!code)
        give(&reading);
    for (size_t i = 0; i < count; i++) {
        while (reading.lanes[i].first)
            item_free(take(&reading, &reading.lanes[i]));
    }
    *ret_tally = reading.tally;
    free(reading.lanes);
    free(from);
    free(ends);
    return code;
}
