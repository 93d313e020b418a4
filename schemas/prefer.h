/* The Prefer header (RFC 7240): what a client would like, and may be denied.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_PREFER_H
#define SCHEMAS_PREFER_H

#include "schemas/span.h"

#include <stdint.h>

/* The preference "wait=SECONDS", in ms; the first of several counts. False, and *ret_ms as it was,
 * when there is none or it cannot be read: then it is ignored, as the standard has it. Never
 * negative. thread: any */
bool prefer_wait_ms(struct span header, int64_t *ret_ms);

#endif
