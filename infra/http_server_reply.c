/* Answers. SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/http_server_internal.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

enum { PROBLEM_BYTES_MAX = 64 * 1024, RETRY_AFTER_CHARS = 24 };

static struct MHD_Response *make_response(struct http_request *req,
                                          const struct http_answer *answer)
{
    /* libmicrohttpd frees the copy. */
    struct MHD_Response *response =
        answer->stream ? http_stream_response(req, answer->stream)
                       : MHD_create_response_from_buffer(answer->body.size, mem_dup(answer->body),
                                                         MHD_RESPMEM_MUST_FREE);
    assert(response);
    bool cacheable = false;
    if (answer->content_type)
        (void)MHD_add_response_header(response, "Content-Type", answer->content_type);
    /* A header whose value has a line break (it may hold a client's text) is refused by
     * libmicrohttpd, and left out. */
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct http_header_line *line = &answer->headers[i];
        (void)MHD_add_response_header(response, line->name, line->value);
        cacheable = cacheable || strcasecmp(line->name, "Cache-Control") == 0;
    }
    if (!cacheable)
        (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    (void)MHD_add_response_header(response, "X-Request-Id", req->id);
    if (answer->close || req->close || req->server->quiesced)
        (void)MHD_add_response_header(response, "Connection", "close");
    return response;
}

void http_reply(struct http_request *req, const struct http_answer *answer)
{
    if (req->state == HTTP_STATE_GONE) {
        /* Answered while the others whose clients have gone are being told: it need not be told any
         * more. */
        req->on_close = NULL;
        if (answer->stream)
            http_stream_end(answer->stream);
        return;
    }
    assert(!req->response);
    req->response = make_response(req, answer);
    req->status = answer->status;
    req->answer_size = answer->body.size;
    http_routes_observe(&req->server->routes, req->route, req->method_index, answer->status,
                        clock_monotonic_us() - req->began_us);
    if (req->state == HTTP_STATE_PARKED)
        http_server_unpark(req, HTTP_STATE_ANSWERED);
}

void http_write_problem(struct buf *out, const struct http_request *req, const struct err *err,
                        const char *extra)
{
    const char *code = err_code_text(err->code);
    buf_printf(out, "{\"type\":\"/problems/%s\",\"title\":", code);
    buf_add_json_string(out, span_of(err_title(err->code)));
    buf_printf(out, ",\"status\":%d,\"detail\":", err_http_status(err->code));
    buf_add_json_string(out, span_of(err->text));
    buf_printf(out, ",\"code\":\"%s\"", code);
    if (err->field[0]) {
        buf_add_text(out, ",\"field\":");
        buf_add_json_string(out, span_of(err->field));
    }
    buf_add_text(out, ",\"instance\":");
    buf_add_json_string(out, req->target.path);
    buf_printf(out, ",\"request_id\":\"%s\"", req->id);
    if (extra) {
        buf_add_char(out, ',');
        buf_add_text(out, extra);
    }
    buf_add_char(out, '}');
}

struct problem {
    int retry_after_s;
    const char *extra;
    const struct http_header_line *more;
    size_t more_count;
};

static void reply_problem(struct http_request *req, const struct err *err,
                          const struct problem *problem)
{
    if (err->code == ERR_INTERNAL) /* the client was told that it is here */
        log_write(req->server->log, LOG_ERROR, "http",
                  &(struct log_about){ .request_id = span_of(req->id), .err = err }, "%.*s failed",
                  SPAN_ARG(req->target.path));
    struct buf body = BUF_INIT(PROBLEM_BYTES_MAX);
    http_write_problem(&body, req, err, problem->extra);
    char seconds[RETRY_AFTER_CHARS];
    struct http_header_line headers[2 + HTTP_PROBLEM_HEADERS_MAX];
    size_t header_count = 0;
    if (problem->retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%d", problem->retry_after_s);
        headers[header_count++] =
            (struct http_header_line){ .name = "Retry-After", .value = seconds };
    }
    if (err->code == ERR_METHOD_NOT_ALLOWED && req->allow.size)
        headers[header_count++] =
            (struct http_header_line){ .name = "Allow", .value = req->allow.data };
    assert(problem->more_count <= HTTP_PROBLEM_HEADERS_MAX);
    for (size_t i = 0; i < problem->more_count; i++)
        headers[header_count++] = problem->more[i];
    struct http_answer answer = {
        .status = err_http_status(err->code),
        .content_type = "application/problem+json",
        .body = buf_span(&body),
        .headers = headers,
        .header_count = header_count,
    };
    http_reply(req, &answer);
    buf_free(&body);
}

void http_reply_problem(struct http_request *req, const struct err *err, int retry_after_s,
                        const char *extra)
{
    reply_problem(req, err, &(struct problem){ .retry_after_s = retry_after_s, .extra = extra });
}

void http_reply_problem_with(struct http_request *req, const struct err *err, int retry_after_s,
                             const struct http_header_line *more, size_t more_count)
{
    reply_problem(req, err,
                  &(struct problem){
                      .retry_after_s = retry_after_s, .more = more, .more_count = more_count });
}
