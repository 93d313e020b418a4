/* What the files of the HTTP client share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_HTTP_CLIENT_INTERNAL_H
#define INFRA_HTTP_CLIENT_INTERNAL_H

#include "infra/http_client.h"
#include "schemas/buf.h"

#include <curl/curl.h>

enum {
    HTTP_CLIENT_URL_SIZE_MAX = 16 * 1024,
    HTTP_CLIENT_HEADER_BYTES_MAX = 64 * 1024, /* of an answer, all its header lines */
};

struct http_client_shard {
    struct http_client *client;
    CURLM *multi;
    struct loop_timer *timer;
    struct loop_task kick; /* curl wants to go on at once */
    size_t active;
};

enum http_call_state {
    HTTP_CALL_IDLE,      /* in client->idle */
    HTTP_CALL_RUNNING,   /* in client->running and in its shard's multi handle */
    HTTP_CALL_CANCELLED, /* in client->cancelled, its callback to come */
    HTTP_CALL_DONE,      /* in its callback */
};

/* One transfer; after it, kept for the next one. */
struct http_call {
    enum http_call_state state;
    struct http_client *client;
    struct http_client_shard *shard;
    struct http_call *next, **link;
    CURL *easy;
    CURLU *url;
    struct curl_slist *headers;
    struct buf body; /* of the answer */
    size_t header_bytes;
    int64_t started_us;
    int64_t timeout_ms;
    bool private_allowed;
    const char *refused; /* what was special about an address that was; NULL: none */
    bool sent;           /* the request of this hop */
    bool opened;         /* a connection to another address was tried */
    int redirects_left;
    size_t origin_header_count; /* lines at the head of `headers` */
    http_call_fn fn;
    void *arg;
};

struct http_client {
    struct loop *loop;
    CURLSH *share;
    struct http_client_shard *shards;
    size_t shard_count;
    size_t connections_max;
    struct http_call *idle;
    size_t idle_count;
    struct http_call *running;
    struct http_call *cancelled, **cancelled_end;
    struct loop_task tell_cancelled;
    size_t active;
    char agent[64];
    unsigned depth; /* turns of the loop in here; the last one out frees a closed client */
    bool closed;
};

/* --- http_client_check.c: nothing that a payload was put into may change the request's shape ---
 */

enum err_code http_client_check_method(const char *method, struct err *err) MUST_CHECK;
/* Parses `url` into ret_url, which the caller made. */
enum err_code http_client_check_url(const char *url, CURLU *ret_url, struct err *err) MUST_CHECK;
/* The lines as curl takes them; free with curl_slist_free_all. */
enum err_code http_client_check_headers(const struct http_call_options *options,
                                        struct curl_slist **ret_headers,
                                        struct err *err) MUST_CHECK;

/* A body that is not sent any more has no type. */
void http_client_headers_untype(struct curl_slist **headers);

/* --- http_client_call.c --- */

struct http_call *http_client_call_new(struct http_client *client);
void http_client_call_free(struct http_call *call);
/* Prepares an idle call; it can be given back with http_client_call_reset either way. */
enum err_code http_client_call_prepare(struct http_call *call,
                                       const struct http_call_options *options,
                                       struct err *err) MUST_CHECK;
void http_client_call_reset(struct http_call *call);
/* Points the call, which curl must not have, at call->url with call->headers, within the time that
 * is left. */
void http_client_call_aim(struct http_call *call);
/* From here on it is a GET without a body. */
void http_client_call_become_get(struct http_call *call);

/* --- http_client_guard.c --- */

/* CURLOPT_OPENSOCKETFUNCTION: before each connection. */
curl_socket_t http_client_guard_open(void *arg, curlsocktype purpose,
                                     struct curl_sockaddr *address);
/* CURLOPT_PREREQFUNCTION: before each request, on a connection that another call has made, too. */
int http_client_guard_send(void *arg, char *peer_ip, char *own_ip, int peer_port, int own_port);

/* --- http_client_redirect.c --- */

/* Whether what ended so is a redirect that is to be followed. */
bool http_client_redirect_wanted(const struct http_call *call, CURLcode result);
/* Points the call, which curl must not have, at where its answer sends it. The error's text is for
 * http_client_response_redirect. */
enum err_code http_client_redirect_follow(struct http_call *call, struct err *err) MUST_CHECK;

/* --- http_client_response.c --- */

/* Reads the outcome of a transfer; the spans point into the call. */
void http_client_response_read(const struct http_call *call, CURLcode result,
                               struct http_response *ret_response);
/* The answer was a redirect that is not followed. */
void http_client_response_redirect(const struct http_call *call, const struct err *why,
                                   struct http_response *ret_response);
void http_client_response_cancelled(const struct http_call *call,
                                    struct http_response *ret_response);
/* Retry-After (RFC 9110, 10.2.3) in ms from now; -1 when it is neither seconds nor a date. */
int64_t http_client_response_retry_after(struct span value, int64_t now_ms);

#endif
