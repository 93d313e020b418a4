/* See web.h. The server runs on a loop in a thread of its own; the test speaks raw HTTP to it, as a
 * client of any kind could.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/mem.h"
#include "tests/unit/web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 * 1024, CONNECTION_POOL = 24576 };

/* --- handlers --- */

static void reply_text(struct http_request *req, struct buf *text)
{
    struct http_answer answer = { .status = 200,
                                  .content_type = "text/plain",
                                  .body = buf_span(text) };
    http_reply(req, &answer);
    buf_free(text);
}

static void add_pair(void *arg, struct span name, struct span value)
{
    buf_printf(arg, "[%.*s=%.*s]", SPAN_ARG(name), SPAN_ARG(value));
}

static void on_echo(struct http_request *req, void *arg)
{
    (void)arg;
    struct buf text = BUF_INIT(ANSWER_MAX);
    buf_printf(&text, "%.*s %.*s", SPAN_ARG(http_method(req)), SPAN_ARG(http_path(req)));
    http_query_each(req, add_pair, &text);
    struct span header = http_header(req, "x-thing");
    if (header.data)
        buf_printf(&text, " thing=%.*s", SPAN_ARG(header));
    buf_printf(&text, " body=%.*s", SPAN_ARG(http_body(req)));
    reply_text(req, &text);
}

static void on_job(struct http_request *req, void *arg)
{
    (void)arg;
    struct buf text = BUF_INIT(ANSWER_MAX);
    struct span wait = http_query(req, "wait");
    buf_printf(&text, "id=%.*s part=%.*s wait=%s%.*s absent=%s", SPAN_ARG(http_param(req, 0)),
               SPAN_ARG(http_param(req, 1)), wait.data ? "" : "none", SPAN_ARG(wait),
               http_query(req, "nothing").data ? "no" : "yes");
    reply_text(req, &text);
}

static void on_waiter_gone(struct http_request *req, void *context)
{
    struct web *web = context;
    assert_ptr_equal(req, web->waiting);
    web->waiting = NULL;
    web->closes++;
    sem_post(&web->closed);
}

static void on_wait(struct http_request *req, void *arg)
{
    struct web *web = arg;
    web->waiting = req;
    http_set_context(req, web);
    assert_ptr_equal(http_context(req), web);
    http_on_close(req, on_waiter_gone);
    sem_post(&web->parked);
}

static void on_headers(struct http_request *req, void *arg)
{
    (void)arg;
    struct buf text = BUF_INIT(ANSWER_MAX);
    http_header_each(req, add_pair, &text);
    struct http_header_line headers[] = { { "Cache-Control", "max-age=60" },
                                          { "X-Bad", "a\r\nb: c" } };
    struct http_answer answer = {
        .status = 201, .body = buf_span(&text), .headers = headers, .header_count = 2, .close = true
    };
    http_reply(req, &answer);
    buf_free(&text);
}

static void on_problem(struct http_request *req, void *arg)
{
    (void)arg;
    struct err err;
    (void)err_field(&err, ERR_INVALID_FIELD, "payload", "It is \"odd\".");
    http_reply_problem(req, &err, 7, "\"id\":\"x\"");
}

static void on_stream_time(void *arg)
{
    struct web *web = arg;
    http_stream_go_on(web->streaming);
}

static ssize_t read_stream(void *arg, uint64_t offset, char *to, size_t size)
{
    struct web *web = arg;
    assert_true(size >= 2);
    assert_int_equal(offset, 2 * web->stream_pieces);
    if (web->stream_pieces == WEB_STREAM_PIECES)
        return web->stream_break ? HTTP_STREAM_BREAK : HTTP_STREAM_END;
    if (!web->stream_due) {
        web->stream_due = true;
        loop_timer_start(web->stream_timer, WEB_STREAM_MS, 0);
        return HTTP_STREAM_LATER;
    }
    web->stream_due = false;
    web->stream_pieces++;
    to[0] = 'a';
    to[1] = 'b';
    return 2;
}

static void end_stream(void *arg)
{
    struct web *web = arg;
    loop_timer_free(web->stream_timer);
    web->streaming = NULL;
    sem_post(&web->stream_ended);
}

/* Two bytes every WEB_STREAM_MS. */
static void on_stream(struct http_request *req, void *arg)
{
    struct web *web = arg;
    struct span how = http_param(req, 0);
    web->streaming = req;
    web->stream_pieces = 0;
    web->stream_due = false;
    web->stream_break = !span_is(how, "chunks");
    web->stream_timer = loop_timer_new(web->loop, on_stream_time, web);
    const struct http_stream stream = {
        .read = read_stream,
        .end = end_stream,
        .arg = web,
        .size = span_is(how, "short") ? 3 * WEB_STREAM_PIECES : -1,
    };
    http_reply(req, &(struct http_answer){ .status = 200, .stream = &stream });
}

static void on_reset(struct http_request *req, void *arg)
{
    (void)arg;
    http_reset(req);
}

static const struct http_route routes[] = {
    /* vital: answered beyond WEB_CONNECTIONS_MAX too */
    { "GET", "/echo", on_echo, 0 },
    { "POST", "/echo", on_echo, WEB_BODY_MAX },
    { "POST", "/big", on_echo, SIZE_MAX },
    { "GET", "/jobs/{id}/parts/{part}", on_job, 0 },
    { "POST", "/jobs:batch", on_echo, WEB_BODY_MAX },
    { "GET", "/wait", on_wait, 0 },
    { "GET", "/headers", on_headers, 0 },
    { "GET", "/problem", on_problem, 0 },
    { "GET", "/console/", on_echo, 0 },
    { "GET", "/stream/{how}", on_stream, 0 },
    { "GET", "/reset", on_reset, 0 },
};

static const char *const produces[] = { "application/json", "text/plain", NULL };

/* --- the server in its thread --- */

static void *run_loop(void *arg)
{
    struct web *web = arg;
    loop_run(web->loop);
    return NULL;
}

struct call {
    struct web *web;
    void (*fn)(struct web *web);
};

static void on_call(void *arg)
{
    const struct call *call = arg;
    call->fn(call->web);
    sem_post(&call->web->done);
}

void web_wait(sem_t *semaphore)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WEB_WAIT_S;
    int failed;
    do {
        failed = sem_timedwait(semaphore, &until);
    } while (failed && errno == EINTR);
    assert_int_equal(failed, 0);
}

void web_on_loop(struct web *web, void (*fn)(struct web *web))
{
    struct call call = { .web = web, .fn = fn };
    assert_true(loop_post(web->loop, on_call, &call));
    web_wait(&web->done);
}

void web_open(struct web *web, int listen_fd)
{
    struct http_server_options options = {
        .config = &web->config,
        .listen_fd = listen_fd,
        .routes = routes,
        .route_count = sizeof routes / sizeof *routes,
        .vital_count = 1,
        .arg = web,
        .produces_under = "/jobs",
        .produces = produces,
        .metrics = web->metrics,
    };
    struct err err = { 0 };
    enum err_code code = http_server_open(web->loop, &options, &web->server, &err);
    if (code)
        fail_msg("%s", err.text);
}

static int set_up_with(void **state, const char *listen_at)
{
    struct web *web = MEM_NEW(*web);
    web->loop = loop_new(16);
    web->metrics = metrics_new();
    web->config = (struct config_http){
        .listen = mem_dup_text(listen_at),
        .connections_max = WEB_CONNECTIONS_MAX,
        .connection_pool_bytes = CONNECTION_POOL,
        .headers_bytes_max = WEB_HEADERS_BYTES_MAX,
        .header_count_max = WEB_HEADER_COUNT_MAX,
        .body_bytes_max = WEB_CONFIG_BODY_MAX,
        .idle_timeout_ms = WEB_IDLE_TIMEOUT_MS,
        .header_timeout_ms = WEB_IDLE_TIMEOUT_MS,
        .body_timeout_ms = WEB_IDLE_TIMEOUT_MS,
        .bytes_per_s_min = 512,
        .parked_max = WEB_PARKED_MAX,
        .connections_per_address = WEB_PER_ADDRESS_MAX,
    };
    sem_init(&web->done, 0, 0);
    sem_init(&web->parked, 0, 0);
    sem_init(&web->closed, 0, 0);
    sem_init(&web->stream_ended, 0, 0);
    web_open(web, -1);
    assert_int_equal(pthread_create(&web->thread, NULL, run_loop, web), 0);
    *state = web;
    return 0;
}

int web_set_up(void **state)
{
    return set_up_with(state, "127.0.0.1:0");
}

int web_set_up_ipv6(void **state)
{
    return set_up_with(state, "[::1]:0");
}

static void stop_loop(struct web *web)
{
    loop_stop(web->loop);
}

void web_close(struct web *web)
{
    http_server_close(web->server);
    web->server = NULL;
}

int web_tear_down(void **state)
{
    struct web *web = *state;
    web_on_loop(web, web_close);
    web_on_loop(web, stop_loop);
    pthread_join(web->thread, NULL);
    loop_free(web->loop);
    metrics_free(web->metrics);
    free(web->config.listen);
    free(web);
    return 0;
}

/* --- a client --- */

static int port_of(const struct web *web)
{
    return (int)strtol(strrchr(http_server_address(web->server), ':') + 1, NULL, 10);
}

static void limit_waits(int fd)
{
    struct timeval limit = { .tv_sec = WEB_WAIT_S };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

int web_connect_from(const struct web *web, const char *address)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port_of(web)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    limit_waits(fd);
    return fd;
}

int web_connect(const struct web *web)
{
    const char *address = http_server_address(web->server);
    int port = port_of(web);
    int fd;
    int failed;
    if (address[0] == '[') {
        struct sockaddr_in6 to = { .sin6_family = AF_INET6,
                                   .sin6_port = htons((uint16_t)port),
                                   .sin6_addr = in6addr_loopback };
        fd = socket(AF_INET6, SOCK_STREAM, 0);
        failed = connect(fd, (struct sockaddr *)&to, sizeof to);
    } else {
        struct sockaddr_in to = { .sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        fd = socket(AF_INET, SOCK_STREAM, 0);
        failed = connect(fd, (struct sockaddr *)&to, sizeof to);
    }
    if (failed) {
        close(fd);
        return -1;
    }
    limit_waits(fd);
    return fd;
}

static void send_bytes(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = TEMP_FAILURE_RETRY(send(fd, bytes, size, MSG_NOSIGNAL));
        assert_true(sent > 0);
        bytes += sent;
        size -= (size_t)sent;
    }
}

void web_send(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

ssize_t web_receive(int fd, char *to, size_t size)
{
    return TEMP_FAILURE_RETRY(recv(fd, to, size, 0));
}

char *web_read_to_end(int fd)
{
    struct buf answer = BUF_INIT(ANSWER_MAX);
    char piece[4096];
    ssize_t got;
    while ((got = web_receive(fd, piece, sizeof piece)) > 0)
        buf_add(&answer, piece, (size_t)got);
    assert_true(got == 0 || errno == ECONNRESET);
    close(fd);
    buf_add_text(&answer, "");
    return answer.data ? buf_take(&answer) : mem_dup_text("");
}

void web_read_until(int fd, const char *end)
{
    struct buf answer = BUF_INIT(ANSWER_MAX);
    buf_add_text(&answer, "");
    while (!answer.data || !strstr(answer.data, end)) {
        char piece[512];
        ssize_t got = web_receive(fd, piece, sizeof piece);
        if (got <= 0)
            fail_msg("'%s' did not come, but: %s", end, answer.data ? answer.data : "nothing");
        buf_add(&answer, piece, (size_t)got);
    }
    buf_free(&answer);
}

char *web_ask_bytes(const struct web *web, struct span request)
{
    int fd = web_connect(web);
    assert_true(fd >= 0);
    send_bytes(fd, request.data, request.size);
    return web_read_to_end(fd);
}

char *web_ask(const struct web *web, const char *request)
{
    return web_ask_bytes(web, span_of(request));
}

void web_expect_has(const char *answer, const char *wanted)
{
    if (!strstr(answer, wanted))
        fail_msg("no '%s' in: %s", wanted, answer);
}

void web_expect_not(const char *answer, const char *unwanted)
{
    if (strstr(answer, unwanted))
        fail_msg("'%s' in: %s", unwanted, answer);
}

int web_count(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        count++;
    return count;
}

void web_expect(const struct web *web, const char *request, const char *status, const char *wanted)
{
    char *answer = web_ask(web, request);
    char line[64];
    snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    if (strncmp(answer, line, strlen(line)) != 0)
        fail_msg("wanted %s for %s, got: %s", line, request, answer);
    web_expect_has(answer, wanted);
    free(answer);
}
