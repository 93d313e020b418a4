/* HTTP client for calls to third parties: several curl multi handles on one loop (a single one
 * slows down beyond some 1,000 transfers). A call is one request, never sent again by itself. Every
 * transfer has a deadline and a response limit that also holds for chunked answers. No proxies from
 * the environment, http and https only, TLS verified; redirects only when asked for. Nothing but
 * public addresses is connected to unless the call allows it, whatever a name resolves to at that
 * moment.
 * THREADS: all on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_HTTP_CLIENT_H
#define INFRA_HTTP_CLIENT_H

#include "infra/loop.h"
#include "schemas/err.h"

struct http_client;
struct http_call;

struct http_client_options {
    size_t shards;          /* curl multi handles */
    size_t connections_max; /* kept open in all, in use and idle; with more calls than this in
                               flight connections are not used again */
};
enum err_code http_client_open(struct loop *loop, const struct http_client_options *options,
                               struct http_client **ret_client, struct err *err) MUST_CHECK;
/* Aborts what runs (its callbacks are called with ERR_CANCELLED before it returns). Allowed in a
 * callback. Accepts NULL. */
void http_client_close(struct http_client *client);

struct http_call_options { /* all borrowed; copied before http_call_start returns */
    const char *method;
    const char *url;
    const char *const *headers; /* "Name: value" lines, checked against CR, LF and NUL */
    size_t header_count;
    size_t origin_header_count; /* the first so many are the URL's origin's own (credentials): a
                                redirect does not take them elsewhere */
    struct span body;           /* sent when data is not NULL */
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    size_t response_bytes_max;
    bool private_allowed; /* the URL's host may have a loopback, private or otherwise special
                             address (infra/address.h); where it redirects to may not */
    int redirects_max;    /* followed; the next one is the answer */
    const char *ca_file;  /* PEM; trusted in place of the system's. NULL: the system's */
};
struct http_response {
    enum err_code code; /* ERR_OK when there is a complete answer of any status; else
                           ERR_TARGET_TIMEOUT, ERR_TARGET_UNREACHABLE, ERR_TARGET_TOO_LARGE,
                           ERR_TARGET_INVALID, ERR_TARGET_ADDRESS, ERR_CANCELLED */
    char text[200];     /* why not, without credentials */
    int status;
    struct span content_type;
    struct span body;
    int64_t retry_after_ms; /* from Retry-After (seconds or HTTP-date), -1 when absent or invalid */
    int64_t duration_us;
};
/* `response` is borrowed for the duration of the callback, which may start and cancel calls. Called
 * exactly once, never from inside http_call_start; then the call is gone. */
typedef void (*http_call_fn)(void *arg, const struct http_response *response);
/* ERR_TEMPLATE, with no callback, when the URL, the method or a header is not one to be sent. */
enum err_code http_call_start(struct http_client *client, const struct http_call_options *options,
                              http_call_fn fn, void *arg, struct http_call **ret_call,
                              struct err *err) MUST_CHECK;
/* Aborts: the callback comes with ERR_CANCELLED, never from inside. Does nothing for a call that is
 * in its callback. */
void http_call_cancel(struct http_call *call);
size_t http_client_active(const struct http_client *client);

#endif
