/* Replies as redis.h shows them: a struct redis_reply is hiredis' redisReply, which no other layer
 * may see.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

/* const in and out: nobody may change a borrowed reply. */
static const redisReply *inner(const struct redis_reply *reply)
{
    return (const redisReply *)(const void *)reply;
}

enum redis_type redis_reply_type(const struct redis_reply *reply)
{
    switch (inner(reply)->type) {
    case REDIS_REPLY_STRING:
        return REDIS_STRING;
    case REDIS_REPLY_STATUS:
        return REDIS_STATUS;
    case REDIS_REPLY_ERROR:
        return REDIS_ERROR;
    case REDIS_REPLY_INTEGER:
        return REDIS_INTEGER;
    case REDIS_REPLY_ARRAY:
        return REDIS_ARRAY;
    default:
        return REDIS_NIL;
    }
}

struct span redis_reply_text(const struct redis_reply *reply)
{
    const redisReply *r = inner(reply);
    if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS &&
        r->type != REDIS_REPLY_ERROR)
        return (struct span){ 0 };
    return (struct span){ .data = r->str, .size = r->len };
}

int64_t redis_reply_integer(const struct redis_reply *reply)
{
    const redisReply *r = inner(reply);
    if (r->type == REDIS_REPLY_INTEGER)
        return r->integer;
    if (r->type != REDIS_REPLY_STRING || r->len == 0)
        return 0;
    char *end = NULL;
    long long value = strtoll(r->str, &end, 10);
    return end == r->str + r->len ? value : 0;
}

size_t redis_reply_count(const struct redis_reply *reply)
{
    const redisReply *r = inner(reply);
    return r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}

const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t i)
{
    return (const struct redis_reply *)(const void *)inner(reply)->element[i];
}
