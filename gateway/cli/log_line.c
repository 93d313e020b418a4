/* Lines of logs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/log_line.h"

#include "gateway/cli/table.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES_MAX ((size_t)64 * 1024)
#define PROCESS_COLUMN 11
#define TIME_FROM      11 /* "2026-11-24T" is left out: what one looks at is mostly of today */
#define TIME_LENGTH    12

static struct json *parse(const char *text)
{
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 256 };
    struct json *json = NULL;
    struct err err = { 0 };
    if (text[0] != '{' || json_parse(span_of(text), &limits, &json, &err) != ERR_OK)
        return NULL;
    return json;
}

void log_line_parse(const char *process, struct span text, const char *before,
                    struct log_line *ret_line)
{
    struct log_line line = { .process = mem_dup_text(process),
                             .text = mem_dup(text),
                             .level = LOG_INFO };
    struct json *json = parse(line.text);
    struct span time = json_text(json_get(json, "ts"));
    line.structured = time.size > 0 && time.size < sizeof line.time;
    if (line.structured)
        (void)snprintf(line.time, sizeof line.time, "%.*s", SPAN_ARG(time));
    else
        (void)snprintf(line.time, sizeof line.time, "%s", before);
    if (json)
        (void)log_level_parse(json_text(json_get(json, "level")), &line.level);
    json_free(json);
    *ret_line = line;
}

void log_line_clear(struct log_line *line)
{
    free(line->process);
    free(line->text);
    *line = (struct log_line){ 0 };
}

bool log_line_fits(const struct log_line *line, const struct log_filter *filter)
{
    if (!filter->any_level && (!line->structured || line->level < filter->level))
        return false;
    if (!filter->job_id)
        return true;
    struct json *json = line->structured ? parse(line->text) : NULL;
    bool fits = span_is(json_text(json_get(json, "job_id")), filter->job_id);
    json_free(json);
    return fits;
}

int log_line_compare(const struct log_line *a, const struct log_line *b)
{
    int order = strcmp(a->time, b->time);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void add_padded(struct buf *out, struct span text, size_t column)
{
    size_t before = out->size;
    table_add_safe(out, text);
    for (size_t width = out->size - before; width < column; width++)
        buf_add_char(out, ' ');
    buf_add_char(out, ' ');
}

static void add_rest(void *arg, struct span name, const struct json *value)
{
    static const char *const told[] = { "ts", "level", "process", "component", "msg" };
    struct buf *out = arg;
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (span_is(name, told[i]))
            return;
    }
    struct span text = json_text(value);
    struct buf dumped = BUF_INIT(LINE_BYTES_MAX);
    if (!text.data)
        json_dump(value, &dumped);
    buf_add_char(out, ' ');
    table_add_safe(out, name);
    buf_add_char(out, '=');
    table_add_safe(out, text.data ? text : buf_span(&dumped));
    buf_free(&dumped);
}

static void render_json(const struct json *json, bool colour, struct buf *out)
{
    struct span level = json_text(json_get(json, "level"));
    const char *code = colour ? table_colour_of(level) : "";
    buf_add_text(out, code);
    add_padded(out, level, 5);
    if (*code)
        buf_add_text(out, TABLE_COLOUR_OFF);
    table_add_safe(out, json_text(json_get(json, "component")));
    buf_add_text(out, ": ");
    table_add_safe(out, json_text(json_get(json, "msg")));
    json_each(json, add_rest, out);
}

void log_line_render(const struct log_line *line, bool colour, struct buf *out)
{
    struct json *json = line->structured ? parse(line->text) : NULL;
    struct span time = span_of(line->time);
    if (time.size > TIME_FROM + TIME_LENGTH)
        time = (struct span){ .data = line->time + TIME_FROM, .size = TIME_LENGTH };
    add_padded(out, time, TIME_LENGTH);
    add_padded(out, span_of(line->process), PROCESS_COLUMN);
    if (json)
        render_json(json, colour, out);
    else
        table_add_safe(out, span_of(line->text));
    buf_add_char(out, '\n');
    json_free(json);
}
