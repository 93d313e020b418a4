/* `errand topics describe` and `errand topics plan`: a topic as the cluster has it, and how the
 * cluster differs from the configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_topic.h"

#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "infra/topics.h"
#include "schemas/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS 10000
#define CELL_MAX       512

static int complain(const char *what, const struct err *err)
{
    output_error("%s", what);
    output_why("%s", err->text);
    return CLI_UNREACHABLE;
}

/* --- describe --- */

struct described {
    struct kafka_topic topic;
    struct kafka_range *ranges;
    struct kafka_settings *settings; /* one; NULL: there are none to tell */
};

static void clear(struct described *described)
{
    kafka_topic_clear(&described->topic);
    kafka_settings_free(described->settings, 1);
    free(described->ranges);
}

static void render_table(const struct described *described, struct buf *out)
{
    static const char *const headings[] = { "PART",  "LEADER", "REPLICAS", "IN SYNC",
                                            "START", "END",    "OFFSETS" };
    struct table *table = table_new(headings, 7);
    for (size_t i = 0; i < described->topic.count; i++) {
        const struct kafka_topic_partition *partition = &described->topic.partitions[i];
        const struct kafka_range *range = &described->ranges[i];
        table_add_int(table, (int64_t)i);
        table_add_int(table, partition->leader);
        table_add_int(table, (int64_t)partition->replicas);
        table_add_int(table, (int64_t)partition->in_sync);
        table_add_int(table, range->start);
        table_add_int(table, range->end);
        table_add_int(table, range->end - range->start);
    }
    table_render(table, output_has_colour(), out);
    table_free(table);
    for (size_t i = 0; described->settings && i < described->settings->count; i++) {
        const struct kafka_setting *setting = &described->settings->items[i];
        if (setting->own)
            buf_printf(out, "%s = %s\n", setting->name, setting->value);
    }
}

static void render_json(const struct described *described, struct buf *out)
{
    buf_add_text(out, "{\"topic\":");
    buf_add_json_string(out, span_of(described->topic.name));
    buf_add_text(out, ",\"partitions\":[");
    for (size_t i = 0; i < described->topic.count; i++) {
        const struct kafka_topic_partition *partition = &described->topic.partitions[i];
        buf_printf(out,
                   "%s{\"partition\":%zu,\"leader\":%" PRId32
                   ",\"replicas\":%zu,\"in_sync\":%zu,\"start\":%" PRId64 ",\"end\":%" PRId64 "}",
                   i ? "," : "", i, partition->leader, partition->replicas, partition->in_sync,
                   described->ranges[i].start, described->ranges[i].end);
    }
    buf_add_text(out, "],\"settings\":");
    if (!described->settings) {
        buf_add_text(out, "null}");
        return;
    }
    for (size_t i = 0; i < described->settings->count; i++) {
        const struct kafka_setting *setting = &described->settings->items[i];
        buf_add_char(out, i ? ',' : '{');
        buf_add_json_string(out, span_of(setting->name));
        buf_printf(out, ":{\"own\":%s,\"value\":", setting->own ? "true" : "false");
        buf_add_json_string(out, span_of(setting->value));
        buf_add_char(out, '}');
    }
    buf_add_text(out, described->settings->count ? "}}" : "{}}");
}

static enum err_code find(struct kafka_admin *admin, const char *name, struct described *described,
                          struct err *err)
{
    enum err_code code =
        kafka_topic_describe_sync(admin, name, &described->topic, ASK_TIMEOUT_MS, err);
    if (!code && described->topic.count == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no topic %s", name);
    if (code)
        return code;
    described->ranges = mem_zalloc(described->topic.count, sizeof *described->ranges);
    for (size_t i = 0; i < described->topic.count; i++)
        described->ranges[i] = (struct kafka_range){ .topic = name, .partition = (int32_t)i };
    return kafka_ranges_sync(admin, described->ranges, described->topic.count, ASK_TIMEOUT_MS, err);
}

int topics_describe_run(const struct args *args)
{
    struct kafka_look look;
    struct err err = { 0 };
    struct described described = { 0 };
    const char *name = args->items[0];
    int code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    enum err_code found = find(look.admin, name, &described, &err);
    bool embedded = look.config->kafka.kind == BROKER_EMBEDDED;
    if (!found && !embedded)
        found =
            kafka_settings_sync(look.admin, &name, 1, &described.settings, ASK_TIMEOUT_MS, &err);
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    if (found) {
        code = complain("the topic cannot be described", &err);
        code = found == ERR_NOT_FOUND ? CLI_NOT_FOUND : code;
    } else if (output_is_json(args)) {
        render_json(&described, &text);
        code = output_json("errand.topic/1", buf_span(&text));
    } else {
        render_table(&described, &text);
        code = output_data(buf_span(&text));
        if (embedded)
            output_note("the embedded broker's topics have no settings");
    }
    buf_free(&text);
    clear(&described);
    kafka_look_close(&look);
    return code;
}

/* --- plan --- */

struct plan {
    const struct args *args;
    struct kafka_topic_spec *specs;
    size_t count;
    struct kafka_topic_state *states; /* of each */
    struct kafka_settings *settings;  /* of those that exist, one after the other; may be NULL */
    struct table *table;
    struct buf json;
    size_t differences;
};

static void differ(struct plan *plan, const char *topic, const char *what, const char *wanted,
                   const char *found, const char *action)
{
    table_add_text(plan->table, topic);
    table_add_text(plan->table, what);
    table_add_text(plan->table, found ? found : "-");
    table_add_text(plan->table, wanted);
    table_add_text(plan->table, action);
    buf_add_text(&plan->json, plan->differences++ ? ",{\"topic\":" : "{\"topic\":");
    buf_add_json_string(&plan->json, span_of(topic));
    buf_printf(&plan->json, ",\"what\":\"%s\",\"found\":", what);
    if (found)
        buf_add_json_string(&plan->json, span_of(found));
    else
        buf_add_text(&plan->json, "null");
    buf_add_text(&plan->json, ",\"wanted\":");
    buf_add_json_string(&plan->json, span_of(wanted));
    buf_printf(&plan->json, ",\"action\":\"%s\"}", action);
}

/* What `errand topics apply` would do about a setting: it only ever raises a retention. */
static const char *action_of(const char *name, const char *wanted, const char *found)
{
    bool retention = strcmp(name, "retention.ms") == 0;
    int64_t found_ms = retention ? strtoll(found, NULL, 10) : 0;
    if (retention && found_ms >= 0 && found_ms < strtoll(wanted, NULL, 10))
        return "raise";
    return retention ? "keep" : "none";
}

static void compare(struct plan *plan, const struct kafka_topic_spec *spec,
                    const struct kafka_topic_state *state, const struct kafka_settings *settings)
{
    char wanted[16];
    char found[16];
    (void)snprintf(wanted, sizeof wanted, "%d", spec->partitions);
    (void)snprintf(found, sizeof found, "%d", state->partitions);
    if (state->partitions == 0) {
        differ(plan, spec->name, "partitions", wanted, NULL, "make");
        return;
    }
    if (state->partitions != spec->partitions)
        differ(plan, spec->name, "partitions", wanted, found, "none");
    for (size_t i = 0; settings && i < spec->settings.count; i++) {
        const struct config_pair *pair = &spec->settings.items[i];
        const char *value = kafka_setting_find(settings, pair->name);
        if (value && strcmp(value, pair->value) != 0)
            differ(plan, spec->name, pair->name, pair->value, value,
                   action_of(pair->name, pair->value, value));
    }
}

static enum err_code find_plan(struct plan *plan, const struct kafka_look *look, struct err *err)
{
    enum err_code code = topics_of(look->config, &plan->specs, &plan->count, err);
    if (code)
        return code;
    const char **names = mem_zalloc(plan->count, sizeof *names);
    for (size_t i = 0; i < plan->count; i++)
        names[i] = plan->specs[i].name;
    plan->states = mem_zalloc(plan->count, sizeof *plan->states);
    code = kafka_topics_describe_sync(look->admin, names, plan->count, plan->states, ASK_TIMEOUT_MS,
                                      err);
    size_t existing = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->states[i].partitions)
            names[existing++] = plan->specs[i].name;
    }
    if (!code && existing && look->config->kafka.kind != BROKER_EMBEDDED)
        code =
            kafka_settings_sync(look->admin, names, existing, &plan->settings, ASK_TIMEOUT_MS, err);
    size_t next = 0;
    for (size_t i = 0; i < plan->count && !code; i++) {
        bool exists = plan->states[i].partitions > 0;
        compare(plan, &plan->specs[i], &plan->states[i],
                exists && plan->settings ? &plan->settings[next] : NULL);
        next += exists;
    }
    kafka_settings_free(plan->settings, existing);
    free(names);
    return code;
}

static int print_plan(struct plan *plan)
{
    if (output_is_json(plan->args)) {
        struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
        buf_printf(&text, "{\"topics\":%zu,\"differences\":[", plan->count);
        buf_add_span(&text, buf_span(&plan->json));
        buf_add_text(&text, "]}");
        int code = output_json("errand.plan/1", buf_span(&text));
        buf_free(&text);
        return code;
    }
    if (plan->differences)
        return output_table(plan->table);
    output_note("the %zu topics are as the configuration wants them", plan->count);
    return CLI_OK;
}

int topics_plan_run(const struct args *args)
{
    static const char *const headings[] = { "TOPIC", "WHAT", "FOUND", "WANTED", "APPLY WOULD" };
    struct kafka_look look;
    struct err err = { 0 };
    int code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    struct plan plan = { .args = args,
                         .table = table_new(headings, 5),
                         .json = BUF_INIT(OUTPUT_BYTES_MAX) };
    if (find_plan(&plan, &look, &err) != ERR_OK)
        code = complain("the topics cannot be compared", &err);
    else
        code = print_plan(&plan);
    if (code == CLI_OK && plan.differences)
        code = CLI_FAILED;
    topics_free(plan.specs, plan.count);
    free(plan.states);
    table_free(plan.table);
    buf_free(&plan.json);
    kafka_look_close(&look);
    return code;
}
