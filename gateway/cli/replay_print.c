/* A replay's plan and what came of it, for people and programs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/output.h"
#include "gateway/cli/replay_cmd.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdlib.h>

#define COMMAND_BYTES_MAX ((size_t)16 * 1024)

/* -1 when that is for Kafka to say. */
static int64_t duration_of(const struct replay_cmd *cmd)
{
    int64_t jobs = replay_plan_jobs(&cmd->plan);
    if (cmd->rate_milli)
        return jobs * 1000 * 1000 / cmd->rate_milli;
    if (cmd->speed_milli)
        return (cmd->plan.last_ms - cmd->plan.first_ms) * REPLAY_SPEED_ONE / cmd->speed_milli;
    return -1;
}

/* --- the exact command --- */

/* As a shell reads it. */
static void add_word(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_=+@%/.,:";
    buf_add_char(out, ' ');
    if (*word && strspn(word, plain) == strlen(word)) {
        buf_add_text(out, word);
        return;
    }
    buf_add_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, *word);
    }
    buf_add_char(out, '\'');
}

static void add_option(struct buf *out, const char *name, const char *value)
{
    struct buf word = BUF_INIT(COMMAND_BYTES_MAX);
    if (!value)
        return;
    buf_printf(&word, "--%s=%s", name, value);
    add_word(out, word.data);
    buf_free(&word);
}

/* What counts from somewhere, or is the end, is elsewhere later: the ranges that were found are
 * written out. "@-1h" is made the time that it is now. */
static void add_place(const struct replay_cmd *cmd, struct buf *out, const char *name)
{
    const struct replay_plan *plan = &cmd->plan;
    const char *text = args_text(cmd->args, name);
    bool to = strcmp(name, "to") == 0;
    struct place place = { .kind = to ? PLACE_END : PLACE_START };
    struct buf word = BUF_INIT(COMMAND_BYTES_MAX);
    bool parsed = !text || place_parse_each(span_of(text), cmd->began_ms, &place);
    bool moves = place.kind == PLACE_END || place.kind == PLACE_FORWARD || place.kind == PLACE_BACK;
    if (parsed && place.kind == PLACE_TIME) {
        char at[TIMEFMT_RFC3339_SIZE];
        timefmt_rfc3339(place.value, at);
        buf_printf(&word, "@%s", at);
    } else if (parsed && moves && plan->range_count) {
        for (size_t i = 0; i < plan->range_count; i++)
            buf_printf(&word, "%s%" PRId32 ":%" PRId64, i ? "," : "", plan->ranges[i].partition,
                       to ? plan->ranges[i].to : plan->ranges[i].from);
    } else {
        buf_add_text(&word, text ? text : "");
    }
    add_option(out, name, word.size ? word.data : NULL);
    buf_free(&word);
}

static void add_command(const struct replay_cmd *cmd, struct buf *out)
{
    static const char *const names[] = { "type",  "key", "where", "limit", "rate",
                                         "speed", "who", "wait",  "dir",   "config" };
    buf_add_text(out, "errand replay");
    add_word(out, cmd->plan.topic);
    add_place(cmd, out, "from");
    add_place(cmd, out, "to");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_option(out, names[i], args_text(cmd->args, names[i]));
    add_option(out, "into", cmd->plan.into);
    if (args_has(cmd->args, "keep"))
        buf_add_text(out, " --keep");
    if (!cmd->drill) {
        const char *reason = args_text(cmd->args, "reason");
        add_option(out, "id", cmd->plan.id);
        add_option(out, "reason", reason ? reason : "TEXT");
    }
    buf_add_text(out, " --execute");
}

/* --- JSON --- */

static int print_json(const struct replay_cmd *cmd, const struct replay_result *result)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    struct buf command = BUF_INIT(COMMAND_BYTES_MAX);
    int64_t duration_ms = duration_of(cmd);
    add_command(cmd, &command);
    buf_add_char(&text, '{');
    replay_plan_json(&cmd->plan, &text);
    if (duration_ms >= 0)
        buf_printf(&text, ",\"duration_seconds\":%" PRId64 ".%03" PRId64, duration_ms / 1000,
                   duration_ms % 1000);
    else
        buf_add_text(&text, ",\"duration_seconds\":null");
    buf_add_text(&text, ",\"command\":");
    buf_add_json_string(&text, buf_span(&command));
    buf_printf(&text, ",\"executed\":%s", result ? "true" : "false");
    if (result)
        buf_printf(&text,
                   ",\"sent\":%" PRId64 ",\"before\":%" PRId64 ",\"arrived\":%" PRId64
                   ",\"repeats\":%" PRId64 ",\"missing\":%" PRId64 ",\"elapsed_seconds\":%" PRId64
                   ".%06" PRId64,
                   result->report.sent, result->report.before, result->arrived, result->repeats,
                   result->missing, result->report.elapsed_us / 1000000,
                   result->report.elapsed_us % 1000000);
    if (result && replay_plan_resolves(&cmd->plan))
        buf_printf(&text, ",\"letters_resolved\":%" PRId64 ",\"passed\":%" PRId64,
                   result->report.resolved, result->report.passed);
    buf_add_char(&text, '}');
    int code = output_json("errand.replay/1", buf_span(&text));
    buf_free(&command);
    buf_free(&text);
    return code;
}

/* --- tables --- */

static int print_ranges(const struct replay_plan *plan)
{
    static const char *const headings[] = { "PART", "FROM", "TO" };
    struct table *table = table_new(headings, 3);
    for (size_t i = 0; i < plan->range_count; i++) {
        table_add_int(table, plan->ranges[i].partition);
        table_add_int(table, plan->ranges[i].from);
        table_add_int(table, plan->ranges[i].to);
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static int print_types(const struct replay_plan *plan)
{
    static const char *const headings[] = { "TYPE", "RECORDS", "" };
    enum { BAR = 40 };
    static const char bar[BAR + 1] = "########################################";
    struct table *table = table_new(headings, 3);
    for (size_t i = 0; i < plan->type_count; i++) {
        int64_t length = plan->types[i].count * BAR / (plan->tally.chosen ? plan->tally.chosen : 1);
        table_add_text(table, plan->types[i].name);
        table_add_int(table, plan->types[i].count);
        table_add_text(table, bar + BAR - (length > 0 ? length : 1));
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static void add_line(struct table *table, const char *name, const char *value)
{
    table_add_text(table, name);
    table_add_text(table, value);
}

static void add_number(struct table *table, const char *name, int64_t value)
{
    table_add_text(table, name);
    table_add_int(table, value);
}

static void add_span(struct table *table, const struct replay_plan *plan)
{
    char first[TIMEFMT_RFC3339_SIZE];
    char last[TIMEFMT_RFC3339_SIZE];
    struct buf text = BUF_INIT(256);
    timefmt_rfc3339(plan->first_ms, first);
    timefmt_rfc3339(plan->last_ms, last);
    buf_printf(&text, "%s to %s, ", first, last);
    timefmt_duration(plan->last_ms - plan->first_ms, &text);
    add_line(table, "times", text.data);
    buf_free(&text);
}

static void add_duration(struct table *table, const struct replay_cmd *cmd)
{
    struct buf text = BUF_INIT(256);
    int64_t duration_ms = duration_of(cmd);
    if (duration_ms < 0)
        buf_add_text(&text, "as fast as it goes");
    else
        timefmt_duration(duration_ms, &text);
    add_line(table, "takes", text.data);
    buf_free(&text);
}

static int print_summary(const struct replay_cmd *cmd, const struct replay_result *result)
{
    const struct replay_plan *plan = &cmd->plan;
    const char *headings[] = { "REPLAY", plan->id };
    struct table *table = table_new(headings, 2);
    add_line(table, "topic", plan->topic);
    add_line(table, "into", plan->into);
    add_number(table, "jobs", replay_plan_jobs(plan));
    if (plan->refused)
        add_number(table, "refused", plan->refused);
    if (plan->resolved)
        add_number(table, "resolved", plan->resolved);
    add_number(table, "bytes", plan->bytes);
    if (plan->tally.chosen)
        add_span(table, plan);
    if (!result) {
        add_duration(table, cmd);
    } else {
        add_number(table, "sent", result->report.sent);
        add_number(table, "sent before", result->report.before);
        add_number(table, "arrived", result->arrived);
        add_number(table, "repeats", result->repeats);
        add_number(table, "missing", result->missing);
        if (replay_plan_resolves(plan))
            add_number(table, "letters resolved", result->report.resolved);
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

int replay_cmd_print(const struct replay_cmd *cmd, const struct replay_result *result)
{
    if (output_is_json(cmd->args))
        return print_json(cmd, result);
    int code = print_summary(cmd, result);
    if (code == CLI_OK && cmd->plan.type_count)
        code = print_types(&cmd->plan);
    if (code == CLI_OK && cmd->plan.range_count && !result)
        code = print_ranges(&cmd->plan);
    if (cmd->plan.refused)
        output_note("%" PRId64 " are refused, such as: %s", cmd->plan.refused, cmd->plan.refusal);
    if (!result) {
        struct buf command = BUF_INIT(COMMAND_BYTES_MAX);
        add_command(cmd, &command);
        output_note("nothing was changed; this does it:");
        output_note("  %s", command.data);
        buf_free(&command);
    }
    return code;
}
