/* What a request looked like when it arrived, as JSON: to see what a type's templates made of a
 * payload.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_ECHO_H
#define INFRA_SIMULATOR_ECHO_H

#include "infra/http_server.h"

/* {"method","path","query":[{name,value}],"headers":[{name,value}],"body":TEXT,"json":...}; "json"
 * is there when the body is JSON. Credentials are masked. thread: the server's loop */
void echo_write(struct http_request *req, struct buf *out);

#endif
