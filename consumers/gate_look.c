/* See gate_look.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate_look.h"
#include "consumers/gate_internal.h"
#include "consumers/worker_registry.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdlib.h>

#define ALIVE WORKER_ALIVE " "

/* KEYS: the claim. ARGV: prefix of lives. Returns mark, turn, incarnation, released, what the life
 * says. */
static struct redis_script look_script = {
    .source =
        GATE_LUA_PARSE "local claim = redis.call('GET', KEYS[1]) or ''\n"
                       "local mark, turn, _, who, _, _, _, released = parse(claim)\n"
                       "local told = who ~= '' and redis.call('GET', ARGV[1] .. who) or ''\n"
                       "if string.sub(told, 1, #'" ALIVE "') ~= '" ALIVE "' then told = '' end\n"
                       "return {mark, turn, who, released, string.sub(told, #'" ALIVE "' + 1)}\n",
};

struct looking {
    gate_look_fn fn;
    void *arg;
};

static void on_looked(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct looking *looking = arg;
    struct gate_look_answer answer = { .code = ERR_VIEW_UNAVAILABLE };
    if (code == ERR_OK && redis_reply_count(reply) == 5) {
        struct span turn = redis_reply_text(redis_reply_at(reply, 1));
        struct span released = redis_reply_text(redis_reply_at(reply, 3));
        answer = (struct gate_look_answer){
            .claimed = turn.size && !released.size,
            .marked = redis_reply_text(redis_reply_at(reply, 0)).size > 0,
            .incarnation = redis_reply_text(redis_reply_at(reply, 2)),
            .told = redis_reply_text(redis_reply_at(reply, 4)),
        };
    }
    looking->fn(looking->arg, &answer);
    free(looking);
}

void gate_look(struct redis *redis, const char *namespace_, const struct id *id, gate_look_fn fn,
               void *arg)
{
    struct looking *looking = MEM_NEW(*looking);
    *looking = (struct looking){ .fn = fn, .arg = arg };
    struct redis_args args = REDIS_ARGS_INIT((size_t)2 * GATE_KEY_BYTES_MAX);
    redis_args_begin(&args);
    view_key(&args.store, namespace_, VIEW_GATE, id);
    redis_args_end(&args);
    redis_args_begin(&args);
    view_incarnation_key(&args.store, namespace_, "");
    redis_args_end(&args);
    redis_script_run(redis, &look_script, on_looked, looking, 1, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}
