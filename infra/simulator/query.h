/* The query of a request to the simulator. What would be ignored is refused: in a test a misspelt
 * argument should not look like a success.
 * thread: the loop's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_QUERY_H
#define INFRA_SIMULATOR_QUERY_H

#include "infra/http_server.h"
#include "schemas/err.h"

#define QUERY_NAMES_MAX 8

/* ERR_INVALID_PARAMETER when there is an argument that is neither among `names` (NULL-terminated)
 * nor `also` (which may be NULL). */
enum err_code query_check(struct http_request *req, const char *const *names, const char *also,
                          struct err *err) MUST_CHECK;
/* A whole number up to `max`; an absent argument leaves *number as it is. */
enum err_code query_number(struct http_request *req, const char *name, int64_t max, int64_t *number,
                           struct err *err) MUST_CHECK;

#endif
