/* `errand list`: the jobs there are, newest first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/output.h"
#include "gateway/cli/query.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/when.h"
#include "infra/clock.h"
#include "schemas/job_filter.h"
#include "schemas/json.h"

#include <stdio.h>

#define CALL_TIMEOUT_MS 15000
#define PATH_BYTES_MAX  4096
#define PAGE_JOBS_MAX   200 /* of one request */
#define JOBS_DEFAULT    50

struct list {
    struct api *api;
    const struct args *args;
    struct table *table; /* NULL: JSON */
    struct buf json;
    int64_t wanted, told;
    char next[64]; /* "" none */
};

static void add_job(struct list *list, const struct json *job)
{
    if (!list->table) {
        if (list->told)
            buf_add_char(&list->json, ',');
        json_dump(job, &list->json);
        return;
    }
    static const char *const names[] = { "id", "type", "state", "attempt" };
    table_add_members(list->table, job, sizeof names / sizeof *names, names);
    when_add(list->table, json_text(json_get(job, "created_at")));
    table_add_json(list->table, json_get(json_get(job, "error"), "code"));
}

static void make_path(const struct list *list, struct buf *path)
{
    char limit[24];
    int64_t left = list->wanted - list->told;
    (void)snprintf(limit, sizeof limit, "%lld",
                   (long long)(left < PAGE_JOBS_MAX ? left : PAGE_JOBS_MAX));
    buf_add_text(path, "/v1/jobs");
    query_add(path, "limit", span_of(limit));
    query_add_option(path, list->args, "state");
    query_add_option(path, list->args, "type");
    query_add_option(path, list->args, "label");
    query_add_option(path, list->args, "since");
    if (*list->next)
        query_add(path, "cursor", span_of(list->next));
}

static int take_page(struct list *list, const struct api_answer *answer)
{
    if (answer->status != 200)
        return api_complain("the jobs cannot be listed", answer);
    const struct json *jobs = json_get(answer->json, "jobs");
    struct span next = json_text(json_get(answer->json, "next"));
    for (size_t i = 0; i < json_count(jobs); i++) {
        add_job(list, json_at(jobs, i));
        list->told++;
    }
    (void)snprintf(list->next, sizeof list->next, "%.*s", SPAN_ARG(next));
    return CLI_OK;
}

static int ask_page(struct list *list)
{
    struct buf path = BUF_INIT(PATH_BYTES_MAX);
    struct api_answer answer = { 0 };
    make_path(list, &path);
    const struct api_request request = { .method = "GET",
                                         .path = path.data,
                                         .timeout_ms = CALL_TIMEOUT_MS };
    int code = CLI_USAGE;
    if (path.overflow)
        output_error("what is asked for is longer than %d bytes", PATH_BYTES_MAX);
    else
        code = api_call(list->api, &request, &answer);
    if (code == CLI_OK)
        code = take_page(list, &answer);
    api_answer_clear(&answer);
    buf_free(&path);
    return code;
}

static int print(struct list *list)
{
    if (list->table) {
        int code = output_table(list->table);
        if (code == CLI_OK && *list->next) {
            output_note("there are more");
            output_try("errand list --cursor %s, with the same filters", list->next);
        }
        return code;
    }
    buf_add_char(&list->json, ']');
    if (*list->next)
        buf_printf(&list->json, ",\"next\":\"%s\"", list->next);
    buf_add_char(&list->json, '}');
    return output_json("errand.list/1", buf_span(&list->json));
}

/* What the gateway would refuse is a mistake in the command line already. */
static int check_filters(const struct args *args)
{
    struct job_filter filter = { 0 };
    struct err err = { 0 };
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < args->value_count && code == ERR_OK; i++) {
        const char *name = args->values[i].option->name;
        struct span text = span_of(args->values[i].text);
        if (strcmp(name, "state") == 0)
            code = job_filter_add_states(&filter, text, &err);
        else if (strcmp(name, "label") == 0)
            code = job_filter_add_label(&filter, text, &err);
        else if (strcmp(name, "since") == 0)
            code = job_filter_set_since(&filter, text, clock_wall_ms(), &err);
    }
    if (code != ERR_OK) {
        output_error("%s", err.text);
        output_try("errand help list");
    }
    return code == ERR_OK ? CLI_OK : CLI_USAGE;
}

int list_run(const struct args *args)
{
    static const char *const headings[] = { "ID", "TYPE", "STATE", "ATTEMPT", "CREATED", "ERROR" };
    int checked = check_filters(args);
    if (checked != CLI_OK)
        return checked;
    struct list list = {
        .args = args,
        .table = output_is_json(args) ? NULL : table_new(headings, 6),
        .json = BUF_INIT(OUTPUT_BYTES_MAX),
        .wanted = args_number(args, "limit", JOBS_DEFAULT),
    };
    const char *cursor = args_text(args, "cursor");
    (void)snprintf(list.next, sizeof list.next, "%s", cursor ? cursor : "");
    buf_add_text(&list.json, "{\"jobs\":[");
    list.api = api_open(args);
    int code = list.api ? CLI_OK : CLI_UNREACHABLE;
    do {
        if (code == CLI_OK)
            code = ask_page(&list);
    } while (code == CLI_OK && *list.next && list.told < list.wanted);
    if (code == CLI_OK)
        code = print(&list);
    api_close(list.api);
    table_free(list.table);
    buf_free(&list.json);
    return code;
}
