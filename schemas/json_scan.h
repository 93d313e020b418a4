/* Finds a member's bytes in a JSON text without parsing it, so that what the client sent travels on
 * untouched, to the last space and digit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JSON_SCAN_H
#define SCHEMAS_JSON_SCAN_H

#include "schemas/span.h"

/* The bytes of the value of the object's own member `name` (compared after undoing escapes),
 * without white space around them; borrowed from `object`. The text must have been parsed as valid
 * before (json.h): then this finds what json_get finds. On any other bytes the answer means
 * nothing, but nothing beyond the span is read. False when there is no such member. thread: any */
bool json_scan_member(struct span object, const char *name, struct span *ret_value);

#endif
