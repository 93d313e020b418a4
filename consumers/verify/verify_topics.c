/* See verify_topics.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_topics.h"

#include "schemas/envelope.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS  20000
#define SCAN_TIMEOUT_MS 600000 /* one partition */
#define NAME_SIZE       (TOPIC_NAME_MAX + 16)

struct part {
    char *topic;
    enum topic_kind kind;
    struct span suffix; /* in topic */
    int32_t number;
    uint16_t topic_number;
    int64_t from, end; /* what is read; the end as of when its kind's turn came */
    int64_t committed; /* -1: nothing */
};

struct reading {
    struct verify_judge *judge;
    const struct verify_topics *topics;
    struct part *parts;
    size_t count;
    const struct part *part; /* being read */
    uint64_t unreadable;
    bool partial;
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

static void add_parts(struct part **parts, size_t *count, const struct kafka_topic_state *state,
                      const char *namespace_)
{
    enum topic_kind kind = TOPIC_CONTROL;
    struct span suffix;
    if (!topic_parse(span_of(state->name), namespace_, &kind, &suffix) || !is_read(kind))
        return;
    for (int32_t p = 0; p < state->partitions; p++) {
        struct part part = { .topic = mem_dup_text(state->name), .kind = kind, .number = p };
        (void)topic_parse(span_of(part.topic), namespace_, &kind, &part.suffix);
        part.committed = -1;
        *parts = mem_resize(*parts, *count + 1, sizeof **parts);
        (*parts)[(*count)++] = part;
    }
}

static void parts_free(struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(parts[i].topic);
    free(parts);
}

static enum err_code list_parts(struct kafka_admin *admin, const struct config *config,
                                struct part **ret_parts, size_t *ret_count, struct err *err)
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

static enum err_code ask_ranges(struct kafka_admin *admin, const struct part *parts, size_t count,
                                struct kafka_range **ret_ranges, struct err *err)
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

static void part_name(const struct part *part, char ret_name[NAME_SIZE])
{
    (void)snprintf(ret_name, NAME_SIZE, "%s/%d", part->topic, part->number);
}

/* Where each partition is read from; whether something before that may be missed. */
static enum err_code find_starts(struct reading *reading, struct err *err)
{
    struct kafka_range *ranges = NULL;
    const struct json *since = reading->topics->since;
    enum err_code code =
        ask_ranges(reading->topics->admin, reading->parts, reading->count, &ranges, err);
    if (code)
        return code;
    reading->partial = since != NULL;
    for (size_t i = 0; i < reading->count; i++) {
        struct part *part = &reading->parts[i];
        char name[NAME_SIZE];
        int64_t from = 0;
        part_name(part, name);
        (void)json_integer_of(json_get(since, name), &from);
        part->from = from > ranges[i].start ? from : ranges[i].start;
        part->topic_number = verify_judge_topic(reading->judge, part->topic);
        if (ranges[i].start > from) {
            reading->partial = true;
            verify_note(reading->topics->notes,
                        "%s begins at offset %" PRId64 ": jobs from before are not judged", name,
                        ranges[i].start);
        }
    }
    if (reading->partial)
        verify_judge_set_partial(reading->judge);
    free(ranges);
    return ERR_OK;
}

/* --- committed offsets --- */

static bool same_group(const struct part *a, const struct part *b)
{
    return a->kind == b->kind && (a->kind == TOPIC_DELAY || span_eq(a->suffix, b->suffix));
}

static void group_of(const struct part *part, const char *namespace_, struct buf *out)
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
        const struct part *part = &reading->parts[j];
        if (same_group(part, &reading->parts[i]))
            offsets[count++] = (struct kafka_offset){ part->topic, part->number, -1 };
    }
    group_of(&reading->parts[i], reading->topics->config->namespace_, &group);
    enum err_code code = kafka_committed_sync(reading->topics->admin, group.data, offsets, count,
                                              ASK_TIMEOUT_MS, err);
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
        const struct part *part = &reading->parts[i];
        bool first = part->kind == TOPIC_COMMANDS || part->kind == TOPIC_DELAY;
        for (size_t j = 0; j < i; j++)
            first = first && !same_group(&reading->parts[j], part);
        if (first)
            code = ask_group(reading, i, err);
    }
    return code;
}

/* --- records --- */

/* Whether the job's first command lies before what is read of its topic. */
static bool is_foreign(const struct reading *reading, const struct job_facts *facts)
{
    if (!reading->partial || facts->origin_offset < 0)
        return false;
    for (size_t i = 0; i < reading->count; i++) {
        const struct part *part = &reading->parts[i];
        if (part->kind == TOPIC_COMMANDS && part->number == facts->origin_partition &&
            span_eq(part->suffix, facts->queue))
            return facts->origin_offset < part->from;
    }
    return true; /* of a queue that is no more */
}

/* Only our own third party keeps a ledger. */
static bool is_call(const struct config *config, struct span type)
{
    static const char own[] = "simulator:";
    const struct config_type *found = config_find_type(config, type);
    const struct config_target *target =
        found && found->handler == CONFIG_HANDLER_CALL
            ? config_find_target(config, span_of(found->call.target))
            : NULL;
    return target && strncmp(target->base_url, own, sizeof own - 1) == 0;
}

static void take_command(struct reading *reading, const struct verify_place *place,
                         const struct job_command *command)
{
    const struct verify_told_command told = {
        .place = *place,
        .command = command,
        .committed = place->offset < reading->part->committed,
        .calls = is_call(reading->topics->config, command->facts.type),
        .foreign = is_foreign(reading, &command->facts),
    };
    verify_judge_command(reading->judge, &told);
}

static void take_event(struct reading *reading, const struct verify_place *place,
                       const struct job_event *event)
{
    bool ends =
        verify_judge_event(reading->judge, place, event, is_foreign(reading, &event->facts));
    if (ends && reading->topics->on_end)
        reading->topics->on_end(reading->topics->arg, place, event);
}

static bool on_record(void *arg, struct span key, struct span value, int64_t offset)
{
    struct reading *reading = arg;
    const struct part *part = reading->part;
    const struct verify_place place = { .topic = part->topic_number,
                                        .partition = (uint16_t)part->number,
                                        .offset = offset };
    struct envelope *envelope = NULL;
    (void)key;
    if (part->kind == TOPIC_DEAD && value.size == 0) {
        verify_judge_dead(reading->judge, NULL);
        return true;
    }
    if (envelope_decode(value, &envelope, NULL) != ERR_OK) {
        reading->unreadable += part->kind != TOPIC_DEAD; /* there it may lie as it is */
        return true;
    }
    bool command = envelope->kind == ENVELOPE_COMMAND;
    if (part->kind == TOPIC_DEAD && command)
        verify_judge_dead(reading->judge, &envelope->command.facts.id);
    else if (part->kind == TOPIC_REPLIES && !command)
        take_event(reading, &place, &envelope->event);
    else if (part->kind != TOPIC_REPLIES && part->kind != TOPIC_DEAD && command)
        take_command(reading, &place, &envelope->command);
    else
        reading->unreadable++;
    envelope_free(envelope);
    return true;
}

/* Most partitions are empty, and reading one to find that out takes a moment. */
static enum err_code find_ends(struct reading *reading, struct err *err)
{
    struct kafka_range *ranges = NULL;
    enum err_code code =
        ask_ranges(reading->topics->admin, reading->parts, reading->count, &ranges, err);
    for (size_t i = 0; i < reading->count && !code; i++)
        reading->parts[i].end = ranges[i].end;
    free(ranges);
    return code;
}

static enum err_code read_kind(struct reading *reading, enum topic_kind kind, struct err *err)
{
    enum err_code code = find_ends(reading, err);
    for (size_t i = 0; i < reading->count && !code; i++) {
        reading->part = &reading->parts[i];
        if (reading->part->kind != kind || reading->part->from >= reading->part->end)
            continue;
        const struct kafka_scan scan = { .topic = reading->part->topic,
                                         .partition = reading->part->number,
                                         .fn = on_record,
                                         .arg = reading,
                                         .from = reading->part->from };
        code = kafka_scan_sync(reading->topics->admin, &scan, SCAN_TIMEOUT_MS, err);
    }
    return code;
}

enum err_code verify_topics_read(struct verify_judge *judge, const struct verify_topics *topics,
                                 struct err *err)
{
    struct reading reading = { .judge = judge, .topics = topics };
    enum err_code code =
        list_parts(topics->admin, topics->config, &reading.parts, &reading.count, err);
    if (!code)
        code = find_starts(&reading, err);
    if (!code)
        code = ask_committed(&reading, err);
    for (size_t i = 0; i < ORDER_COUNT && !code; i++)
        code = read_kind(&reading, order[i], err);
    if (reading.unreadable)
        verify_note(topics->notes, "%" PRIu64 " records are none of Errand's", reading.unreadable);
    parts_free(reading.parts, reading.count);
    return code;
}

enum err_code verify_topics_mark(struct kafka_admin *admin, const struct config *config,
                                 struct buf *out, struct err *err)
{
    struct part *parts = NULL;
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
