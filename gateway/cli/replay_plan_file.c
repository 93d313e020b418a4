/* A replay's plan as JSON, and the file that keeps it. See replay_plan.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/replay_plan.h"
#include "gateway/cli/stack.h"
#include "schemas/json.h"
#include "schemas/json_out.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)

void replay_plan_json(const struct replay_plan *plan, struct buf *out)
{
    buf_printf(out, "\"id\":\"%s\",\"topic\":", plan->id);
    buf_add_json_string(out, span_of(plan->topic));
    json_out_text(out, "into", span_of(plan->into));
    json_out_text(out, "type", span_of(plan->type));
    json_out_text(out, "from", span_of(plan->from));
    json_out_text(out, "to", span_of(plan->to));
    json_out_text(out, "key", span_of(plan->key));
    json_out_text(out, "where", span_of(plan->where));
    if (plan->limit)
        buf_printf(out, ",\"limit\":%" PRId64, plan->limit);
    buf_add_text(out, ",\"ranges\":[");
    for (size_t i = 0; i < plan->range_count; i++)
        buf_printf(out, "%s{\"partition\":%" PRId32 ",\"from\":%" PRId64 ",\"to\":%" PRId64 "}",
                   i ? "," : "", plan->ranges[i].partition, plan->ranges[i].from,
                   plan->ranges[i].to);
    buf_printf(out,
               "],\"records\":%" PRId64 ",\"refused\":%" PRId64 ",\"read\":%" PRId64
               ",\"copies\":%" PRId64 ",\"others\":%" PRId64 ",\"unreadable\":%" PRId64
               ",\"bytes\":%" PRId64,
               plan->tally.chosen, plan->refused, plan->tally.read, plan->tally.copies,
               plan->tally.others, plan->tally.unreadable, plan->bytes);
    if (replay_plan_resolves(plan))
        buf_printf(out, ",\"resolved\":%" PRId64, plan->resolved);
    json_out_text(out, "refusal", span_of(plan->refusal));
    json_out_instant(out, "first_at", plan->first_ms);
    json_out_instant(out, "last_at", plan->last_ms);
    buf_add_text(out, ",\"types\":[");
    for (size_t i = 0; i < plan->type_count; i++) {
        buf_add_text(out, i ? ",{\"type\":" : "{\"type\":");
        buf_add_json_string(out, span_of(plan->types[i].name));
        buf_printf(out, ",\"records\":%" PRId64 "}", plan->types[i].count);
    }
    buf_add_char(out, ']');
}

enum err_code replay_plan_save(const struct replay_plan *plan, const char *path, struct err *err)
{
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    buf_add_text(&text, "{\"schema\":\"" REPLAY_PLAN_SCHEMA "\",");
    replay_plan_json(plan, &text);
    json_out_text(&text, "namespace", span_of(plan->namespace_));
    json_out_text(&text, "queue", span_of(plan->queue));
    buf_printf(&text, ",\"letters\":%s,\"places\":[", plan->letters ? "true" : "false");
    for (size_t i = 0; i < plan->place_count; i++) {
        buf_add_text(&text, i ? ",{\"topic\":" : "{\"topic\":");
        buf_add_json_string(&text, span_of(plan->places[i].topic));
        buf_printf(&text, ",\"partition\":%" PRId32 ",\"from\":%" PRId64 "}",
                   plan->places[i].partition, plan->places[i].from);
    }
    buf_add_text(&text, "]}\n");
    enum err_code code = stack_write_file(path, buf_span(&text), err);
    buf_free(&text);
    return code;
}

/* --- reading --- */

static char *text_of(const struct json *json, const char *name)
{
    return mem_dup(json_text(json_get(json, name)));
}

static int64_t number_of(const struct json *json, const char *name)
{
    int64_t value = 0;
    (void)json_integer_of(json_get(json, name), &value);
    return value;
}

static int64_t time_of(const struct json *json, const char *name)
{
    int64_t ms = 0;
    (void)timefmt_parse_rfc3339(json_text(json_get(json, name)), &ms);
    return ms;
}

static void take_lists(const struct json *json, struct replay_plan *plan)
{
    const struct json *ranges = json_get(json, "ranges");
    const struct json *places = json_get(json, "places");
    const struct json *types = json_get(json, "types");
    plan->range_count = json_count(ranges);
    plan->ranges = mem_zalloc(plan->range_count, sizeof *plan->ranges);
    for (size_t i = 0; i < plan->range_count; i++) {
        const struct json *range = json_at(ranges, i);
        plan->ranges[i] = (struct replay_range){ (int32_t)number_of(range, "partition"),
                                                 number_of(range, "from"), number_of(range, "to") };
    }
    plan->place_count = json_count(places);
    plan->places = mem_zalloc(plan->place_count, sizeof *plan->places);
    for (size_t i = 0; i < plan->place_count; i++) {
        const struct json *place = json_at(places, i);
        char *topic = text_of(place, "topic");
        plan->places[i] =
            (struct replay_place){ .partition = (int32_t)number_of(place, "partition"),
                                   .from = number_of(place, "from") };
        (void)snprintf(plan->places[i].topic, sizeof plan->places[i].topic, "%s", topic);
        free(topic);
    }
    for (size_t i = 0; i < json_count(types) && i < REPLAY_TYPES_MAX; i++) {
        const struct json *type = json_at(types, i);
        plan->types[plan->type_count++] =
            (struct replay_type){ text_of(type, "type"), number_of(type, "records") };
    }
}

static void take(const struct json *json, struct replay_plan *plan)
{
    char *id = text_of(json, "id");
    char *refusal = text_of(json, "refusal");
    (void)snprintf(plan->id, sizeof plan->id, "%s", id);
    (void)snprintf(plan->refusal, sizeof plan->refusal, "%s", refusal);
    free(id);
    free(refusal);
    plan->into = text_of(json, "into");
    plan->namespace_ = text_of(json, "namespace");
    plan->topic = text_of(json, "topic");
    plan->queue = text_of(json, "queue");
    plan->from = text_of(json, "from");
    plan->to = text_of(json, "to");
    plan->type = text_of(json, "type");
    plan->key = text_of(json, "key");
    plan->where = text_of(json, "where");
    (void)json_bool_of(json_get(json, "letters"), &plan->letters);
    plan->limit = number_of(json, "limit");
    plan->tally = (struct replay_tally){ .read = number_of(json, "read"),
                                         .chosen = number_of(json, "records"),
                                         .copies = number_of(json, "copies"),
                                         .others = number_of(json, "others"),
                                         .unreadable = number_of(json, "unreadable") };
    plan->refused = number_of(json, "refused");
    plan->resolved = number_of(json, "resolved");
    plan->bytes = number_of(json, "bytes");
    plan->first_ms = time_of(json, "first_at");
    plan->last_ms = time_of(json, "last_at");
    take_lists(json, plan);
}

enum err_code replay_plan_load(const char *path, struct replay_plan *ret_plan, struct err *err)
{
    static const struct json_limits limits = { .depth_max = 8, .tokens_max = 100000 };
    struct buf text = BUF_INIT(FILE_BYTES_MAX);
    struct json *json = NULL;
    if (access(path, F_OK) != 0)
        return err_set(err, ERR_NOT_FOUND, "there is no %s", path);
    enum err_code code = stack_read_file(path, FILE_BYTES_MAX, &text, err);
    if (!code)
        code = json_parse(buf_span(&text), &limits, &json, err);
    if (!code && !span_is(json_text(json_get(json, "schema")), REPLAY_PLAN_SCHEMA))
        code = err_set(err, ERR_INVALID_FIELD, "%s is no plan of a replay", path);
    if (!code) {
        struct replay_plan plan = { 0 };
        take(json, &plan);
        *ret_plan = plan;
    }
    json_free(json);
    buf_free(&text);
    return code;
}
