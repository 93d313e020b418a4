/* HTTP/1.1 server: libmicrohttpd, driven by our loop in external-epoll mode (no thread of its own).
 * RFC 9110, 9112. A handler is called once, when the whole body (bounded) has been read. It answers
 * now with http_reply, or returns without answering: then the request is parked (suspended) until
 * someone calls http_reply. What is ambiguous, too large or too slow is refused before a handler
 * sees it; bodies need a Content-Length. A parked request whose client has gone, or that outlives
 * the server, is ended by its on_close callback. THREADS: all on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_HTTP_SERVER_H
#define INFRA_HTTP_SERVER_H

#include "infra/config.h"
#include "infra/loop.h"
#include "infra/metrics.h"
#include "schemas/buf.h"

#include <sys/types.h>

struct http_server;
struct http_request;

typedef void (*http_handler_fn)(struct http_request *req, void *arg);

/* One route; the table is borrowed for the server's life. In `path` a segment "{name}" matches any
 * one segment (percent-decoded once, see http_param); the rest is literal, "jobs:batch" included.
 */
struct http_route {
    const char *method; /* "GET" also serves HEAD */
    const char *path;
    http_handler_fn handler;
    size_t body_max; /* 0: no body is taken; SIZE_MAX: the listener's body_bytes_max */
};

struct http_server_options {
    const struct config_http *config;
    int listen_fd; /* an inherited listening socket, or -1 to bind config->listen */
    const struct http_route *routes;
    size_t route_count;
    /* The first so many routes are vital, such as /livez: they are answered on the connections
     * beyond connections_max as well, where all else is 503. */
    size_t vital_count;
    void *arg; /* given to every handler */
    /* Addresses that begin with `produces_under` answer one of the media types `produces` (which
     * NULL ends): a client that accepts none of them hears 406 before anything is done. Borrowed;
     * NULL: no such addresses. */
    const char *produces_under;
    const char *const *produces;
    struct metrics *metrics;
    struct log *log;
};

enum err_code http_server_open(struct loop *loop, const struct http_server_options *options,
                               struct http_server **ret_server, struct err *err) MUST_CHECK;
/* "127.0.0.1:43121": what it listens on. */
const char *http_server_address(const struct http_server *server);
/* Stops accepting; open requests go on. The listening socket itself is closed unless it was
 * inherited. */
void http_server_quiesce(struct http_server *server);
/* Requests that are being read, handled or parked. */
size_t http_server_active(const struct http_server *server);
/* Ends parked requests (on_close, then 503) and frees. Accepts NULL. */
void http_server_close(struct http_server *server);

/* --- inside a handler; everything borrowed lives until the reply --- */
struct span http_method(const struct http_request *req);
/* The path as received (before decoding), without the query. */
struct span http_path(const struct http_request *req);
/* The i-th "{...}" of the route, percent-decoded. */
struct span http_param(const struct http_request *req, size_t i);
/* A query argument, decoded; data is NULL when absent ("?wait" alone gives an empty span with
 * data). */
struct span http_query(struct http_request *req, const char *name);
/* Calls fn for every query argument (so that unknown ones can be refused). */
void http_query_each(struct http_request *req,
                     void (*fn)(void *arg, struct span name, struct span value), void *arg);
/* A request header, case-insensitive; data is NULL when absent. */
struct span http_header(struct http_request *req, const char *name);
/* Calls fn for every request header, in the order received. */
void http_header_each(struct http_request *req,
                      void (*fn)(void *arg, struct span name, struct span value), void *arg);
struct span http_body(const struct http_request *req);
/* 32 hex characters, made for each request, or the client's valid X-Request-Id; answered in
 * X-Request-Id. */
struct span http_request_id(const struct http_request *req);
/* Caller's own state for the request. */
void http_set_context(struct http_request *req, void *context);
void *http_context(const struct http_request *req);
/* Called once if the client goes away or the server closes before http_reply; after it, `req` is
 * gone. */
void http_on_close(struct http_request *req, void (*fn)(struct http_request *req, void *context));
/* In there: it is the server that closes, and `fn` may answer; else the answer is `draining`. */
bool http_is_closing(const struct http_request *req);

struct http_header_line {
    const char *name;
    const char *value;
};

/* A body that is made while it is sent. */
struct http_stream {
    /* Writes up to `size` bytes of the body from `offset` on and returns how many, or one of enum
     * http_stream_word. */
    ssize_t (*read)(void *arg, uint64_t offset, char *to, size_t size);
    /* Called once, when nothing more will be read: it is out, or the client has gone. May be NULL.
     */
    void (*end)(void *arg);
    void *arg;
    int64_t size; /* Content-Length; -1: unknown, the body goes out in chunks */
};
enum http_stream_word {
    HTTP_STREAM_LATER = 0,  /* nothing yet: http_stream_go_on will be called */
    HTTP_STREAM_END = -1,   /* that was all */
    HTTP_STREAM_BREAK = -2, /* the connection is cut off here */
};

struct http_answer {
    int status;
    const char *content_type;               /* NULL: none */
    struct span body;                       /* copied */
    const struct http_stream *stream;       /* in place of body; copied. NULL: none */
    const struct http_header_line *headers; /* beside Content-Type, X-Request-Id */
    size_t header_count;
    bool close; /* Connection: close */
};
/* Answers; `req` is gone afterwards, or with a stream when its `end` is called. Allowed at any time
 * on the loop's thread, once. */
void http_reply(struct http_request *req, const struct http_answer *answer);
/* There is more to read from a stream that said HTTP_STREAM_LATER. */
void http_stream_go_on(struct http_request *req);
/* Resets the connection instead of answering; `req` is gone afterwards. Allowed as http_reply is.
 */
void http_reset(struct http_request *req);
/* Answers with application/problem+json (RFC 9457): type, title, status, detail, code, field,
 * instance, request_id. `extra` is more members, e.g. "\"id\":\"...\"", or NULL. retry_after_s > 0
 * adds Retry-After. */
void http_reply_problem(struct http_request *req, const struct err *err, int retry_after_s,
                        const char *extra);
/* The same with more headers, at most HTTP_PROBLEM_HEADERS_MAX. */
#define HTTP_PROBLEM_HEADERS_MAX 4
void http_reply_problem_with(struct http_request *req, const struct err *err, int retry_after_s,
                             const struct http_header_line *more, size_t more_count);

#endif
