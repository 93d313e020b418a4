/* Environments for children.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/child_env.h"

#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct child_env {
    char **list;
    size_t count;
};

struct child_env *child_env_new(char *const *base)
{
    struct child_env *env = MEM_NEW(*env);
    while (base[env->count])
        env->count++;
    env->list = mem_zalloc(env->count + 1, sizeof *env->list);
    for (size_t i = 0; i < env->count; i++)
        env->list[i] = mem_dup_text(base[i]);
    return env;
}

void child_env_free(struct child_env *env)
{
    if (!env)
        return;
    for (size_t i = 0; i < env->count; i++)
        free(env->list[i]);
    free(env->list);
    free(env);
}

void child_env_set(struct child_env *env, const char *name, const char *value)
{
    size_t name_size = strlen(name);
    size_t size = name_size + strlen(value) + 2;
    char *entry = mem_zalloc(1, size);
    (void)snprintf(entry, size, "%s=%s", name, value);
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->list[i], name, name_size) == 0 && env->list[i][name_size] == '=') {
            free(env->list[i]);
            env->list[i] = entry;
            return;
        }
    }
    env->list = mem_resize(env->list, env->count + 2, sizeof *env->list);
    env->list[env->count++] = entry;
    env->list[env->count] = NULL;
}

char *const *child_env_list(const struct child_env *env)
{
    return env->list;
}
