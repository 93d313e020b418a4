/* The walls around the HTTP server: what is too large, too many or too slow, and what clients may
 * ask of HTTP itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/web.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- sizes --- */

/* A request with `count` headers of `size` bytes together. */
static char *request_of(int count, size_t size)
{
    struct buf request = BUF_INIT(1 << 20);
    buf_add_text(&request, "GET /echo HTTP/1.1\r\n" HOST CLOSE);
    for (int i = 0; i < count; i++) {
        size_t end = request.size + size / (size_t)count - 2;
        buf_printf(&request, "X-%d: ", i);
        while (request.size < end)
            buf_add_char(&request, 'x');
        buf_add_text(&request, "\r\n");
    }
    buf_add_text(&request, "\r\n");
    return buf_take(&request);
}

static void expect_headers(const struct web *web, int count, size_t size, const char *status,
                           const char *wanted)
{
    char *request = request_of(count, size);
    web_expect(web, request, status, wanted);
    free(request);
}

static void test_headers_are_bounded(void **state)
{
    static const char too_large[] = "\"code\":\"headers_too_large\"";
    expect_headers(*state, 1, 8192, "200", "GET /echo");
    expect_headers(*state, WEB_HEADER_COUNT_MAX - 2, 8192, "200", "GET /echo");
    expect_headers(*state, WEB_HEADER_COUNT_MAX - 1, 512, "431", too_large);
    expect_headers(*state, 1, WEB_HEADERS_BYTES_MAX, "431", too_large);
    expect_headers(*state, 4, WEB_HEADERS_BYTES_MAX + 2000, "431", too_large);
    /* What does not even fit into the connection's memory is libmicrohttpd's to refuse. */
    expect_headers(*state, 1, 100000, "431", "");
}

static void test_connections_of_one_address_are_bounded(void **state)
{
    struct web *web = *state;
    int fds[WEB_PER_ADDRESS_MAX];
    for (int i = 0; i < WEB_PER_ADDRESS_MAX; i++) {
        fds[i] = web_connect(web);
        assert_true(fds[i] >= 0);
    }
    char *answer = web_read_to_end(web_connect(web));
    assert_string_equal(answer, "");
    free(answer);
    int other = web_connect_from(web, "127.0.0.2");
    web_send(other, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    answer = web_read_to_end(other);
    web_expect_has(answer, "HTTP/1.1 200");
    free(answer);
    for (int i = 0; i < WEB_PER_ADDRESS_MAX; i++)
        close(fds[i]);
}

static void be_patient(struct web *web)
{
    web->config.header_timeout_ms = WEB_WAIT_S * 1000LL; /* with those who say nothing */
}

/* Opens as many connections as allowed, none of which says anything, from several addresses. */
static void fill(struct web *web, int fds[WEB_CONNECTIONS_MAX])
{
    web_on_loop(web, be_patient);
    char address[32];
    for (int i = 0; i < WEB_CONNECTIONS_MAX; i++) {
        (void)snprintf(address, sizeof address, "127.0.1.%d", 1 + i / (WEB_PER_ADDRESS_MAX / 2));
        fds[i] = web_connect_from(web, address);
        assert_true(fds[i] >= 0);
    }
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static char *ask_on(int fd, const char *request)
{
    web_send(fd, request);
    return web_read_to_end(fd);
}

/* proves P-18d */
static void test_beyond_all_connections_only_what_is_vital_is_answered(void **state)
{
    struct web *web = *state;
    int fds[WEB_CONNECTIONS_MAX];
    fill(web, fds);
    char *answer = web_ask(web, "GET /echo HTTP/1.1\r\n" HOST "\r\n");
    web_expect_has(answer, "HTTP/1.1 200");
    web_expect_has(answer, "Connection: close\r\n");
    free(answer);
    answer = web_ask(web, "POST /big HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab");
    web_expect_has(answer, "HTTP/1.1 503");
    web_expect_has(answer, "Retry-After: 1\r\n");
    web_expect_has(answer, "Connection: close\r\n");
    web_expect_has(answer, "\"code\":\"overloaded\"");
    free(answer);
    /* One that was beyond is like the others once there is room. */
    int late = web_connect(web);
    answer = ask_on(fds[0], "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 200");
    free(answer);
    web_send(late, "POST /big HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab");
    web_read_until(late, "body=ab");
    answer = ask_on(late, "POST /big HTTP/1.1\r\n" HOST CLOSE "Content-Length: 2\r\n\r\ncd");
    web_expect_has(answer, "body=cd");
    free(answer);
    close_all(fds + 1, WEB_CONNECTIONS_MAX - 1);
}

static void test_those_who_crowd_in_and_say_nothing_make_room(void **state)
{
    enum { CROWD = 4 * WEB_CONNECTIONS_MAX };
    struct web *web = *state;
    int fds[WEB_CONNECTIONS_MAX];
    int crowd[CROWD];
    char address[32];
    fill(web, fds);
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(address, sizeof address, "127.0.2.%d", 1 + i / (WEB_PER_ADDRESS_MAX / 2));
        crowd[i] = web_connect_from(web, address);
        assert_true(crowd[i] >= 0);
    }
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
    char *answer = web_read_to_end(crowd[0]); /* the oldest of them has been closed */
    assert_string_equal(answer, "");
    free(answer);
    answer = ask_on(crowd[CROWD - 1], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    web_expect_has(answer, "HTTP/1.1 503"); /* the newest has not */
    free(answer);
    answer = ask_on(fds[0], "GET /headers HTTP/1.1\r\n" HOST "\r\n");
    web_expect_has(answer, "HTTP/1.1 201"); /* nor have those who came before the crowd */
    free(answer);
    close_all(fds + 1, WEB_CONNECTIONS_MAX - 1);
    close_all(crowd + 1, CROWD - 2);
}

static void limit_files(rlim_t wanted, rlim_t *ret_before)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    *ret_before = files.rlim_cur;
    files.rlim_cur = wanted;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

static void reopen(struct web *web)
{
    web_close(web);
    web_open(web, -1);
}

static void test_no_more_connections_are_held_than_files_may_be_open(void **state)
{
    enum { FILES = 160, ROOM = FILES - FILES / 8 - 128 };
    struct web *web = *state;
    rlim_t before;
    limit_files(FILES, &before);
    web_on_loop(web, be_patient);
    web_on_loop(web, reopen);
    limit_files(before, &before);
    int fds[ROOM];
    for (int i = 0; i < ROOM; i++)
        fds[i] = web_connect(web);
    char *answer = web_ask(web, "GET /headers HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 503");
    free(answer);
    close_all(fds, ROOM);
}

static void test_parked_requests_are_bounded(void **state)
{
    struct web *web = *state;
    int fds[WEB_PARKED_MAX];
    for (int i = 0; i < WEB_PARKED_MAX; i++) {
        fds[i] = web_connect(web);
        web_send(fds[i], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        web_wait(&web->parked);
    }
    char *answer = web_ask(web, "GET /wait HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 503");
    web_expect_has(answer, "Retry-After: 1\r\n");
    web_expect_has(answer, "\"code\":\"overloaded\"");
    free(answer);
    /* What never waits is answered as ever. */
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
    for (int i = 0; i < WEB_PARKED_MAX; i++)
        close(fds[i]);
}

/* --- time --- */

enum { DRIP_MS = 20, DRIPS_MAX = WEB_WAIT_S * 1000 / DRIP_MS };

/* Sends `text`, then an x every DRIP_MS for as long as the server lets it, which is shorter than
 * the test waits; gives what the server said. */
static char *drip(const struct web *web, const char *text)
{
    int fd = web_connect(web);
    struct pollfd closed = { .fd = fd, .events = POLLIN | POLLRDHUP };
    web_send(fd, text);
    int sent = 0;
    for (; sent < DRIPS_MAX && poll(&closed, 1, DRIP_MS) == 0; sent++)
        (void)!send(fd, "x", 1, MSG_NOSIGNAL);
    assert_true(sent < DRIPS_MAX);
    return web_read_to_end(fd);
}

static void test_a_header_that_drips_is_408(void **state)
{
    char *answer = drip(*state, "GET /echo HTTP/1.1\r\n" HOST "X-Long: ");
    web_expect_has(answer, "HTTP/1.1 408");
    web_expect_has(answer, "Connection: close\r\n");
    web_expect_has(answer, "\"code\":\"request_timeout\",\"instance\":\"/echo\"");
    free(answer);
}

static void test_a_request_line_that_drips_is_ended(void **state)
{
    char *answer = drip(*state, "GET /echo?");
    assert_string_equal(answer, "");
    free(answer);
}

static void test_a_body_that_drips_is_408(void **state)
{
    char *answer = drip(*state, "POST /big HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    web_expect_has(answer, "HTTP/1.1 408");
    web_expect_has(answer, "\"code\":\"request_timeout\"");
    free(answer);
}

static void test_the_connection_of_a_slow_one_is_all_that_ends(void **state)
{
    const struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "POST /big HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
    char *answer = web_read_to_end(fd);
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
    free(answer);
}

/* --- what clients may ask of HTTP --- */

static void test_options_tells_the_methods(void **state)
{
    char *answer = web_ask(*state, "OPTIONS /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 204");
    web_expect_has(answer, "Allow: GET, HEAD, POST, OPTIONS\r\n");
    free(answer);
    web_expect(*state, "OPTIONS /nowhere HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", "not_found");
    web_expect(*state, "OPTIONS /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 1\r\n\r\nx", "413",
               "body_too_large");
}

static void test_upgrades_are_passed_over_and_the_connection_closed(void **state)
{
    char *answer = web_ask(*state, "GET /echo HTTP/1.1\r\n" HOST
                                   "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                   "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
                                   "GET /echo?smuggled HTTP/1.1\r\n" HOST "\r\n");
    web_expect_has(answer, "HTTP/1.1 200");
    web_expect_has(answer, "Connection: close\r\n");
    web_expect_not(answer, "smuggled");
    free(answer);
}

static void test_only_what_the_client_accepts_is_answered(void **state)
{
    static const struct {
        const char *accept;
        const char *status;
    } cases[] = {
        { "*/*", "200" },
        { "", "200" },
        { "application/json", "200" },
        { "Application/JSON; charset=utf-8", "200" },
        { "text/html, application/*;q=0.1", "200" },
        { "text/html,application/xhtml+xml,*/*;q=0.8", "200" },
        { "text/html, text/plain", "200" },
        { "text/html", "406" },
        { "image/*", "406" },
        { "application/jsonx, applications/*", "406" },
        { "application/json;q=0, text/plain;q=0.000", "406" },
        { "application/json;q=0, text/*;q=0, */*", "406" },
        { "application/json;q=0.001", "200" },
        { "*/*;q=0", "406" },
        { ",;,", "406" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf request = BUF_INIT(4096);
        buf_printf(&request, "GET /jobs/1/parts/2 HTTP/1.1\r\n" HOST CLOSE "Accept: %s\r\n\r\n",
                   cases[i].accept);
        web_expect(*state, request.data, cases[i].status,
                   cases[i].status[0] == '2' ? "id=1" : "\"field\":\"Accept\"");
        buf_free(&request);
    }
    web_expect(*state, "GET /echo HTTP/1.1\r\n" HOST CLOSE "Accept: text/html\r\n\r\n", "200",
               "GET /echo");
}

static void test_an_encoded_body_is_415(void **state)
{
    web_expect(*state,
               "POST /echo HTTP/1.1\r\n" HOST CLOSE
               "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
               "415", "\"field\":\"Content-Encoding\"");
    web_expect(*state,
               "POST /echo HTTP/1.1\r\n" HOST CLOSE
               "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
               "200", "body=ab");
}

#define WEB(test) cmocka_unit_test_setup_teardown(test, web_set_up, web_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB(test_headers_are_bounded),
        WEB(test_connections_of_one_address_are_bounded),
        WEB(test_beyond_all_connections_only_what_is_vital_is_answered),
        WEB(test_those_who_crowd_in_and_say_nothing_make_room),
        WEB(test_no_more_connections_are_held_than_files_may_be_open),
        WEB(test_parked_requests_are_bounded),
        WEB(test_a_header_that_drips_is_408),
        WEB(test_a_request_line_that_drips_is_ended),
        WEB(test_a_body_that_drips_is_408),
        WEB(test_the_connection_of_a_slow_one_is_all_that_ends),
        WEB(test_options_tells_the_methods),
        WEB(test_upgrades_are_passed_over_and_the_connection_closed),
        WEB(test_only_what_the_client_accepts_is_answered),
        WEB(test_an_encoded_body_is_415),
    };
    return cmocka_run_group_tests_name("infra/http_server (walls)", tests, NULL, NULL);
}
