/* Files of the repository that programs carry within them, so that a program alone can start a
 * stack. To add one: name it in the Makefile's EMBED.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_EMBED_H
#define INFRA_EMBED_H

#include "schemas/span.h"

/* The file by its path without the first folder ("deploy/local.yaml"). False when there is none.
 * The bytes live as long as the program and a NUL follows them. thread: any */
bool embed_find(const char *name, struct span *ret_file);

#endif
