/* What only the whole configuration can tell: keys that must be there, names that must exist,
 * values that must fit each other. Private to infra/config*.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_CHECK_H
#define INFRA_CONFIG_CHECK_H

#include "infra/config_loader.h"

void config_check(struct config_loader *loader);
/* The part about job types (config_check_type.c). */
void config_check_types(struct config_loader *loader);
/* Types of ordered queues: gives them their default max_age, and refuses a longer one. Before
 * anything that reads max_age. */
void config_check_ordered(struct config_loader *loader);

#define CONFIG_PATH_SIZE 256
/* Notes a mistake at the place where `path` was written. */
void config_check_problem(struct config_loader *loader, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value `name` of `path` is to be an entry of the map; says what there is when it is not. True
 * when it is. */
bool config_check_name(struct config_loader *loader, const char *path,
                       const struct config_scope *map, const char *name);

#endif
