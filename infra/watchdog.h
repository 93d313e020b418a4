/* Ends a process whose loop does not turn: a thread of its own looks now and then whether the loop
 * has turned since it last looked, and aborts the process when it has not for several looks in a
 * row (so that a process that was stopped as a whole, or a machine that slept, is not taken for one
 * that hangs).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_WATCHDOG_H
#define INFRA_WATCHDOG_H

#include "infra/loop.h"

struct watchdog;

/* Watches `loop`, and keeps it turning when it has nothing else to do. It is to turn at least once
 * in stall_ms (10 at least). thread: the loop's */
struct watchdog *watchdog_start(struct loop *loop, int64_t stall_ms);
/* thread: the loop's. Accepts NULL. */
void watchdog_stop(struct watchdog *watchdog);

#endif
