/* GET /v1/types: what can be submitted, with an example of each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"

#include <inttypes.h>

#define BYTES_MAX ((size_t)4 * 1024 * 1024)

static void type_json(const struct config *config, const struct config_type *type, struct buf *out)
{
    const struct config_queue *queue = config_find_queue(config, span_of(type->queue));
    buf_add_text(out, "{\"name\":");
    buf_add_json_string(out, span_of(type->name));
    buf_add_text(out, ",\"queue\":");
    buf_add_json_string(out, span_of(type->queue));
    buf_printf(out, ",\"handler\":\"%s\"", type->handler == CONFIG_HANDLER_CALL ? "call" : "rules");
    if (queue && queue->ordered)
        buf_add_text(out, ",\"ordered\":true");
    buf_printf(out,
               ",\"limits\":{\"payload_bytes\":%" PRId64 ",\"result_bytes\":%" PRId64
               ",\"in_flight\":%" PRId64 ",\"attempts\":%" PRId64 ",\"max_age_seconds\":%" PRId64
               ",\"retention_seconds\":%" PRId64 "}",
               type->payload_bytes_max, type->result_bytes_max, type->in_flight_max,
               type->retry.attempts_max, type->max_age_ms / 1000, type->retention_ms / 1000);
    if (type->description && type->description[0]) {
        buf_add_text(out, ",\"description\":");
        buf_add_json_string(out, span_of(type->description));
    }
    if (type->example && type->example[0]) {
        buf_add_text(out, ",\"example\":");
        buf_add_text(out, type->example); /* JSON: the configuration's check has seen to it */
    }
    buf_add_char(out, '}');
}

void types_handler(struct http_request *req, void *service)
{
    const struct gateway *gateway = service_state(service);
    struct buf body = BUF_INIT(BYTES_MAX);
    buf_add_text(&body, "{\"types\":[");
    for (size_t i = 0; i < gateway->config->type_count; i++) {
        if (i)
            buf_add_char(&body, ',');
        type_json(gateway->config, &gateway->config->types[i], &body);
    }
    buf_add_text(&body, "]}");
    gateway_json(req, 200, &body, NULL, 0);
    buf_free(&body);
}
