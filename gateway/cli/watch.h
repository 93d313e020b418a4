/* Waiting for a stack while a person looks on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_WATCH_H
#define GATEWAY_CLI_WATCH_H

#include "gateway/cli/stack.h"

/* Waits until everything is ready, with progress on stderr; an exit code. When it failed, says
 * which process, why, with the last lines of its log. Ctrl-C stops what was started. Without a
 * supervisor (pid 0) it waits for one that someone else started. */
int watch_until_ready(const char *folder, struct stack_pid supervisor,
                      struct stack_state *ret_state);
/* Waits until the supervisor has given the folder back; false when it did not within
 * `timeout_ms`. */
bool watch_until_stopped(const char *folder, int64_t timeout_ms);
/* Messages of several lines to stderr, indented. */
void watch_print_lines(const char *text);

/* From now on the next Ctrl-C (or SIGTERM, or SIGHUP) only makes watch_is_interrupted true; one
 * more ends the program as ever. */
void watch_interrupts(void);
bool watch_is_interrupted(void);

#endif
