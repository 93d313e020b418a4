/* See echo.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/echo.h"

#include "schemas/json.h"

#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define JSON_DEPTH_MAX  64
#define JSON_TOKENS_MAX 100000

struct pairs {
    struct buf *out;
    bool begun;
};

static bool is_credential(struct span name)
{
    static const char *const names[] = { "authorization", "proxy-authorization", "cookie",
                                         "x-api-key" };
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strlen(names[i]) == name.size && strncasecmp(names[i], name.data, name.size) == 0)
            return true;
    }
    return false;
}

/* "Bearer abc" becomes "Bearer ***": the scheme shows that something was sent. */
static void write_masked(struct span value, struct buf *out)
{
    struct buf masked = BUF_INIT(value.size + 4);
    const char *space = value.size ? memchr(value.data, ' ', value.size) : NULL;
    if (space)
        buf_add(&masked, value.data, (size_t)(space + 1 - (const char *)value.data));
    buf_add_text(&masked, "***");
    buf_add_json_string(out, buf_span(&masked));
    buf_free(&masked);
}

static void write_pair(void *arg, struct span name, struct span value)
{
    struct pairs *pairs = arg;
    buf_add_text(pairs->out, pairs->begun ? ",{\"name\":" : "{\"name\":");
    pairs->begun = true;
    buf_add_json_string(pairs->out, name);
    buf_add_text(pairs->out, ",\"value\":");
    if (is_credential(name))
        write_masked(value, pairs->out);
    else
        buf_add_json_string(pairs->out, value);
    buf_add_char(pairs->out, '}');
}

static bool is_json(struct span body)
{
    const struct json_limits limits = { .depth_max = JSON_DEPTH_MAX,
                                        .tokens_max = JSON_TOKENS_MAX };
    struct json *json = NULL;
    bool valid = body.size && json_parse(body, &limits, &json, NULL) == ERR_OK;
    json_free(json);
    return valid;
}

void echo_write(struct http_request *req, struct buf *out)
{
    struct pairs query = { .out = out };
    struct pairs headers = { .out = out };
    struct span body = http_body(req);
    buf_add_text(out, "{\"method\":");
    buf_add_json_string(out, http_method(req));
    buf_add_text(out, ",\"path\":");
    buf_add_json_string(out, http_path(req));
    buf_add_text(out, ",\"query\":[");
    http_query_each(req, write_pair, &query);
    buf_add_text(out, "],\"headers\":[");
    http_header_each(req, write_pair, &headers);
    buf_add_text(out, "],\"body\":");
    buf_add_json_string(out, body);
    if (is_json(body)) {
        buf_add_text(out, ",\"json\":");
        buf_add_span(out, body);
    }
    buf_add_char(out, '}');
}
