/* Redirects, followed by hand: curl would take the call's headers along to whoever it is sent to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client_internal.h"

#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

/* RFC 9110, 15.4; the others of 3xx send nobody elsewhere. */
static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static long status_of(const struct http_call *call)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

bool http_client_redirect_wanted(const struct http_call *call, CURLcode result)
{
    const char *to = NULL;
    if (result != CURLE_OK || call->redirects_left == 0)
        return false;
    curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &to);
    return to && is_redirect(status_of(call));
}

static bool is_same(CURLU *one, CURLU *other, CURLUPart part)
{
    char *a = NULL;
    char *b = NULL;
    bool same = curl_url_get(one, part, &a, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(other, part, &b, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                strcasecmp(a, b) == 0;
    curl_free(a);
    curl_free(b);
    return same;
}

static bool is_scheme(CURLU *url, const char *wanted)
{
    char *scheme = NULL;
    bool is = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              strcasecmp(scheme, wanted) == 0;
    curl_free(scheme);
    return is;
}

/* The first `count` lines of the list, away. */
static void drop_lines(struct curl_slist **list, size_t count)
{
    while (count-- > 0) {
        struct curl_slist *line = *list;
        *list = line->next;
        line->next = NULL;
        curl_slist_free_all(line);
    }
}

/* What a browser does, and every client since: the answer to a POST is got somewhere else. */
static bool becomes_get(const struct http_call *call, long status)
{
    const char *method = "";
    curl_easy_getinfo(call->easy, CURLINFO_EFFECTIVE_METHOD, &method);
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return false;
    return status == 303 || (status <= 302 && strcmp(method, "POST") == 0);
}

static enum err_code check(struct http_call *call, const char *to, CURLU *url, struct err *err)
{
    enum err_code code = http_client_check_url(to, url, err);
    if (code != ERR_OK)
        return code;
    if (is_scheme(call->url, "https") && !is_scheme(url, "https"))
        return err_set(err, ERR_TARGET_INVALID, "it leads from https to http");
    return ERR_OK;
}

enum err_code http_client_redirect_follow(struct http_call *call, struct err *err)
{
    char *to = NULL;
    curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &to);
    CURLU *url = curl_url();
    if (!url)
        abort(); /* out of memory: one policy, see schemas/mem.h */
    enum err_code code = check(call, to, url, err);
    if (code != ERR_OK) {
        curl_url_cleanup(url);
        return code;
    }
    bool same_host = is_same(call->url, url, CURLUPART_HOST);
    bool same_origin = same_host && is_same(call->url, url, CURLUPART_PORT) &&
                       is_same(call->url, url, CURLUPART_SCHEME);
    if (!same_host)
        call->private_allowed = false; /* it was allowed for the host that was named */
    if (!same_origin) {
        drop_lines(&call->headers, call->origin_header_count);
        call->origin_header_count = 0;
    }
    if (becomes_get(call, status_of(call)))
        http_client_call_become_get(call);
    curl_url_cleanup(call->url);
    call->url = url;
    call->redirects_left--;
    http_client_call_aim(call);
    return ERR_OK;
}
