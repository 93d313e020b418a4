/* `errand groups seek`: sets where a group goes on. It only tells what it would do, unless
 * --execute is given, and refuses while the group has members: their next commit would undo it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_groups.h"

#include "gateway/cli/audit.h"
#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/place.h"
#include "gateway/cli/verbs.h"
#include "infra/clock.h"
#include "infra/kafka_by_time.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS 10000

struct seek {
    const struct args *args;
    struct kafka_look kafka;
    const char *group;
    struct place to;
    struct kafka_place *now; /* what is committed, -1 nothing */
    struct kafka_range *ranges;
    struct kafka_offset *offsets; /* where it shall go on; -1 nowhere */
    size_t count;
};

static int complain(const struct seek *seek, const struct err *err)
{
    output_error("where group %s goes on cannot be set", seek->group);
    output_why("%s", err->text);
    return err->code == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_UNREACHABLE;
}

/* --- which partitions --- */

/* All partitions of --topic, also those in which nothing is committed; without it those in which
 * something is. */
static enum err_code find_places(struct seek *seek, struct err *err)
{
    const char *topic = args_text(seek->args, "topic");
    struct kafka_place *places = NULL;
    size_t count = 0;
    enum err_code code = kafka_group_places_sync(seek->kafka.admin, seek->group, &places, &count,
                                                 ASK_TIMEOUT_MS, err);
    if (code || !topic) {
        seek->now = places;
        seek->count = count;
        return code;
    }
    struct kafka_topic_state state = { 0 };
    code = kafka_topics_describe_sync(seek->kafka.admin, &topic, 1, &state, ASK_TIMEOUT_MS, err);
    if (!code && state.partitions == 0)
        code = err_set(err, ERR_NOT_FOUND, "there is no topic %s", topic);
    seek->count = code ? 0 : (size_t)state.partitions;
    seek->now = mem_zalloc(seek->count, sizeof *seek->now);
    for (size_t i = 0; i < seek->count; i++)
        seek->now[i] = (struct kafka_place){ mem_dup_text(topic), (int32_t)i, -1 };
    for (size_t i = 0; i < count; i++) {
        if (strcmp(places[i].topic, topic) == 0 && places[i].partition >= 0 &&
            (size_t)places[i].partition < seek->count)
            seek->now[places[i].partition].offset = places[i].offset;
    }
    kafka_places_free(places, count);
    return code;
}

static enum err_code find_offsets(struct seek *seek, struct err *err)
{
    seek->ranges = mem_zalloc(seek->count, sizeof *seek->ranges);
    seek->offsets = mem_zalloc(seek->count, sizeof *seek->offsets);
    for (size_t i = 0; i < seek->count; i++) {
        const struct kafka_place *now = &seek->now[i];
        seek->ranges[i] = (struct kafka_range){ .topic = now->topic, .partition = now->partition };
        seek->offsets[i] = (struct kafka_offset){ now->topic, now->partition, -1 };
    }
    struct kafka_admin *admin = seek->kafka.admin;
    enum err_code code = kafka_ranges_sync(admin, seek->ranges, seek->count, ASK_TIMEOUT_MS, err);
    if (!code && seek->to.kind == PLACE_TIME)
        code = kafka_by_time_sync(admin, seek->to.value, seek->ranges, seek->offsets, seek->count,
                                  err);
    for (size_t i = 0; i < seek->count && !code; i++)
        seek->offsets[i].offset =
            place_offset(&seek->to, seek->ranges[i].start, seek->ranges[i].end, seek->now[i].offset,
                         seek->offsets[i].offset);
    return code;
}

/* --- telling --- */

static void add_offset(struct table *table, int64_t offset)
{
    if (offset < 0)
        table_add_text(table, "-");
    else
        table_add_int(table, offset);
}

static int print_table(const struct seek *seek)
{
    static const char *const headings[] = { "TOPIC", "PART", "CURRENT", "NEW", "CHANGE", "LAG" };
    struct table *table = table_new(headings, 6);
    for (size_t i = 0; i < seek->count; i++) {
        int64_t now = seek->now[i].offset;
        int64_t next = seek->offsets[i].offset;
        table_add_text(table, seek->now[i].topic);
        table_add_int(table, seek->now[i].partition);
        add_offset(table, now);
        add_offset(table, next);
        if (now < 0 || next < 0)
            table_add_text(table, "-");
        else
            table_add_int(table, next - now);
        add_offset(table, next < 0 ? -1 : seek->ranges[i].end - next);
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static void add_json(struct buf *out, const char *name, int64_t offset)
{
    if (offset < 0)
        buf_printf(out, ",\"%s\":null", name);
    else
        buf_printf(out, ",\"%s\":%" PRId64, name, offset);
}

/* `{"group":...,"partitions":[...]}`, without its last brace. */
static void write_json(const struct seek *seek, struct buf *out)
{
    buf_add_text(out, "{\"group\":");
    buf_add_json_string(out, span_of(seek->group));
    buf_add_text(out, ",\"partitions\":[");
    for (size_t i = 0; i < seek->count; i++) {
        buf_add_text(out, i ? ",{\"topic\":" : "{\"topic\":");
        buf_add_json_string(out, span_of(seek->now[i].topic));
        buf_printf(out, ",\"partition\":%" PRId32, seek->now[i].partition);
        add_json(out, "current", seek->now[i].offset);
        add_json(out, "new", seek->offsets[i].offset);
        add_json(out, "start", seek->ranges[i].start);
        add_json(out, "end", seek->ranges[i].end);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static int print_json(const struct seek *seek, bool executed)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    write_json(seek, &text);
    buf_printf(&text, ",\"executed\":%s}", executed ? "true" : "false");
    int code = output_json("errand.seek/1", buf_span(&text));
    buf_free(&text);
    return code;
}

/* --- doing --- */

static int check_idle(const struct seek *seek)
{
    struct err err = { 0 };
    struct kafka_group *group = NULL;
    if (kafka_groups_describe_sync(seek->kafka.admin, &seek->group, 1, &group, ASK_TIMEOUT_MS,
                                   &err) != ERR_OK)
        return complain(seek, &err);
    int code = CLI_OK;
    if (kafka_group_is_active(group) && !MUTANT(seek_while_active)) {
        output_error("group %s is active", seek->group);
        output_why("it is %s and has %zu members, whose next commit would undo this", group->state,
                   group->member_count);
        output_try("stop its consumers first; errand groups describe %s tells which they are",
                   seek->group);
        code = CLI_REFUSED;
    }
    kafka_groups_free(group, 1);
    return code;
}

static enum err_code commit(const struct seek *seek, struct err *err)
{
    struct kafka_offset *offsets = mem_zalloc(seek->count, sizeof *offsets);
    size_t count = 0;
    for (size_t i = 0; i < seek->count; i++) {
        if (seek->offsets[i].offset >= 0)
            offsets[count++] = seek->offsets[i];
    }
    enum err_code code = ERR_OK;
    if (count)
        code = kafka_offsets_commit_sync(seek->kafka.admin, seek->group, offsets, count,
                                         ASK_TIMEOUT_MS, err);
    free(offsets);
    return code;
}

static bool tell(const struct seek *seek, const struct audit_action *action, const char *phase)
{
    struct buf what = BUF_INIT(OUTPUT_BYTES_MAX);
    char counts[64];
    write_json(seek, &what);
    buf_add_char(&what, '}');
    (void)snprintf(counts, sizeof counts, "{\"partitions\":%zu}", seek->count);
    bool told =
        audit_write(seek->args, &seek->kafka, action, phase, buf_span(&what), span_of(counts));
    buf_free(&what);
    return told;
}

/* Nothing is changed of which the audit does not know. */
static int execute_it(const struct seek *seek)
{
    struct err err = { 0 };
    const struct audit_action action = { .name = "groups.seek", .began_ms = clock_wall_ms() };
    if (!tell(seek, &action, "begun"))
        return CLI_UNREACHABLE;
    if (commit(seek, &err) != ERR_OK)
        return complain(seek, &err);
    return tell(seek, &action, "done") ? CLI_OK : CLI_UNREACHABLE;
}

static int act(struct seek *seek)
{
    struct err err = { 0 };
    bool execute = args_has(seek->args, "execute") || MUTANT(seek_unasked);
    if (find_places(seek, &err) != ERR_OK)
        return complain(seek, &err);
    if (seek->count == 0) {
        output_error("group %s has committed nothing", seek->group);
        output_try("--topic TOPIC begins in a topic that it has not read yet");
        return CLI_NOT_FOUND;
    }
    if (find_offsets(seek, &err) != ERR_OK)
        return complain(seek, &err);
    int code = check_idle(seek);
    if (code == CLI_OK && execute)
        code = execute_it(seek);
    if (code != CLI_OK)
        return code;
    code = output_is_json(seek->args) ? print_json(seek, execute) : print_table(seek);
    output_note("%s", execute ? "the group goes on there"
                              : "nothing was changed; with --execute it goes on there");
    return code;
}

int groups_seek_run(const struct args *args)
{
    struct seek seek = { .args = args, .group = args->items[0] };
    const char *to = args_text(args, "to");
    if (!to) {
        output_error("groups seek needs --to: " PLACE_ALLOWED);
        return CLI_USAGE;
    }
    if (!place_parse(span_of(to), clock_wall_ms(), &seek.to)) {
        output_error("--to is '%s'; allowed is " PLACE_ALLOWED, to);
        return CLI_USAGE;
    }
    int code = kafka_look_open(args, &seek.kafka);
    if (code != CLI_OK)
        return code;
    code = act(&seek);
    kafka_places_free(seek.now, seek.count);
    free(seek.ranges);
    free(seek.offsets);
    kafka_look_close(&seek.kafka);
    return code;
}
