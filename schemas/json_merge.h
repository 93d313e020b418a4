/* JSON Merge Patch (RFC 7396): how a payload is edited.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JSON_MERGE_H
#define SCHEMAS_JSON_MERGE_H

#include "schemas/json.h"

/* Appends what `patch` makes of `target` (NULL: nothing is there): members of the patch that are
 * null take the target's away, objects are merged, everything else replaces. Members that stay keep
 * their order, new ones follow. Both are as deep as they were parsed. */
void json_merge_patch(const struct json *target, const struct json *patch, struct buf *out);

#endif
