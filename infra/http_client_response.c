/* The outcome of a transfer in the client's own words. No URL's query, no header and no credential
 * gets into a text: only the host and port.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client_internal.h"

#include "infra/clock.h"
#include "schemas/digits.h"
#include "schemas/timefmt.h"

#include <stdarg.h>
#include <stdio.h>

enum { SECONDS_DIGITS_MAX = 9 };

/* "host:port", for people. */
struct peer {
    char text[100];
};

static struct peer peer_of(const struct http_call *call)
{
    struct peer peer = { "" };
    char *host = NULL;
    char *port = NULL;
    if (curl_url_get(call->url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(call->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        snprintf(peer.text, sizeof peer.text, "%.88s:%s", host, port);
    curl_free(host);
    curl_free(port);
    return peer;
}

__attribute__((format(printf, 3, 4))) static enum err_code
fail(struct http_response *response, enum err_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(response->text, sizeof response->text, format, args);
    va_end(args);
    return code;
}

static enum err_code read_unreachable(const struct http_call *call, CURLcode result,
                                      struct http_response *response)
{
    struct peer peer = peer_of(call);
    long problem = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &problem);
    const char *why = curl_easy_strerror(result);
    if (result == CURLE_COULDNT_CONNECT && problem > 0 && strerrordesc_np((int)problem))
        why = strerrordesc_np((int)problem);
    if (result == CURLE_PEER_FAILED_VERIFICATION)
        why = "its certificate is expired, for another name, or of an authority that is not "
              "trusted (ca_file of the target)";
    if (result == CURLE_ABORTED_BY_CALLBACK) /* it would have been sent again */
        why = "no answer came";
    if (call->sent)
        return fail(response, ERR_TARGET_UNREACHABLE,
                    "the connection to %s broke before the answer was complete: %s", peer.text,
                    why);
    return fail(response, ERR_TARGET_UNREACHABLE, "no connection to %s: %s", peer.text, why);
}

static enum err_code read_timeout(const struct http_call *call, struct http_response *response)
{
    struct peer peer = peer_of(call);
    if (!call->sent)
        return fail(response, ERR_TARGET_UNREACHABLE, "no connection to %s in time", peer.text);
    return fail(response, ERR_TARGET_TIMEOUT, "no complete answer from %s within %lld ms",
                peer.text, (long long)call->timeout_ms);
}

static enum err_code read_too_large(const struct http_call *call, struct http_response *response)
{
    struct peer peer = peer_of(call);
    if (call->header_bytes > HTTP_CLIENT_HEADER_BYTES_MAX)
        return fail(response, ERR_TARGET_TOO_LARGE,
                    "the header of the answer of %s is larger than %d bytes", peer.text,
                    HTTP_CLIENT_HEADER_BYTES_MAX);
    return fail(response, ERR_TARGET_TOO_LARGE,
                "the answer of %s is larger than %zu bytes (response_max of the target)", peer.text,
                call->body.max);
}

/* Refused before anything was sent. Where other addresses of the same name were tried, how those
 * failed says more. */
static bool was_refused(const struct http_call *call, CURLcode result)
{
    return call->refused && (result == CURLE_ABORTED_BY_CALLBACK ||
                             (result == CURLE_COULDNT_CONNECT && !call->opened));
}

static enum err_code read_failure(const struct http_call *call, CURLcode result,
                                  struct http_response *response)
{
    if (was_refused(call, result))
        return fail(response, ERR_TARGET_ADDRESS,
                    "%s is not called: its address is %s (private: true of the target allows that "
                    "for the target's own host)",
                    peer_of(call).text, call->refused);
    switch ((int)result) { /* codes of newer versions of curl come here, too */
    case CURLE_OPERATION_TIMEDOUT:
        return read_timeout(call, response);
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
        return read_too_large(call, response);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* what is not HTTP, or HTTP/0.9 */
    case CURLE_BAD_CONTENT_ENCODING:
        return fail(response, ERR_TARGET_INVALID, "%s did not answer in HTTP: %s",
                    peer_of(call).text, curl_easy_strerror(result));
    default:
        return read_unreachable(call, result, response);
    }
}

int64_t http_client_response_retry_after(struct span value, int64_t now_ms)
{
    int64_t date_ms = 0;
    if (timefmt_parse_http_date(value, &date_ms))
        return date_ms > now_ms ? date_ms - now_ms : 0;
    int64_t seconds = 0;
    return digits_parse(value, SECONDS_DIGITS_MAX, &seconds) ? seconds * 1000 : -1;
}

static void read_answer(const struct http_call *call, struct http_response *response)
{
    long status = 0;
    const char *type = NULL;
    struct curl_header *header = NULL;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    response->status = (int)status;
    response->content_type = span_of(type);
    response->body = buf_span(&call->body);
    if (curl_easy_header(call->easy, "Retry-After", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        response->retry_after_ms =
            http_client_response_retry_after(span_of(header->value), clock_wall_ms());
}

void http_client_response_read(const struct http_call *call, CURLcode result,
                               struct http_response *ret_response)
{
    *ret_response = (struct http_response){ .retry_after_ms = -1 };
    ret_response->duration_us = clock_monotonic_us() - call->started_us;
    if (result == CURLE_OK)
        read_answer(call, ret_response);
    else
        ret_response->code = read_failure(call, result, ret_response);
}

void http_client_response_redirect(const struct http_call *call, const struct err *why,
                                   struct http_response *ret_response)
{
    *ret_response = (struct http_response){ .retry_after_ms = -1 };
    ret_response->duration_us = clock_monotonic_us() - call->started_us;
    ret_response->code = fail(ret_response, ERR_TARGET_INVALID, "%s redirects badly: %.80s",
                              peer_of(call).text, why->text);
}

void http_client_response_cancelled(const struct http_call *call,
                                    struct http_response *ret_response)
{
    *ret_response = (struct http_response){ .retry_after_ms = -1 };
    ret_response->duration_us = clock_monotonic_us() - call->started_us;
    ret_response->code = fail(ret_response, ERR_CANCELLED, "the call was called off");
}
