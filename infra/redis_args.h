/* The arguments of one Redis command, put together: their texts lie one after another in one store,
 * so that a call with a thousand arguments costs a few allocations. thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_ARGS_H
#define INFRA_REDIS_ARGS_H

#include "schemas/buf.h"

struct redis_args {
    struct buf store; /* between begin and end: append the argument's bytes here */
    struct span *argv;
    size_t count, capacity;
    size_t begun_at;
};

/* At most `bytes_max` bytes in all; store.overflow tells when they were more. */
#define REDIS_ARGS_INIT(bytes_max)                                                                 \
    {                                                                                              \
        .store = BUF_INIT(bytes_max)                                                               \
    }
void redis_args_free(struct redis_args *args);

void redis_args_begin(struct redis_args *args);
void redis_args_end(struct redis_args *args);
void redis_args_text(struct redis_args *args, const char *text);
void redis_args_int(struct redis_args *args, int64_t value);
/* The `count` arguments, valid until the next one is added. */
const struct span *redis_args_list(struct redis_args *args);

/* argv as a command in Redis' protocol (RESP); free with free(). thread: any */
char *redis_args_format(size_t argc, const struct span *argv, size_t *ret_size);

#endif
