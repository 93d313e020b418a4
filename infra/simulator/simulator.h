/* errand-simulator: third parties of our own, for demonstrations, drills and tests. They answer
 * as pure functions of the request (answers.h), misbehave on request (behaviour.h, control.h)
 * and keep a ledger of what they were asked (ledger.h). README.md has the HTTP interface. The
 * functions are those that struct service_spec asks for.
 * THREADS: all on the service's loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_SIMULATOR_H
#define INFRA_SIMULATOR_SIMULATOR_H

#include "infra/service.h"

/* Their handlers expect the service as argument, and what simulator_start returned as its state. */
extern const struct http_route simulator_routes[];
extern const size_t simulator_route_count;

enum err_code simulator_start(struct service *service, void **ret_state,
                              struct err *err) MUST_CHECK;
/* Answers the calls that wait for their time at once, with 503. */
void simulator_drain(void *state);
void simulator_stop(void *state);

#endif
