/* Names of processes: "worker" is a kind, "worker-2" one of them.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_PROCESS_NAME_H
#define SCHEMAS_PROCESS_NAME_H

#include "schemas/span.h"

/* Whether the name is the kind's own, or that of one of its processes: KIND-N, N of 1 to 3 digits.
 */
bool process_name_is_of(struct span name, const char *kind);

#endif
