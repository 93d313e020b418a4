/* The configuration of a drill: that of the deployment it stands beside, in a namespace of its own
 * on the same brokers and Redis, with every third party replaced by the drill's own simulator.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_DRILL_H
#define INFRA_CONFIG_DRILL_H

#include "infra/config.h"

/* A call to a real third party becomes POST /echo of the simulator, whose answer tells what would
 * have been sent; one to the simulator stays what it is. */
#define CONFIG_DRILL_ECHO "/echo"

/* Appends it as YAML. Limits, queues and types are the deployment's. Of targets the limits alone
 * are written: no address, no header, no certificate; of what a type sends to a real one as query
 * and headers, only what is a template. The i-th of kafka.properties that is a secret
 * becomes "file:secrets/kafka-<i>", which the caller writes; ids are made with a secret of the
 * drill's own, "file:secrets/id". */
void config_drill_write(const struct config *config, const char *namespace_, struct buf *out);

#endif
