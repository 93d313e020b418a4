/* One transfer: an easy handle with everything that this client allows and bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client_internal.h"

#include "infra/clock.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>

enum {
    BODY_KEPT_MAX = 16 * 1024,     /* memory that an idle call keeps for the next answer */
    CONNECTION_LIFETIME_S = 300,   /* then a new one, which looks at name and certificate again */
    TIMEOUT_MS_MAX = 24 * 3600000, /* fits any long */
};

static void must(CURLcode code)
{
    assert(code == CURLE_OK); /* else it is a mistake in this file, or there is no memory */
}
#define SET(easy, option, value) must(curl_easy_setopt(easy, option, value))

/* A short count makes curl give up with CURLE_WRITE_ERROR; which limit it was shows in the call. */
static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct http_call *call = arg;
    (void)one;
    buf_add(&call->body, data, size);
    return call->body.overflow ? 0 : size;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): curl's type */
static size_t on_header(char *data, size_t one, size_t size, void *arg)
{
    struct http_call *call = arg;
    (void)data;
    (void)one;
    call->header_bytes += size;
    return call->header_bytes > HTTP_CLIENT_HEADER_BYTES_MAX ? 0 : size;
}

/* What holds for every call. curl_easy_reset has cleared the handle. */
static void set_rules(struct http_call *call)
{
    CURL *easy = call->easy;
    SET(easy, CURLOPT_PRIVATE, call);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_PROXY, "");    /* else from the environment */
    SET(easy, CURLOPT_NOPROXY, "*"); /* the same */
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L); /* http_client_redirect.c does */
    SET(easy, CURLOPT_OPENSOCKETFUNCTION, http_client_guard_open);
    SET(easy, CURLOPT_OPENSOCKETDATA, call);
    SET(easy, CURLOPT_PREREQFUNCTION, http_client_guard_send);
    SET(easy, CURLOPT_PREREQDATA, call);
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_LIFETIME_S);
    SET(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server when a call ends */
    SET(easy, CURLOPT_USERAGENT, call->client->agent);
    SET(easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(easy, CURLOPT_WRITEDATA, call);
    SET(easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(easy, CURLOPT_HEADERDATA, call);
}

static void set_body(struct http_call *call, struct span body)
{
    /* The size first: curl copies that many bytes. */
    SET(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    SET(call->easy, CURLOPT_COPYPOSTFIELDS, body.data);
}

static void set_method(struct http_call *call, const struct http_call_options *options)
{
    const char *method = options->method;
    bool needs_length =
        strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    if (options->body.data)
        set_body(call, options->body);
    else if (needs_length)
        set_body(call, (struct span){ .data = "", .size = 0 });
    if (strcmp(method, "HEAD") == 0)
        SET(call->easy, CURLOPT_NOBODY, 1L);
    else
        SET(call->easy, CURLOPT_CUSTOMREQUEST, method);
}

static long bounded_ms(int64_t timeout_ms)
{
    if (timeout_ms < 1)
        return 1; /* 0 would mean for ever */
    return (long)(timeout_ms < TIMEOUT_MS_MAX ? timeout_ms : TIMEOUT_MS_MAX);
}

struct http_call *http_client_call_new(struct http_client *client)
{
    struct http_call *call = MEM_NEW(*call);
    call->client = client;
    call->easy = curl_easy_init();
    if (!call->easy)
        abort(); /* out of memory: one policy, see schemas/mem.h */
    SET(call->easy, CURLOPT_SHARE, client->share);
    return call;
}

void http_client_call_free(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_url_cleanup(call->url);
    curl_slist_free_all(call->headers);
    buf_free(&call->body);
    free(call);
}

enum err_code http_client_call_prepare(struct http_call *call,
                                       const struct http_call_options *options, struct err *err)
{
    /* A new one each time: to one that has a URL, curl would add a relative URL. */
    call->url = curl_url();
    if (!call->url)
        abort(); /* out of memory: one policy, see schemas/mem.h */
    enum err_code code = http_client_check_method(options->method, err);
    if (code == ERR_OK)
        code = http_client_check_url(options->url, call->url, err);
    if (code == ERR_OK)
        code = http_client_check_headers(options, &call->headers, err);
    if (code != ERR_OK)
        return code;
    set_rules(call);
    set_method(call, options);
    SET(call->easy, CURLOPT_CONNECTTIMEOUT_MS, bounded_ms(options->connect_timeout_ms));
    if (options->ca_file) { /* and none of the system's */
        SET(call->easy, CURLOPT_CAINFO, options->ca_file);
        SET(call->easy, CURLOPT_CAPATH, NULL);
    }
    if (strcmp(options->method, "HEAD") != 0) /* an announced size is refused before it comes */
        SET(call->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)options->response_bytes_max);
    call->body.max = options->response_bytes_max;
    call->timeout_ms = options->timeout_ms;
    call->private_allowed = options->private_allowed;
    call->redirects_left = options->redirects_max;
    call->origin_header_count = options->origin_header_count;
    call->started_us = clock_monotonic_us();
    http_client_call_aim(call);
    return ERR_OK;
}

void http_client_call_aim(struct http_call *call)
{
    int64_t gone_ms = (clock_monotonic_us() - call->started_us) / 1000;
    SET(call->easy, CURLOPT_CURLU, call->url);
    SET(call->easy, CURLOPT_HTTPHEADER, call->headers);
    SET(call->easy, CURLOPT_TIMEOUT_MS, bounded_ms(call->timeout_ms - gone_ms));
    buf_reset(&call->body);
    call->header_bytes = 0;
    call->refused = NULL;
    call->opened = false;
    call->sent = false;
}

void http_client_call_become_get(struct http_call *call)
{
    SET(call->easy, CURLOPT_HTTPGET, 1L);
    SET(call->easy, CURLOPT_CUSTOMREQUEST, "GET");
    http_client_headers_untype(&call->headers);
}

void http_client_call_reset(struct http_call *call)
{
    curl_easy_reset(call->easy); /* keeps CURLOPT_SHARE */
    curl_url_cleanup(call->url);
    call->url = NULL;
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    if (call->body.capacity > BODY_KEPT_MAX)
        buf_free(&call->body);
    else
        buf_reset(&call->body);
    call->state = HTTP_CALL_IDLE;
}
