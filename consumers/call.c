/* The `call` handler: one HTTP request to a target, described wholly in configuration (struct
 * config_call). Values from the payload enter the request only through templates that encode for
 * their place; credentials come from the target's headers and never enter an error text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/handler.h"
#include "infra/clock.h"
#include "schemas/digest.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/template.h"
#include "schemas/trace.h"
#include "schemas/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define STATUS_MAX       600
#define URL_BYTES_MAX    8192
#define HEADER_BYTES_MAX 8192
#define BODY_BYTES_MAX   ((size_t)1024 * 1024)
#define HEADERS_MAX      64
#define JSON_DEPTH_MAX   64
#define JSON_TOKENS_MAX  1000000

struct named_template {
    const char *name;
    struct template *value;
};

struct call {
    struct handler handler; /* first: a call is a handler */
    const struct handler_tools *tools;
    const struct config_type *type;
    const struct config_target *target;
    char *base_url;
    struct template *path, *body;
    struct named_template *query, *headers;
    size_t query_count, header_count;
    bool expect[STATUS_MAX], retry[STATUS_MAX];
    bool retry_timeout, retry_unreachable;
};

struct handler_run {
    struct call *call;
    struct http_call *http;   /* NULL once it is over, or when it was never begun */
    struct loop_timer *later; /* for an outcome that is known before a request is made */
    struct err err;
    outcome_fn fn;
    void *arg;
};

/* --- configuration --- */

static void mark_status(const char *pattern, bool *set)
{
    for (int status = 100; status < STATUS_MAX; status++) {
        char text[12];
        snprintf(text, sizeof text, "%d", status);
        bool match = true;
        for (int i = 0; i < 3; i++)
            match = match && (pattern[i] == 'x' || pattern[i] == text[i]);
        if (match)
            set[status] = true;
    }
}

static void mark_statuses(struct call *call)
{
    const struct config_call *config = &call->type->call;
    for (size_t i = 0; i < config->expect.count; i++)
        mark_status(config->expect.items[i], call->expect);
    for (size_t i = 0; i < config->retry.count; i++) {
        const char *word = config->retry.items[i];
        if (strcmp(word, "timeout") == 0)
            call->retry_timeout = true;
        else if (strcmp(word, "unreachable") == 0)
            call->retry_unreachable = true;
        else
            mark_status(word, call->retry);
    }
}

static char *base_url_of(const struct config *config, const struct config_target *target)
{
    struct buf url = BUF_INIT(URL_BYTES_MAX);
    if (config_is_simulator(target))
        buf_printf(&url, "http://%s%s", config->simulator.http.listen,
                   target->base_url + sizeof CONFIG_SIMULATOR - 1);
    else
        buf_add_text(&url, target->base_url);
    while (url.size && url.data[url.size - 1] == '/')
        url.data[--url.size] = '\0';
    return buf_take(&url);
}

static enum err_code compile_pairs(const struct config_pairs *pairs, enum template_kind kind,
                                   struct named_template **ret_list, size_t *ret_count,
                                   struct err *err)
{
    struct named_template *list = mem_zalloc(pairs->count, sizeof *list);
    *ret_list = list;
    for (size_t i = 0; i < pairs->count; i++) {
        enum err_code code = template_compile(pairs->items[i].value, kind, &list[i].value, err);
        if (code)
            return code;
        list[i].name = pairs->items[i].name;
        *ret_count = i + 1;
    }
    return ERR_OK;
}

static void free_pairs(struct named_template *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        template_free(list[i].value);
    free(list);
}

static void call_free(struct handler *handler)
{
    struct call *call = (struct call *)handler;
    free(call->base_url);
    template_free(call->path);
    template_free(call->body);
    free_pairs(call->query, call->query_count);
    free_pairs(call->headers, call->header_count);
    free(call);
}

static enum err_code compile(struct call *call, struct err *err)
{
    const struct config_call *config = &call->type->call;
    enum err_code code = template_compile(config->path, TEMPLATE_PATH, &call->path, err);
    if (code == ERR_OK && config->body[0])
        code = template_compile(config->body, TEMPLATE_JSON, &call->body, err);
    if (code == ERR_OK)
        code = compile_pairs(&config->query, TEMPLATE_QUERY, &call->query, &call->query_count, err);
    if (code == ERR_OK)
        code = compile_pairs(&config->headers, TEMPLATE_HEADER, &call->headers, &call->header_count,
                             err);
    return code;
}

/* --- one call --- */

/* The request being put together. */
struct request {
    struct buf url, body;
    char *headers[HEADERS_MAX];
    size_t header_count;
    size_t origin_header_count; /* the first so many are for the target alone */
};

static void request_free(struct request *request)
{
    buf_free(&request->url);
    buf_free(&request->body);
    for (size_t i = 0; i < request->header_count; i++)
        free(request->headers[i]);
}

static enum err_code add_header(struct request *request, const char *name, struct span value,
                                struct err *err)
{
    if (request->header_count == HEADERS_MAX)
        return err_set(err, ERR_TEMPLATE, "a request has at most %d headers", HEADERS_MAX);
    struct buf line = BUF_INIT(HEADER_BYTES_MAX);
    buf_printf(&line, "%s: ", name);
    buf_add_span(&line, value);
    if (line.overflow) {
        buf_free(&line);
        return err_set(err, ERR_TEMPLATE, "header %s is longer than %d bytes", name,
                       HEADER_BYTES_MAX);
    }
    request->headers[request->header_count++] = buf_take(&line);
    return ERR_OK;
}

static bool has_header(const struct request *request, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (strncasecmp(request->headers[i], name, size) == 0 && request->headers[i][size] == ':')
            return true;
    }
    return false;
}

/* What every call carries: the effect id as idempotency key, the attempt, the trace. */
static enum err_code add_own_headers(struct request *request, const struct job_command *command,
                                     struct err *err)
{
    char effect_id[ID_TEXT_SIZE];
    id_text(&command->facts.effect_id, effect_id);
    char attempt[16];
    snprintf(attempt, sizeof attempt, "%u", command->attempt);
    enum err_code code = add_header(request, "Idempotency-Key", span_of(effect_id), err);
    if (code == ERR_OK)
        code = add_header(request, "Errand-Attempt", span_of(attempt), err);
    struct trace parent;
    if (code == ERR_OK && trace_parse(command->facts.traceparent, &parent)) {
        uint8_t random[8];
        char text[TRACE_TEXT_SIZE];
        struct trace child;
        if (digest_random(random, sizeof random)) {
            trace_child(&parent, random, &child);
            trace_format(&child, text);
            code = add_header(request, "traceparent", span_of(text), err);
        }
        if (code == ERR_OK && command->facts.tracestate.size)
            code = add_header(request, "tracestate", command->facts.tracestate, err);
    }
    return code;
}

/* What is the target's own goes first: a redirect to another origin must not take it along. */
static enum err_code add_target_headers(struct request *request, const struct call *call,
                                        struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < call->target->headers.count; i++)
        code = add_header(request, call->target->headers.items[i].name,
                          span_of(call->target->headers.items[i].value), err);
    return code;
}

static enum err_code add_type_headers(struct request *request, const struct call *call,
                                      const struct template_values *values, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < call->header_count; i++) {
        struct buf value = BUF_INIT(HEADER_BYTES_MAX);
        code = template_render(call->headers[i].value, values, &value, err);
        if (code == ERR_OK)
            code = add_header(request, call->headers[i].name, buf_span(&value), err);
        buf_free(&value);
    }
    return code;
}

static enum err_code build_url(struct request *request, const struct call *call,
                               const struct template_values *values, struct err *err)
{
    buf_add_text(&request->url, call->base_url);
    enum err_code code = template_render(call->path, values, &request->url, err);
    char separator = '?';
    for (size_t i = 0; code == ERR_OK && i < call->query_count; i++) {
        struct buf value = BUF_INIT(URL_BYTES_MAX);
        code = template_render(call->query[i].value, values, &value, err);
        if (code == ERR_OK && value.size) { /* an empty default leaves the argument out */
            buf_add_char(&request->url, separator);
            buf_add_text(&request->url, call->query[i].name);
            buf_add_char(&request->url, '=');
            buf_add_span(&request->url, buf_span(&value));
            separator = '&';
        }
        buf_free(&value);
    }
    if (code == ERR_OK && request->url.overflow)
        code = err_set(err, ERR_TEMPLATE, "the address is longer than %d bytes", URL_BYTES_MAX);
    return code;
}

static enum err_code build(struct request *request, const struct call *call,
                           const struct job_command *command, struct err *err)
{
    struct json_limits limits = { .depth_max = JSON_DEPTH_MAX,
                                  .tokens_max = JSON_TOKENS_MAX,
                                  .any_value = true };
    struct json *payload = NULL;
    enum err_code code = json_parse(command->payload, &limits, &payload, err);
    if (code)
        return err_set(err, ERR_PAYLOAD_INVALID, "the payload is not JSON");
    struct template_values values = { .payload = payload, .payload_bytes = command->payload };
    code = build_url(request, call, &values, err);
    if (code == ERR_OK)
        code = add_target_headers(request, call, err);
    if (code == ERR_OK)
        code = add_type_headers(request, call, &values, err);
    request->origin_header_count = request->header_count;
    if (code == ERR_OK && call->body) {
        code = template_render(call->body, &values, &request->body, err);
        if (code == ERR_OK && request->body.overflow)
            code = err_set(err, ERR_TEMPLATE, "the body is longer than %zu bytes", BODY_BYTES_MAX);
        if (code == ERR_OK && !has_header(request, "Content-Type"))
            code = add_header(request, "Content-Type", span_of("application/json"), err);
    }
    if (code == ERR_OK)
        code = add_own_headers(request, command, err);
    json_free(payload);
    return code;
}

/* --- the answer --- */

static void fail(struct outcome *outcome, enum err_code code, bool again, const char *text)
{
    outcome->code = code;
    outcome->class_ = again ? ERR_CLASS_RETRY : ERR_CLASS_REJECT;
    snprintf(outcome->detail, sizeof outcome->detail, "%s", text);
}

static void fail_too_large(const struct call *call, struct outcome *outcome)
{
    char text[256];
    snprintf(text, sizeof text,
             "the result has more than %zu bytes; types.%.100s.result_max allows %" PRId64,
             BODY_BYTES_MAX, call->type->name, call->type->result_bytes_max);
    fail(outcome, ERR_RESULT_TOO_LARGE, false, text);
}

/* Makes the result from a successful body; `store` keeps bytes that had to be made. */
static void read_result(const struct call *call, struct span body, struct buf *store,
                        struct outcome *outcome)
{
    if (call->type->call.result == CONFIG_RESULT_TEXT) {
        if (!utf8_is_text(body)) {
            fail(outcome, ERR_TARGET_INVALID, false, "the answer is not UTF-8 text");
            return;
        }
        outcome->result = body;
        outcome->result_kind = JOB_RESULT_TEXT;
        return;
    }
    struct json_limits limits = { .depth_max = JSON_DEPTH_MAX,
                                  .tokens_max = JSON_TOKENS_MAX,
                                  .any_value = true };
    struct json *answer = NULL;
    struct err err;
    if (json_parse(body, &limits, &answer, &err)) {
        char text[256];
        snprintf(text, sizeof text, "the answer is not JSON: %.200s", err.text);
        fail(outcome, ERR_TARGET_INVALID, false, text);
        return;
    }
    outcome->result = body;
    if (call->type->call.result == CONFIG_RESULT_POINTER) {
        const struct json *part = json_pointer(answer, span_of(call->type->call.pointer));
        if (part) {
            json_dump(part, store);
            outcome->result = buf_span(store);
            if (store->overflow)
                fail_too_large(call, outcome);
        } else {
            char text[256];
            snprintf(text, sizeof text, "the answer has nothing at %.100s",
                     call->type->call.pointer);
            fail(outcome, ERR_TARGET_INVALID, false, text);
        }
    }
    json_free(answer);
}

static void judge(const struct call *call, const struct http_response *response, struct buf *store,
                  struct outcome *outcome)
{
    if (response->code == ERR_TARGET_TIMEOUT || response->code == ERR_TARGET_UNREACHABLE) {
        bool again =
            response->code == ERR_TARGET_TIMEOUT ? call->retry_timeout : call->retry_unreachable;
        fail(outcome, response->code, again, response->text);
        return;
    }
    if (response->code != ERR_OK) {
        fail(outcome, response->code, err_class_of(response->code) == ERR_CLASS_RETRY,
             response->text);
        return;
    }
    int status = response->status;
    outcome->status = (uint32_t)status;
    outcome->retry_after_ms = response->retry_after_ms;
    if (status > 0 && status < STATUS_MAX && call->expect[status]) {
        read_result(call, response->body, store, outcome);
        return;
    }
    bool again = status > 0 && status < STATUS_MAX && call->retry[status];
    char text[64];
    snprintf(text, sizeof text, "the target answered %d", status);
    fail(outcome, again ? ERR_TARGET_STATUS : ERR_TARGET_REJECTED, again, text);
}

static void finish(struct handler_run *run, const struct outcome *outcome)
{
    run->fn(run->arg, outcome);
    loop_timer_free(run->later);
    free(run);
}

static void on_response(void *arg, const struct http_response *response)
{
    struct handler_run *run = arg;
    run->http = NULL;
    struct outcome outcome = { .retry_after_ms = -1 };
    struct buf store = BUF_INIT(BODY_BYTES_MAX);
    judge(run->call, response, &store, &outcome);
    finish(run, &outcome);
    buf_free(&store);
}

static void on_later(void *arg)
{
    struct handler_run *run = arg;
    struct outcome outcome;
    outcome_fail(&outcome, &run->err);
    finish(run, &outcome);
}

/* The type's own limit, else the target's; never beyond the job's deadline. */
static int64_t timeout_of(const struct call *call, const struct job_facts *facts)
{
    int64_t timeout_ms =
        call->type->call.timeout_ms ? call->type->call.timeout_ms : call->target->timeout_ms;
    int64_t left_ms = facts->deadline_ms - clock_wall_ms();
    if (facts->deadline_ms && left_ms < timeout_ms)
        timeout_ms = left_ms > 1 ? left_ms : 1;
    return timeout_ms;
}

static enum err_code send_request(struct handler_run *run, const struct job_command *command,
                                  const struct request *request)
{
    const struct call *call = run->call;
    struct http_call_options options = {
        .method = call->type->call.method,
        .url = request->url.data,
        .headers = (const char *const *)request->headers,
        .header_count = request->header_count,
        .body = call->body ? buf_span(&request->body) : (struct span){ 0 },
        .connect_timeout_ms = call->target->connect_timeout_ms,
        .timeout_ms = timeout_of(call, &command->facts),
        .response_bytes_max = (size_t)call->target->response_bytes_max,
        .origin_header_count = request->origin_header_count,
        .private_allowed = call->target->private || config_is_simulator(call->target),
        .redirects_max = (int)call->target->redirects_max,
        .ca_file = call->target->ca_file[0] ? call->target->ca_file : NULL,
    };
    return http_call_start(call->tools->http, &options, on_response, run, &run->http, &run->err);
}

static struct handler_run *call_start(struct handler *handler, const struct job_command *command,
                                      outcome_fn fn, void *arg)
{
    struct call *call = (struct call *)handler;
    struct handler_run *run = MEM_NEW(*run);
    *run = (struct handler_run){ .call = call, .fn = fn, .arg = arg };
    struct request request = { .url = BUF_INIT(URL_BYTES_MAX), .body = BUF_INIT(BODY_BYTES_MAX) };
    enum err_code code = build(&request, call, command, &run->err);
    if (code == ERR_OK)
        code = send_request(run, command, &request);
    if (code) {
        run->later = loop_timer_new(call->tools->loop, on_later, run);
        loop_timer_start(run->later, 0, 0);
    }
    request_free(&request);
    return run;
}

static void call_cancel(struct handler_run *run)
{
    if (run->http)
        http_call_cancel(run->http);
}

enum err_code call_new(const struct handler_tools *tools, const struct config_type *type,
                       struct handler **ret_handler, struct err *err)
{
    struct call *call = MEM_NEW(*call);
    call->handler =
        (struct handler){ .start = call_start, .cancel = call_cancel, .free = call_free };
    call->tools = tools;
    call->type = type;
    call->target = config_find_target(tools->config, span_of(type->call.target));
    assert(call->target); /* the configuration's check has seen to it */
    call->base_url = base_url_of(tools->config, call->target);
    mark_statuses(call);
    struct err why;
    enum err_code code = compile(call, &why);
    if (code) {
        call_free(&call->handler);
        return err_field(err, ERR_CONFIG, type->name, "types.%s.call: %s", type->name, why.text);
    }
    *ret_handler = &call->handler;
    return ERR_OK;
}
