/* What of a replay has arrived; see replay.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/replay.h"
#include "schemas/digits.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 30000

struct replay_seen {
    struct replay_range *ranges;
    uint64_t **bits; /* by range */
    size_t count;
    int64_t seen, repeats;
};

struct replay_seen *replay_seen_new(const struct replay_range *ranges, size_t count)
{
    struct replay_seen *seen = MEM_NEW(*seen);
    seen->count = count;
    seen->ranges = mem_zalloc(count, sizeof *seen->ranges);
    seen->bits = mem_zalloc(count, sizeof(uint64_t *));
    for (size_t i = 0; i < count; i++) {
        seen->ranges[i] = ranges[i];
        seen->bits[i] =
            mem_zalloc((size_t)(ranges[i].to - ranges[i].from) / 64 + 1, sizeof(uint64_t));
    }
    return seen;
}

void replay_seen_free(struct replay_seen *seen)
{
    if (!seen)
        return;
    for (size_t i = 0; i < seen->count; i++)
        free(seen->bits[i]);
    free(seen->bits);
    free(seen->ranges);
    free(seen);
}

/* The word that has the offset's bit; NULL outside of the ranges. */
static uint64_t *word_of(const struct replay_seen *seen, int32_t partition, int64_t offset,
                         uint64_t *ret_bit)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct replay_range *range = &seen->ranges[i];
        if (range->partition == partition && offset >= range->from && offset < range->to) {
            uint64_t place = (uint64_t)(offset - range->from);
            *ret_bit = UINT64_C(1) << (place % 64);
            return &seen->bits[i][place / 64];
        }
    }
    return NULL;
}

bool replay_seen_has(const struct replay_seen *seen, int32_t partition, int64_t offset)
{
    uint64_t bit = 0;
    const uint64_t *word = seen ? word_of(seen, partition, offset, &bit) : NULL;
    return word && (*word & bit);
}

int64_t replay_seen_count(const struct replay_seen *seen)
{
    return seen->seen;
}

int64_t replay_seen_repeats(const struct replay_seen *seen)
{
    return seen->repeats;
}

/* --- reading --- */

struct reading {
    struct replay_seen *seen;
    const struct replay_arrivals *arrivals;
};

struct replay_origin replay_origin_of(const struct kafka_tail_record *record)
{
    struct replay_origin origin = { .partition = -1, .offset = -1 };
    const char *name = NULL;
    struct span value = { 0 };
    for (size_t i = 0; kafka_tail_header(record, i, &name, &value); i++) {
        if (strcmp(name, TOPIC_HEADER_REPLAY) == 0)
            origin.replay = value;
        else if (strcmp(name, TOPIC_HEADER_SOURCE_TOPIC) == 0)
            origin.topic = value;
        else if (strcmp(name, TOPIC_HEADER_SOURCE_PARTITION) == 0)
            (void)digits_parse(value, DIGITS_MAX, &origin.partition);
        else if (strcmp(name, TOPIC_HEADER_SOURCE_OFFSET) == 0)
            (void)digits_parse(value, DIGITS_MAX, &origin.offset);
    }
    return origin;
}

static bool on_arrival(void *arg, const struct kafka_tail_record *record)
{
    struct reading *reading = arg;
    struct replay_seen *seen = reading->seen;
    uint64_t bit = 0;
    uint64_t *word = NULL;
    if (!record)
        return true;
    struct replay_origin origin = replay_origin_of(record);
    if (span_is(origin.replay, reading->arrivals->replay) &&
        span_is(origin.topic, reading->arrivals->source_topic) && origin.partition >= 0)
        word = word_of(seen, (int32_t)origin.partition, origin.offset, &bit);
    if (!word)
        return true;
    if (*word & bit)
        seen->repeats++;
    else
        seen->seen++;
    *word |= bit;
    return true;
}

/* From the places to the present ends of their partitions. */
static enum err_code read_on(struct kafka_admin *admin, const struct replay_place *places,
                             size_t count, bool (*fn)(void *, const struct kafka_tail_record *),
                             void *arg, struct err *err)
{
    struct kafka_offset *from = mem_zalloc(count, sizeof *from);
    struct kafka_range *ranges = mem_zalloc(count, sizeof *ranges);
    int64_t *ends = mem_zalloc(count, sizeof *ends);
    for (size_t i = 0; i < count; i++) {
        from[i] = (struct kafka_offset){ places[i].topic, places[i].partition, places[i].from };
        ranges[i] =
            (struct kafka_range){ .topic = places[i].topic, .partition = places[i].partition };
    }
    enum err_code code = kafka_ranges_sync(admin, ranges, count, TIMEOUT_MS, err);
    for (size_t i = 0; i < count; i++)
        ends[i] = ranges[i].end;
    const struct kafka_tail tail = {
        .from = from, .ends = ends, .count = count, .fn = fn, .arg = arg
    };
    if (!code)
        code = kafka_tail_sync(admin, &tail, TIMEOUT_MS, err);
    free(from);
    free(ranges);
    free(ends);
    return code;
}

enum err_code replay_seen_read(struct replay_seen *seen, struct kafka_admin *admin,
                               const struct replay_arrivals *arrivals, struct err *err)
{
    struct reading reading = { seen, arrivals };
    const struct replay_place *places = arrivals->places;
    enum err_code code = ERR_OK;
    /* A reader looks at one topic. */
    for (size_t i = 0; i < arrivals->place_count && !code;) {
        size_t count = 1;
        while (i + count < arrivals->place_count &&
               strcmp(places[i + count].topic, places[i].topic) == 0)
            count++;
        code = read_on(admin, &places[i], count, on_arrival, &reading, err);
        i += count;
    }
    return code;
}

/* --- letters that are resolved --- */

struct resolutions {
    const struct replay_resolved *resolved;
    struct span replay;
};

static bool on_letter(void *arg, const struct kafka_tail_record *record)
{
    const struct resolutions *reading = arg;
    struct envelope *envelope = NULL;
    if (!record || envelope_decode(record->value, &envelope, NULL) != ERR_OK)
        return true;
    if (envelope->kind == ENVELOPE_RESOLUTION) {
        const struct job_resolution *told = &envelope->resolution;
        bool ours = span_eq(told->batch, reading->replay);
        struct replay_seen *seen = ours ? reading->resolved->ours : reading->resolved->others;
        struct replay_seen *other = ours ? reading->resolved->others : reading->resolved->ours;
        uint64_t bit = 0;
        uint64_t *word = word_of(seen, record->partition, told->letter_offset, &bit);
        if (word && !replay_seen_has(other, record->partition, told->letter_offset)) {
            seen->seen += !(*word & bit);
            *word |= bit;
        }
    }
    envelope_free(envelope);
    return true;
}

enum err_code replay_resolved_read(struct replay_resolved *ret_resolved, struct kafka_admin *admin,
                                   const struct replay_source *source, const char *replay,
                                   struct err *err)
{
    size_t count = source->range_count;
    struct replay_place *places = mem_zalloc(count, sizeof *places);
    *ret_resolved = (struct replay_resolved){ replay_seen_new(source->ranges, count),
                                              replay_seen_new(source->ranges, count) };
    for (size_t i = 0; i < count; i++) { /* a resolution lies behind its letter */
        places[i] = (struct replay_place){ .partition = source->ranges[i].partition,
                                           .from = source->ranges[i].from };
        (void)snprintf(places[i].topic, sizeof places[i].topic, "%s", source->topic);
    }
    struct resolutions reading = { ret_resolved, span_of(replay) };
    enum err_code code = count ? read_on(admin, places, count, on_letter, &reading, err) : ERR_OK;
    free(places);
    if (code)
        replay_resolved_clear(ret_resolved);
    return code;
}

void replay_resolved_clear(struct replay_resolved *resolved)
{
    replay_seen_free(resolved->ours);
    replay_seen_free(resolved->others);
    *resolved = (struct replay_resolved){ 0 };
}
