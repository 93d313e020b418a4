/* Writing the members of a JSON object (RFC 8259), one after the other: each puts a comma before
 * itself unless it is the first one, so that one which is absent leaves no trace. The braces are
 * the caller's. Nothing is told of a buffer that is full but by the buffer itself (buf.h).
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JSON_OUT_H
#define SCHEMAS_JSON_OUT_H

#include "schemas/buf.h"
#include "schemas/id.h"

/* The name and its colon; the value is to follow. `name` is plain: it is not escaped. */
void json_out_name(struct buf *out, const char *name);
/* A string; absent when empty. */
void json_out_text(struct buf *out, const char *name, struct span value);
/* What is JSON already; absent when empty. */
void json_out_json(struct buf *out, const char *name, struct span value);
void json_out_number(struct buf *out, const char *name, int64_t value);
/* Unix ms, as RFC 3339; absent unless above 0. */
void json_out_instant(struct buf *out, const char *name, int64_t ms);
void json_out_id(struct buf *out, const char *name, const struct id *id);

#endif
