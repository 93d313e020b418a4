/* Answers that are made while they are sent, and connections that end without one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "tests/unit/web.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_a_stream_goes_out_as_it_is_made(void **state)
{
    struct web *web = *state;
    int64_t began_us = clock_monotonic_us();
    char *answer = web_ask(web, "GET /stream/chunks HTTP/1.1\r\n" HOST CLOSE "\r\n");
    int64_t took_ms = (clock_monotonic_us() - began_us) / 1000;
    web_wait(&web->stream_ended);
    web_expect_has(answer, "HTTP/1.1 200 ");
    web_expect_has(answer, "Transfer-Encoding: chunked");
    assert_int_equal(web_count(answer, "2\r\nab\r\n"), WEB_STREAM_PIECES);
    web_expect_has(answer, "\r\n0\r\n\r\n");
    /* Half of it: a timer counts from when its loop's turn began. */
    assert_true(took_ms >= (int64_t)WEB_STREAM_PIECES * WEB_STREAM_MS / 2);
    free(answer);
}

static void test_a_connection_serves_on_after_a_stream(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /stream/chunks HTTP/1.1\r\n" HOST "\r\n");
    web_read_until(fd, "\r\n0\r\n\r\n");
    web_wait(&web->stream_ended);
    web_send(fd, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    char *answer = web_read_to_end(fd);
    web_expect_has(answer, "GET /echo body=");
    free(answer);
}

static void test_head_of_a_stream_makes_no_body(void **state)
{
    struct web *web = *state;
    char *answer = web_ask(web, "HEAD /stream/chunks HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_wait(&web->stream_ended);
    assert_int_equal(web->stream_pieces, 0);
    web_expect_not(answer, "\r\nab"); /* an id may have "ab" */
    free(answer);
}

static void test_a_stream_that_breaks_cuts_the_connection(void **state)
{
    struct web *web = *state;
    char *answer = web_ask(web, "GET /stream/short HTTP/1.1\r\n" HOST "\r\n");
    web_wait(&web->stream_ended);
    web_expect_has(answer, "Content-Length: 15");
    web_expect_has(answer, "\r\n\r\nababababab");
    free(answer);
    answer = web_ask(web, "GET /stream/cut HTTP/1.1\r\n" HOST "\r\n");
    web_wait(&web->stream_ended);
    web_expect_has(answer, "Transfer-Encoding: chunked");
    web_expect_not(answer, "\r\n0\r\n");
    free(answer);
}

static void test_a_client_that_leaves_ends_the_stream(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /stream/chunks HTTP/1.1\r\n" HOST "\r\n");
    web_read_until(fd, "\r\nab");
    struct linger at_once = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    web_wait(&web->stream_ended);
}

static void test_closing_the_server_ends_streams(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /stream/chunks HTTP/1.1\r\n" HOST "\r\n");
    web_read_until(fd, "\r\nab");
    web_on_loop(web, web_close);
    web_wait(&web->stream_ended);
    char *answer = web_read_to_end(fd);
    web_expect_not(answer, "\r\n0\r\n");
    free(answer);
}

static void expect_reset(int fd)
{
    char byte;
    assert_int_equal(web_receive(fd, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(fd);
}

static void reset_waiting(struct web *web)
{
    http_reset(web->waiting);
}

static void test_a_connection_is_reset(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /reset HTTP/1.1\r\n" HOST "\r\n");
    expect_reset(fd);
    fd = web_connect(web);
    web_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    web_wait(&web->parked);
    web_on_loop(web, reset_waiting);
    expect_reset(fd);
    assert_int_equal(web->closes, 0); /* who resets need not be told */
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "body=");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, web_set_up, web_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_goes_out_as_it_is_made),
        TEST(test_a_connection_serves_on_after_a_stream),
        TEST(test_head_of_a_stream_makes_no_body),
        TEST(test_a_stream_that_breaks_cuts_the_connection),
        TEST(test_a_client_that_leaves_ends_the_stream),
        TEST(test_closing_the_server_ends_streams),
        TEST(test_a_connection_is_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
