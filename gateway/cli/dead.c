/* `errand dead ls|show|export`: what was given up on, and why.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/dead.h"

#include "gateway/cli/output.h"
#include "gateway/cli/query.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/when.h"
#include "schemas/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CALL_TIMEOUT_MS 30000
#define COMPLAINT       "the dead letters cannot be shown"
#define PATH_BYTES_MAX  4096
#define LIMIT_DEFAULT   20
#define EXPORT_LIMIT    50
#define LINE_BYTES_MAX  ((size_t)8 * 1024 * 1024)

/* --- the address --- */

static void add_filter(const struct args *args, struct buf *path)
{
    static const char *const names[] = { "queue", "type", "reason", "fingerprint" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        query_add_option(path, args, names[i]);
    if (args_has(args, "resolved"))
        query_add(path, "state", span_of("resolved"));
}

/* --- ls --- */

static int print_groups(const struct json *groups)
{
    static const char *const headings[] = { "COUNT",  "QUEUE",  "TYPE",        "REASON",
                                            "TARGET", "STATUS", "FINGERPRINT", "DETAIL" };
    static const char *const members[] = { "count",  "queue",  "type",        "reason",
                                           "target", "status", "fingerprint", "detail" };
    struct table *table = table_new(headings, 8);
    for (size_t i = 0; i < json_count(groups); i++) {
        table_add_members(table, json_at(groups, i), 8, members);
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static int print_letters(const struct json *letters)
{
    static const char *const headings[] = { "LETTER", "JOB", "TYPE",    "REASON",
                                            "DIED",   "AS",  "NEW JOB", "DETAIL" };
    struct table *table = table_new(headings, 8);
    for (size_t i = 0; i < json_count(letters); i++) {
        const struct json *letter = json_at(letters, i);
        const struct json *resolved = json_get(letter, "resolved");
        char place[512];
        dead_place(letter, place, sizeof place);
        table_add_text(table, place);
        table_add_json(table, json_get(letter, "id"));
        table_add_json(table, json_get(letter, "type"));
        table_add_json(table, json_get(letter, "reason"));
        when_add(table, json_text(json_get(letter, "died_at")));
        table_add_json(table, json_get(resolved, "as"));
        table_add_json(table, json_get(resolved, "job"));
        table_add_json(table, json_get(letter, "detail"));
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

void dead_place(const struct json *letter, char *to, size_t size)
{
    int64_t offset = 0;
    (void)json_integer_of(json_get(letter, "offset"), &offset);
    (void)snprintf(to, size, "%.*s/%" PRId64, SPAN_ARG(json_text(json_get(letter, "queue"))),
                   offset);
}

static int print_list(const struct json *list)
{
    int64_t open = 0;
    int64_t resolved = 0;
    char line[128];
    const struct json *counts = json_get(list, "counts");
    (void)json_integer_of(json_get(counts, "open"), &open);
    (void)json_integer_of(json_get(counts, "resolved"), &resolved);
    (void)snprintf(line, sizeof line, "%" PRId64 " open, %" PRId64 " resolved\n", open, resolved);
    int code = output_data(span_of(line));
    if (code == CLI_OK && json_count(json_get(list, "groups"))) {
        (void)output_data(span_of("\n"));
        code = print_groups(json_get(list, "groups"));
    }
    if (code == CLI_OK && json_count(json_get(list, "letters"))) {
        (void)output_data(span_of("\n"));
        code = print_letters(json_get(list, "letters"));
    }
    struct span next = json_text(json_get(list, "next"));
    if (next.size)
        output_note("there is more: --cursor %.*s", SPAN_ARG(next));
    return code;
}

int dead_ls_run(const struct args *args)
{
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    buf_printf(&path, "/v1/dead?limit=%" PRId64, args_number(args, "limit", LIMIT_DEFAULT));
    add_filter(args, &path);
    query_add_option(&path, args, "cursor");
    int code = api_show(args, &(struct api_shown){ .path = path.data,
                                                   .schema = "errand.dead/1",
                                                   .complaint = COMPLAINT,
                                                   .print = print_list });
    buf_free(&path);
    return code;
}

/* --- show --- */

static void print_member(void *arg, struct span name, const struct json *value)
{
    struct buf *out = arg;
    struct buf text = BUF_INIT(LINE_BYTES_MAX);
    bool is_time = name.size > 3 && memcmp((const char *)name.data + name.size - 3, "_at", 3) == 0;
    if (is_time)
        when_text(json_text(value), &text);
    else if (json_text(value).data)
        buf_add_span(&text, json_text(value));
    else
        json_dump(value, &text);
    buf_printf(out, "%-12.*s", SPAN_ARG(name));
    table_add_safe(out, buf_span(&text));
    buf_add_char(out, '\n');
    buf_free(&text);
}

static int print_letter(const struct json *letter)
{
    struct buf text = BUF_INIT(2 * LINE_BYTES_MAX);
    json_each(letter, print_member, &text);
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}

int dead_show_run(const struct args *args)
{
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    buf_printf(&path, "/v1/dead/%s", args->items[0]);
    int code = api_show(args, &(struct api_shown){ .path = path.data,
                                                   .schema = "errand.dead.letter/1",
                                                   .complaint = COMPLAINT,
                                                   .print = print_letter });
    buf_free(&path);
    return code;
}

/* --- export --- */

static int get(struct api *api, const char *path, struct api_answer *ret_answer)
{
    const struct api_request request = { .method = "GET",
                                         .path = path,
                                         .timeout_ms = CALL_TIMEOUT_MS };
    int code = api_call(api, &request, ret_answer);
    if (code == CLI_OK && ret_answer->status != 200)
        code = api_complain(COMPLAINT, ret_answer);
    return code;
}

static int write_lines(const struct json *letters)
{
    int code = CLI_OK;
    for (size_t i = 0; i < json_count(letters) && code == CLI_OK; i++) {
        struct buf line = BUF_INIT(LINE_BYTES_MAX);
        json_dump(json_at(letters, i), &line);
        code = output_json("errand.dead.letter/1", buf_span(&line));
        buf_free(&line);
    }
    return code;
}

int dead_export_run(const struct args *args)
{
    char cursor[512] = "";
    struct api *api = api_open(args);
    int code = api ? CLI_OK : CLI_UNREACHABLE;
    bool more = code == CLI_OK;
    int64_t count = 0;
    while (more) {
        struct buf path = BUF_INIT(PATH_BYTES_MAX);
        struct api_answer answer = { 0 };
        buf_printf(&path, "/v1/dead?payload=true&limit=%d", EXPORT_LIMIT);
        add_filter(args, &path);
        if (cursor[0])
            query_add(&path, "cursor", span_of(cursor));
        code = get(api, path.data, &answer);
        struct span next = json_text(json_get(answer.json, "next"));
        more = code == CLI_OK && next.size && next.size < sizeof cursor;
        if (code == CLI_OK)
            code = write_lines(json_get(answer.json, "letters"));
        count += (int64_t)json_count(json_get(answer.json, "letters"));
        if (more)
            (void)snprintf(cursor, sizeof cursor, "%.*s", SPAN_ARG(next));
        more = more && code == CLI_OK;
        api_answer_clear(&answer);
        buf_free(&path);
        output_progress("%" PRId64 " letters", count);
    }
    output_progress_end();
    api_close(api);
    return code;
}
