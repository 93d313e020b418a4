/* `errand topics`: what there is of the namespace's topics, and making what is missing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/topics.h"

#include "gateway/cli/audit.h"
#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "infra/clock.h"
#include "infra/config.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS    10000
#define CHANGES_BYTES_MAX ((size_t)60 * 1024) /* of an audit record */

static const char *setting_of(const struct kafka_topic_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->settings.count; i++) {
        if (strcmp(spec->settings.items[i].name, name) == 0)
            return spec->settings.items[i].value;
    }
    return "-";
}

static int print_table(const struct kafka_topic_spec *specs, const struct kafka_topic_state *states,
                       size_t count)
{
    static const char *const headings[] = { "TOPIC", "EXISTS", "PARTITIONS", "CLEANUP",
                                            "RETENTION MS" };
    struct table *table = table_new(headings, 5);
    for (size_t i = 0; i < count; i++) {
        table_add_text(table, specs[i].name);
        table_add_text(table, states[i].partitions ? "yes" : "no");
        table_add_int(table, states[i].partitions ? states[i].partitions : specs[i].partitions);
        table_add_text(table, setting_of(&specs[i], "cleanup.policy"));
        table_add_text(table, setting_of(&specs[i], "retention.ms"));
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static int print_json(const struct kafka_topic_spec *specs, const struct kafka_topic_state *states,
                      size_t count)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    buf_add_text(&text, "{\"topics\":[");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text,
                   "%s{\"name\":\"%s\",\"exists\":%s,\"partitions\":%d,\"declared_partitions\":%d,"
                   "\"settings\":{",
                   i ? "," : "", specs[i].name, states[i].partitions ? "true" : "false",
                   states[i].partitions, specs[i].partitions);
        for (size_t j = 0; j < specs[i].settings.count; j++) {
            if (j)
                buf_add_char(&text, ',');
            buf_add_json_string(&text, span_of(specs[i].settings.items[j].name));
            buf_add_char(&text, ':');
            buf_add_json_string(&text, span_of(specs[i].settings.items[j].value));
        }
        buf_add_text(&text, "}}");
    }
    buf_add_text(&text, "]}");
    int code = output_json("errand.topics/1", buf_span(&text));
    buf_free(&text);
    return code;
}

static int list(const struct args *args, const struct kafka_look *look)
{
    struct err err = { 0 };
    struct kafka_topic_spec *specs = NULL;
    size_t count = 0;
    enum err_code code = topics_of(look->config, &specs, &count, &err);
    const char **names = mem_zalloc(count, sizeof *names);
    struct kafka_topic_state *states = mem_zalloc(count, sizeof *states);
    for (size_t i = 0; i < count; i++)
        names[i] = specs[i].name;
    if (code == ERR_OK)
        code = kafka_topics_describe_sync(look->admin, names, count, states, ASK_TIMEOUT_MS, &err);
    int exit_code = CLI_UNREACHABLE;
    if (code != ERR_OK) {
        output_error("the topics cannot be listed");
        output_why("%s", err.text);
    } else {
        exit_code = output_is_json(args) ? print_json(specs, states, count)
                                         : print_table(specs, states, count);
    }
    topics_free(specs, count);
    free(states);
    free(names);
    return exit_code;
}

int topics_ls_run(const struct args *args)
{
    struct kafka_look look;
    int code = kafka_look_open(args, &look);
    if (code == CLI_OK) {
        code = list(args, &look);
        kafka_look_close(&look);
    }
    return code;
}

/* What was changed, line by line: told, and kept for the audit. */
struct changes {
    struct buf lines; /* JSON strings */
    size_t count;
};

static void report(void *arg, const char *line)
{
    struct changes *changes = arg;
    output_note("%s", line);
    if (changes->count++)
        buf_add_char(&changes->lines, ',');
    buf_add_json_string(&changes->lines, span_of(line));
}

/* The topic itself may be one of those that were made: told when it is there. */
static bool audit(const struct args *args, const struct kafka_look *look,
                  const struct changes *changes)
{
    struct buf what = BUF_INIT(CHANGES_BYTES_MAX);
    char counts[64];
    if (changes->count == 0)
        return true;
    buf_add_text(&what, "{\"changes\":[");
    if (!changes->lines.overflow)
        buf_add_span(&what, buf_span(&changes->lines));
    buf_add_text(&what, "]}");
    (void)snprintf(counts, sizeof counts, "{\"changes\":%zu}", changes->count);
    const struct audit_action action = { .name = "topics.apply", .began_ms = clock_wall_ms() };
    bool written = audit_write(args, look, &action, "done", buf_span(&what), span_of(counts));
    buf_free(&what);
    return written;
}

static int print_changes(const struct changes *changes)
{
    struct buf text = BUF_INIT(CHANGES_BYTES_MAX);
    buf_add_text(&text, "{\"changes\":[");
    buf_add_span(&text, buf_span(&changes->lines));
    buf_add_text(&text, "]}");
    int code = output_json("errand.apply/1", buf_span(&text));
    buf_free(&text);
    return code;
}

int topics_apply_run(const struct args *args)
{
    struct kafka_look look;
    struct err err = { 0 };
    struct changes changes = { .lines = BUF_INIT(CHANGES_BYTES_MAX / 2) };
    int code = kafka_look_open(args, &look);
    if (code != CLI_OK)
        return code;
    enum err_code applied = topics_apply_sync(look.admin, look.config, report, &changes, &err);
    if (applied != ERR_OK) {
        output_error("the topics cannot be made");
        output_why("%s", err.text);
        code = applied == ERR_CONFIG ? CLI_REFUSED : CLI_FAILED;
    }
    /* Also what was changed before it failed. */
    if (!audit(args, &look, &changes))
        code = CLI_FAILED;
    else if (applied == ERR_OK)
        output_note("the topics are as the configuration wants them");
    if (output_is_json(args) && print_changes(&changes) != CLI_OK)
        code = CLI_FAILED;
    buf_free(&changes.lines);
    kafka_look_close(&look);
    return code;
}
