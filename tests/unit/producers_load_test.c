/* The load generator: its schedule, its requests, and a whole run against a server that answers,
 * refuses, hangs up and keeps silent by turns.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "producers/load.h"
#include "producers/load_body.h"
#include "schemas/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ID "0193c0de-7000-7000-8000-000000000000"

enum { CONNECTIONS_MAX = 64, LOOK_MS = 20 };

/* --- the schedule --- */

static void test_jobs_are_due_at_even_distances(void **state)
{
    (void)state;
    assert_int_equal(load_due_us(100000, 0), 0);
    assert_int_equal(load_due_us(100000, 1), 10000);
    assert_int_equal(load_due_us(100000, 250), 2500000);
    assert_int_equal(load_due_us(500, 1), 2000000); /* 0.5/s */
    assert_int_equal(load_due_us(3000, 1), 333333); /* 3/s: no drift over a long time */
    assert_int_equal(load_due_us(3000, INT64_C(3000000000)), INT64_C(1000000000000000));
}

static void test_counting_agrees_with_the_moments(void **state)
{
    (void)state;
    static const int64_t rates[] = { 500, 3000, 7777, 100000, 20000000 };
    assert_int_equal(load_due_count(100000, -1), 0);
    assert_int_equal(load_due_count(100000, 0), 1);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        for (int64_t n = 1; n < 1000; n += 7) {
            int64_t due_us = load_due_us(rates[i], n);
            /* The moment is cut to whole us: at it job n may be due already, 1 us later it is. */
            assert_in_range(load_due_count(rates[i], due_us), n, n + 1);
            assert_in_range(load_due_count(rates[i], due_us + 1), n + 1, n + 2);
        }
    }
}

/* --- the requests --- */

static void test_a_request_is_put_together(void **state)
{
    (void)state;
    const struct load_options options = {
        .host = "127.0.0.1",
        .port = "80",
        .path = "/x",
        .type = "a.b",
        .payload = span_of("{\"n\":{{n}},\"m\":\"{{n}}\"}"),
    };
    struct load_body *body = load_body_new(&options);
    struct buf request = BUF_INIT(1024);
    load_body_submit(body, 42, &request);
    assert_string_equal(request.data, "POST /x/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
                                      "Content-Type: application/json\r\nContent-Length: 42\r\n\r\n"
                                      "{\"type\":\"a.b\",\"payload\":{\"n\":42,\"m\":\"42\"}}");
    buf_reset(&request);
    load_body_wait(body, span_of("0193"), 20, &request);
    assert_string_equal(request.data,
                        "GET /x/v1/jobs/0193?wait=20 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n");
    buf_free(&request);
    load_body_free(body);
}

static void test_keys_differ_by_job_and_by_run(void **state)
{
    (void)state;
    const struct load_options options = { .host = "::1",
                                          .port = "80",
                                          .path = "",
                                          .type = "a",
                                          .payload = span_of("{}"),
                                          .delay_ms = 2500,
                                          .keyed = true };
    struct load_body *one = load_body_new(&options);
    struct load_body *other = load_body_new(&options);
    struct buf keys[3] = { BUF_INIT(64), BUF_INIT(64), BUF_INIT(64) };
    struct buf request = BUF_INIT(1024);
    load_body_key(one, 1, &keys[0]);
    load_body_key(one, 2, &keys[1]);
    load_body_key(other, 1, &keys[2]);
    assert_string_not_equal(keys[0].data, keys[1].data);
    assert_string_not_equal(keys[0].data, keys[2].data);
    load_body_submit(one, 1, &request);
    assert_non_null(strstr(request.data, keys[0].data));
    assert_non_null(strstr(request.data, "Host: [::1]:80\r\n"));
    assert_non_null(strstr(request.data, "\"payload\":{},\"delay\":\"2500ms\"}"));
    for (size_t i = 0; i < 3; i++)
        buf_free(&keys[i]);
    buf_free(&request);
    load_body_free(one);
    load_body_free(other);
}

/* --- a whole run --- */

struct server {
    int listen_fd;
    char port[8];
    pthread_t thread;
    atomic_bool stop;
    struct pollfd fds[CONNECTIONS_MAX + 1];
    size_t count;
    unsigned submitted;
    unsigned hang_up_every; /* 0: never */
    unsigned refuse_every;
};

static void say(int fd, const char *status, const char *body)
{
    char text[512];
    int size =
        snprintf(text, sizeof text, "HTTP/1.1 %s\r\nETag: \"7\"\r\nContent-Length: %zu\r\n\r\n%s",
                 status, strlen(body), body);
    (void)send(fd, text, (size_t)size, MSG_NOSIGNAL);
}

/* False: hang up. */
static bool answer(struct server *server, int fd, const char *request)
{
    if (strncmp(request, "GET ", 4) == 0) {
        say(fd, "200 OK", "{\"id\":\"" ID "\",\"state\":\"succeeded\"}");
        return true;
    }
    server->submitted++;
    if (server->hang_up_every && server->submitted % server->hang_up_every == 0)
        return false;
    if (server->refuse_every && server->submitted % server->refuse_every == 0)
        say(fd, "503 Service Unavailable", "{\"code\":\"overloaded\"}");
    else
        say(fd, "202 Accepted", "{\"id\":\"" ID "\",\"state\":\"queued\"}");
    return true;
}

static void accept_one(struct server *server)
{
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0 && server->count <= CONNECTIONS_MAX);
    server->fds[server->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void serve_one(struct server *server, size_t i)
{
    char request[4096];
    ssize_t got = recv(server->fds[i].fd, request, sizeof request - 1, 0);
    if (got > 0)
        request[got] = '\0';
    if (got <= 0 || !answer(server, server->fds[i].fd, request)) {
        (void)close(server->fds[i].fd);
        server->fds[i] = server->fds[--server->count];
    }
}

static void *serve(void *arg)
{
    struct server *server = arg;
    server->fds[0] = (struct pollfd){ .fd = server->listen_fd, .events = POLLIN };
    server->count = 1;
    while (!atomic_load(&server->stop)) {
        if (poll(server->fds, server->count, LOOK_MS) <= 0)
            continue;
        for (size_t i = server->count; i-- > 1;) {
            if (server->fds[i].revents)
                serve_one(server, i);
        }
        if (server->fds[0].revents)
            accept_one(server);
    }
    for (size_t i = 0; i < server->count; i++)
        (void)close(server->fds[i].fd);
    return NULL;
}

static struct server *server_start(unsigned hang_up_every, unsigned refuse_every)
{
    struct server *server = MEM_NEW(*server);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    union {
        struct sockaddr_in *in;
        struct sockaddr *any;
    } where = { .in = &address };
    server->hang_up_every = hang_up_every;
    server->refuse_every = refuse_every;
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listen_fd, where.any, size), 0);
    assert_int_equal(listen(server->listen_fd, CONNECTIONS_MAX), 0);
    assert_int_equal(getsockname(server->listen_fd, where.any, &size), 0);
    (void)snprintf(server->port, sizeof server->port, "%d", (int)ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
    return server;
}

static void server_stop(struct server *server)
{
    atomic_store(&server->stop, true);
    (void)pthread_join(server->thread, NULL);
    free(server);
}

static struct load_options options_for(const struct server *server)
{
    return (struct load_options){
        .host = "127.0.0.1",
        .port = server->port,
        .path = "",
        .type = "a.b",
        .payload = SPAN_LIT("{\"n\":{{n}}}"),
        .connections = 4,
        .count = 100,
    };
}

static void run(const struct load_options *options, struct load_report *ret_report)
{
    struct err err = { 0 };
    assert_int_equal(load_run(options, ret_report, &err), ERR_OK);
}

static void count_accepted(void *arg, struct span id, struct span key)
{
    int *accepted = arg;
    assert_true(span_is(id, ID));
    assert_true(key.size > 0);
    (*accepted)++;
}

static void test_a_closed_loop_sends_all_of_them(void **state)
{
    (void)state;
    int accepted = 0;
    struct server *server = server_start(0, 0);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.keyed = true;
    options.arg = &accepted;
    options.on_accepted = count_accepted;
    run(&options, report);
    assert_int_equal(report->sent, 100);
    assert_int_equal(report->accepted, 100);
    assert_int_equal(report->by_status[202], 100);
    assert_int_equal(report->latency.total, 100);
    assert_int_equal(report->connections, 4);
    assert_int_equal(accepted, 100);
    free(report);
    server_stop(server);
}

static void test_an_open_loop_keeps_its_schedule(void **state)
{
    (void)state;
    struct server *server = server_start(0, 0);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.rate = 500000;
    run(&options, report);
    assert_int_equal(report->due, 100);
    assert_int_equal(report->accepted, 100);
    assert_true(report->elapsed_us >= 198000); /* the last one is due at 99/500 s */
    free(report);
    server_stop(server);
}

static void test_a_duration_ends_it(void **state)
{
    (void)state;
    struct server *server = server_start(0, 0);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.rate = 1000000;
    options.count = 0;
    options.duration_ms = 100;
    run(&options, report);
    assert_int_equal(report->due, 100);
    assert_int_equal(report->accepted, 100);
    free(report);
    server_stop(server);
}

static void test_finished_jobs_are_waited_for(void **state)
{
    (void)state;
    struct server *server = server_start(0, 0);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.mode = LOAD_E2E;
    run(&options, report);
    assert_int_equal(report->finished, 100);
    assert_int_equal(report->by_state[JOB_SUCCEEDED], 100);
    assert_int_equal(report->latency.total, 100);
    free(report);
    server_stop(server);
}

static void test_what_goes_wrong_is_counted_and_not_sent_again(void **state)
{
    (void)state;
    struct server *server = server_start(10, 7);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    run(&options, report);
    assert_int_equal(report->sent, 100);
    assert_int_equal(server->submitted, 100);
    assert_int_equal(report->broken, 10);
    assert_int_equal(report->by_status[503], 13); /* 14 times 7, but the 70th was hung up on */
    assert_int_equal(report->accepted, 77);
    assert_int_equal(report->latency.total, 77); /* a quick refusal does not better the figures */
    free(report);
    server_stop(server);
}

static void test_a_careful_client_sends_again_what_a_closing_connection_lost(void **state)
{
    (void)state;
    struct server *server = server_start(10, 0);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.keyed = options.resend = true;
    options.connections = 1;
    run(&options, report);
    assert_int_equal(report->sent, 100);
    assert_int_equal(report->accepted, 100);
    assert_int_equal(report->resent, 11);
    assert_int_equal(server->submitted, 111);
    assert_int_equal(report->broken, 0);
    free(report);
    server_stop(server);
    server = server_start(1, 0); /* a connection that never answered is another matter */
    options = options_for(server);
    report = MEM_NEW(*report);
    options.keyed = options.resend = true;
    options.count = 3;
    run(&options, report);
    assert_int_equal(report->broken, 3);
    assert_int_equal(report->resent, 0);
    free(report);
    server_stop(server);
}

struct told {
    unsigned by_kind[HISTORY_KIND_COUNT];
    unsigned accepted, refused, unanswered;
    int64_t last_ms;
};

static void collect(void *arg, const struct history_line *line)
{
    struct told *told = arg;
    int64_t at_ms = line->kind == HISTORY_SUBMIT ? line->begin_ms : line->end_ms;
    assert_true(at_ms >= told->last_ms);
    told->last_ms = at_ms;
    told->by_kind[line->kind]++;
    if (line->kind == HISTORY_READ) {
        assert_int_equal(line->state, JOB_SUCCEEDED);
        assert_int_equal(line->version, 7);
        assert_true(line->digest != 0);
    } else {
        assert_true(line->request.size > 0 && line->request.size <= HISTORY_REQUEST_SIZE_MAX);
    }
    if (line->kind == HISTORY_SUBMITTED) {
        told->accepted += line->status == 202 && line->has_id;
        told->refused += line->status == 503 && span_is(line->code, "overloaded");
        told->unanswered += line->status == 0;
    }
}

static void test_a_history_has_every_submission_answer_and_read(void **state)
{
    (void)state;
    struct told told = { 0 };
    struct server *server = server_start(10, 7);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.mode = LOAD_E2E;
    options.arg = &told;
    options.on_history = collect;
    run(&options, report);
    assert_int_equal(report->finished, 77);
    assert_int_equal(told.by_kind[HISTORY_SUBMIT], 100);
    assert_int_equal(told.by_kind[HISTORY_SUBMITTED], 100);
    assert_int_equal(told.accepted, 77);
    assert_int_equal(told.refused, 13);
    assert_int_equal(told.unanswered, 10);
    assert_int_equal(told.by_kind[HISTORY_READ], 77 + 76); /* the first has none before it */
    free(report);
    server_stop(server);
}

static bool stop_at_once(void *arg, const struct load_report *report)
{
    (void)arg;
    (void)report;
    return false;
}

static void test_it_can_be_stopped(void **state)
{
    (void)state;
    struct server *server = server_start(0, 0);
    struct load_options options = options_for(server);
    struct load_report *report = MEM_NEW(*report);
    options.rate = 10000;
    options.count = 100000;
    options.on_progress = stop_at_once;
    run(&options, report);
    assert_true(report->sent < 100);
    assert_int_equal(report->accepted, report->sent);
    free(report);
    server_stop(server);
}

static void test_an_unknown_host_is_told(void **state)
{
    (void)state;
    struct server *server = server_start(0, 0);
    struct load_options options = options_for(server);
    struct load_report report;
    struct err err = { 0 };
    options.host = "999.999.999.999";
    assert_int_equal(load_run(&options, &report, &err), ERR_INVALID_FIELD);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_due_at_even_distances),
        cmocka_unit_test(test_counting_agrees_with_the_moments),
        cmocka_unit_test(test_a_request_is_put_together),
        cmocka_unit_test(test_keys_differ_by_job_and_by_run),
        cmocka_unit_test(test_a_closed_loop_sends_all_of_them),
        cmocka_unit_test(test_an_open_loop_keeps_its_schedule),
        cmocka_unit_test(test_a_duration_ends_it),
        cmocka_unit_test(test_finished_jobs_are_waited_for),
        cmocka_unit_test(test_what_goes_wrong_is_counted_and_not_sent_again),
        cmocka_unit_test(test_a_careful_client_sends_again_what_a_closing_connection_lost),
        cmocka_unit_test(test_a_history_has_every_submission_answer_and_read),
        cmocka_unit_test(test_it_can_be_stopped),
        cmocka_unit_test(test_an_unknown_host_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
