/* See worker_registry.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_registry.h"
#include "infra/clock.h"
#include "infra/redis_args.h"
#include "infra/version.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdlib.h>
#include <unistd.h>

#define LIVES_OF_SESSION 2 /* the key lives for session / this */
#define BEATS_OF_SESSION 8
#define LEFT_TTL_MS      INT64_C(691200000) /* 8 days: longer than the longest delay of a job */
#define VALUE_BYTES_MAX  ((size_t)16 * 1024)
#define KEY_BYTES_MAX    400

struct worker_registry {
    struct worker_registry_options use;
    struct loop_timer *timer;
    char host[256];
    bool leaving;
    loop_fn left;
    void *left_arg;
};

/* KEYS: the life, the set. ARGV: what is told, how long, incarnation, now, who is forgotten. */
static struct redis_script tell_script = {
    .source = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
              "redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])\n"
              "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])\n"
              "return 1\n",
};

static void add_value(struct buf *out, const struct worker_registry *registry, const char *word,
                      int64_t now_ms)
{
    struct worker_registry_state state = registry->use.state(registry->use.arg);
    buf_printf(out, "%s {\"name\":", word);
    buf_add_json_string(out, span_of(registry->use.name));
    buf_add_text(out, ",\"version\":");
    buf_add_json_string(out, span_of(version_text()));
    buf_add_text(out, ",\"host\":");
    buf_add_json_string(out, span_of(registry->host));
    buf_printf(out, ",\"pid\":%d,\"queues\":[", (int)getpid());
    for (size_t i = 0; i < registry->use.queue_count; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, span_of(registry->use.queues[i]));
    }
    buf_printf(out, "],\"in_flight\":%zu,\"partitions\":%zu,\"beat_at_ms\":%lld}", state.in_flight,
               state.partitions, (long long)now_ms);
}

static void tell(struct worker_registry *registry, const char *word, int64_t ttl_ms, redis_fn fn)
{
    int64_t now_ms = clock_wall_ms();
    struct redis_args args = REDIS_ARGS_INIT(VALUE_BYTES_MAX + (size_t)4 * KEY_BYTES_MAX);
    redis_args_begin(&args);
    view_incarnation_key(&args.store, registry->use.namespace_, registry->use.incarnation);
    redis_args_end(&args);
    redis_args_begin(&args);
    view_workers_key(&args.store, registry->use.namespace_);
    redis_args_end(&args);
    redis_args_begin(&args);
    add_value(&args.store, registry, word, now_ms);
    redis_args_end(&args);
    redis_args_int(&args, ttl_ms);
    redis_args_text(&args, registry->use.incarnation);
    redis_args_int(&args, now_ms);
    redis_args_int(&args, now_ms - LEFT_TTL_MS);
    redis_script_run(registry->use.redis, &tell_script, fn, registry, 2, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

void worker_registry_beat(struct worker_registry *registry)
{
    if (!registry->leaving && redis_ready(registry->use.redis))
        tell(registry, WORKER_ALIVE, registry->use.session_timeout_ms / LIVES_OF_SESSION, NULL);
}

static void on_beat(void *arg)
{
    worker_registry_beat(arg);
}

struct worker_registry *worker_registry_start(const struct worker_registry_options *options)
{
    struct worker_registry *registry = MEM_NEW(*registry);
    registry->use = *options;
    if (gethostname(registry->host, sizeof registry->host - 1) != 0)
        registry->host[0] = '\0';
    registry->timer = loop_timer_new(options->loop, on_beat, registry);
    int64_t beat_ms = options->session_timeout_ms / BEATS_OF_SESSION;
    loop_timer_start(registry->timer, beat_ms, beat_ms);
    return registry;
}

static void on_left(void *arg, enum err_code code, const struct redis_reply *reply)
{
    (void)code;
    (void)reply;
    struct worker_registry *registry = arg;
    registry->left(registry->left_arg);
}

void worker_registry_leave(struct worker_registry *registry, loop_fn done, void *arg)
{
    registry->leaving = true;
    registry->left = done;
    registry->left_arg = arg;
    loop_timer_stop(registry->timer);
    tell(registry, "left", LEFT_TTL_MS, on_left);
}

void worker_registry_free(struct worker_registry *registry)
{
    if (!registry)
        return;
    loop_timer_free(registry->timer);
    free(registry);
}
