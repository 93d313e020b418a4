/* The HTTP server over real sockets: routing, bodies, parking, quiescing, its socket and its
 * numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/web.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- routing --- */

static void test_a_route_gets_what_was_sent(void **state)
{
    web_expect(*state,
               "GET /echo?a=1&b=%2B+x&flag&=v&& HTTP/1.1\r\n" HOST CLOSE "X-Thing: t\r\n\r\n",
               "200", "GET /echo[a=1][b=+ x][flag=][=v] thing=t body=");
    web_expect(*state, "POST /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 5\r\n\r\nhello", "200",
               "POST /echo body=hello");
    web_expect(*state, "POST /jobs:batch HTTP/1.1\r\n" HOST CLOSE "Content-Length: 0\r\n\r\n",
               "200", "POST /jobs:batch body=");
    web_expect(*state, "GET /console/ HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /console/");
}

static void test_parameters_are_decoded_once(void **state)
{
    web_expect(*state, "GET /jobs/a%2Fb%2541/parts/x+y?wait HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
               "id=a/b%41 part=x+y wait= absent=yes");
    web_expect(*state, "GET /jobs/1/p%61rts/2?wait=30 HTTP/1.1\r\n" HOST CLOSE "\r\n", "200",
               "id=1 part=2 wait=30 absent=yes");
    web_expect(*state, "GET /jobs//parts/2 HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", "not_found");
    web_expect(*state, "GET /jobs/1/parts/2/ HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", "not_found");
    web_expect(*state, "GET /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r HTTP/1.1\r\n" HOST CLOSE "\r\n",
               "404", "not_found");
}

static void test_head_is_get_without_the_body(void **state)
{
    char *answer = web_ask(*state, "HEAD /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 200");
    web_expect_has(answer, "Content-Length: 16"); /* "HEAD /echo body=" */
    web_expect_not(answer, "body=");
    free(answer);
}

static void test_an_unknown_address_is_a_problem(void **state)
{
    char *answer = web_ask(*state, "GET /no%22pe?x=1 HTTP/1.1\r\n" HOST CLOSE
                                   "X-Request-Id: abc.DEF-1_2\r\n\r\n");
    web_expect_has(answer, "HTTP/1.1 404");
    web_expect_has(answer, "Content-Type: application/problem+json");
    web_expect_has(answer, "Cache-Control: no-store");
    web_expect_has(answer, "X-Request-Id: abc.DEF-1_2\r\n");
    web_expect_has(answer, "{\"type\":\"/problems/not_found\",\"title\":\"");
    web_expect_has(answer, "\"status\":404,\"detail\":\"");
    web_expect_has(answer, "\"code\":\"not_found\",\"instance\":\"/no%22pe\",");
    web_expect_has(answer, "\"request_id\":\"abc.DEF-1_2\"}");
    free(answer);
}

static void test_a_problem_has_field_retry_after_and_extra_members(void **state)
{
    char *answer = web_ask(*state, "GET /problem HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 400");
    web_expect_has(answer, "Retry-After: 7\r\n");
    web_expect_has(answer, "\"detail\":\"It is \\\"odd\\\".\"");
    web_expect_has(answer, "\"field\":\"payload\"");
    web_expect_has(answer, ",\"id\":\"x\"}");
    free(answer);
}

static void test_a_wrong_method_names_the_right_ones(void **state)
{
    char *answer = web_ask(*state, "DELETE /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    web_expect_has(answer, "HTTP/1.1 405");
    web_expect_has(answer, "Allow: GET, HEAD, POST, OPTIONS\r\n");
    web_expect_has(answer, "\"code\":\"method_not_allowed\"");
    free(answer);
    web_expect(*state, "BREW /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "405", "method_not_allowed");
}

static void test_request_ids_are_made_or_taken(void **state)
{
    char *answer = web_ask(*state, "GET /echo HTTP/1.1\r\n" HOST CLOSE "X-Request-Id: a b\r\n\r\n");
    const char *id = strstr(answer, "X-Request-Id: ");
    assert_non_null(id);
    id += strlen("X-Request-Id: ");
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    char *other = web_ask(*state, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_null(strstr(other, "X-Request-Id: a b"));
    const char *other_id = strstr(other, "X-Request-Id: ");
    assert_non_null(other_id);
    assert_memory_not_equal(id, other_id + strlen("X-Request-Id: "), 32);
    free(other);
    free(answer);
}

static void test_headers_go_both_ways(void **state)
{
    char *answer = web_ask(*state, "GET /headers HTTP/1.1\r\n" HOST "A: 1\r\nA: 2\r\n\r\n");
    web_expect_has(answer, "HTTP/1.1 201");
    web_expect_has(answer, "[Host=test][A=1][A=2]");
    web_expect_has(answer, "Cache-Control: max-age=60\r\n");
    web_expect_not(answer, "no-store");
    web_expect_not(answer, "X-Bad");
    web_expect_has(answer, "Connection: close\r\n");
    free(answer);
}

static void test_pipelined_requests_are_all_answered(void **state)
{
    char *answer = web_ask(*state, "GET /echo?n=1 HTTP/1.1\r\n" HOST "\r\n"
                                   "POST /echo?n=2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                                   "GET /echo?n=3 HTTP/1.1\r\n" HOST CLOSE "\r\n");
    assert_int_equal(web_count(answer, "HTTP/1.1 200"), 3);
    web_expect_has(answer, "GET /echo[n=1]");
    web_expect_has(answer, "POST /echo[n=2] body=abc");
    web_expect_has(answer, "GET /echo[n=3]");
    free(answer);
}

/* --- bodies --- */

static char *post_of(const char *path, size_t size, const char *headers)
{
    struct buf request = BUF_INIT(1 << 24);
    buf_printf(&request, "POST %s HTTP/1.1\r\n" HOST "%sContent-Length: %zu\r\n\r\n", path, headers,
               size);
    for (size_t i = 0; i < size; i++)
        buf_add_char(&request, 'x');
    return buf_take(&request);
}

static void test_a_body_up_to_the_limit_is_taken(void **state)
{
    char *request = post_of("/echo", WEB_BODY_MAX, CLOSE);
    web_expect(*state, request, "200", "body=xxxx");
    free(request);
    request = post_of("/big", WEB_CONFIG_BODY_MAX, CLOSE);
    web_expect(*state, request, "200", "body=xxxx");
    free(request);
}

static void test_a_larger_body_is_refused_and_the_connection_goes_on(void **state)
{
    char *too_large = post_of("/echo", WEB_BODY_MAX + 1, "");
    struct buf both = BUF_INIT(4096);
    buf_add_text(&both, too_large);
    buf_add_text(&both, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n");
    char *answer = web_ask(*state, both.data);
    web_expect_has(answer, "HTTP/1.1 413");
    web_expect_has(answer, "\"code\":\"body_too_large\"");
    web_expect_has(answer, "larger than 64 bytes");
    web_expect_has(answer, "HTTP/1.1 200");
    free(answer);
    buf_free(&both);
    free(too_large);
}

static void test_a_huge_body_is_refused_so_that_its_client_sees_it(void **state)
{
    char *request = post_of("/big", 1 << 20, CLOSE);
    web_expect(*state, request, "413", "body_too_large");
    free(request);
    request = post_of("/nothing-here", 1 << 20, CLOSE);
    web_expect(*state, request, "404", "not_found");
    free(request);
    /* A client that asks first, and one that announces more than is worth reading, are told at
     * once. */
    web_expect(*state,
               "POST /big HTTP/1.1\r\n" HOST
               "Expect: 100-continue\r\nContent-Length: 1048576\r\n\r\n",
               "413", "Connection: close");
    web_expect(*state, "POST /big HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", "413",
               "Connection: close");
}

static void test_a_route_without_a_body_takes_none(void **state)
{
    web_expect(*state, "GET /echo HTTP/1.1\r\n" HOST CLOSE "Content-Length: 1\r\n\r\nx", "413",
               "takes no body");
}

static void test_a_client_that_asks_before_sending_is_told_to_go_on(void **state)
{
    int fd = web_connect(*state);
    web_send(fd, "POST /echo HTTP/1.1\r\n" HOST CLOSE
                 "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    web_read_until(fd, "100 Continue\r\n\r\n");
    web_send(fd, "ok");
    char *answer = web_read_to_end(fd);
    web_expect_has(answer, "body=ok");
    free(answer);
}

/* --- parked requests --- */

static void answer_waiting(struct web *web)
{
    struct http_request *req = web->waiting;
    assert_non_null(req);
    web->waiting = NULL;
    struct http_answer answer = { .status = 200, .body = SPAN_LIT("woken") };
    http_reply(req, &answer);
}

static double gauge(const struct web *web, const char *name)
{
    return metric_value(metrics_gauge(web->metrics, name, "", NULL));
}

static void expect_one_parked(struct web *web)
{
    assert_int_equal((int)gauge(web, "errand_http_parked"), 1);
}

static void test_a_parked_request_is_answered_later(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    /* Three times on one connection: each is suspended and resumed anew. */
    for (int i = 0; i < 3; i++) {
        web_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        web_wait(&web->parked);
        web_on_loop(web, expect_one_parked);
        web_on_loop(web, answer_waiting);
        web_read_until(fd, "woken");
    }
    assert_int_equal((int)gauge(web, "errand_http_parked"), 0);
    assert_int_equal((int)gauge(web, "errand_http_open_connections"), 1);
    assert_int_equal(web->closes, 0); /* on_close is not for those that were answered */
    close(fd);
}

static void test_a_client_that_leaves_while_parked_is_noticed(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    web_wait(&web->parked);
    close(fd);
    web_wait(&web->closed);
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
}

static void test_closing_the_server_ends_parked_requests(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    web_wait(&web->parked);
    web_on_loop(web, web_close);
    assert_int_equal(web->closes, 1);
    char *answer = web_read_to_end(fd);
    web_expect_has(answer, "HTTP/1.1 503");
    web_expect_has(answer, "\"code\":\"draining\"");
    free(answer);
}

static void quiesce(struct web *web)
{
    http_server_quiesce(web->server);
    http_server_quiesce(web->server); /* again is nothing */
    assert_int_equal(http_server_active(web->server), 1);
}

static void test_a_quiesced_server_finishes_what_is_open(void **state)
{
    struct web *web = *state;
    int fd = web_connect(web);
    web_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    web_wait(&web->parked);
    web_on_loop(web, quiesce);
    int refused = web_connect(web);
    assert_int_equal(refused, -1);
    web_on_loop(web, answer_waiting);
    char *answer = web_read_to_end(fd);
    web_expect_has(answer, "Connection: close");
    web_expect_has(answer, "woken");
    free(answer);
}

/* --- the socket, and the numbers --- */

static void reopen_inherited(struct web *web)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any_port = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(bind(listener, (struct sockaddr *)&any_port, sizeof any_port), 0);
    struct err err = { 0 };
    struct http_server_options not_listening = { .config = &web->config,
                                                 .listen_fd = listener,
                                                 .metrics = web->metrics };
    struct http_server *none = NULL;
    assert_int_equal(http_server_open(web->loop, &not_listening, &none, &err), ERR_IO);
    assert_int_equal(listen(listener, 8), 0);
    http_server_close(web->server);
    web_open(web, listener);
    web->closes = listener;
}

static void test_an_inherited_socket_outlives_the_server(void **state)
{
    struct web *web = *state;
    web_on_loop(web, reopen_inherited);
    int listener = web->closes;
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
    int listens = 0;
    socklen_t size = sizeof listens;
    web_on_loop(web, web_close);
    assert_int_equal(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size), 0);
    assert_int_equal(listens, 1);
    close(listener);
}

static void test_ipv6_loopback(void **state)
{
    const struct web *web = *state;
    assert_memory_equal(http_server_address(web->server), "[::1]:", 6);
    web_expect(web, "GET /echo HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "GET /echo");
}

static void test_an_address_that_cannot_be_bound_is_an_error(void **state)
{
    struct web *web = *state;
    char *const addresses[] = { (char[]){ "nonsense" }, (char[]){ ":80" }, (char[]){ "127.0.0.1:" },
                                (char[]){ "192.0.2.1:80" } };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct config_http config = web->config;
        config.listen = addresses[i];
        struct http_server_options options = { .config = &config,
                                               .listen_fd = -1,
                                               .metrics = web->metrics };
        struct http_server *server = NULL;
        struct err err = { 0 };
        assert_int_not_equal(http_server_open(web->loop, &options, &server, &err), ERR_OK);
        web_expect_has(err.text, addresses[i]);
    }
}

static void test_requests_are_counted_by_route(void **state)
{
    struct web *web = *state;
    web_expect(web, "GET /jobs/1/parts/2 HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "id=1");
    web_expect(web, "GET /jobs/3/parts/4 HTTP/1.1\r\n" HOST CLOSE "\r\n", "200", "id=3");
    web_expect(web, "BREW /coffee HTTP/1.1\r\n" HOST CLOSE "\r\n", "404", "not_found");
    struct buf text = BUF_INIT(1 << 20);
    metrics_render(web->metrics, &text);
    web_expect_has(text.data, "errand_http_requests_total{method=\"GET\","
                              "route=\"/jobs/{id}/parts/{part}\",status=\"200\"} 2\n");
    web_expect_has(text.data, "errand_http_requests_total{method=\"other\",route=\"none\","
                              "status=\"404\"} 1\n");
    web_expect_has(text.data,
                   "errand_http_request_seconds_count{route=\"/jobs/{id}/parts/{part}\"} 2\n");
    buf_free(&text);
}

#define WEB(test) cmocka_unit_test_setup_teardown(test, web_set_up, web_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB(test_a_route_gets_what_was_sent),
        WEB(test_parameters_are_decoded_once),
        WEB(test_head_is_get_without_the_body),
        WEB(test_an_unknown_address_is_a_problem),
        WEB(test_a_problem_has_field_retry_after_and_extra_members),
        WEB(test_a_wrong_method_names_the_right_ones),
        WEB(test_request_ids_are_made_or_taken),
        WEB(test_headers_go_both_ways),
        WEB(test_pipelined_requests_are_all_answered),
        WEB(test_a_body_up_to_the_limit_is_taken),
        WEB(test_a_larger_body_is_refused_and_the_connection_goes_on),
        WEB(test_a_huge_body_is_refused_so_that_its_client_sees_it),
        WEB(test_a_route_without_a_body_takes_none),
        WEB(test_a_client_that_asks_before_sending_is_told_to_go_on),
        WEB(test_a_parked_request_is_answered_later),
        WEB(test_a_client_that_leaves_while_parked_is_noticed),
        WEB(test_closing_the_server_ends_parked_requests),
        WEB(test_a_quiesced_server_finishes_what_is_open),
        WEB(test_an_inherited_socket_outlives_the_server),
        cmocka_unit_test_setup_teardown(test_ipv6_loopback, web_set_up_ipv6, web_tear_down),
        WEB(test_an_address_that_cannot_be_bound_is_an_error),
        WEB(test_requests_are_counted_by_route),
    };
    return cmocka_run_group_tests_name("infra/http_server", tests, NULL, NULL);
}
