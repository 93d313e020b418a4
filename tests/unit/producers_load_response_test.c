/* Answers from a socket, whole, in pieces, and wrong.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "producers/load_response.h"

static const char whole[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                            "content-length: 20\r\n\r\n{\"id\":\"0193\",\"a\":\"b\"";

static enum load_parse parse(const char *text, struct load_response *ret_response)
{
    return load_response_parse(span_of(text), ret_response);
}

static void test_an_answer_is_read(void **state)
{
    (void)state;
    struct load_response response;
    assert_int_equal(parse(whole, &response), LOAD_PARSE_DONE);
    assert_int_equal(response.status, 202);
    assert_int_equal(response.size, sizeof whole - 1);
    assert_true(span_is(response.body, "{\"id\":\"0193\",\"a\":\"b\""));
    assert_false(response.close);
}

static void test_every_piece_of_it_is_too_little(void **state)
{
    (void)state;
    struct load_response response;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct span piece = { .data = whole, .size = size };
        assert_int_equal(load_response_parse(piece, &response), LOAD_PARSE_MORE);
    }
}

static void test_what_follows_is_left(void **state)
{
    (void)state;
    struct load_response response;
    assert_int_equal(parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 2", &response),
                     LOAD_PARSE_DONE);
    assert_true(span_is(response.body, "{}"));
}

static void test_a_server_may_close(void **state)
{
    (void)state;
    struct load_response response;
    assert_int_equal(
        parse("HTTP/1.1 503 X\r\nConnection: Close\r\nETag: \"7\"\r\nContent-Length: 0\r\n\r\n",
              &response),
        LOAD_PARSE_DONE);
    assert_true(response.close);
    assert_true(span_is(response.etag, "\"7\""));
    assert_int_equal(response.body.size, 0);
}

static void test_some_answers_have_no_body(void **state)
{
    (void)state;
    struct load_response response;
    assert_int_equal(parse("HTTP/1.1 304 Not Modified\r\n\r\n", &response), LOAD_PARSE_DONE);
    assert_int_equal(parse("HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n", &response),
                     LOAD_PARSE_DONE);
}

static void test_what_no_gateway_sends_is_refused(void **state)
{
    (void)state;
    struct load_response response;
    static const char *const wrong[] = {
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse(wrong[i], &response), LOAD_PARSE_BAD);
}

static void test_members_are_found(void **state)
{
    (void)state;
    struct span json = span_of("{\"id\":\"0193\",\"state\":\"queued\",\"note\":\"\\\"id\\\":\"}");
    assert_true(span_is(load_response_member(json, "id"), "0193"));
    assert_true(span_is(load_response_member(json, "state"), "queued"));
    assert_null(load_response_member(json, "absent").data);
    assert_null(load_response_member((struct span){ 0 }, "id").data);
    assert_null(load_response_member(span_of("{\"id\":\"cut"), "id").data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_is_read),
        cmocka_unit_test(test_every_piece_of_it_is_too_little),
        cmocka_unit_test(test_what_follows_is_left),
        cmocka_unit_test(test_a_server_may_close),
        cmocka_unit_test(test_some_answers_have_no_body),
        cmocka_unit_test(test_what_no_gateway_sends_is_refused),
        cmocka_unit_test(test_members_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
