/* What a new connection asks Redis, and whether the answers are those of a master that can serve.
 * THREADS: the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_IDENTIFY_H
#define INFRA_REDIS_IDENTIFY_H

#include "infra/redis.h"

enum { REDIS_RUN_ID_SIZE = 40, REDIS_IDENTIFY_ARGS_MAX = 3 };

enum redis_question {
    REDIS_ASK_AUTH,
    REDIS_ASK_SELECT,
    REDIS_ASK_NAME,
    REDIS_ASK_ROLE,
    REDIS_ASK_SERVER,
    REDIS_ASK_LOADING,
    REDIS_ASK_COUNT
};

struct redis_identity {
    char run_id[REDIS_RUN_ID_SIZE + 1];
    char text[160]; /* what is wrong, when redis_identify said no */
};

/* The command for a question; 0 arguments when it need not be asked. `number` is room for digits.
 */
size_t redis_identify_ask(enum redis_question question, const struct config_redis *config,
                          char number[24], struct span argv[REDIS_IDENTIFY_ARGS_MAX]);
/* Reads the reply to a question. False: this Redis is not to be used. */
bool redis_identify_hear(enum redis_question question, const struct redis_reply *reply,
                         struct redis_identity *identity);

/* Whether a reply is what a server says that stopped being a master that serves. */
bool redis_identify_farewell(const struct redis_reply *reply);

#endif
