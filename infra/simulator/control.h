/* Misbehaviour for all calls whose path begins in a certain way, set by PUT /control. A call's
 * own wish (X-Simulate, ?simulate=) goes before it.
 * thread: the simulator's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_CONTROL_H
#define INFRA_SIMULATOR_CONTROL_H

#include "schemas/buf.h"
#include "schemas/err.h"

#define CONTROL_RULES_MAX 32
#define CONTROL_MATCH_MAX 128

struct control;

struct control *control_new(void);
/* Accepts NULL. */
void control_free(struct control *control);
/* `simulate` (behaviour.h) for the paths that begin with `match`; "" matches every path. Replaces
 * what was set for the same `match`; the empty `simulate` removes it. */
enum err_code control_set(struct control *control, struct span match, struct span simulate,
                          struct err *err) MUST_CHECK;
/* The text set for the longest `match` that fits; empty when there is none. Borrowed until the next
 * change. */
struct span control_find(const struct control *control, struct span path);
void control_clear(struct control *control);
/* {"rules":[{"match","simulate"}],"words":[...]} */
void control_document(const struct control *control, struct buf *out);

#endif
