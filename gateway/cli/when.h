/* Times for people: how long ago, or how long until then. Only on a terminal: what is piped keeps
 * the time as the server told it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_WHEN_H
#define GATEWAY_CLI_WHEN_H

#include "gateway/cli/table.h"
#include "schemas/buf.h"

/* "now", "12s ago", "in 3m", "2h ago", "in 5d": of `at_ms` as seen at `now_ms` (Unix ms). */
void when_relative(int64_t at_ms, int64_t now_ms, struct buf *out);
/* An RFC 3339 time as stdout wants it: relative on a terminal, else, or when it is no time, as it
 * is. Empty: "-". */
void when_text(struct span time, struct buf *out);
/* The same of Unix ms; below 1: "-". */
void when_text_ms(int64_t at_ms, struct buf *out);
/* The same as a cell of a table. */
void when_add(struct table *table, struct span time);
/* Whether stdout is a terminal, NO_COLOR or not. */
bool when_is_relative(void);

#endif
