/* Asking a gateway.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"

#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "infra/http_client.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define POSTS_MAX          16
#define SHOW_TIMEOUT_MS    30000
#define CONNECT_TIMEOUT_MS 3000
#define ANSWER_BYTES_MAX   ((size_t)16 * 1024 * 1024)
#define JSON_DEPTH_MAX     64
#define JSON_TOKENS_MAX    1000000
#define URL_BYTES_MAX      2048
#define HEADER_BYTES_MAX   512

struct api {
    char *url;
    struct loop *loop;
    struct http_client *client;
    struct api_answer answer; /* of the call under way */
    enum err_code code;
    char why[200];
};

/* --- which gateway --- */

static char *tidy_url(const char *url)
{
    struct buf text = BUF_INIT(URL_BYTES_MAX);
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        length--;
    buf_printf(&text, "%s%.*s", strstr(url, "://") ? "" : "http://", (int)length, url);
    return buf_take(&text);
}

static char *url_of_stack(const struct args *args)
{
    struct err err = { 0 };
    bool named = false;
    char *folder = stack_folder(args, &named);
    char *url = NULL;
    struct stack_state *state = MEM_NEW(*state);
    const struct stack_process *gateway = NULL;
    if (stack_is_locked(folder) && stack_state_load(folder, state, &err) == ERR_OK)
        gateway = stack_state_find(state, "gateway-1");
    if (gateway && *gateway->address) {
        url = tidy_url(gateway->address);
    } else {
        output_error("errand is not running here");
        output_why("there is no stack in %s, and no --url", folder);
        output_try("errand up%s%s", named ? " --dir " : "", named ? folder : "");
    }
    free(state);
    free(folder);
    return url;
}

char *api_find_url(const struct args *args)
{
    const char *url = args_text(args, "url");
    if (!url && !args_text(args, "dir"))
        url = getenv("ERRAND_URL"); /* NOLINT(concurrency-mt-unsafe): one thread */
    return url && *url ? tidy_url(url) : url_of_stack(args);
}

struct api *api_open(const struct args *args)
{
    char *url = api_find_url(args);
    struct api *api = url ? api_open_at(url) : NULL;
    free(url);
    return api;
}

struct api *api_open_at(const char *url)
{
    const struct http_client_options options = { .shards = 1, .connections_max = 1 };
    struct err err = { 0 };
    struct api *api = MEM_NEW(*api);
    api->url = tidy_url(url);
    api->loop = loop_new(POSTS_MAX);
    if (http_client_open(api->loop, &options, &api->client, &err) == ERR_OK)
        return api;
    output_error("no connection can be made");
    output_why("%s", err.text);
    api_close(api);
    return NULL;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    http_client_close(api->client);
    loop_free(api->loop);
    free(api->url);
    free(api);
}

/* --- one request --- */

static void on_response(void *arg, const struct http_response *response)
{
    struct api *api = arg;
    const struct json_limits limits = { .depth_max = JSON_DEPTH_MAX,
                                        .tokens_max = JSON_TOKENS_MAX };
    api->code = response->code;
    (void)snprintf(api->why, sizeof api->why, "%s", response->text);
    api->answer = (struct api_answer){
        .status = response->status,
        .body = BUF_INIT(ANSWER_BYTES_MAX),
        .retry_after_ms = response->retry_after_ms,
    };
    buf_add_span(&api->answer.body, response->body);
    struct err err = { 0 };
    if (json_parse(buf_span(&api->answer.body), &limits, &api->answer.json, &err) != ERR_OK)
        api->answer.json = NULL;
    loop_stop(api->loop);
}

static enum err_code call_once(struct api *api, const struct api_request *request)
{
    struct err err = { 0 };
    struct buf url = BUF_INIT(URL_BYTES_MAX);
    struct buf key = BUF_INIT(HEADER_BYTES_MAX);
    struct http_call *call = NULL;
    buf_printf(&url, "%s%s", api->url, request->path);
    const char *headers[3] = { "Accept: application/json", "Content-Type: application/json" };
    size_t header_count = 2;
    if (request->idempotency_key) {
        buf_printf(&key, "Idempotency-Key: \"%s\"", request->idempotency_key);
        headers[header_count++] = key.data;
    }
    const struct http_call_options options = {
        .method = request->method,
        .url = url.data,
        .headers = headers,
        .header_count = header_count,
        .body = request->body,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = request->timeout_ms,
        .response_bytes_max = ANSWER_BYTES_MAX,
        .private_allowed = true, /* it is our own */
    };
    enum err_code code = ERR_LIMIT;
    if (!url.overflow && !key.overflow)
        code = http_call_start(api->client, &options, on_response, api, &call, &err);
    if (code == ERR_OK) {
        loop_run(api->loop);
        code = api->code;
    } else {
        (void)snprintf(api->why, sizeof api->why, "%.*s", (int)sizeof api->why - 1,
                       code == ERR_LIMIT ? "the address or the key is too long" : err.text);
    }
    buf_free(&url);
    buf_free(&key);
    if (code != ERR_OK)
        api_answer_clear(&api->answer);
    return code;
}

bool api_try(struct api *api, const struct api_request *request, struct api_answer *ret_answer)
{
    if (call_once(api, request) != ERR_OK)
        return false;
    *ret_answer = api->answer;
    api->answer = (struct api_answer){ 0 };
    return true;
}

int api_call(struct api *api, const struct api_request *request, struct api_answer *ret_answer)
{
    static const int pauses_ms[] = { 100, 300, 1000 };
    for (size_t i = 0;; i++) {
        if (api_try(api, request, ret_answer))
            return CLI_OK;
        if (i == sizeof pauses_ms / sizeof pauses_ms[0] || api->code != ERR_TARGET_UNREACHABLE)
            break;
        (void)poll(NULL, 0, pauses_ms[i]);
    }
    output_error("no answer from %s", api->url);
    output_why("%s", api->why);
    output_try("errand status");
    return CLI_UNREACHABLE;
}

void api_answer_clear(struct api_answer *answer)
{
    buf_free(&answer->body);
    json_free(answer->json);
    *answer = (struct api_answer){ 0 };
}

/* --- problems --- */

int api_complain(const char *what, const struct api_answer *answer)
{
    struct span detail = json_text(json_get(answer->json, "detail"));
    struct span title = json_text(json_get(answer->json, "title"));
    struct span field = json_text(json_get(answer->json, "field"));
    struct span code = json_text(json_get(answer->json, "code"));
    struct span text = detail.size ? detail : title;
    output_error("%s", what);
    if (text.size)
        output_why("%.*s%s%.*s", SPAN_ARG(text), field.size ? " Field: " : "", SPAN_ARG(field));
    else
        output_why("the server answers %d", answer->status);
    if (span_is(code, "unknown_type")) {
        output_try("errand types");
        return CLI_NOT_FOUND;
    }
    if (span_is(code, "invalid_parameter"))
        return CLI_USAGE; /* an option's value: the query is made of nothing else */
    enum exit_code exit_code = exit_code_of_status(answer->status);
    if (exit_code == CLI_OVERLOADED)
        output_try(
            "again in %lld s",
            (long long)(answer->retry_after_ms > 0 ? (answer->retry_after_ms + 999) / 1000 : 1));
    return (int)exit_code;
}

int api_show(const struct args *args, const struct api_shown *shown)
{
    const struct api_request request = { .method = "GET",
                                         .path = shown->path,
                                         .timeout_ms = SHOW_TIMEOUT_MS };
    struct api_answer answer = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return CLI_UNREACHABLE;
    int code = api_call(api, &request, &answer);
    if (code == CLI_OK && answer.status != 200)
        code = api_complain(shown->complaint, &answer);
    else if (code == CLI_OK)
        code = output_is_json(args) ? output_json(shown->schema, buf_span(&answer.body))
                                    : shown->print(answer.json);
    api_answer_clear(&answer);
    api_close(api);
    return code;
}
