/* What the operating system says about this process, by the names that Prometheus client libraries
 * agree on.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_METRICS_PROCESS_H
#define INFRA_METRICS_PROCESS_H

#include "schemas/buf.h"

/* Appends the process_* metrics as text; what cannot be read is left out. */
void metrics_process_render(struct buf *out);

#endif
