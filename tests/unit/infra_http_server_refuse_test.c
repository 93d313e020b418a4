/* What the HTTP server refuses: requests that two readers could read in two ways, malformed
 * addresses.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/web.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

/* libmicrohttpd 1.0 refuses some requests by itself, before the server sees them. */
enum { LIBRARY_REFUSES = MHD_VERSION >= 0x01000000 };

/* --- what is refused --- */

/* The request is refused with `status`, or in any way if that is NULL, and its connection closed;
 * what follows it is not taken for a request. */
static void expect_refused_bytes(const struct web *web, struct span request, const char *status)
{
    struct buf both = BUF_INIT(65536);
    buf_add(&both, request.data, request.size);
    buf_add_text(&both, "GET /echo?smuggled HTTP/1.1\r\n" HOST CLOSE "\r\n");
    char *answer = web_ask_bytes(web, buf_span(&both));
    char line[64] = "";
    if (status)
        snprintf(line, sizeof line, "HTTP/1.1 %s", status);
    if (strncmp(answer, line, strlen(line)) != 0 || strstr(answer, "200 OK"))
        fail_msg("wanted %s and no more for %.*s, got: %s", line, SPAN_ARG(request), answer);
    free(answer);
    buf_free(&both);
}

static void expect_refused(const struct web *web, const char *request, const char *status)
{
    expect_refused_bytes(web, span_of(request), status);
}

static void test_ambiguous_framing_is_refused(void **state)
{
    static const char *const headers[] = {
        HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HOST "Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        HOST "Content-Length: 3, 3\r\n\r\nabc",
        HOST "Content-Length: +3\r\n\r\nabc",
        HOST "Content-Length: 0x3\r\n\r\nabc",
        HOST "Content-Length: \r\n\r\nabc",
        HOST "Content-Length : 3\r\n\r\nabc",
        HOST "Content-Length:\r\n 3\r\n\r\nabc",
        HOST "Content-Length: 3\r\n\t4\r\n\r\nabcd",
        HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HOST HOST "\r\n",
        "Accept: */*\r\n\r\n",
        "Host: a b\r\n\r\n",
        "Host: a/b\r\n\r\n",
        HOST "Bad Name: x\r\n\r\n",
        HOST "Bad\x01Name: x\r\n\r\n",
        HOST "Name: a\x01\r\n\r\n",
        HOST "Name: a\x7f\r\n\r\n",
        HOST ": x\r\n\r\n",
        HOST "\tName: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct buf request = BUF_INIT(4096);
        buf_printf(&request, "POST /echo HTTP/1.1\r\n%s", headers[i]);
        expect_refused(*state, request.data, "400");
        buf_free(&request);
    }
    expect_refused(*state, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   "400");
    expect_refused(
        *state, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\nabc",
        "413");
}

/* What libmicrohttpd 0.9.75 takes without a word. */
static void test_loosely_written_lines_are_refused(void **state)
{
    static const struct span requests[] = {
        SPAN_LIT("GET /echo HTTP/1.1\nHost: test\n\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\nHost: test\r\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\n\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA: b\nContent-Length: 3\r\n\r\nabc"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA:\nB: c\r\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA: b\rC: d\r\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA: b\0Content-Length: 3\r\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA: \0b\r\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA: b\r\n c\r\n\r\n"),
        SPAN_LIT("GET /echo HTTP/1.1\r\nHost: test\r\nA: b\0\r\n\r\n"),
        SPAN_LIT("GET  /echo HTTP/1.1\r\nHost: test\r\n\r\n"),
        SPAN_LIT("GET /echo  HTTP/1.1\r\nHost: test\r\n\r\n"),
        SPAN_LIT("GET /echo x HTTP/1.1\r\nHost: test\r\n\r\n"),
        SPAN_LIT("GET /echo\tHTTP/1.1\r\nHost: test\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        expect_refused_bytes(*state, requests[i], "400");
    static const struct span nul = SPAN_LIT("GET /echo\0x HTTP/1.1\r\nHost: test\r\n\r\n");
    expect_refused_bytes(*state, nul, LIBRARY_REFUSES ? NULL : "400");
}

static void test_versions_and_encodings_not_spoken_are_told_apart(void **state)
{
    const char *unknown_encoding = LIBRARY_REFUSES ? "400" : "501";
    const struct {
        const char *request;
        const char *status;
    } cases[] = {
        { "GET /echo HTTP/1.2\r\n" HOST "\r\n", "505" },
        { "GET /echo HTTP/2.0\r\n" HOST "\r\n", "505" },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505" },
        { "GET /echo http/1.1\r\n" HOST "\r\n", "400" },
        { "GET /echo\r\n", "400" },
        { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411" },
        { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
          unknown_encoding },
        { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
          unknown_encoding },
        { "CONNECT test:80 HTTP/1.1\r\n" HOST "\r\n", "400" },
        { "CONNECT /echo HTTP/1.1\r\n" HOST "\r\n", "405" },
        { "TRACE /echo HTTP/1.1\r\n" HOST "\r\n", "405" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(*state, cases[i].request, cases[i].status);
}

static void test_malformed_addresses_are_refused(void **state)
{
    static const char *const targets[] = {
        "/echo%00",      "/echo%",        "/echo%4",        "/echo%zz",     "/echo?a=%",
        "/echo?%00=1",   "/jobs/../echo", "/jobs/%2e%2e/x", "/./echo",      "*",
        "http://x/echo", "echo",          "/echo#part",     "/ech\xc3\xb6", "/echo\x01",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct buf request = BUF_INIT(4096);
        buf_printf(&request, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i]);
        expect_refused(*state, request.data, "400");
        buf_free(&request);
    }
}

static void test_too_long_an_address_is_414(void **state)
{
    struct buf request = BUF_INIT(8192);
    buf_add_text(&request, "GET /echo?");
    while (request.size < 5000)
        buf_add_char(&request, 'a');
    buf_add_text(&request, " HTTP/1.1\r\n" HOST "\r\n");
    expect_refused(*state, request.data, "414");
    buf_free(&request);
}

static void test_too_many_arguments_are_refused(void **state)
{
    struct buf request = BUF_INIT(8192);
    buf_add_text(&request, "GET /echo?a");
    for (int i = 0; i < 64; i++)
        buf_add_text(&request, "&a");
    buf_add_text(&request, " HTTP/1.1\r\n" HOST "\r\n");
    expect_refused(*state, request.data, "400");
    buf_free(&request);
}

#define WEB(test) cmocka_unit_test_setup_teardown(test, web_set_up, web_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB(test_ambiguous_framing_is_refused),
        WEB(test_loosely_written_lines_are_refused),
        WEB(test_versions_and_encodings_not_spoken_are_told_apart),
        WEB(test_malformed_addresses_are_refused),
        WEB(test_too_long_an_address_is_414),
        WEB(test_too_many_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("infra/http_server (refused)", tests, NULL, NULL);
}
