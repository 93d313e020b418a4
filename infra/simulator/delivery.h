/* How an answer goes out: at once, or as it was asked for in behaviour.h: byte by byte, in chunks,
 * shorter than announced, larger than anybody wants.
 * thread: the loop's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_DELIVERY_H
#define INFRA_SIMULATOR_DELIVERY_H

#include "infra/http_server.h"
#include "infra/simulator/behaviour.h"

/* Answers as http_reply does; everything is copied. */
void delivery_send(struct loop *loop, struct http_request *req, const struct http_answer *answer,
                   const struct behaviour *behaviour);

#endif
