/* One key's value: from a node into its member, and the way back for freeing.
 * Private to infra/config*.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_VALUE_H
#define INFRA_CONFIG_VALUE_H

#include "infra/config_yaml.h"

/* Sets key's member of `base` from the node, replacing what was there. A mistake goes to the
 * loader, under `path` (the key's full path), and leaves the member as it was. */
void config_value_set(struct config_loader *loader, const struct config_key *key, void *base,
                      const char *path, const struct config_node *node);
/* The same from a text as it stands in the environment or, without an origin, in the table. */
void config_value_set_text(struct config_loader *loader, const struct config_key *key, void *base,
                           const char *path, const char *text, struct config_origin origin);
/* Sets every key of the scope to its default. */
void config_value_defaults(struct config_loader *loader, const struct config_scope *scope,
                           void *base);
/* Frees the member, wiping it when it is a secret. */
void config_value_clear(const struct config_key *key, void *base);

/* "64KiB", the largest unit that fits. */
void config_value_add_size(struct buf *out, int64_t bytes);
/* A limit of the key in its own unit: "5s", "64KiB", "8". */
void config_value_add_limit(struct buf *out, const struct config_key *key, int64_t limit);

#endif
