/* `errand groups ls` and `errand groups describe`: the consumer groups of the cluster.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_groups.h"

#include "consumers/lag_look.h"
#include "gateway/cli/kafka_look.h"
#include "gateway/cli/lag_print.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"

#include <inttypes.h>

#define ASK_TIMEOUT_MS 10000
#define CELL_MAX       4096

static int complain(const char *what, const struct err *err)
{
    output_error("%s", what);
    output_why("%s", err->text);
    return CLI_UNREACHABLE;
}

/* --- ls --- */

static int print_list(const struct args *args, const struct kafka_group *groups, size_t count)
{
    static const char *const headings[] = { "GROUP", "STATE" };
    if (!output_is_json(args)) {
        struct table *table = table_new(headings, 2);
        for (size_t i = 0; i < count; i++) {
            table_add_text(table, groups[i].name);
            table_add_text(table, groups[i].state);
        }
        int code = output_table(table);
        table_free(table);
        return code;
    }
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    buf_add_text(&text, "{\"groups\":[");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(&text, i ? ",{\"group\":" : "{\"group\":");
        buf_add_json_string(&text, span_of(groups[i].name));
        buf_printf(&text, ",\"state\":\"%s\"}", groups[i].state);
    }
    buf_add_text(&text, "]}");
    int code = output_json("errand.groups/1", buf_span(&text));
    buf_free(&text);
    return code;
}

int groups_ls_run(const struct args *args)
{
    struct kafka_look look;
    struct err err = { 0 };
    struct kafka_group *groups = NULL;
    size_t count = 0;
    int code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    if (kafka_groups_list_sync(look.admin, &groups, &count, ASK_TIMEOUT_MS, &err) == ERR_OK)
        code = print_list(args, groups, count);
    else
        code = complain("the groups cannot be listed", &err);
    kafka_groups_free(groups, count);
    kafka_look_close(&look);
    return code;
}

/* --- describe --- */

static void add_places(struct buf *out, const struct kafka_member *member)
{
    for (size_t i = 0; i < member->place_count; i++)
        buf_printf(out, "%s%s/%" PRId32, i ? " " : "", member->places[i].topic,
                   member->places[i].partition);
}

static void render(const struct kafka_group *group, const struct lag_look *lag, struct buf *out)
{
    static const char *const headings[] = { "MEMBER", "CLIENT", "HOST", "PARTITIONS" };
    buf_printf(out,
               "group        %s\nstate        %s\ncoordinator  %s\nassignor     %s\n"
               "members      %zu\n",
               group->name, group->state, group->coordinator, group->assignor, group->member_count);
    struct table *table = table_new(headings, 4);
    for (size_t i = 0; i < group->member_count; i++) {
        const struct kafka_member *member = &group->members[i];
        struct buf places = BUF_INIT(CELL_MAX);
        add_places(&places, member);
        table_add_text(table, member->id);
        table_add_text(table, member->client_id);
        table_add_text(table, member->host);
        table_add(table, buf_span(&places));
        buf_free(&places);
    }
    if (group->member_count) {
        buf_add_char(out, '\n');
        table_render(table, output_has_colour(), out);
    }
    table_free(table);
    if (lag->groups[0].count) {
        struct table *partitions = lag_print_table(lag, LAG_PRINT_PARTITION);
        buf_add_char(out, '\n');
        table_render(partitions, output_has_colour(), out);
        table_free(partitions);
    }
}

static void add_member(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":", name);
    buf_add_json_string(out, span_of(text));
    buf_add_char(out, ',');
}

static void render_json(const struct kafka_group *group, const struct lag_look *lag,
                        struct buf *out)
{
    buf_add_char(out, '{');
    add_member(out, "group", group->name);
    add_member(out, "state", group->state);
    add_member(out, "coordinator", group->coordinator);
    add_member(out, "assignor", group->assignor);
    buf_add_text(out, "\"members\":[");
    for (size_t i = 0; i < group->member_count; i++) {
        const struct kafka_member *member = &group->members[i];
        buf_add_text(out, i ? ",{" : "{");
        add_member(out, "id", member->id);
        add_member(out, "client_id", member->client_id);
        add_member(out, "host", member->host);
        buf_add_text(out, "\"partitions\":[");
        for (size_t k = 0; k < member->place_count; k++) {
            buf_add_text(out, k ? ",{" : "{");
            add_member(out, "topic", member->places[k].topic);
            buf_printf(out, "\"partition\":%" PRId32 "}", member->places[k].partition);
        }
        buf_add_text(out, "]}");
    }
    buf_add_text(out, "],\"lag\":");
    lag_json(lag, out);
    buf_add_char(out, '}');
}

static int print_description(const struct args *args, const struct kafka_group *group,
                             const struct lag_look *lag)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    int code = CLI_OK;
    if (output_is_json(args)) {
        render_json(group, lag, &text);
        code = output_json("errand.group/1", buf_span(&text));
    } else {
        render(group, lag, &text);
        code = output_data(buf_span(&text));
    }
    buf_free(&text);
    return code;
}

/* The lag of the group as `errand lag` tells it. */
static enum err_code look_at(const struct kafka_look *kafka, const char *name,
                             struct lag_look **ret_lag, struct err *err)
{
    size_t count = 0;
    struct lag_question_group *configured = lag_groups_of(kafka->config, &count);
    struct lag_question_group group = { .name = name };
    for (size_t i = 0; i < count; i++) {
        if (strcmp(configured[i].name, name) == 0)
            group = configured[i];
    }
    struct kafka_admin *admin = NULL;
    enum err_code code = kafka_admin_open_for(
        &kafka->config->kafka, "errand",
        group.queue ? KAFKA_READ_FIRST : KAFKA_READ_FIRST_COMMITTED, &admin, err);
    const struct lag_question question = { .own = kafka->admin,
                                           .reader = admin,
                                           .others = group.queue ? NULL : admin,
                                           .groups = &group,
                                           .count = 1,
                                           .members = true,
                                           .timeout_ms = ASK_TIMEOUT_MS };
    if (!code)
        code = lag_look_sync(&question, ret_lag, err);
    kafka_admin_close(admin);
    lag_groups_free(configured, count);
    return code;
}

int groups_describe_run(const struct args *args)
{
    struct kafka_look look;
    struct err err = { 0 };
    struct kafka_group *group = NULL;
    struct lag_look *lag = NULL;
    const char *name = args->items[0];
    int code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    if (kafka_groups_describe_sync(look.admin, &name, 1, &group, ASK_TIMEOUT_MS, &err) != ERR_OK ||
        look_at(&look, name, &lag, &err) != ERR_OK) {
        code = complain("the group cannot be described", &err);
    } else if (group->member_count == 0 && strcmp(group->state, "Dead") == 0 &&
               lag->groups[0].count == 0) {
        output_error("there is no group %s", name);
        output_try("errand groups ls");
        code = CLI_NOT_FOUND;
    } else {
        code = print_description(args, group, lag);
    }
    lag_look_free(lag);
    kafka_groups_free(group, 1);
    kafka_look_close(&look);
    return code;
}
