/* `errand audit`: who changed what, why, with which counts; read where it is kept, in Kafka.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/audit.h"

#include "gateway/cli/audit.h"
#include "gateway/cli/dead.h"
#include "gateway/cli/kafka_look.h"
#include "gateway/cli/output.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/when.h"
#include "infra/clock.h"
#include "infra/config.h"
#include "infra/kafka_admin.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WHAT_BYTES_MAX ((size_t)48 * 1024) /* leaves room for who, why and the rest */
#define TIMEOUT_MS     30000
#define LINES_DEFAULT  200

/* --- reading --- */

struct records {
    const struct args *args;
    struct json **items; /* a ring of the newest `max` */
    size_t max, count;
};

static bool fits(const struct args *args, const struct json *record)
{
    const char *action = args_text(args, "action");
    const char *id = args_text(args, "id");
    return (!action || span_is(json_text(json_get(record, "action")), action)) &&
           (!id || span_is(json_text(json_get(record, "id")), id));
}

static bool on_record(void *arg, struct span key, struct span value, int64_t offset)
{
    (void)key;
    (void)offset;
    static const struct json_limits limits = { .depth_max = 32, .tokens_max = 10000 };
    struct records *records = arg;
    struct json *json = NULL;
    if (json_parse(value, &limits, &json, NULL) != ERR_OK || !fits(records->args, json)) {
        json_free(json);
        return true;
    }
    struct json **slot = &records->items[records->count++ % records->max];
    json_free(*slot);
    *slot = json;
    return true;
}

static const struct json *record_at(const struct records *records, size_t i)
{
    size_t first = records->count > records->max ? records->count - records->max : 0;
    return first + i < records->count ? records->items[(first + i) % records->max] : NULL;
}

/* --- printing --- */

static int print_json(const struct records *records)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    const struct json *record = NULL;
    buf_add_text(&text, "{\"records\":[");
    for (size_t i = 0; (record = record_at(records, i)); i++) {
        if (i)
            buf_add_char(&text, ',');
        json_dump(record, &text);
    }
    buf_add_text(&text, "]}");
    int code = output_json("errand.audit.list/1", buf_span(&text));
    buf_free(&text);
    return code;
}

static int print_table(const struct records *records)
{
    static const char *const headings[] = { "AT",  "ACTION", "PHASE",  "WHO",
                                            "WHY", "WHAT",   "COUNTS", "ID" };
    static const char *const members[] = { "action", "phase", "who", "why" };
    struct table *table = table_new(headings, 8);
    const struct json *record = NULL;
    for (size_t i = 0; (record = record_at(records, i)); i++) {
        when_add(table, json_text(json_get(record, "at")));
        for (size_t k = 0; k < sizeof members / sizeof *members; k++)
            table_add(table, json_text(json_get(record, members[k])));
        static const char *const objects[] = { "what", "counts" };
        for (size_t k = 0; k < 2; k++) {
            struct buf text = BUF_INIT(AUDIT_BYTES_MAX);
            if (json_get(record, objects[k]))
                json_dump(json_get(record, objects[k]), &text);
            table_add(table, buf_span(&text));
            buf_free(&text);
        }
        table_add(table, json_text(json_get(record, "id")));
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static int read_and_print(const struct args *args, const struct kafka_look *look)
{
    struct err err = { 0 };
    struct records records = { .args = args };
    records.max = (size_t)args_number(args, "lines", LINES_DEFAULT);
    records.items = mem_zalloc(records.max, sizeof(struct json *));
    char *topic = topic_name_dup(look->config->namespace_, TOPIC_AUDIT, NULL);
    enum err_code read = kafka_scan_sync(
        look->admin, &(struct kafka_scan){ .topic = topic, .fn = on_record, .arg = &records },
        TIMEOUT_MS, &err);
    int code = CLI_UNREACHABLE;
    if (read == ERR_OK) {
        code = output_is_json(args) ? print_json(&records) : print_table(&records);
    } else {
        output_error("the audit cannot be read");
        output_why("%s", err.text);
    }
    for (size_t i = 0; i < records.max; i++)
        json_free(records.items[i]);
    free(records.items);
    free(topic);
    return code;
}

int audit_run(const struct args *args)
{
    struct kafka_look look;
    int code = kafka_look_open(args, &look);
    if (code == CLI_OK) {
        code = read_and_print(args, &look);
        kafka_look_close(&look);
    }
    return code;
}

/* --- writing --- */

bool audit_write(const struct args *args, const struct kafka_look *look,
                 const struct audit_action *action, const char *phase, struct span what,
                 struct span counts)
{
    struct err err = { 0 };
    char who[DEAD_WHO_SIZE];
    char id[64];
    struct buf text = BUF_INIT(AUDIT_BYTES_MAX);
    const char *why = action->why ? action->why : args_text(args, "why");
    dead_who(args, who);
    (void)snprintf(id, sizeof id, "%s:%" PRId64, action->name, action->began_ms);
    const struct audit_entry entry = { .id = span_of(id),
                                       .action = span_of(action->name),
                                       .phase = span_of(phase),
                                       .by = span_of("errand"),
                                       .who = span_of(who),
                                       .why = span_of(why ? why : ""),
                                       .what = what.size <= WHAT_BYTES_MAX
                                                   ? what
                                                   : (struct span)SPAN_LIT("{\"too_long\":true}"),
                                       .counts = counts,
                                       .at_ms = clock_wall_ms() };
    audit_json(&entry, &text);
    char *topic = topic_name_dup(look->config->namespace_, TOPIC_AUDIT, NULL);
    enum err_code code =
        kafka_write_sync(look->admin, topic, span_of(id), buf_span(&text), TIMEOUT_MS, &err);
    if (code) {
        output_error("what was done could not be written to %s", topic);
        output_why("%s", err.text);
    }
    free(topic);
    buf_free(&text);
    return code == ERR_OK;
}
