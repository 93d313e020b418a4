/* GET /v1/jobs/{id}/why, once the job has been read (read.c decides what may be told).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_WHY_H
#define GATEWAY_HTTP_WHY_H

#include "gateway/http/gateway.h"

/* Goes on to answer `req` with where the job is and why. `record` is copied; NULL: it was accepted
 * a moment ago. */
void why_start(struct gateway *gateway, struct http_request *req, const struct id *id,
               const struct job_record *record);

#endif
