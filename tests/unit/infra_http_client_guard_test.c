/* Where the HTTP client does not go: special addresses in any spelling, behind names that change,
 * on connections of others, and by redirects.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/http_client.h"
#include "tests/unit/hostile_server.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEADLINE_MS = 15000, URL_SIZE = 512 };

/* Nobody's: the prefix was given back, so that nothing answers there. */
#define PUBLIC_IPV6 "3ffe::1"

struct scene {
    struct loop *loop;
    struct loop_timer *deadline;
    struct hostile_server server, other;
    struct http_client *client;
    bool called;
    enum err_code code;
    int status;
    char text[200], body[4096];
};

/* --- a name server that changes its mind: stands in for libc's, which curl asks --- */

static atomic_int rebind_asked;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof real);
    struct addrinfo numeric = *hints;
    numeric.ai_family = AF_UNSPEC;
    if (name && strcmp(name, "rebind.test") == 0)
        return real(atomic_fetch_add(&rebind_asked, 1) == 0 ? PUBLIC_IPV6 : "127.0.0.1", service,
                    &numeric, found);
    if (!name || strcmp(name, "both.test") != 0)
        return real(name, service, hints, found);
    int failed = real("127.0.0.1", service, &numeric, found);
    return failed ? failed : real(PUBLIC_IPV6, service, &numeric, &(*found)->ai_next);
}

/* --- the scene --- */

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("no outcome in time");
}

static void open_client(struct scene *scene)
{
    const struct http_client_options options = { .shards = 1, .connections_max = 10 };
    assert_int_equal(http_client_open(scene->loop, &options, &scene->client, NULL), ERR_OK);
}

static int set_up(void **state)
{
    sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
    struct scene *scene = calloc(1, sizeof *scene);
    scene->loop = loop_new(16);
    scene->deadline = loop_timer_new(scene->loop, on_late, NULL);
    hostile_server_open(&scene->server, scene->loop);
    hostile_server_open(&scene->other, scene->loop);
    open_client(scene);
    atomic_store(&rebind_asked, 0);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    http_client_close(scene->client);
    hostile_server_close(&scene->server);
    hostile_server_close(&scene->other);
    loop_timer_free(scene->deadline);
    loop_free(scene->loop);
    free(scene);
    return 0;
}

static void on_response(void *arg, const struct http_response *response)
{
    struct scene *scene = arg;
    scene->called = true;
    scene->code = response->code;
    scene->status = response->status;
    snprintf(scene->text, sizeof scene->text, "%s", response->text);
    snprintf(scene->body, sizeof scene->body, "%.*s", SPAN_ARG(response->body));
    loop_stop(scene->loop);
}

static struct http_call_options options_for(const char *method, const char *url)
{
    return (struct http_call_options){ .method = method,
                                       .url = url,
                                       .connect_timeout_ms = 300,
                                       .timeout_ms = 5000,
                                       .response_bytes_max = 4096 };
}

static void call(struct scene *scene, const struct http_call_options *options)
{
    struct http_call *started = NULL;
    scene->called = false;
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    assert_int_equal(http_call_start(scene->client, options, on_response, scene, &started, NULL),
                     ERR_OK);
    loop_run(scene->loop);
    loop_timer_stop(scene->deadline);
    assert_true(scene->called);
    assert_null(strstr(scene->text, "hunter2"));
}

/* "http://HOST:PORT/PATH" */
static const char *url_of(char *url, const struct hostile_server *server, const char *host,
                          const char *path)
{
    snprintf(url, URL_SIZE, "http://%s:%d%.400s", host, server->port, path);
    return url;
}

static void get(struct scene *scene, const char *host, bool private_allowed)
{
    char url[URL_SIZE];
    struct http_call_options options =
        options_for("GET", url_of(url, &scene->server, host, "/ok?token=hunter2"));
    options.private_allowed = private_allowed;
    call(scene, &options);
}

/* --- addresses --- */

static void test_special_addresses_are_refused(void **state)
{
    struct scene *scene = *state;
    static const char *const hosts[] = {
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "017700000001",
        "2130706433",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "224.0.0.1",
        "100.64.0.1",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "255.255.255.255",
    };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        get(scene, hosts[i], false);
        if (scene->code != ERR_TARGET_ADDRESS)
            fail_msg("%s: %s (%s)", hosts[i], err_code_text(scene->code), scene->text);
        assert_non_null(strstr(scene->text, "private: true"));
    }
    assert_int_equal(scene->server.accepted, 0);
    get(scene, "127.1", true);
    assert_int_equal(scene->code, ERR_OK);
}

static void test_a_name_that_changes_its_address_is_caught(void **state)
{
    struct scene *scene = *state;
    get(scene, "rebind.test", false);
    assert_int_equal(scene->code, ERR_TARGET_UNREACHABLE); /* a public address: tried */
    http_client_close(scene->client);                      /* and with it what it remembers */
    open_client(scene);
    get(scene, "rebind.test", false);
    assert_int_equal(scene->code, ERR_TARGET_ADDRESS);
    assert_non_null(strstr(scene->text, "loopback"));
    assert_int_equal(atomic_load(&rebind_asked), 2);
    assert_int_equal(scene->server.accepted, 0);
}

static void test_of_several_addresses_only_public_ones_are_tried(void **state)
{
    struct scene *scene = *state;
    get(scene, "both.test", false);
    assert_int_equal(scene->code, ERR_TARGET_UNREACHABLE);
    assert_int_equal(scene->server.accepted, 0);
    get(scene, "both.test", true);
    assert_int_equal(scene->code, ERR_OK);
}

static void test_a_connection_of_others_is_not_borrowed(void **state)
{
    struct scene *scene = *state;
    get(scene, "127.0.0.1", true);
    assert_int_equal(scene->code, ERR_OK);
    get(scene, "127.0.0.1", false);
    assert_int_equal(scene->code, ERR_TARGET_ADDRESS);
    assert_int_equal(scene->server.requests, 1);
    get(scene, "127.0.0.1", true);
    assert_int_equal(scene->code, ERR_OK);
}

/* --- redirects --- */

/* A call to the first server, which redirects it so to `path` of `server`. */
static void redirected(struct scene *scene, const char *method, int status,
                       const struct hostile_server *server, const char *host, const char *path)
{
    static const char *const headers[] = { "X-Credential: hunter2", "Content-Type: text/x-test",
                                           "X-Mark: here" };
    char to[URL_SIZE];
    char how[URL_SIZE];
    char url[URL_SIZE + 64];
    snprintf(how, sizeof how, "/to?%d?%.400s", status, url_of(to, server, host, path));
    struct http_call_options options =
        options_for(method, url_of(url, &scene->server, "127.0.0.1", how));
    options.headers = headers;
    options.header_count = 3;
    options.origin_header_count = 1;
    options.body = span_of(strcmp(method, "POST") == 0 ? "payload" : NULL);
    options.private_allowed = true;
    options.redirects_max = 1;
    call(scene, &options);
}

static void test_a_redirect_is_followed_when_asked_for(void **state)
{
    struct scene *scene = *state;
    redirected(scene, "GET", 302, &scene->server, "127.0.0.1", "/echo?b=1");
    assert_int_equal(scene->code, ERR_OK);
    assert_memory_equal(scene->body, "GET /echo?b=1 ", 14);
    assert_non_null(strstr(scene->body, "\r\nX-Credential: hunter2\r\n"));
    assert_non_null(strstr(scene->body, "\r\nX-Mark: here\r\n"));
    assert_int_equal(scene->server.requests, 2);
}

static void test_one_redirect_too_many_is_the_answer(void **state)
{
    struct scene *scene = *state;
    redirected(scene, "GET", 302, &scene->server, "127.0.0.1", "/to?301?/ok");
    assert_int_equal(scene->code, ERR_OK);
    assert_int_equal(scene->status, 301);
    assert_int_equal(scene->server.requests, 2);
}

static void test_credentials_stay_with_their_origin(void **state)
{
    struct scene *scene = *state;
    redirected(scene, "GET", 307, &scene->other, "127.0.0.1", "/echo");
    assert_int_equal(scene->code, ERR_OK);
    assert_int_equal(scene->other.requests, 1);
    assert_null(strstr(scene->body, "hunter2"));
    assert_null(strstr(scene->body, "X-Credential"));
    assert_non_null(strstr(scene->body, "\r\nX-Mark: here\r\n"));
}

static void test_a_redirect_to_another_host_must_be_public(void **state)
{
    struct scene *scene = *state;
    redirected(scene, "GET", 302, &scene->other, "localhost", "/ok");
    assert_int_equal(scene->code, ERR_TARGET_ADDRESS);
    redirected(scene, "GET", 302, &scene->other, "169.254.169.254", "/latest/?x=hunter2");
    assert_int_equal(scene->code, ERR_TARGET_ADDRESS);
    assert_non_null(strstr(scene->text, "link-local"));
    assert_int_equal(scene->other.accepted, 0);
}

static void test_what_becomes_of_a_post(void **state)
{
    struct scene *scene = *state;
    static const int becoming_get[] = { 301, 302, 303 };
    for (size_t i = 0; i < 3; i++) {
        redirected(scene, "POST", becoming_get[i], &scene->server, "127.0.0.1", "/echo");
        assert_memory_equal(scene->body, "GET /echo ", 10);
        assert_null(strstr(scene->body, "Content-"));
        assert_null(strstr(scene->body, "payload"));
    }
    static const int staying_post[] = { 307, 308 };
    for (size_t i = 0; i < 2; i++) {
        redirected(scene, "POST", staying_post[i], &scene->server, "127.0.0.1", "/echo");
        assert_memory_equal(scene->body, "POST /echo ", 11);
        assert_non_null(strstr(scene->body, "\r\nContent-Type: text/x-test\r\n"));
        assert_non_null(strstr(scene->body, "\r\n\r\npayload"));
    }
    redirected(scene, "HEAD", 303, &scene->server, "127.0.0.1", "/echo");
    assert_int_equal(scene->status, 200);
}

static void test_bad_redirects_are_refused(void **state)
{
    struct scene *scene = *state;
    static const char *const urls[] = { "ftp://example.com/hunter2", "file:///etc/passwd",
                                        "http://user:hunter2@example.com/", "gopher://x/_hunter2" };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char how[URL_SIZE];
        char url[URL_SIZE + 64];
        snprintf(how, sizeof how, "/to?302?%s", urls[i]);
        struct http_call_options options =
            options_for("GET", url_of(url, &scene->server, "127.0.0.1", how));
        options.private_allowed = true;
        options.redirects_max = 5;
        call(scene, &options);
        if (scene->code != ERR_TARGET_INVALID)
            fail_msg("%s: %s (%s)", urls[i], err_code_text(scene->code), scene->text);
    }
    char url[URL_SIZE];
    struct http_call_options options =
        options_for("GET", url_of(url, &scene->server, "127.0.0.1", "/to?302?/to?302?/silent"));
    options.private_allowed = true;
    options.redirects_max = 5;
    options.timeout_ms = 200; /* for all hops together */
    call(scene, &options);
    assert_int_equal(scene->code, ERR_TARGET_TIMEOUT);
    assert_int_equal(scene->server.requests, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_special_addresses_are_refused),
        TEST(test_a_name_that_changes_its_address_is_caught),
        TEST(test_of_several_addresses_only_public_ones_are_tried),
        TEST(test_a_connection_of_others_is_not_borrowed),
        TEST(test_a_redirect_is_followed_when_asked_for),
        TEST(test_one_redirect_too_many_is_the_answer),
        TEST(test_credentials_stay_with_their_origin),
        TEST(test_a_redirect_to_another_host_must_be_public),
        TEST(test_what_becomes_of_a_post),
        TEST(test_bad_redirects_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
