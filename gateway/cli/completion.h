/* Completion of command lines by the shell, made from the table of commands: words, options and the
 * choices of their values. Nothing in it asks a server.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_COMPLETION_H
#define GATEWAY_CLI_COMPLETION_H

#include "gateway/cli/args.h"
#include "schemas/buf.h"

/* Appends the script for "bash", "zsh" or "fish"; false for another shell. */
bool completion_render(const char *shell, struct buf *out);
/* `errand completion SHELL`. */
int completion_run(const struct args *args);

#endif
