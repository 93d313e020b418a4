/* The one table of routes, and what every answer has in common.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"

#include <stdint.h>

/* What needs Kafka or Redis waits for them while the gateway starts. */
#define WHEN_READY(name)                                                                           \
    static void name##_when_ready(struct http_request *req, void *service)                         \
    {                                                                                              \
        const struct gateway *gateway = service_state(service);                                    \
        early_handle(gateway->early, req, name##_handler);                                         \
    }
WHEN_READY(submit)
WHEN_READY(list)
WHEN_READY(read_job)
WHEN_READY(read_result)
WHEN_READY(read_why)
WHEN_READY(cancel)

const struct http_route gateway_routes[] = {
    { "POST", "/v1/jobs", submit_when_ready, SIZE_MAX },
    { "GET", "/v1/jobs", list_when_ready, 0 },
    { "GET", "/v1/jobs/{id}", read_job_when_ready, 0 },
    { "DELETE", "/v1/jobs/{id}", cancel_when_ready, 0 },
    { "GET", "/v1/jobs/{id}/result", read_result_when_ready, 0 },
    { "GET", "/v1/jobs/{id}/why", read_why_when_ready, 0 },
    { "GET", "/v1/workers", workers_handler, 0 },
    { "GET", "/v1/types", types_handler, 0 },
    { "GET", "/v1/lag", lag_handler, 0 },
    { "GET", "/v1/autoscale", autoscale_handler, 0 },
    { "GET", "/v1/dead", dead_list_handler, 0 },
    { "GET", "/v1/dead/{job}", dead_job_handler, 0 },
    { "GET", "/v1/dead/{queue}/{offset}", dead_letter_handler, 0 },
    { "POST", "/v1/dead:redrive", dead_redrive_handler, SIZE_MAX },
    { "POST", "/v1/dead:purge", dead_purge_handler, SIZE_MAX },
    { "GET", "/v1/books", books_handler, 0 },
};
const size_t gateway_route_count = sizeof gateway_routes / sizeof *gateway_routes;

int gateway_retry_after_s(enum err_code code)
{
    bool passes =
        err_class_of(code) == ERR_CLASS_RETRY || code == ERR_IN_PROGRESS || code == ERR_NO_RESULT;
    return passes ? 1 : 0;
}

void gateway_problem(struct http_request *req, const struct err *err)
{
    http_reply_problem(req, err, gateway_retry_after_s(err->code), NULL);
}

void gateway_json(struct http_request *req, int status, const struct buf *body,
                  const struct http_header_line *headers, size_t header_count)
{
    if (body->overflow) {
        struct err err;
        err_set(&err, ERR_INTERNAL, "The answer is larger than it may be.");
        gateway_problem(req, &err);
        return;
    }
    struct http_answer answer = {
        .status = status,
        .content_type = "application/json",
        .body = buf_span(body),
        .headers = headers,
        .header_count = header_count,
    };
    http_reply(req, &answer);
}
