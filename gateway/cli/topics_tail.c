/* `errand topics tail`: the records of a topic, decoded where they are envelopes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_tail.h"

#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/place.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "gateway/cli/when.h"
#include "infra/clock.h"
#include "infra/kafka_by_time.h"
#include "schemas/envelope.h"
#include "schemas/json_out.h"
#include "schemas/mem.h"
#include "schemas/utf8.h"

#include <inttypes.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS 10000
#define LINE_MAX       ((size_t)8 * 1024 * 1024)
#define LAST           10 /* records of each partition, unless --from says something else */
#define WHAT_MAX       ((size_t)64 * 1024)

struct tail {
    const struct args *args;
    struct kafka_look kafka;
    const char *topic;
    struct kafka_range *ranges;
    struct kafka_offset *from;
    int64_t *ends;
    size_t count;
    int64_t left; /* records still to be printed */
    int code;
};

/* --- a record as a line --- */

static void add_facts(struct buf *out, const struct job_facts *facts)
{
    json_out_id(out, "job", &facts->id);
    json_out_text(out, "type", facts->type);
    json_out_text(out, "queue", facts->queue);
    json_out_text(out, "ordering_key", facts->key);
}

/* What became of a dead letter. */
static void add_resolution(struct buf *out, const struct job_resolution *resolution)
{
    buf_printf(out, ",\"kind\":\"%s\",\"letter_offset\":%" PRId64,
               job_resolution_text(resolution->kind), resolution->letter_offset);
    if (resolution->has_id)
        json_out_id(out, "job", &resolution->id);
    if (resolution->kind == JOB_REDRIVEN)
        json_out_id(out, "new_job", &resolution->job);
    json_out_text(out, "batch", resolution->batch);
    json_out_text(out, "who", resolution->who);
    json_out_text(out, "why", resolution->why);
    json_out_text(out, "edit", resolution->edit);
    json_out_instant(out, "at", resolution->at_ms);
}

/* The members of an envelope, each after a comma. */
static void add_envelope(struct buf *out, const struct envelope *envelope)
{
    if (envelope->kind == ENVELOPE_COMMAND) {
        const struct job_command *command = &envelope->command;
        buf_add_text(out, ",\"kind\":\"command\"");
        add_facts(out, &command->facts);
        buf_printf(out, ",\"turn\":%" PRIu32 ",\"attempt\":%" PRIu32, command->turn,
                   command->attempt);
        json_out_instant(out, "due_at", command->due_at_ms);
        json_out_text(out, "payload", command->payload);
        return;
    }
    if (envelope->kind == ENVELOPE_RESOLUTION) {
        add_resolution(out, &envelope->resolution);
        return;
    }
    const struct job_event *event = &envelope->event;
    buf_printf(out, ",\"kind\":\"%s\"", job_event_text(event->kind));
    add_facts(out, &event->facts);
    buf_printf(out, ",\"turn\":%" PRIu32 ",\"attempt\":%" PRIu32, event->turn, event->attempt);
    json_out_instant(out, "at", event->at_ms);
    json_out_instant(out, "next_at", event->next_at_ms);
    if (event->handed_on)
        buf_add_text(out, ",\"handed_on\":true");
    json_out_text(out, "error", event->failure.code);
    json_out_text(out, "detail", event->failure.detail);
    json_out_text(out, "result", event->result);
}

static void add_headers(struct buf *out, const struct kafka_tail_record *record)
{
    const char *name = NULL;
    struct span value = { 0 };
    buf_add_text(out, ",\"headers\":[");
    for (size_t i = 0; kafka_tail_header(record, i, &name, &value); i++) {
        buf_add_text(out, i ? ",{\"name\":" : "{\"name\":");
        buf_add_json_string(out, span_of(name));
        if (utf8_is_text(value)) {
            buf_add_text(out, ",\"value\":");
            buf_add_json_string(out, value);
        } else {
            buf_add_text(out, ",\"hex\":\"");
            buf_add_hex(out, value);
            buf_add_char(out, '"');
        }
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* What is no envelope is told as it is: as text, or as hexadecimal digits. */
static void add_raw(struct buf *out, const char *name, struct span bytes)
{
    if (utf8_is_text(bytes)) {
        json_out_text(out, name, bytes);
        return;
    }
    buf_printf(out, ",\"%s_hex\":\"", name);
    buf_add_hex(out, bytes);
    buf_add_char(out, '"');
}

static void render_json(const struct tail *tail, const struct kafka_tail_record *record,
                        const struct envelope *envelope, struct buf *out)
{
    buf_add_text(out, "{\"schema\":\"errand.record/1\",\"topic\":");
    buf_add_json_string(out, span_of(tail->topic));
    buf_printf(out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64, record->partition,
               record->offset);
    json_out_instant(out, "timestamp", record->timestamp_ms);
    add_raw(out, "key", record->key);
    if (envelope)
        add_envelope(out, envelope);
    else
        add_raw(out, "value", record->value);
    add_headers(out, record);
    buf_add_text(out, "}\n");
}

/* For people: one line, made safe for the terminal. */
static void render_line(const struct kafka_tail_record *record, const struct envelope *envelope,
                        struct buf *out)
{
    char id[ID_TEXT_SIZE];
    struct buf what = BUF_INIT(WHAT_MAX);
    if (!envelope) {
        buf_printf(&what, "%zu bytes that are no envelope, key %.*s", record->value.size,
                   SPAN_ARG(record->key));
    } else if (envelope->kind == ENVELOPE_RESOLUTION) {
        const struct job_resolution *resolution = &envelope->resolution;
        buf_printf(&what, "%-9s letter %" PRId64 " by %.*s: %.*s",
                   job_resolution_text(resolution->kind), resolution->letter_offset,
                   SPAN_ARG(resolution->who), SPAN_ARG(resolution->why));
    } else {
        bool command = envelope->kind == ENVELOPE_COMMAND;
        const struct job_facts *facts = command ? &envelope->command.facts : &envelope->event.facts;
        id_text(&facts->id, id);
        buf_printf(&what, "%-9s %s %.*s attempt %" PRIu32,
                   command ? "command" : job_event_text(envelope->event.kind), id,
                   SPAN_ARG(facts->type),
                   command ? envelope->command.attempt : envelope->event.attempt);
        struct span text = command                             ? envelope->command.payload
                           : envelope->event.failure.code.size ? envelope->event.failure.code
                                                               : envelope->event.result;
        if (text.size)
            buf_printf(&what, " %.*s", (int)(text.size < 200 ? text.size : 200),
                       (const char *)text.data);
    }
    when_text_ms(record->timestamp_ms, out);
    buf_printf(out, " p%" PRId32 "@%" PRId64 " ", record->partition, record->offset);
    table_add_safe(out, buf_span(&what));
    buf_add_char(out, '\n');
    buf_free(&what);
}

static bool on_record(void *arg, const struct kafka_tail_record *record)
{
    struct tail *tail = arg;
    if (watch_is_interrupted())
        tail->code = CLI_INTERRUPTED;
    if (!record || tail->code != CLI_OK)
        return tail->code == CLI_OK;
    struct envelope *envelope = NULL;
    struct err err;
    if (envelope_decode(record->value, &envelope, &err) != ERR_OK)
        envelope = NULL;
    struct buf line = BUF_INIT(LINE_MAX);
    if (output_is_json(tail->args))
        render_json(tail, record, envelope, &line);
    else
        render_line(record, envelope, &line);
    tail->code = output_data(buf_span(&line));
    buf_free(&line);
    envelope_free(envelope);
    return --tail->left > 0 && tail->code == CLI_OK;
}

/* --- where to begin --- */

static enum err_code find_places(struct tail *tail, const struct place *from, struct err *err)
{
    struct kafka_admin *admin = tail->kafka.admin;
    enum err_code code = kafka_topic_ranges_sync(admin, tail->topic, ASK_TIMEOUT_MS, &tail->ranges,
                                                 &tail->count, err);
    tail->from = mem_zalloc(tail->count, sizeof *tail->from);
    tail->ends = mem_zalloc(tail->count, sizeof *tail->ends);
    for (size_t i = 0; i < tail->count; i++)
        tail->from[i] = (struct kafka_offset){ tail->topic, (int32_t)i, -1 };
    if (!code && from->kind == PLACE_TIME)
        code = kafka_by_time_sync(admin, from->value, tail->ranges, tail->from, tail->count, err);
    for (size_t i = 0; i < tail->count && !code; i++) {
        const struct kafka_range *range = &tail->ranges[i];
        int64_t base = from->kind == PLACE_BACK ? range->end : range->start;
        tail->from[i].offset =
            place_offset(from, range->start, range->end, base, tail->from[i].offset);
        tail->ends[i] = range->end;
    }
    return code;
}

static int read_all(struct tail *tail, const struct place *from)
{
    struct err err = { 0 };
    enum err_code code = find_places(tail, from, &err);
    const struct kafka_tail records = { .from = tail->from,
                                        .ends = args_has(tail->args, "follow") ? NULL : tail->ends,
                                        .count = tail->count,
                                        .fn = on_record,
                                        .arg = tail };
    watch_interrupts();
    if (!code)
        code = kafka_tail_sync(tail->kafka.admin, &records, ASK_TIMEOUT_MS, &err);
    if (!code)
        return tail->code;
    output_error("the records of %s cannot be read", tail->topic);
    output_why("%s", err.text);
    return code == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_UNREACHABLE;
}

int topics_tail_run(const struct args *args)
{
    struct place from = { .kind = PLACE_BACK, .value = LAST };
    const char *text = args_text(args, "from");
    struct tail tail = { .args = args,
                         .topic = args->items[0],
                         .left = args_number(args, "lines", INT64_MAX) };
    if (text && !place_parse(span_of(text), clock_wall_ms(), &from)) {
        output_error("--from is '%s'; allowed is " PLACE_ALLOWED, text);
        return CLI_USAGE;
    }
    bool follows = args_has(args, "follow");
    int code = kafka_look_open_for(args, follows ? KAFKA_READ_ON : KAFKA_READ_LOGS, &tail.kafka);
    if (code != CLI_OK)
        return code;
    code = read_all(&tail, &from);
    free(tail.ranges);
    free(tail.from);
    free(tail.ends);
    kafka_look_close(&tail.kafka);
    return code;
}
