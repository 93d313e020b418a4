/* What ends those who send, or read, too slowly. libmicrohttpd's own time-out begins anew at each
 * byte, so one that drips is never caught by it; here a header, a body and the taking of an answer
 * have deadlines, and a body a least rate besides.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/http_server_internal.h"
#include "schemas/buf.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    RATE_GRACE_MS = 5000, /* a body's rate counts from then on */
    ANSWER_BYTES_MAX = 64 * 1024,
};

static int64_t now_ms(const struct http_connection *connection)
{
    return loop_now_ms(connection->server->loop);
}

static const struct config_http *config_of(const struct http_connection *connection)
{
    return connection->server->config;
}

void http_slow_idle(struct http_connection *connection, bool is_new)
{
    int64_t wait_ms = is_new ? 0 : config_of(connection)->idle_timeout_ms;
    connection->deadline_ms =
        now_ms(connection) + wait_ms + config_of(connection)->header_timeout_ms;
    connection->receives = true;
    connection->reading = NULL;
}

void http_slow_header(struct http_connection *connection, struct http_request *req)
{
    int64_t deadline_ms = now_ms(connection) + config_of(connection)->header_timeout_ms;
    if (deadline_ms < connection->deadline_ms)
        connection->deadline_ms = deadline_ms;
    connection->reading = req;
}

void http_slow_body(struct http_connection *connection)
{
    connection->body_since_ms = now_ms(connection);
    connection->deadline_ms = connection->body_since_ms + config_of(connection)->body_timeout_ms;
}

void http_slow_handle(struct http_connection *connection)
{
    connection->deadline_ms = 0;
    connection->receives = false;
    connection->reading = NULL;
}

void http_slow_answer(struct http_connection *connection, size_t size)
{
    const struct config_http *config = config_of(connection);
    int64_t rate = config->bytes_per_s_min > 0 ? config->bytes_per_s_min : INT64_MAX;
    connection->deadline_ms =
        now_ms(connection) + config->body_timeout_ms + (int64_t)size / rate * 1000;
}

static bool is_too_slow(const struct http_connection *connection)
{
    const struct http_request *req = connection->reading;
    int64_t at_ms = now_ms(connection);
    if (connection->deadline_ms == 0)
        return false;
    if (at_ms >= connection->deadline_ms)
        return true;
    if (!req || req->state != HTTP_STATE_READING)
        return false;
    int64_t took_ms = at_ms - connection->body_since_ms;
    return took_ms > RATE_GRACE_MS &&
           (int64_t)req->body_received * 1000 < took_ms * config_of(connection)->bytes_per_s_min;
}

/* libmicrohttpd takes no answer before the request is whole; but it sends nothing meanwhile either,
 * so the answer can be written past it. Whatever does not fit into the socket is lost with the
 * connection. */
static void say_too_slow(struct http_request *req)
{
    struct err err;
    if (req->state == HTTP_STATE_NEW)
        (void)err_set(&err, ERR_REQUEST_TIMEOUT, "The headers did not come within %lld ms.",
                      (long long)req->server->config->header_timeout_ms);
    else
        (void)err_set(&err, ERR_REQUEST_TIMEOUT,
                      "The body came too slowly: it has %lld ms, and %lld bytes/s at least.",
                      (long long)req->server->config->body_timeout_ms,
                      (long long)req->server->config->bytes_per_s_min);
    http_request_need_id(req);
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    http_write_problem(&body, req, &err, NULL);
    struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);
    buf_printf(&answer,
               "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nCache-Control: no-store\r\n"
               "Content-Type: application/problem+json\r\nContent-Length: %zu\r\n"
               "X-Request-Id: %s\r\n\r\n",
               body.size, req->id);
    buf_add(&answer, body.data, body.size);
    (void)!send(req->connection->fd, answer.data, answer.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    http_routes_observe(&req->server->routes, req->route, req->method_index,
                        err_http_status(err.code), clock_monotonic_us() - req->began_us);
    buf_free(&answer);
    buf_free(&body);
}

/* Whoever sends the last of a request and closes at once is not noticed by libmicrohttpd: it takes
 * both for one event, and reads no further than the request. */
static void end_half_closed(struct http_server *server)
{
    size_t count = 0;
    for (const struct http_connection *c = server->connections; c; c = c->next)
        count += c->receives;
    if (count == 0)
        return;
    struct pollfd *polls = http_server_polls(server, count);
    size_t i = 0;
    for (const struct http_connection *c = server->connections; c; c = c->next) {
        if (c->receives)
            polls[i++] = (struct pollfd){ .fd = c->fd, .events = POLLRDHUP };
    }
    if (poll(polls, count, 0) <= 0)
        return;
    i = 0;
    for (struct http_connection *c = server->connections; c; c = c->next) {
        int unread = 0;
        if (c->receives && polls[i++].revents && ioctl(c->fd, FIONREAD, &unread) == 0 &&
            unread == 0)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
}

void http_slow_end(struct http_server *server)
{
    end_half_closed(server);
    for (struct http_connection *connection = server->connections; connection;
         connection = connection->next) {
        if (!is_too_slow(connection))
            continue;
        if (connection->reading)
            say_too_slow(connection->reading);
        http_slow_handle(connection);
        (void)shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees it and closes */
    }
}
