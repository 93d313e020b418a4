/* What json.h checks before it parses. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JSON_LIMITS_H
#define SCHEMAS_JSON_LIMITS_H

#include "schemas/json.h"

/* Looks through a text that need not be valid: for NUL bytes (ERR_INVALID_TEXT), for more depth
 * (ERR_TOO_DEEP) or more values and names (ERR_BODY_TOO_LARGE) than the limits allow. What it
 * counts is never less than what parsing would make. thread: any */
enum err_code json_limits_check(struct span text, const struct json_limits *limits,
                                struct err *err) MUST_CHECK;

#endif
