/* Entity tags in If-None-Match (RFC 9110, 8.8.3 and 13.1.2): does the client have what it asks for?
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_ETAG_H
#define SCHEMAS_ETAG_H

#include "schemas/span.h"

/* Whether the header is `*` or lists `etag` (in its quotes, without W/), by the weak comparison: a
 * tag that an intermediary has made weak is the same one. What stands behind something that is no
 * tag is not read. False for a header that is absent. thread: any */
bool etag_matches(struct span if_none_match, const char *etag);

#endif
