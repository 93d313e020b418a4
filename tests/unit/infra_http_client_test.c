/* The HTTP client against a server that does as the path says, most of it not nice.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/http_client.h"
#include "infra/http_client_internal.h"
#include "tests/unit/hostile_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEADLINE_MS = 15000, MANY = 500, BODY_MAX = 8192 };

struct seen {
    int called;
    enum err_code code;
    int status;
    int64_t retry_after_ms;
    char text[200], type[64], body[BODY_MAX];
    size_t body_size;
};

struct scene {
    struct loop *loop;
    struct loop_timer *deadline, *tick;
    bool (*condition)(struct scene *scene);
    struct hostile_server server;
    struct http_client *client;
    struct seen seen;
    int good, wanted;
    struct http_call *calls[MANY];
};

/* --- the scene --- */

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("the condition did not come about in time");
}

static void on_tick(void *arg)
{
    struct scene *scene = arg;
    if (scene->condition(scene))
        loop_stop(scene->loop);
}

static void wait_until(struct scene *scene, bool (*condition)(struct scene *scene))
{
    scene->condition = condition;
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_timer_start(scene->tick, 0, 1);
    loop_run(scene->loop);
    loop_timer_stop(scene->tick);
    loop_timer_stop(scene->deadline);
}

static bool is_called(struct scene *scene)
{
    return scene->seen.called >= scene->wanted;
}

static int set_up(void **state)
{
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread; the proxy must not be heeded */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    struct scene *scene = calloc(1, sizeof *scene);
    scene->loop = loop_new(16);
    scene->deadline = loop_timer_new(scene->loop, on_late, NULL);
    scene->tick = loop_timer_new(scene->loop, on_tick, scene);
    hostile_server_open(&scene->server, scene->loop);
    struct http_client_options options = { .shards = 4, .connections_max = MANY };
    struct err err;
    assert_int_equal(http_client_open(scene->loop, &options, &scene->client, &err), ERR_OK);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    http_client_close(scene->client);
    hostile_server_close(&scene->server);
    loop_free(scene->loop);
    free(scene);
    return 0;
}

static void on_response(void *arg, const struct http_response *response)
{
    struct scene *scene = arg;
    struct seen *seen = &scene->seen;
    seen->called++;
    seen->code = response->code;
    seen->status = response->status;
    seen->retry_after_ms = response->retry_after_ms;
    snprintf(seen->text, sizeof seen->text, "%s", response->text);
    snprintf(seen->type, sizeof seen->type, "%.*s", SPAN_ARG(response->content_type));
    snprintf(seen->body, sizeof seen->body, "%.*s", SPAN_ARG(response->body));
    seen->body_size = response->body.size;
    scene->good += response->code == ERR_OK && response->status == 200;
    assert_true(response->duration_us >= 0);
    assert_true((response->code == ERR_OK) == (response->text[0] == '\0'));
}

static struct http_call_options options_for(struct scene *scene, const char *method,
                                            const char *path)
{
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", scene->server.port, path);
    return (struct http_call_options){ .method = method,
                                       .url = url,
                                       .connect_timeout_ms = 5000,
                                       .timeout_ms = 5000,
                                       .response_bytes_max = 4096,
                                       .private_allowed = true };
}

static struct http_call *start(struct scene *scene, const struct http_call_options *options)
{
    struct http_call *call = NULL;
    struct err err;
    assert_int_equal(http_call_start(scene->client, options, on_response, scene, &call, &err),
                     ERR_OK);
    return call;
}

/* Calls and waits; the outcome is in scene->seen. */
static void call_with(struct scene *scene, const struct http_call_options *options)
{
    scene->seen = (struct seen){ 0 };
    scene->wanted = 1;
    start(scene, options);
    assert_int_equal(scene->seen.called, 0); /* never from inside */
    assert_int_equal(http_client_active(scene->client), 1);
    wait_until(scene, is_called);
    assert_int_equal(http_client_active(scene->client), 0);
}

static void call(struct scene *scene, const char *method, const char *path)
{
    struct http_call_options options = options_for(scene, method, path);
    call_with(scene, &options);
}

/* --- what works --- */

static void test_get(void **state)
{
    struct scene *scene = *state;
    call(scene, "GET", "/echo?q=1");
    assert_int_equal(scene->seen.code, ERR_OK);
    assert_int_equal(scene->seen.status, 200);
    assert_string_equal(scene->seen.type, "text/plain");
    assert_int_equal(scene->seen.retry_after_ms, -1);
    assert_memory_equal(scene->seen.body, "GET /echo?q=1 HTTP/1.1\r\n", 24);
    assert_non_null(strstr(scene->seen.body, "\r\nUser-Agent: errand/"));
    assert_null(strstr(scene->seen.body, "Accept-Encoding"));
    assert_null(strstr(scene->seen.body, "Content-"));
}

static void test_methods_with_bodies(void **state)
{
    struct scene *scene = *state;
    static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };
    static const char *const headers[] = { "Content-Type: application/json", "X-Empty:" };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct http_call_options options = options_for(scene, methods[i], "/echo");
        options.headers = headers;
        options.header_count = 2;
        options.body = span_of("{\"a\":1}");
        call_with(scene, &options);
        assert_int_equal(scene->seen.code, ERR_OK);
        assert_memory_equal(scene->seen.body, methods[i], strlen(methods[i]));
        assert_non_null(strstr(scene->seen.body, "\r\nContent-Type: application/json\r\n"));
        assert_non_null(strstr(scene->seen.body, "\r\nX-Empty:\r\n"));
        assert_non_null(strstr(scene->seen.body, "\r\nContent-Length: 7\r\n"));
        assert_non_null(strstr(scene->seen.body, "\r\n\r\n{\"a\":1}"));
    }
    assert_int_equal(scene->server.accepted, 1); /* one connection served them all */
}

static void test_methods_without_bodies(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", "/echo");
    assert_non_null(strstr(scene->seen.body, "\r\nContent-Length: 0\r\n"));
    call(scene, "DELETE", "/echo");
    assert_memory_equal(scene->seen.body, "DELETE /echo ", 13);
    assert_null(strstr(scene->seen.body, "Content-"));
    call(scene, "HEAD", "/echo");
    assert_int_equal(scene->seen.status, 200);
    assert_int_equal(scene->seen.body_size, 0);
    call(scene, "GET", "/ok"); /* nothing of the calls before is left in the handle */
    assert_string_equal(scene->seen.body, "ok");
}

static void test_retry_after(void **state)
{
    struct scene *scene = *state;
    call(scene, "GET", "/busy-seconds");
    assert_int_equal(scene->seen.code, ERR_OK);
    assert_int_equal(scene->seen.status, 503);
    assert_int_equal(scene->seen.retry_after_ms, 7000);
    assert_string_equal(scene->seen.body, "busy");
    call(scene, "GET", "/busy-date");
    assert_true(scene->seen.retry_after_ms > 1000000);
    call(scene, "GET", "/busy-nonsense");
    assert_int_equal(scene->seen.retry_after_ms, -1);
    const int64_t now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
    struct span date = span_of("Sun, 06 Nov 1994 08:49:40 GMT");
    assert_int_equal(http_client_response_retry_after(date, now_ms), 3000);
    assert_int_equal(http_client_response_retry_after(date, now_ms + 60000), 0);
    assert_int_equal(http_client_response_retry_after(span_of("-1"), now_ms), -1);
    assert_int_equal(http_client_response_retry_after(span_of("9999999999"), now_ms), -1);
    assert_int_equal(http_client_response_retry_after(span_of(""), now_ms), -1);
}

static void test_redirects_are_answers(void **state)
{
    struct scene *scene = *state;
    call(scene, "GET", "/moved");
    assert_int_equal(scene->seen.status, 302);
    assert_int_equal(scene->server.requests, 1);
}

static void test_many_at_once(void **state)
{
    struct scene *scene = *state;
    for (int round = 0; round < 2; round++) {
        scene->seen = (struct seen){ 0 };
        scene->good = 0;
        scene->wanted = MANY;
        for (int i = 0; i < MANY; i++) {
            struct http_call_options options = options_for(scene, "GET", "/ok");
            start(scene, &options);
        }
        assert_int_equal(http_client_active(scene->client), MANY);
        wait_until(scene, is_called);
        assert_int_equal(scene->good, MANY);
    }
    assert_true(scene->server.accepted <= MANY); /* the second round found open connections */
}

static void on_chained(void *arg, const struct http_response *response)
{
    struct scene *scene = arg;
    on_response(scene, response);
    struct http_call_options options = options_for(scene, "GET", "/ok");
    if (scene->seen.called < scene->wanted)
        assert_int_equal(
            http_call_start(scene->client, &options, on_chained, scene, &scene->calls[0], NULL),
            ERR_OK);
}

static void test_callback_starts_the_next(void **state)
{
    struct scene *scene = *state;
    scene->wanted = 50;
    struct http_call_options options = options_for(scene, "GET", "/ok");
    assert_int_equal(
        http_call_start(scene->client, &options, on_chained, scene, &scene->calls[0], NULL),
        ERR_OK);
    wait_until(scene, is_called);
    assert_int_equal(scene->good, 50);
}

/* --- what goes wrong --- */

static void test_too_large(void **state)
{
    struct scene *scene = *state;
    call(scene, "GET", "/chunks");
    assert_int_equal(scene->seen.code, ERR_TARGET_TOO_LARGE);
    assert_non_null(strstr(scene->seen.text, "4096"));
    assert_int_equal(scene->seen.body_size, 0);
    call(scene, "GET", "/headers");
    assert_int_equal(scene->seen.code, ERR_TARGET_TOO_LARGE);
    assert_non_null(strstr(scene->seen.text, "header"));
    call(scene, "GET", "/declared");
    assert_int_equal(scene->seen.code, ERR_TARGET_TOO_LARGE);
}

static void test_deadlines(void **state)
{
    struct scene *scene = *state;
    static const char *const paths[] = { "/drip?token=hunter2", "/silent?token=hunter2" };
    for (size_t i = 0; i < 2; i++) {
        struct http_call_options options = options_for(scene, "GET", paths[i]);
        options.timeout_ms = 150;
        options.response_bytes_max = 2000000;
        call_with(scene, &options);
        assert_int_equal(scene->seen.code, ERR_TARGET_TIMEOUT);
        assert_non_null(strstr(scene->seen.text, "150 ms"));
        assert_null(strstr(scene->seen.text, "hunter2"));
    }
}

static void test_broken_connections(void **state)
{
    struct scene *scene = *state;
    call(scene, "POST", "/reset?token=hunter2");
    assert_int_equal(scene->seen.code, ERR_TARGET_UNREACHABLE);
    assert_null(strstr(scene->seen.text, "hunter2"));
    call(scene, "GET", "/short");
    assert_int_equal(scene->seen.code, ERR_TARGET_UNREACHABLE);
    assert_non_null(strstr(scene->seen.text, "broke"));
    hostile_server_stop_listening(&scene->server);
    call(scene, "GET", "/ok");
    assert_int_equal(scene->seen.code, ERR_TARGET_UNREACHABLE);
    assert_non_null(strstr(scene->seen.text, "Connection refused"));
}

/* curl would send a request again when a connection that it used before breaks. */
static void test_one_call_is_one_request(void **state)
{
    struct scene *scene = *state;
    static const char *const methods[] = { "GET", "POST" };
    for (int i = 0; i < 2; i++) {
        call(scene, "GET", "/ok");
        call(scene, methods[i], "/reset?token=hunter2");
        assert_int_equal(scene->seen.code, ERR_TARGET_UNREACHABLE);
        assert_non_null(strstr(scene->seen.text, "broke"));
        assert_int_equal(scene->server.requests, 2 * (i + 1));
    }
}

static void test_not_http(void **state)
{
    struct scene *scene = *state;
    call(scene, "GET", "/garbage");
    assert_int_equal(scene->seen.code, ERR_TARGET_INVALID);
    call(scene, "GET", "/status");
    assert_int_equal(scene->seen.code, ERR_TARGET_INVALID);
}

static void test_unknown_name(void **state)
{
    struct scene *scene = *state;
    struct http_call_options options = options_for(scene, "GET", "/");
    options.url = "http://no-such-host.invalid/";
    options.connect_timeout_ms = 300; /* no name server may be there to say no */
    call_with(scene, &options);
    assert_int_equal(scene->seen.code, ERR_TARGET_UNREACHABLE);
    assert_non_null(strstr(scene->seen.text, "no-such-host.invalid:80"));
}

/* --- calling off --- */

static bool is_requested(struct scene *scene)
{
    return scene->server.requests >= scene->wanted;
}

static void test_cancel(void **state)
{
    struct scene *scene = *state;
    struct http_call_options options = options_for(scene, "GET", "/silent");
    struct http_call *cancelled = start(scene, &options);
    http_call_cancel(cancelled); /* before anything was sent */
    http_call_cancel(cancelled);
    assert_int_equal(scene->seen.called, 0);
    scene->wanted = 1;
    wait_until(scene, is_called);
    assert_int_equal(scene->seen.code, ERR_CANCELLED);
    cancelled = start(scene, &options);
    wait_until(scene, is_requested);
    http_call_cancel(cancelled); /* while the answer is awaited */
    scene->wanted = 2;
    wait_until(scene, is_called);
    assert_int_equal(scene->seen.code, ERR_CANCELLED);
    call(scene, "GET", "/ok");
    assert_int_equal(scene->seen.code, ERR_OK);
}

static void on_cancel_all(void *arg, const struct http_response *response)
{
    struct scene *scene = arg;
    on_response(scene, response);
    for (int i = 0; i < 10; i++) {
        if (scene->calls[i])
            http_call_cancel(scene->calls[i]);
        scene->calls[i] = NULL;
    }
}

static void test_cancel_in_a_callback(void **state)
{
    struct scene *scene = *state;
    scene->wanted = 10;
    for (int i = 0; i < 10; i++) {
        struct http_call_options options = options_for(scene, "GET", i == 5 ? "/ok" : "/silent");
        assert_int_equal(
            http_call_start(scene->client, &options, on_cancel_all, scene, &scene->calls[i], NULL),
            ERR_OK);
    }
    wait_until(scene, is_called);
    assert_int_equal(scene->good, 1);
    assert_int_equal(http_client_active(scene->client), 0);
}

static void on_close(void *arg, const struct http_response *response)
{
    struct scene *scene = arg;
    on_response(scene, response);
    struct http_client *client = scene->client;
    scene->client = NULL;
    http_client_close(client);
}

static void test_close_in_a_callback(void **state)
{
    struct scene *scene = *state;
    scene->wanted = 3;
    for (int i = 0; i < 3; i++) {
        struct http_call_options options = options_for(scene, "GET", i == 0 ? "/ok" : "/silent");
        assert_int_equal(
            http_call_start(scene->client, &options, on_close, scene, &scene->calls[i], NULL),
            ERR_OK);
    }
    wait_until(scene, is_called);
    assert_int_equal(scene->good, 1);
    assert_int_equal(scene->seen.code, ERR_CANCELLED);
}

/* --- what is not sent --- */

static void refused(struct scene *scene, const struct http_call_options *options)
{
    struct http_call *call = NULL;
    struct err err = { 0 };
    assert_int_equal(http_call_start(scene->client, options, on_response, scene, &call, &err),
                     ERR_TEMPLATE);
    assert_true(err.text[0] != '\0');
    assert_true(err.field[0] != '\0');
    assert_null(strstr(err.text, "hunter2"));
    assert_null(call);
    assert_int_equal(http_client_active(scene->client), 0);
}

static void test_urls_that_are_refused(void **state)
{
    struct scene *scene = *state;
    static const char *const urls[] = {
        "",
        "/path",
        "example.com/path",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/_x",
        "http://user:hunter2@example.com/",
        "http://user@example.com/",
        "http://example.com/a b",
        "http://example.com/a\r\nX-Evil: 1",
        "http://example.com/\x7f",
        "http://example.com:99999/",
        "http://",
    };
    call(scene, "GET",
         "/ok"); /* a handle that has seen a URL must not complete one that is relative */
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct http_call_options options = options_for(scene, "GET", "/");
        options.url = urls[i];
        refused(scene, &options);
    }
    struct http_call_options options = options_for(scene, "BREW", "/");
    refused(scene, &options);
}

static void test_headers_that_are_refused(void **state)
{
    struct scene *scene = *state;
    static const char *const lines[] = {
        "X-A: 1\r\nX-Evil: hunter2",
        "X-A: 1\nX-Evil: 1",
        "X-A: \x01",
        "No colon",
        "Bad name: 1",
        ": 1",
        "",
        "Content-Length: 0",
        "Transfer-Encoding: gzip",
        "Expect: 100",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct http_call_options options = options_for(scene, "GET", "/ok");
        options.headers = &lines[i];
        options.header_count = 1;
        refused(scene, &options);
    }
    assert_int_equal(scene->server.requests, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_methods_with_bodies),
        TEST(test_methods_without_bodies),
        TEST(test_retry_after),
        TEST(test_redirects_are_answers),
        TEST(test_many_at_once),
        TEST(test_callback_starts_the_next),
        TEST(test_too_large),
        TEST(test_deadlines),
        TEST(test_broken_connections),
        TEST(test_one_call_is_one_request),
        TEST(test_not_http),
        TEST(test_unknown_name),
        TEST(test_cancel),
        TEST(test_cancel_in_a_callback),
        TEST(test_close_in_a_callback),
        TEST(test_urls_that_are_refused),
        TEST(test_headers_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
