/* Manual pages (man(7)), made from the table of commands: errand(1), and one page a command.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_MANUAL_H
#define GATEWAY_CLI_MANUAL_H

#include "gateway/cli/args.h"
#include "schemas/buf.h"

/* `errand manual [COMMAND] [--into DIR]`. */
int manual_run(const struct args *args);

#endif
