/* See verify_redis.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_redis.h"

#include "schemas/mem.h"

#include <stdlib.h>

#define POSTS_MAX   4
#define TIMEOUT_MS  10000
#define PENDING_MAX 8

static struct redis_script look_script = {
    .source = "local found = {}\n"
              "for i, key in ipairs(KEYS) do\n"
              "  found[2*i-1] = redis.call('GET', key) or ''\n"
              "  found[2*i] = redis.call('PEXPIRETIME', key)\n"
              "end\n"
              "return found\n",
};

struct verify_redis {
    struct loop *loop;
    struct loop_timer *timer;
    struct redis *redis;
    /* The question under way. */
    verify_redis_fn take;
    void *arg;
    bool answered;
    enum err_code code;
    struct err *err;
};

static void stop(void *arg)
{
    struct verify_redis *redis = arg;
    loop_stop(redis->loop);
}

static void on_state(void *arg, bool ready)
{
    if (ready)
        stop(arg);
}

enum err_code verify_redis_open(const struct config_redis *config, struct verify_redis **ret,
                                struct err *err)
{
    struct verify_redis *redis = MEM_NEW(*redis);
    const struct redis_options options = { .config = config,
                                           .timeout_ms = TIMEOUT_MS,
                                           .pending_max = PENDING_MAX,
                                           .on_state = on_state,
                                           .arg = redis };
    redis->loop = loop_new(POSTS_MAX);
    redis->timer = loop_timer_new(redis->loop, stop, redis);
    redis->redis = redis_open(redis->loop, &options);
    verify_redis_pause(redis, TIMEOUT_MS);
    if (redis_ready(redis->redis)) {
        *ret = redis;
        return ERR_OK;
    }
    err_set(err, ERR_REDIS_GONE, "Redis does not answer: %.200s", redis_last_error(redis->redis));
    verify_redis_close(redis);
    return ERR_REDIS_GONE;
}

void verify_redis_close(struct verify_redis *redis)
{
    if (!redis)
        return;
    redis_close(redis->redis);
    loop_timer_free(redis->timer);
    loop_free(redis->loop);
    free(redis);
}

const char *verify_redis_run_id(const struct verify_redis *redis)
{
    return redis_run_id(redis->redis);
}

static void on_answer(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct verify_redis *redis = arg;
    redis->answered = true;
    redis->code = code;
    loop_stop(redis->loop);
    if (!code) {
        if (redis->take)
            redis->take(redis->arg, reply);
        return;
    }
    struct span text = reply ? redis_reply_text(reply) : span_of("no answer");
    err_set(redis->err, code, "Redis: %.*s", (int)(text.size > 200 ? 200 : text.size),
            (const char *)text.data);
}

static void expect(struct verify_redis *redis, verify_redis_fn take, void *arg, struct err *err)
{
    redis->take = take;
    redis->arg = arg;
    redis->err = err;
    redis->answered = false;
}

static enum err_code wait_answer(struct verify_redis *redis, struct redis_args *args)
{
    redis_args_free(args);
    while (!redis->answered) /* a new connection stops the loop as well */
        loop_run(redis->loop);
    return redis->code;
}

enum err_code verify_redis_ask(struct verify_redis *redis, struct redis_args *args,
                               verify_redis_fn take, void *arg, struct err *err)
{
    expect(redis, take, arg, err);
    redis_command(redis->redis, on_answer, redis, args->count, redis_args_list(args));
    return wait_answer(redis, args);
}

enum err_code verify_redis_look(struct verify_redis *redis, struct redis_args *args,
                                verify_redis_fn take, void *arg, struct err *err)
{
    expect(redis, take, arg, err);
    redis_script_run(redis->redis, &look_script, on_answer, redis, args->count, args->count,
                     redis_args_list(args));
    return wait_answer(redis, args);
}

void verify_redis_pause(struct verify_redis *redis, int64_t ms)
{
    loop_timer_start(redis->timer, ms, 0);
    loop_run(redis->loop);
    loop_timer_stop(redis->timer);
}
