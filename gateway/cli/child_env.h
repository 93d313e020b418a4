/* The environment of a child: this process's own, with some variables set on top.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_CHILD_ENV_H
#define GATEWAY_CLI_CHILD_ENV_H

struct child_env;

struct child_env *child_env_new(char *const *base);
void child_env_free(struct child_env *env);
/* Replaces the variable if there is one. */
void child_env_set(struct child_env *env, const char *name, const char *value);
/* NULL-terminated; borrowed until the next call. */
char *const *child_env_list(const struct child_env *env);

#endif
