/* The life of a request. libmicrohttpd calls http_request_begin when the request line is there,
 * http_request_continue when the headers are (nothing may be answered then in 0.9.75 unless the
 * connection shall be closed), for each piece of the body, at its end, and again after a park;
 * http_request_end when the answer is out or the connection is gone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/http_server_internal.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A body that is refused is still read, up to so many bytes beyond what would have been taken, so
 * that its client, which writes before it reads, sees the answer rather than a reset connection. */
enum { DRAIN_BYTES_MAX = 8 * 1024 * 1024, BODY_FIRST_BYTES = 64 * 1024, ALLOW_BYTES_MAX = 256 };

void *http_request_begin(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *server = cls;
    struct span raw = span_of(target);
    size_t target_size = raw.size;
    if (raw.size > HTTP_TARGET_MAX)
        raw.size = HTTP_TARGET_MAX;
    /* One allocation: the request, its arguments, the target as received, the target decoded.
     * libmicrohttpd cuts its own copy to pieces. */
    size_t arguments_max = http_target_arguments_max(raw);
    size_t arguments_size = arguments_max * sizeof(struct http_argument);
    struct http_request *req = mem_zalloc(1, sizeof *req + arguments_size + 2 * raw.size + 1);
    req->server = server;
    req->mhd = mhd;
    req->connection =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    http_slow_header(req->connection, req);
    req->began_us = clock_monotonic_us();
    req->target.arguments = (struct http_argument *)(req + 1);
    char *copy = (char *)(req + 1) + arguments_size;
    if (raw.size)
        memcpy(copy, raw.data, raw.size);
    req->target.raw = (struct span){ .data = copy, .size = raw.size };
    req->target.path = req->target.raw;
    req->target.decoded = copy + raw.size;
    req->target_size = target_size;
    req->method_index = HTTP_METHODS_KNOWN; /* not known yet */
    req->allow.max = ALLOW_BYTES_MAX;
    server->active++;
    return req;
}

void http_request_end(void *cls, struct MHD_Connection *mhd, void **req_cls,
                      enum MHD_RequestTerminationCode why)
{
    (void)mhd;
    (void)why;
    struct http_server *server = cls;
    struct http_request *req = *req_cls;
    *req_cls = NULL;
    if (!req)
        return;
    assert(req->state != HTTP_STATE_PARKED);
    http_slow_idle(req->connection, false);
    if (req->response)
        MHD_destroy_response(req->response);
    http_stream_end(&req->stream);
    buf_free(&req->body);
    buf_free(&req->allow);
    free(req->refusal);
    free(req);
    server->active--;
}

/* --- reading it --- */

void http_request_need_id(struct http_request *req)
{
    if (req->id[0])
        return;
    struct seeded *ids = &req->server->ids;
    static const char digits[] = "0123456789abcdef";
    enum { ID_WORDS = 2, DIGITS_OF_WORD = 16 };
    char *out = req->id;
    for (int word = 0; word < ID_WORDS; word++) {
        uint64_t bits = seeded_next(ids);
        for (int i = 0; i < DIGITS_OF_WORD; i++, bits >>= 4)
            *out++ = digits[bits & 0xf];
    }
}

static void choose_id(struct http_request *req)
{
    struct span wanted = http_header(req, "X-Request-Id");
    if (wanted.data && http_request_id_is_valid(wanted))
        memcpy(req->id, wanted.data, wanted.size);
    http_request_need_id(req);
}

static enum err_code refuse_size(const struct http_request *req, struct err *err)
{
    if (req->body_max == 0)
        return err_set(err, ERR_BODY_TOO_LARGE, "This address takes no body.");
    return err_set(err, ERR_BODY_TOO_LARGE, "The body is larger than %zu bytes.", req->body_max);
}

static bool is_acceptable(const struct http_request *req)
{
    const struct http_server *server = req->server;
    const char *under = server->produces_under;
    return !under || !req->framing.accept.data || req->target.path.size < strlen(under) ||
           memcmp(req->target.path.data, under, strlen(under)) != 0 ||
           http_accept_admits(req->framing.accept, server->produces);
}

static bool is_vital(const struct http_request *req)
{
    const struct http_routes *routes = &req->server->routes;
    return !MUTANT(health_not_spared) &&
           (size_t)(req->route - routes->items) < req->server->vital_count;
}

static enum err_code check_route(struct http_request *req, struct err *err)
{
    struct http_server *server = req->server;
    enum err_code code =
        http_routes_find(&server->routes, req->method, &req->target, &req->route, &req->allow);
    if (code == ERR_NOT_FOUND)
        return err_set(err, code, "There is nothing at this address.");
    if (code && strcmp(req->method, "OPTIONS") == 0) {
        req->asks_options = true;
        return req->framing.length ? refuse_size(req, err) : ERR_OK;
    }
    if (code)
        return err_set(err, code, "This address takes %s.", req->allow.data);
    if (http_surplus_is(req->connection) && !is_vital(req))
        return err_set(err, ERR_OVERLOADED, "As many connections as allowed, %zu, are open.",
                       server->connections_max);
    if (!is_acceptable(req))
        return err_field(err, ERR_NOT_ACCEPTABLE, "Accept",
                         "The answer would be %s; the Accept header does not admit it.",
                         server->produces[0]);
    req->body_max = req->route->route->body_max;
    if (req->body_max == SIZE_MAX)
        req->body_max = (size_t)server->config->body_bytes_max;
    if (req->framing.length > req->body_max)
        return refuse_size(req, err);
    if (req->framing.length && req->framing.encoded)
        return err_field(err, ERR_UNSUPPORTED_MEDIA, "Content-Encoding",
                         "The body must come as it is, without Content-Encoding.");
    return ERR_OK;
}

static enum err_code check_sizes(const struct http_request *req, size_t header_size,
                                 struct err *err)
{
    size_t size_max = (size_t)req->server->config->headers_bytes_max;
    if (req->target_size > HTTP_TARGET_MAX)
        return err_set(err, ERR_URI_TOO_LONG, "The address is longer than %d bytes.",
                       HTTP_TARGET_MAX);
    if (header_size > size_max)
        return err_set(err, ERR_HEADERS_TOO_LARGE,
                       "The request line and the headers have %zu bytes; at most %zu are taken.",
                       header_size, size_max);
    return ERR_OK;
}

/* Everything that can be refused before the body is read. */
static enum err_code check(struct http_request *req, const char *path, const char *version,
                           struct err *err)
{
    size_t header_size =
        MHD_get_connection_info(req->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
    req->close = true; /* until it is sure where this request ends */
    if (!http_raw_is_strict(req, path, version, header_size))
        return err_set(err, ERR_BAD_REQUEST,
                       "The request is not written as RFC 9112 says: one space between the parts "
                       "of its first line, CR LF at the end of each line, no NUL.");
    enum err_code code = check_sizes(req, header_size, err);
    if (!code)
        code = http_headers_check(req->mhd, version, req->server->config->header_count_max,
                                  &req->framing, err);
    if (!code)
        code = http_target_parse(&req->target, err);
    if (code)
        return code;
    /* Who believes in a tunnel or another protocol from here on is not heard any more. */
    req->close = req->framing.upgrades || strcmp(req->method, "CONNECT") == 0 ||
                 strcmp(req->method, "TRACE") == 0;
    return check_route(req, err);
}

static void refuse(struct http_request *req, const struct err *err)
{
    req->refusal = MEM_NEW(*req->refusal);
    *req->refusal = *err;
    buf_free(&req->body);
}

static enum MHD_Result send_answer(struct http_request *req)
{
    enum MHD_Result queued = MHD_queue_response(req->mhd, (unsigned)req->status, req->response);
    MHD_destroy_response(req->response);
    req->response = NULL;
    req->state = HTTP_STATE_SENDING;
    if (!req->stream.read)
        http_slow_answer(req->connection, req->answer_size);
    return queued;
}

static void answer_options(struct http_request *req)
{
    struct http_header_line allow = { "Allow", req->allow.data };
    http_reply(req, &(struct http_answer){ .status = 204, .headers = &allow, .header_count = 1 });
}

/* What would wait is refused before its handler has done anything. Which routes wait is seen: that
 * keeps the looks at a full server's health free. */
static bool may_not_wait(const struct http_request *req)
{
    return req->route->parks &&
           req->server->parked_count >= (size_t)req->server->config->parked_max;
}

static void refuse_waiting(struct http_request *req)
{
    struct err err;
    (void)err_set(&err, ERR_OVERLOADED, "As many requests as allowed wait for their answers.");
    http_reply_problem(req, &err, 1, NULL);
}

/* Answers with the refusal, or lets the handler answer or park. */
static enum MHD_Result handle(struct http_request *req)
{
    req->state = HTTP_STATE_HANDLING;
    http_slow_handle(req->connection);
    req->close = req->close || req->connection->surplus;
    if (req->refusal)
        http_reply_problem(req, req->refusal, req->refusal->code == ERR_OVERLOADED, NULL);
    else if (req->asks_options)
        answer_options(req);
    else if (may_not_wait(req))
        refuse_waiting(req);
    else
        req->route->route->handler(req, req->server->arg);
    if (req->response)
        return send_answer(req);
    if (req->state == HTTP_STATE_GONE)
        return MHD_NO;
    http_server_park(req);
    return MHD_YES;
}

static enum MHD_Result take_headers(struct http_request *req, const char *path, const char *method,
                                    const char *version)
{
    req->method = method;
    req->method_index = http_method_index(method);
    choose_id(req);
    req->state = HTTP_STATE_READING;
    http_slow_body(req->connection);
    struct err err = { 0 };
    if (check(req, path, version, &err) == ERR_OK) {
        req->body.max = req->body_max;
        return MHD_YES;
    }
    refuse(req, &err);
    /* To answer now closes the connection. So it must be where its framing is in doubt; it may be
     * where the client has not sent the body yet, or sends more than is worth reading. */
    if (req->framing.expects_continue || req->framing.length > req->body_max + DRAIN_BYTES_MAX)
        req->close = true;
    return req->close ? handle(req) : MHD_YES;
}

static enum MHD_Result take_body(struct http_request *req, const char *data, size_t *left)
{
    size_t size = *left;
    *left = 0; /* all of it is taken, always: 0.9.75 may forget a connection that has some left */
    req->body_received += size;
    if (req->refusal)
        return req->body_received > req->body_max + DRAIN_BYTES_MAX ? MHD_NO : MHD_YES;
    if (req->body_received > req->body_max) {
        struct err err;
        (void)refuse_size(req, &err);
        refuse(req, &err);
        return MHD_YES;
    }
    if (req->body.size == 0) {
        /* Room at once for what is announced, within reason: an announcement is cheap to make. */
        uint64_t length = req->framing.length;
        (void)buf_reserve(&req->body,
                          length < BODY_FIRST_BYTES ? (size_t)length : BODY_FIRST_BYTES);
    }
    buf_add(&req->body, data, size);
    return MHD_YES;
}

static enum MHD_Result take_end(struct http_request *req)
{
    /* libmicrohttpd took another length for the body than its header says: what follows is no new
     * request. */
    if (req->framing.has_length && req->framing.length != req->body_received) {
        struct err err;
        (void)err_field(&err, ERR_BAD_REQUEST, "Content-Length",
                        "The body is not as long as Content-Length says.");
        free(req->refusal);
        refuse(req, &err);
        req->close = true;
    }
    return handle(req);
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd's signature */
enum MHD_Result http_request_continue(void *cls, struct MHD_Connection *mhd, const char *url,
                                      const char *method, const char *version,
                                      const char *upload_data, size_t *upload_data_size,
                                      void **req_cls)
{
    (void)cls;
    (void)mhd;
    struct http_request *req = *req_cls;
    switch (req->state) {
    case HTTP_STATE_NEW:
        return take_headers(req, url, method, version);
    case HTTP_STATE_READING:
        return *upload_data_size ? take_body(req, upload_data, upload_data_size) : take_end(req);
    case HTTP_STATE_ANSWERED:
        return send_answer(req);
    case HTTP_STATE_HANDLING:
    case HTTP_STATE_PARKED:
    case HTTP_STATE_SENDING:
    case HTTP_STATE_GONE:
        break;
    }
    return MHD_NO;
}

/* --- what a handler asks --- */

struct span http_method(const struct http_request *req)
{
    return span_of(req->method);
}

struct span http_path(const struct http_request *req)
{
    return req->target.path;
}

struct span http_param(const struct http_request *req, size_t i)
{
    assert(i < req->route->param_count);
    return req->target.segments[req->route->params[i]];
}

struct span http_query(struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->target.argument_count; i++) {
        const struct http_argument *argument = &req->target.arguments[i];
        if (span_is(argument->name, name))
            return argument->value;
    }
    return (struct span){ 0 };
}

void http_query_each(struct http_request *req,
                     void (*fn)(void *arg, struct span name, struct span value), void *arg)
{
    for (size_t i = 0; i < req->target.argument_count; i++)
        fn(arg, req->target.arguments[i].name, req->target.arguments[i].value);
}

struct span http_header(struct http_request *req, const char *name)
{
    const char *value = NULL;
    size_t size = 0;
    if (MHD_lookup_connection_value_n(req->mhd, MHD_HEADER_KIND, name, strlen(name), &value,
                                      &size) != MHD_YES ||
        !value)
        return (struct span){ 0 };
    return (struct span){ .data = value, .size = size };
}

struct header_visit {
    void (*fn)(void *arg, struct span name, struct span value);
    void *arg;
};

static enum MHD_Result visit_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                    size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    const struct header_visit *visit = cls;
    visit->fn(visit->arg, (struct span){ .data = name, .size = name_size },
              (struct span){ .data = value ? value : "", .size = value ? value_size : 0 });
    return MHD_YES;
}

void http_header_each(struct http_request *req,
                      void (*fn)(void *arg, struct span name, struct span value), void *arg)
{
    struct header_visit visit = { .fn = fn, .arg = arg };
    (void)MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, visit_header, &visit);
}

struct span http_body(const struct http_request *req)
{
    return buf_span(&req->body);
}

bool http_is_closing(const struct http_request *req)
{
    return req->server->closing;
}

struct span http_request_id(const struct http_request *req)
{
    return span_of(req->id);
}

void http_set_context(struct http_request *req, void *context)
{
    req->context = context;
}

void *http_context(const struct http_request *req)
{
    return req->context;
}

void http_on_close(struct http_request *req, void (*fn)(struct http_request *req, void *context))
{
    req->on_close = fn;
}
