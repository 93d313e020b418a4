/* See workers.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/workers.h"
#include "consumers/worker_registry.h"
#include "infra/redis_args.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <stdlib.h>

#define ARGUMENT_BYTES_MAX 2048
#define ALIVE              WORKER_ALIVE " "
#define LOOK_BACK_MS       "86400000" /* the beats' times are of the workers' clocks */

/* KEYS: the set of lives. ARGV: prefix of their keys, how many at most, what is said for one
 * without a key ("" it is left out). Returns Redis's time in ms,
 * then of each life that beats its incarnation and what it says. */
static struct redis_script workers_script = {
    .source = "local now = redis.call('TIME')\n"
              "now = now[1] * 1000 + math.floor(now[2] / 1000)\n"
              "local found = {string.format('%.0f', now)}\n"
              "local lives = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf',\n"
              "  string.format('%.0f', now - " LOOK_BACK_MS "), 'LIMIT', 0, ARGV[2])\n"
              "for _, life in ipairs(lives) do\n"
              "  local told = redis.call('GET', ARGV[1] .. life) or ARGV[3]\n"
              "  if string.sub(told, 1, #'" ALIVE "') == '" ALIVE "' then\n"
              "    found[#found + 1] = life\n"
              "    found[#found + 1] = string.sub(told, #'" ALIVE "' + 1)\n"
              "  end\n"
              "end\n"
              "return found\n",
};

struct asking {
    workers_fn fn;
    void *arg;
};

static void on_found(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct asking *asking = arg;
    struct workers_answer answer = { .code = ERR_VIEW_UNAVAILABLE };
    size_t parts = redis_reply_count(reply);
    struct workers_life *lives = mem_zalloc(parts / 2 + 1, sizeof *lives);
    if (code == ERR_OK && parts % 2 == 1) {
        answer.code = ERR_OK;
        answer.now_ms = redis_reply_integer(redis_reply_at(reply, 0));
        answer.lives = lives;
        for (size_t i = 1; i + 1 < parts; i += 2)
            lives[answer.count++] = (struct workers_life){
                .incarnation = redis_reply_text(redis_reply_at(reply, i)),
                .told = redis_reply_text(redis_reply_at(reply, i + 1)),
            };
    }
    asking->fn(asking->arg, &answer);
    free(lives);
    free(asking);
}

void workers_read(struct redis *redis, const char *namespace_, workers_fn fn, void *arg)
{
    struct asking *asking = MEM_NEW(*asking);
    *asking = (struct asking){ .fn = fn, .arg = arg };
    struct redis_args args = REDIS_ARGS_INIT(ARGUMENT_BYTES_MAX);
    redis_args_begin(&args);
    view_workers_key(&args.store, namespace_);
    redis_args_end(&args);
    redis_args_begin(&args);
    view_incarnation_key(&args.store, namespace_, "");
    redis_args_end(&args);
    redis_args_int(&args, WORKERS_MAX);
    redis_args_text(&args, MUTANT(dead_workers_listed) ? ALIVE "{\"name\":\"worker-1\"}" : "");
    redis_script_run(redis, &workers_script, on_found, asking, 1, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}
