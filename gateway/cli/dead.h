/* What the verbs about dead letters share. SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_DEAD_H
#define GATEWAY_CLI_DEAD_H

#include "gateway/cli/api.h"

/* "queue/offset" of a letter as the gateway tells it. */
void dead_place(const struct json *letter, char *to, size_t size);

#define DEAD_WHO_SIZE 129
/* --who, else "user@host" of whoever runs this. */
void dead_who(const struct args *args, char ret_who[DEAD_WHO_SIZE]);

#endif
