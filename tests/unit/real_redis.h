/* A real redis-server for unit tests: on a socket in a folder of its own, gone with the test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_REAL_REDIS_H
#define TESTS_UNIT_REAL_REDIS_H

#include "infra/config.h"

#include <sys/types.h>

struct real_redis {
    char folder[64];
    char address[96]; /* "unix:/..." */
    char *addresses[1];
    char empty[1];
    pid_t pid;
    struct config_redis config; /* ready for redis_open */
};

/* Starts it; fails the test if it cannot. */
void real_redis_start(struct real_redis *server);
/* Ends it and removes its folder. */
void real_redis_stop(struct real_redis *server);

#endif
