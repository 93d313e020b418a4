/* The environment's share of the configuration. Private to infra/config*.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_ENV_H
#define INFRA_CONFIG_ENV_H

#include "infra/config_loader.h"

/* Sets every key that a variable names; entries of maps must exist already. A variable that names
 * nothing is a mistake. */
void config_env_apply(struct config_loader *loader);
/* "gateway.listen" -> "ERRAND_GATEWAY_LISTEN". */
void config_env_add_name(struct buf *out, const char *path);

#endif
