/* Secrets are written as references, "file:PATH" or "env:NAME", and read once. Private to
 * infra/config*.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_SECRET_H
#define INFRA_CONFIG_SECRET_H

#include "infra/config_loader.h"

#define CONFIG_SECRET_MAX 4096

bool config_secret_is_reference(struct span text);
/* Reads what `reference` points to; free it with config_secret_free. False, with a problem noted
 * that never quotes the text itself, when it cannot be read, others can read it, or the text is no
 * reference: it may be the secret. False without a problem when a variable sets the key instead. */
bool config_secret_read(struct config_loader *loader, struct config_origin origin, const char *path,
                        struct span reference, char **ret_secret);
/* Wipes and frees. Accepts NULL. */
void config_secret_free(char *secret);

#endif
