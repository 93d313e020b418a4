/* A look into a stack's or a configuration's Kafka, for verbs that need no gateway.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_KAFKA_LOOK_H
#define GATEWAY_CLI_KAFKA_LOOK_H

#include "gateway/cli/args.h"
#include "infra/kafka_admin.h"

struct kafka_look {
    struct config *config;
    struct kafka_admin *admin;
};

/* By --config, else by the stack's folder: its configuration and where its broker is. An exit
 * code; says itself what is wrong. */
int kafka_look_open(const struct args *args, struct kafka_look *ret_look);
/* The same, for a reading of another kind. */
int kafka_look_open_for(const struct args *args, enum kafka_reading reading,
                        struct kafka_look *ret_look);
void kafka_look_close(struct kafka_look *look);

#endif
