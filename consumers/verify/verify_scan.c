/* See verify_scan.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_scan.h"

#include "infra/clock.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS  20000
#define SCAN_TIMEOUT_MS 600000 /* one partition */
#define NAME_SIZE       (TOPIC_NAME_MAX + 16)

struct reading {
    const struct verify_scan *scan;
    struct verify_part *parts;
    size_t count;
    struct verify_part *part; /* being read */
    uint64_t unreadable;
    bool partial, stopped;
};

static const enum topic_kind order[] = { TOPIC_COMMANDS, TOPIC_DELAY, TOPIC_REPLIES, TOPIC_DEAD };
#define ORDER_COUNT (sizeof order / sizeof order[0])

/* --- which --- */

static bool is_read(enum topic_kind kind)
{
    for (size_t i = 0; i < ORDER_COUNT; i++) {
        if (order[i] == kind)
            return true;
    }
    return false;
}

static void add_parts(struct verify_part **parts, size_t *count,
                      const struct kafka_topic_state *state, const char *namespace_)
{
    enum topic_kind kind = TOPIC_CONTROL;
    struct span suffix;
    if (!topic_parse(span_of(state->name), namespace_, &kind, &suffix) || !is_read(kind))
        return;
    for (int32_t p = 0; p < state->partitions; p++) {
        struct verify_part part = { .topic = mem_dup_text(state->name), .kind = kind, .number = p };
        (void)topic_parse(span_of(part.topic), namespace_, &kind, &part.suffix);
        part.committed = -1;
        *parts = mem_resize(*parts, *count + 1, sizeof **parts);
        (*parts)[(*count)++] = part;
    }
}

static void parts_free(struct verify_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(parts[i].topic);
    free(parts);
}

static enum err_code list_parts(struct kafka_admin *admin, const struct config *config,
                                struct verify_part **ret_parts, size_t *ret_count, struct err *err)
{
    struct kafka_topic_state *states = NULL;
    size_t state_count = 0;
    char prefix[TOPIC_NAME_MAX];
    (void)snprintf(prefix, sizeof prefix, "%s.", config->namespace_);
    enum err_code code =
        kafka_topics_list_sync(admin, prefix, &states, &state_count, ASK_TIMEOUT_MS, err);
    for (size_t i = 0; i < state_count && !code; i++)
        add_parts(ret_parts, ret_count, &states[i], config->namespace_);
    kafka_topics_free(states, state_count);
    if (!code && *ret_count == 0)
        code = err_set(err, ERR_NOT_FOUND, "the namespace %s has no topics", config->namespace_);
    return code;
}

static enum err_code ask_ranges(struct kafka_admin *admin, const struct verify_part *parts,
                                size_t count, struct kafka_range **ret_ranges, struct err *err)
{
    struct kafka_range *ranges = mem_zalloc(count, sizeof *ranges);
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct kafka_range){ .topic = parts[i].topic, .partition = parts[i].number };
    enum err_code code = kafka_ranges_sync(admin, ranges, count, ASK_TIMEOUT_MS, err);
    if (code) {
        free(ranges);
        return code;
    }
    *ret_ranges = ranges;
    return ERR_OK;
}

static void part_name(const struct verify_part *part, char ret_name[NAME_SIZE])
{
    (void)snprintf(ret_name, NAME_SIZE, "%s/%d", part->topic, part->number);
}

static enum err_code check_size(const struct reading *reading, const struct kafka_range *ranges,
                                struct err *err)
{
    uint64_t max = reading->scan->records_max;
    uint64_t records = 0;
    for (size_t i = 0; i < reading->count; i++) {
        int64_t size = ranges[i].end - reading->parts[i].from;
        records += size > 0 ? (uint64_t)size : 0;
    }
    if (max && records > max)
        return err_set(err, ERR_LIMIT,
                       "the topics hold %" PRIu64 " records, and %" PRIu64 " are the limit",
                       records, max);
    return ERR_OK;
}

/* Where each partition is read from; whether something before that may be missed. */
static enum err_code find_starts(struct reading *reading, struct err *err)
{
    struct kafka_range *ranges = NULL;
    const struct json *since = reading->scan->since;
    enum err_code code =
        ask_ranges(reading->scan->admin, reading->parts, reading->count, &ranges, err);
    if (code)
        return code;
    reading->partial = since != NULL;
    for (size_t i = 0; i < reading->count; i++) {
        struct verify_part *part = &reading->parts[i];
        char name[NAME_SIZE];
        int64_t from = 0;
        part_name(part, name);
        (void)json_integer_of(json_get(since, name), &from);
        part->from = from > ranges[i].start ? from : ranges[i].start;
        if (ranges[i].start > from) {
            reading->partial = true;
            verify_note(reading->scan->notes,
                        "%s begins at offset %" PRId64 ": jobs from before are not judged", name,
                        ranges[i].start);
        }
    }
    code = check_size(reading, ranges, err);
    free(ranges);
    return code;
}

/* --- committed offsets --- */

static bool same_group(const struct verify_part *a, const struct verify_part *b)
{
    return a->kind == b->kind && (a->kind == TOPIC_DELAY || span_eq(a->suffix, b->suffix));
}

static void group_of(const struct verify_part *part, const char *namespace_, struct buf *out)
{
    char queue[TOPIC_NAME_MAX];
    (void)snprintf(queue, sizeof queue, "%.*s", SPAN_ARG(part->suffix));
    if (part->kind == TOPIC_DELAY)
        topic_group_delayer(out, namespace_);
    else
        topic_group_worker(out, namespace_, queue);
}

/* Those of the group that the i-th partition belongs to. */
static enum err_code ask_group(struct reading *reading, size_t i, struct err *err)
{
    struct kafka_offset *offsets = mem_zalloc(reading->count, sizeof *offsets);
    struct buf group = BUF_INIT(TOPIC_NAME_MAX + 16);
    size_t count = 0;
    for (size_t j = i; j < reading->count; j++) {
        const struct verify_part *part = &reading->parts[j];
        if (same_group(part, &reading->parts[i]))
            offsets[count++] = (struct kafka_offset){ part->topic, part->number, -1 };
    }
    group_of(&reading->parts[i], reading->scan->config->namespace_, &group);
    enum err_code code =
        kafka_committed_sync(reading->scan->admin, group.data, offsets, count, ASK_TIMEOUT_MS, err);
    for (size_t j = i, k = 0; j < reading->count && !code; j++) {
        if (same_group(&reading->parts[j], &reading->parts[i]))
            reading->parts[j].committed = offsets[k++].offset;
    }
    buf_free(&group);
    free(offsets);
    return code;
}

static enum err_code ask_committed(struct reading *reading, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < reading->count && !code; i++) {
        const struct verify_part *part = &reading->parts[i];
        bool first = part->kind == TOPIC_COMMANDS || part->kind == TOPIC_DELAY;
        for (size_t j = 0; j < i; j++)
            first = first && !same_group(&reading->parts[j], part);
        if (first)
            code = ask_group(reading, i, err);
    }
    return code;
}

/* --- records --- */

static enum verify_reach reach_of(const struct verify_part *parts, size_t count, bool partial,
                                  const struct job_facts *facts)
{
    if (facts->origin_offset < 0)
        return VERIFY_WITHIN;
    for (size_t i = 0; i < count; i++) {
        const struct verify_part *part = &parts[i];
        if (part->kind != TOPIC_COMMANDS || part->number != facts->origin_partition ||
            !span_eq(part->suffix, facts->queue))
            continue;
        if (facts->origin_offset < part->from)
            return VERIFY_BEFORE;
        return part->over && facts->origin_offset >= part->to ? VERIFY_BEYOND : VERIFY_WITHIN;
    }
    return partial ? VERIFY_BEFORE : VERIFY_WITHIN; /* of a queue that is no more */
}

static void tell(const struct reading *reading, int64_t offset, const struct envelope *envelope)
{
    struct verify_scanned record = {
        .part = reading->part,
        .offset = offset,
        .envelope = envelope,
        .committed = offset < reading->part->committed,
    };
    if (envelope)
        record.reach = reach_of(reading->parts, reading->count, reading->partial,
                                envelope->kind == ENVELOPE_COMMAND ? &envelope->command.facts
                                                                   : &envelope->event.facts);
    reading->scan->record(reading->scan->arg, &record);
}

static bool belongs(enum topic_kind kind, const struct envelope *envelope)
{
    if (envelope->kind == ENVELOPE_RESOLUTION)
        return false;
    return (envelope->kind == ENVELOPE_EVENT) == (kind == TOPIC_REPLIES);
}

static bool on_record(void *arg, struct span key, struct span value, int64_t offset)
{
    struct reading *reading = arg;
    struct verify_part *part = reading->part;
    struct envelope *envelope = NULL;
    (void)key;
    part->to = offset + 1;
    part->records++;
    if (part->kind == TOPIC_DEAD && value.size == 0) {
        tell(reading, offset, NULL);
    } else if (envelope_decode(value, &envelope, NULL) != ERR_OK) {
        reading->unreadable += part->kind != TOPIC_DEAD; /* there it may lie as it is */
    } else {
        if (belongs(part->kind, envelope))
            tell(reading, offset, envelope);
        else if (part->kind != TOPIC_DEAD || envelope->kind != ENVELOPE_RESOLUTION)
            reading->unreadable++; /* what an operator did to a letter is no part of a job's life */
        envelope_free(envelope);
    }
    reading->stopped = reading->scan->stop && atomic_load(reading->scan->stop);
    return !reading->stopped;
}

static int64_t time_left_ms(const struct verify_scan *scan)
{
    int64_t left_ms = scan->until_ms ? scan->until_ms - clock_monotonic_ms() : SCAN_TIMEOUT_MS;
    return left_ms < 1 ? 1 : left_ms < SCAN_TIMEOUT_MS ? left_ms : SCAN_TIMEOUT_MS;
}

/* Most partitions are empty, and reading one to find that out takes a moment. */
static enum err_code read_part(struct reading *reading, struct verify_part *part, int64_t end,
                               struct err *err)
{
    enum err_code code = ERR_OK;
    reading->part = part;
    part->to = part->from;
    if (part->from < end) {
        const struct kafka_scan scan = { .topic = part->topic,
                                         .partition = part->number,
                                         .fn = on_record,
                                         .arg = reading,
                                         .from = part->from };
        code = kafka_scan_sync(reading->scan->admin, &scan, time_left_ms(reading->scan), err);
        part->to = part->to < end ? end : part->to; /* the last ones may be no records */
    }
    part->over = true;
    if (!code && reading->stopped)
        code = err_set(err, ERR_CANCELLED, "the reading was called off");
    return code;
}

static enum err_code read_kind(struct reading *reading, enum topic_kind kind, struct err *err)
{
    struct kafka_range *ranges = NULL;
    enum err_code code =
        ask_ranges(reading->scan->admin, reading->parts, reading->count, &ranges, err);
    for (size_t i = 0; i < reading->count && !code; i++) {
        if (reading->parts[i].kind == kind)
            code = read_part(reading, &reading->parts[i], ranges[i].end, err);
    }
    free(ranges);
    return code;
}

enum err_code verify_scan_run(const struct verify_scan *scan, struct err *err)
{
    struct reading reading = { .scan = scan };
    enum err_code code = list_parts(scan->admin, scan->config, &reading.parts, &reading.count, err);
    if (!code)
        code = find_starts(&reading, err);
    if (!code)
        code = ask_committed(&reading, err);
    if (!code && scan->begin)
        scan->begin(scan->arg, reading.parts, reading.count, reading.partial);
    for (size_t i = 0; i < ORDER_COUNT && !code; i++)
        code = read_kind(&reading, order[i], err);
    if (reading.unreadable)
        verify_note(scan->notes, "%" PRIu64 " records are none of Errand's", reading.unreadable);
    if (!code && scan->end)
        scan->end(scan->arg, reading.parts, reading.count);
    parts_free(reading.parts, reading.count);
    return code;
}

enum err_code verify_scan_mark(struct kafka_admin *admin, const struct config *config,
                               struct buf *out, struct err *err)
{
    struct verify_part *parts = NULL;
    size_t count = 0;
    struct kafka_range *ranges = NULL;
    enum err_code code = list_parts(admin, config, &parts, &count, err);
    if (!code)
        code = ask_ranges(admin, parts, count, &ranges, err);
    if (!code) {
        for (size_t i = 0; i < count; i++) {
            char name[NAME_SIZE];
            part_name(&parts[i], name);
            buf_printf(out, "%s\"%s\":%" PRId64, i ? "," : "{", name, ranges[i].end);
        }
        buf_add_char(out, '}');
    }
    free(ranges);
    parts_free(parts, count);
    return code;
}
