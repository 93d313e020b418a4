/* What the files of the HTTP server share. A request goes through them in this order:
 *   http_server.c          the daemon, its loop glue, connections and what is parked
 *   http_server_target.c   the request target, split and decoded (pure)
 *   http_server_raw.c      how its lines were written
 *   http_server_headers.c  what a request may not say, and its X-Request-Id
 *   http_server_accept.c   which media types it takes (pure)
 *   http_server_routes.c   which route takes it, and the metrics by route
 *   http_server_request.c  the life of a request, and what a handler can ask
 *   http_server_reply.c    answers
 *   http_server_slow.c     the end of those who send or read too slowly
 *   http_server_surplus.c  connections beyond connections_max
 *   http_server_stream.c   answers that are made while they are sent, and resets
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_HTTP_SERVER_INTERNAL_H
#define INFRA_HTTP_SERVER_INTERNAL_H

#include "infra/http_server.h"
#include "infra/log.h"
#include "schemas/seeded.h"

#include <microhttpd.h>

enum {
    HTTP_TARGET_MAX = 4096,  /* bytes of a request target; beyond it 414 */
    HTTP_SEGMENTS_MAX = 16,  /* segments of a path; beyond it no route can match */
    HTTP_ARGUMENTS_MAX = 64, /* query arguments; beyond it 400 */
    HTTP_PARAMS_MAX = 4,     /* "{...}" of a route */
    HTTP_REQUEST_ID_MAX = 64,
    HTTP_METHODS_KNOWN = 7,
    HTTP_SURPLUS_MAX = 64, /* connections beyond connections_max (said in its help) */
};

/* --- http_server_target.c --- */

struct http_argument {
    struct span name;
    struct span value;
};

/* A request target in origin form (RFC 9112 3.2.1). */
struct http_target {
    struct span raw;                         /* as received; cut to HTTP_TARGET_MAX */
    struct span path;                        /* the part of raw before '?' */
    struct span segments[HTTP_SEGMENTS_MAX]; /* of the path, decoded */
    size_t segment_count;            /* HTTP_SEGMENTS_MAX + 1: more than can be told apart */
    struct http_argument *arguments; /* of the query, decoded */
    size_t argument_count;
    char *decoded; /* where decoded text goes */
};

/* How many arguments the query of `raw` can have at most. */
size_t http_target_arguments_max(struct span raw);
/* Splits and decodes target->raw. The caller has provided `decoded`, raw.size bytes, and
 * `arguments`, http_target_arguments_max of them. ERR_BAD_REQUEST when it is malformed. */
enum err_code http_target_parse(struct http_target *target, struct err *err) MUST_CHECK;

/* --- http_server_headers.c --- */

/* What the headers say to the server itself. */
struct http_framing {
    bool has_length;
    uint64_t length; /* of Content-Length */
    bool expects_continue;
    bool upgrades;      /* to another protocol: is not done, and the connection not trusted */
    bool encoded;       /* the body is compressed, or the like */
    struct span accept; /* data is NULL: says nothing */
};

/* Refuses what makes two readers see two different requests in one stream of bytes (RFC
 * 9112 3.2, 6.3, 11.2), and more than header_count_max headers. Bodies that are chunked are among
 * it: their framing is out of sight. */
enum err_code http_headers_check(struct MHD_Connection *connection, const char *version,
                                 int64_t header_count_max, struct http_framing *ret_framing,
                                 struct err *err) MUST_CHECK;
bool http_request_id_is_valid(struct span id);

/* --- http_server_accept.c --- */

/* Whether an Accept header's value admits one of `types`, which NULL ends. */
bool http_accept_admits(struct span accept, const char *const *types);

/* --- http_server_routes.c --- */

struct http_route_count { /* answers by method and status */
    size_t method;
    int status;
    struct metric *total;
};

struct http_route_compiled {
    const struct http_route *route; /* NULL: stands for requests that match none */
    struct span segments[HTTP_SEGMENTS_MAX];
    size_t segment_count;
    size_t params[HTTP_PARAMS_MAX]; /* which segments are "{...}" */
    size_t param_count;
    bool parks; /* one of its requests has been parked */
    struct metric *seconds;
    struct http_route_count *counts;
    size_t count_count;
};

struct http_routes {
    struct http_route_compiled *items;
    size_t count;
    struct http_route_compiled none;
    struct metrics *metrics;
};

void http_routes_init(struct http_routes *routes, const struct http_route *table, size_t count,
                      struct metrics *metrics);
void http_routes_clear(struct http_routes *routes);
/* The route that takes the request. When there is none: ERR_NOT_FOUND, or ERR_METHOD_NOT_ALLOWED
 * with the methods that the path has appended to `ret_allow`. */
enum err_code http_routes_find(struct http_routes *routes, const char *method,
                               const struct http_target *target,
                               struct http_route_compiled **ret_route,
                               struct buf *ret_allow) MUST_CHECK;
/* The index of a method for the metrics; what is not known counts as one. */
size_t http_method_index(const char *method);
void http_routes_observe(struct http_routes *routes, struct http_route_compiled *route,
                         size_t method, int status, int64_t took_us);

/* --- http_server.c --- */

/* An open connection; bounds how long a request may take to arrive. */
struct http_connection {
    struct http_server *server;
    struct http_connection *next;
    struct http_connection **link; /* what points here */
    int fd;
    int64_t deadline_ms; /* loop time by which what is awaited must be here; 0: nothing is */
    int64_t body_since_ms;
    bool receives;                /* a request, or more of it, is what is awaited */
    bool surplus;                 /* beyond connections_max */
    struct http_request *reading; /* the request whose header or body comes; NULL: none */
};

enum http_state {
    HTTP_STATE_NEW,      /* the request line is here: on no list */
    HTTP_STATE_READING,  /* headers are checked, the body comes */
    HTTP_STATE_HANDLING, /* its handler, or a refusal, is being run */
    HTTP_STATE_PARKED,   /* suspended, in server->parked, waits for http_reply */
    HTTP_STATE_ANSWERED, /* `response` waits for libmicrohttpd to come back to the request */
    HTTP_STATE_SENDING,  /* handed to libmicrohttpd */
    HTTP_STATE_GONE,     /* its client has gone, or was sent away: waits to be closed */
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct http_connection *connection;
    enum http_state state;
    struct http_request *next; /* in server->parked or server->gone */
    struct http_request **link;

    struct http_target target;
    size_t target_size; /* as received */
    const char *method;
    size_t method_index;
    struct http_route_compiled *route;
    struct http_framing framing;
    size_t body_max;
    struct buf body;
    uint64_t body_received;
    struct err *refusal; /* NULL: none; answered once the body has been read */
    struct buf allow;    /* for 405 */
    bool asks_options;   /* OPTIONS, of an address without a handler for it */
    bool close;          /* the connection cannot be trusted to frame another request */
    char id[HTTP_REQUEST_ID_MAX + 1];
    int64_t began_us;

    void *context;
    void (*on_close)(struct http_request *req, void *context);
    struct MHD_Response *response;
    struct http_stream stream; /* `read` is NULL: none */
    int status;
    size_t answer_size;
};

struct http_server {
    struct loop *loop;
    const struct config_http *config;
    struct log *log;
    void *arg;
    const char *produces_under;
    const char *const *produces;
    struct http_routes routes;
    char *address;
    struct MHD_Daemon *daemon;
    struct loop_fd *ready;
    struct loop_timer *tick;
    struct loop_task run;
    bool quiesced, closing;

    struct http_connection *connections;
    size_t connections_max;
    size_t regular_count;                              /* of them, those within it */
    struct http_connection *surplus[HTTP_SURPLUS_MAX]; /* beyond it, from the oldest on */
    size_t surplus_count;
    size_t vital_count; /* of the routes */
    struct http_request *parked;
    size_t parked_count;
    struct http_request *gone; /* taken off `parked`; their owners are being told */
    struct pollfd *polls;      /* scratch of the looks at connections */
    size_t polls_capacity;
    size_t active;
    struct seeded ids; /* request ids: unlike each other, not secret */
    struct metric *open_gauge;
    struct metric *parked_gauge;
    struct metric *surplus_total;
};

/* Lets libmicrohttpd go on, once, at the end of the turn. */
void http_server_wake(struct http_server *server);
void http_server_park(struct http_request *req);
/* Takes a parked request off the list and resumes its connection. */
void http_server_unpark(struct http_request *req, enum http_state state);

/* --- http_server_raw.c --- */

/* Whether the header, `header_size` bytes from req->method on, was written to the letter. `path`
 * and `version` are what libmicrohttpd has cut out of it. */
bool http_raw_is_strict(const struct http_request *req, const char *path, const char *version,
                        size_t header_size);

/* --- http_server_reply.c --- */

void http_write_problem(struct buf *out, const struct http_request *req, const struct err *err,
                        const char *extra);

/* --- http_server_slow.c: the deadline of a connection that --- */

void http_slow_idle(struct http_connection *connection, bool is_new); /* awaits a request */
void http_slow_header(struct http_connection *connection, struct http_request *req);
void http_slow_body(struct http_connection *connection);
void http_slow_handle(struct http_connection *connection); /* has it; we are slow now */
void http_slow_answer(struct http_connection *connection, size_t size);
/* Ends those that are late, with 408 where a request has begun. */
void http_slow_end(struct http_server *server);
/* Scratch for a poll of `count` connections; the server's. */
struct pollfd *http_server_polls(struct http_server *server, size_t count);

/* --- http_server_surplus.c: a connection that --- */

/* config->connections_max, or fewer: what the process's limit of open files has room for. */
size_t http_surplus_connections_max(const struct config_http *config);

void http_surplus_open(struct http_connection *connection);  /* has been accepted */
void http_surplus_close(struct http_connection *connection); /* ends */
/* Whether it is beyond connections_max; it no longer is when there is room by now. */
bool http_surplus_is(struct http_connection *connection);

/* --- http_server_stream.c --- */

/* The answer that reads from `stream`, which the request keeps. */
struct MHD_Response *http_stream_response(struct http_request *req,
                                          const struct http_stream *stream);
/* Tells the stream's owner that nothing more will be read. */
void http_stream_end(const struct http_stream *stream);

/* --- http_server_request.c: libmicrohttpd's callbacks --- */

/* Gives the request an id if it has none. */
void http_request_need_id(struct http_request *req);

void *http_request_begin(void *cls, const char *target, struct MHD_Connection *mhd);
/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd's signature */
enum MHD_Result http_request_continue(void *cls, struct MHD_Connection *mhd, const char *url,
                                      const char *method, const char *version,
                                      const char *upload_data, size_t *upload_data_size,
                                      void **req_cls);
void http_request_end(void *cls, struct MHD_Connection *mhd, void **req_cls,
                      enum MHD_RequestTerminationCode why);

#endif
