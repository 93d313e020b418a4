/* What may be asked of a third party. Values come from payloads by way of templates, so each is
 * looked at again here, where it enters the protocol.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client_internal.h"

#include "schemas/mem.h"

#include <stdlib.h>
#include <strings.h>

/* RFC 9110, 5.6.2 */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

enum err_code http_client_check_method(const char *method, struct err *err)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD" };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(method, methods[i]) == 0)
            return ERR_OK;
    }
    return err_field(err, ERR_TEMPLATE, "method",
                     "the method is one of GET, POST, PUT, PATCH, DELETE and HEAD");
}

enum err_code http_client_check_url(const char *url, CURLU *ret_url, struct err *err)
{
    if (strnlen(url, HTTP_CLIENT_URL_SIZE_MAX + 1) > HTTP_CLIENT_URL_SIZE_MAX)
        return err_field(err, ERR_TEMPLATE, "url", "the URL is longer than %d bytes",
                         HTTP_CLIENT_URL_SIZE_MAX);
    for (const char *c = url; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return err_field(err, ERR_TEMPLATE, "url",
                             "the URL has a space or a control character; percent-encode it");
    }
    CURLUcode code = curl_url_set(ret_url, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (code == CURLUE_USER_NOT_ALLOWED)
        return err_field(err, ERR_TEMPLATE, "url",
                         "the URL has credentials; put them into a header of the target");
    char *scheme = NULL;
    if (code == CURLUE_OK)
        code = curl_url_get(ret_url, CURLUPART_SCHEME, &scheme, 0);
    bool known =
        code == CURLUE_OK && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
    curl_free(scheme);
    if (!known)
        return err_field(err, ERR_TEMPLATE, "url", "the URL is not a valid http or https one");
    return ERR_OK;
}

/* How a message is framed is between curl and the target: a header of that kind would let one
 * request pass for two. */
static bool is_framing(struct span name)
{
    static const char *const names[] = { "content-length", "transfer-encoding",
                                         "connection",     "keep-alive",
                                         "upgrade",        "te",
                                         "trailer",        "expect" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (name.size == strlen(names[i]) && strncasecmp(name.data, names[i], name.size) == 0)
            return true;
    }
    return false;
}

static enum err_code check_line(const char *line, struct span *ret_name, struct err *err)
{
    struct span name = { .data = line, .size = 0 };
    while (is_token_char(line[name.size]))
        name.size++;
    if (name.size == 0 || line[name.size] != ':')
        return err_field(err, ERR_TEMPLATE, "headers", "a header line is \"Name: value\"");
    for (const char *c = line; *c; c++) {
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return err_field(err, ERR_TEMPLATE, "headers",
                             "the header %.*s has a control character in its value",
                             name.size > 64 ? 64 : (int)name.size, line);
    }
    if (is_framing(name))
        return err_field(err, ERR_TEMPLATE, "headers", "the header %.*s is set by the client alone",
                         SPAN_ARG(name));
    *ret_name = name;
    return ERR_OK;
}

static void append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        abort(); /* out of memory: one policy, see schemas/mem.h */
    *list = longer;
}

/* curl reads "Name:" as "leave this header out" and "Name;" as a header without a value. */
static void append_header(struct curl_slist **list, const char *line, struct span name)
{
    const char *value = line + name.size + 1;
    if (value[strspn(value, " \t")] != '\0') {
        append(list, line);
        return;
    }
    char *empty = mem_dup((struct span){ .data = line, .size = name.size + 1 });
    empty[name.size] = ';';
    append(list, empty);
    free(empty);
}

static bool is_content_type(const char *line)
{
    return strncasecmp(line, "content-type:", strlen("content-type:")) == 0;
}

void http_client_headers_untype(struct curl_slist **headers)
{
    struct curl_slist *kept = NULL;
    for (const struct curl_slist *line = *headers; line; line = line->next) {
        if (!is_content_type(line->data))
            append(&kept, line->data);
    }
    append(&kept, "Content-Type:"); /* or curl would claim that it is a form */
    curl_slist_free_all(*headers);
    *headers = kept;
}

enum err_code http_client_check_headers(const struct http_call_options *options,
                                        struct curl_slist **ret_headers, struct err *err)
{
    struct curl_slist *headers = NULL;
    bool typed = false;
    for (size_t i = 0; i < options->header_count; i++) {
        struct span name = { 0 };
        enum err_code code = check_line(options->headers[i], &name, err);
        if (code != ERR_OK) {
            curl_slist_free_all(headers);
            return code;
        }
        append_header(&headers, options->headers[i], name);
        typed |= is_content_type(options->headers[i]);
    }
    append(&headers, "Expect:"); /* a large body is not worth a round trip first */
    if (!typed)
        append(&headers, "Content-Type:"); /* curl would claim that it is a form */
    *ret_headers = headers;
    return ERR_OK;
}
