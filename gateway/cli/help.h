/* Help, made from the table of commands: examples first.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_HELP_H
#define GATEWAY_CLI_HELP_H

#include "gateway/cli/command.h"
#include "schemas/buf.h"

/* What there is: the commands, one a line. */
void help_overview(struct buf *out);
/* All about one command. */
void help_command(const struct command *command, struct buf *out);
/* The variables that every command reads. */
void help_environment(struct buf *out);
/* `errand help [COMMAND or topic]`. */
int help_run(const struct args *args);

#endif
