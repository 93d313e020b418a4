/* The one table of routes, and what every answer has in common.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"

#include <stdint.h>

const struct http_route gateway_routes[] = {
    { "POST", "/v1/jobs", submit_handler, SIZE_MAX },
    { "GET", "/v1/jobs/{id}", read_job_handler, 0 },
    { "DELETE", "/v1/jobs/{id}", cancel_handler, 0 },
    { "GET", "/v1/jobs/{id}/result", read_result_handler, 0 },
    { "GET", "/v1/types", types_handler, 0 },
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
