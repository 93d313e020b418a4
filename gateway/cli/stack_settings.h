/* What a stack lays over its errand.yaml: where its broker and its Redis are. The same for its
 * daemons (as their environment) and for the commands that look into its Kafka.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_STACK_SETTINGS_H
#define GATEWAY_CLI_STACK_SETTINGS_H

#include "gateway/cli/stack.h"

/* Calls fn for each variable (ERRAND_...). An address that is not known yet is left out. */
void stack_settings_each(const char *folder, const struct stack_state *state,
                         void (*fn)(void *arg, const char *name, const char *value), void *arg);

struct config;
/* Loads the stack's configuration with these settings, for a command in this process.
 * *ret_report as config_load has it. */
enum err_code stack_settings_load(const char *folder, const struct stack_state *state,
                                  struct config **ret_config, char **ret_report,
                                  struct err *err) MUST_CHECK;
/* The name of the first target that is not the simulator; borrowed, NULL when there is none. */
const char *stack_stranger(const struct config *config);

#endif
