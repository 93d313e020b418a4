/* The processes of a stack as `errand status -o json` and `errand up -o json` print them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_STATUS_H
#define GATEWAY_CLI_STATUS_H

#include "gateway/cli/stack.h"

/* Prints errand.status/1; `phase` is a literal. CLI_OK, or CLI_FAILED when it cannot be written. */
int status_print_json(const char *folder, const struct stack_state *state, const char *phase);

#endif
