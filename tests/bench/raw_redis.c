/* What hiredis and Redis alone can do: for each outcome a SET with a time to live, and with
 * "publish" a PUBLISH of the same bytes, so many in a pipeline. Keys are as long as those of the
 * view's records.
 * Usage: raw_redis HOST PORT set|publish OUTCOMES VALUE_BYTES PIPELINE   (RAW_REDIS_PASSWORD)
 * Prints one line of JSON. What it set stays there until its time is over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIPELINE_MAX = 10000,
    VALUE_BYTES_MAX = 1024 * 1024,
    OUTCOMES_MAX = 10000000,
    TIMEOUT_S = 30,
};

#define TTL_S "3600"

static void read_reply(redisContext *redis)
{
    void *got = NULL;
    if (redisGetReply(redis, &got) != REDIS_OK)
        fail("Redis", redis->errstr);
    redisReply *reply = got;
    if (reply->type == REDIS_REPLY_ERROR)
        fail("Redis", reply->str);
    freeReplyObject(reply);
}

static redisContext *connected(const char *host, int port)
{
    redisContext *redis =
        redisConnectWithTimeout(host, port, (struct timeval){ .tv_sec = TIMEOUT_S });
    if (!redis || redis->err)
        fail("connect", redis ? redis->errstr : "no memory");
    const char *password = getenv("RAW_REDIS_PASSWORD"); /* NOLINT(concurrency-mt-unsafe) */
    if (password) {
        redisAppendCommand(redis, "AUTH %s", password);
        read_reply(redis);
    }
    return redis;
}

/* As long as errand:r: and a job's identifier in hexadecimal. */
static size_t print_key(char *key, size_t size, int64_t number)
{
    return (size_t)snprintf(key, size, "bench:r:%032" PRIx64, (uint64_t)number);
}

static void send_outcome(redisContext *redis, int64_t number, const char *value, size_t size,
                         bool publishes)
{
    char key[64];
    size_t key_size = print_key(key, sizeof key, number);
    const char *set[] = { "SET", key, value, "EX", TTL_S };
    size_t set_sizes[] = { 3, key_size, size, 2, strlen(TTL_S) };
    redisAppendCommandArgv(redis, 5, set, set_sizes);
    if (!publishes)
        return;
    const char *publish[] = { "PUBLISH", key, value };
    size_t publish_sizes[] = { 7, key_size, size };
    redisAppendCommandArgv(redis, 3, publish, publish_sizes);
}

static void send_all(redisContext *redis, int64_t count, size_t size, int64_t pipeline,
                     bool publishes)
{
    char *value = malloc(size);
    if (!value)
        fail("malloc", "no memory");
    memset(value, 'x', size);
    for (int64_t first = 0; first < count; first += pipeline) {
        int64_t end = first + pipeline < count ? first + pipeline : count;
        for (int64_t number = first; number < end; number++)
            send_outcome(redis, number, value, size, publishes);
        for (int64_t replies = (end - first) * (publishes ? 2 : 1); replies > 0; replies--)
            read_reply(redis);
    }
    free(value);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        fail("usage", "raw_redis HOST PORT set|publish OUTCOMES VALUE_BYTES PIPELINE");
    redisContext *redis = connected(argv[1], (int)number_of(argv[2], UINT16_MAX, "PORT"));
    bool publishes = strcmp(argv[3], "publish") == 0;
    int64_t count = number_of(argv[4], OUTCOMES_MAX, "OUTCOMES");
    size_t size = (size_t)number_of(argv[5], VALUE_BYTES_MAX, "VALUE_BYTES");
    int64_t began_ns = now_ns();
    send_all(redis, count, size, number_of(argv[6], PIPELINE_MAX, "PIPELINE"), publishes);
    double seconds = (double)(now_ns() - began_ns) / NS_PER_S;
    redisFree(redis);
    printf("{\"outcomes\":%" PRId64 ",\"seconds\":%.4f,\"cpu_us\":%.3f}\n", count, seconds,
           cpu_us() / (double)count);
    return 0;
}
