/* `errand load`: many jobs, and what the answers took.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/load_print.h"
#include "gateway/cli/output.h"
#include "gateway/cli/payload.h"
#include "gateway/cli/port.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define TYPE_DEFAULT         "quote.fetch"
#define RATE_DEFAULT         100000 /* 100/s */
#define DURATION_MS_DEFAULT  10000
#define CONNECTIONS_OPEN_MAX 1000 /* of an open loop: as many as it takes, up to this */
#define CALL_TIMEOUT_MS      10000
#define TYPES_MAX            1024
#define FILES_BESIDE         64

struct loading {
    const struct args *args;
    FILE *ids;
    FILE *history;
    struct buf line; /* of the history */
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    char *path;
    struct buf payload;
};

/* --- where to --- */

/* "http://host:port/path": the generator's own small client speaks nothing else. */
static bool split_url(const char *url, struct loading *loading)
{
    static const char scheme[] = "http://";
    const char *rest =
        strncmp(url, scheme, sizeof scheme - 1) == 0 ? url + sizeof scheme - 1 : NULL;
    size_t length = rest ? strcspn(rest, "/") : 0;
    struct span address = { .data = rest, .size = length };
    if (!rest || !port_split(address, loading->host, loading->port)) {
        output_error("load cannot be put on %s", url);
        output_why("it takes http://HOST:PORT");
        return false;
    }
    loading->path = mem_dup_text(rest + length);
    return true;
}

/* --- what --- */

static int unknown_type(const char *type, const struct json *types)
{
    const char *nearest = NULL;
    const char **names = mem_zalloc(TYPES_MAX, sizeof *names);
    char **copies = mem_zalloc(TYPES_MAX, sizeof *copies);
    size_t count = json_count(types) < TYPES_MAX ? json_count(types) : TYPES_MAX;
    for (size_t i = 0; i < count; i++)
        names[i] = copies[i] = mem_dup(json_text(json_get(json_at(types, i), "name")));
    nearest = suggest_nearest(span_of(type), names, count);
    output_error("there is no job type '%s'", type);
    output_try("errand %s%s", nearest ? "load " : "types", nearest ? nearest : "");
    for (size_t i = 0; i < count; i++)
        free(copies[i]);
    free(copies);
    free(names);
    return CLI_NOT_FOUND;
}

/* Without --data the type's own example is submitted. */
static int take_example(const char *type, const struct json *types, struct buf *payload)
{
    for (size_t i = 0; i < json_count(types); i++) {
        const struct json *shown = json_at(types, i);
        if (!span_is(json_text(json_get(shown, "name")), type))
            continue;
        if (json_get(shown, "example"))
            json_dump(json_get(shown, "example"), payload);
        else
            buf_add_text(payload, "{}");
        return CLI_OK;
    }
    return unknown_type(type, types);
}

static int fetch_example(struct loading *loading, const char *type)
{
    const struct api_request request = { .method = "GET",
                                         .path = "/v1/types",
                                         .timeout_ms = CALL_TIMEOUT_MS };
    struct api_answer answer = { 0 };
    struct api *api = api_open(loading->args);
    int code = api ? api_call(api, &request, &answer) : CLI_UNREACHABLE;
    if (code == CLI_OK && answer.status != 200)
        code = api_complain("the types of jobs cannot be read", &answer);
    else if (code == CLI_OK)
        code = take_example(type, json_get(answer.json, "types"), &loading->payload);
    api_answer_clear(&answer);
    api_close(api);
    return code;
}

/* --- running --- */

static void on_accepted(void *arg, struct span id, struct span key)
{
    struct loading *loading = arg;
    (void)fprintf(loading->ids, "{\"id\":\"%.*s\",\"key\":\"%.*s\"}\n", SPAN_ARG(id),
                  SPAN_ARG(key));
}

static void on_history(void *arg, const struct history_line *line)
{
    struct loading *loading = arg;
    buf_reset(&loading->line);
    history_write(line, &loading->line);
    (void)fputs(loading->line.data, loading->history);
}

static bool on_progress(void *arg, const struct load_report *report)
{
    struct loading *loading = arg;
    if (loading->ids)
        (void)fflush(loading->ids);
    if (loading->history)
        (void)fflush(loading->history);
    double seconds = (double)report->elapsed_us / 1e6;
    output_progress("%.1f s: %llu sent, %llu accepted (%.0f/s), %llu under way or due, p99 %.1f ms",
                    seconds, (unsigned long long)report->sent, (unsigned long long)report->accepted,
                    seconds > 0 ? (double)report->accepted / seconds : 0,
                    (unsigned long long)load_print_open(report),
                    (double)histogram_percentile(&report->latency, 99) / 1000);
    return !watch_is_interrupted();
}

/* Thousands of connections need as many files. */
static void raise_file_limit(int64_t connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + FILES_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void fill_options(struct loading *loading, const char *type,
                         struct load_options *ret_options)
{
    const struct args *args = loading->args;
    const char *mode = args_text(args, "mode");
    bool closed = args_has(args, "connections");
    bool counted = args_has(args, "count");
    *ret_options = (struct load_options){
        .host = loading->host,
        .port = loading->port,
        .path = loading->path,
        .type = type,
        .payload = buf_span(&loading->payload),
        .delay_ms = args_number(args, "delay", 0),
        .mode = mode && strcmp(mode, "e2e") == 0 ? LOAD_E2E : LOAD_SUBMIT,
        .rate = closed ? 0 : args_number(args, "rate", RATE_DEFAULT),
        .connections = args_number(args, "connections", CONNECTIONS_OPEN_MAX),
        .duration_ms = args_number(args, "duration", counted ? 0 : DURATION_MS_DEFAULT),
        .count = args_number(args, "count", 0),
        .keyed = loading->ids || args_has(args, "careful"),
        .resend = args_has(args, "careful"),
        .key = args_text(loading->args, "key"),
        .arg = loading,
        .on_accepted = loading->ids ? on_accepted : NULL,
        .on_history = loading->history ? on_history : NULL,
        .on_progress = on_progress,
    };
}

static int run(struct loading *loading, const char *type)
{
    struct load_options options;
    struct err err = { 0 };
    struct load_report *report = MEM_NEW(*report);
    fill_options(loading, type, &options);
    raise_file_limit(options.connections);
    watch_interrupts();
    int code = CLI_OK;
    if (load_run(&options, report, &err) == ERR_OK) {
        code = load_print(loading->args, &options, report);
        code = code == CLI_OK ? load_print_exit_code(&options, report) : code;
    } else {
        output_error("the load cannot be made");
        output_why("%s", err.text);
        code = CLI_UNREACHABLE;
    }
    free(report);
    return code == CLI_OK && watch_is_interrupted() ? CLI_INTERRUPTED : code;
}

/* --- the verb --- */

static bool open_file(const struct args *args, const char *option, FILE **ret_file)
{
    const char *path = args_text(args, option);
    char reason[128];
    if (!path)
        return true;
    *ret_file = fopen(path, "we");
    if (*ret_file)
        return true;
    output_error("--%s %s cannot be written", option, path);
    output_why("%s", strerror_r(errno, reason, sizeof reason));
    return false;
}

static int close_file(const struct args *args, const char *option, FILE *file, int code)
{
    if (!file || fclose(file) == 0)
        return code;
    output_error("not everything could be written to %s", args_text(args, option));
    return code == CLI_OK ? CLI_FAILED : code;
}

static int prepare(struct loading *loading, const char *type)
{
    const char *data = args_text(loading->args, "data");
    if (args_has(loading->args, "rate") && args_has(loading->args, "connections")) {
        output_error("--rate and --connections are two kinds of load: give one of them");
        return CLI_USAGE;
    }
    if (args_number(loading->args, "connections", 1) > LOAD_CONNECTIONS_MAX) {
        output_error("--connections is at most %d", LOAD_CONNECTIONS_MAX);
        return CLI_USAGE;
    }
    if (data && !payload_read_text(data, &loading->payload))
        return CLI_USAGE;
    char *url = api_find_url(loading->args);
    int code = CLI_OK;
    if (!url)
        code = CLI_UNREACHABLE;
    else if (!split_url(url, loading))
        code = CLI_USAGE;
    else if (!data)
        code = fetch_example(loading, type);
    free(url);
    return code;
}

int load_cmd_run(const struct args *args)
{
    struct loading loading = { .args = args,
                               .payload = BUF_INIT(PAYLOAD_BYTES_MAX),
                               .line = BUF_INIT(HISTORY_LINE_BYTES_MAX) };
    const char *type = args->item_count ? args->items[0] : TYPE_DEFAULT;
    int code = prepare(&loading, type);
    if (code == CLI_OK &&
        (!open_file(args, "ids", &loading.ids) || !open_file(args, "history", &loading.history)))
        code = CLI_FAILED;
    if (code == CLI_OK)
        code = run(&loading, type);
    code = close_file(args, "ids", loading.ids, code);
    code = close_file(args, "history", loading.history, code);
    buf_free(&loading.payload);
    buf_free(&loading.line);
    free(loading.path);
    return code;
}
