/* What becomes of a claim: kept, released, marked. See gate.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate_internal.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdlib.h>

/* ARGV: turn, place, incarnation, what stands after the epoch from now on. */
static struct redis_script change_script = {
    .source = GATE_LUA_PARSE
    "local claim = redis.call('GET', KEYS[1])\n"
    "if not claim then return 'gone' end\n"
    "local mark, t, p, who, epoch = parse(claim)\n"
    "if t ~= ARGV[1] or p ~= ARGV[2] or who ~= ARGV[3] then return 'gone' end\n"
    "redis.call('SET', KEYS[1], mark .. t .. ' ' .. p .. ' ' .. who .. ' ' .. epoch\n"
    "  .. ' ' .. ARGV[4], 'KEEPTTL')\n"
    "return mark == 'x' and 'cancelled' or 'kept'\n",
};

/* KEYS: gate, record. ARGV: prefix of the incarnations' channels, expiry, identity. */
static struct redis_script cancel_script = {
    .source = GATE_LUA_PARSE
    "local letter = redis.call('GETRANGE', KEYS[2], 0, 0)\n"
    "if letter ~= '' and letter == string.upper(letter) then return 'terminal' end\n"
    "local claim = redis.call('GET', KEYS[1]) or ''\n"
    "local mark, t, _, who, _, _, _, released = parse(claim)\n"
    "if mark ~= 'x' then\n"
    "  if claim == '' then redis.call('SET', KEYS[1], 'x', 'PXAT', ARGV[2])\n"
    "  else redis.call('SET', KEYS[1], 'x' .. claim, 'KEEPTTL') end\n"
    "end\n"
    "if t == '' then return 'idle' end\n"
    "if released == 'r' then return 'idle_begun' end\n"
    "redis.call('PUBLISH', ARGV[1] .. who, ARGV[3])\n"
    "return 'running'\n",
};

struct changing {
    struct gate *gate;
    gate_claim_fn fn;
    void *arg;
};

static void on_changed(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct changing *changing = arg;
    enum gate_claim claim = GATE_CLAIM_UNKNOWN;
    struct span text = code == ERR_OK ? redis_reply_text(reply) : (struct span){ 0 };
    if (span_is(text, "kept"))
        claim = GATE_CLAIM_KEPT;
    else if (span_is(text, "cancelled"))
        claim = GATE_CLAIM_CANCELLED;
    else if (span_is(text, "gone"))
        claim = GATE_CLAIM_GONE;
    changing->gate->open--;
    changing->fn(changing->arg, claim);
    free(changing);
}

static void add_key(struct redis_args *args, const struct gate *gate, enum view_kind kind,
                    const struct id *id)
{
    redis_args_begin(args);
    view_key(&args->store, gate->namespace_, kind, id);
    redis_args_end(args);
}

static void change(struct gate *gate, const struct gate_question *of, const char *rest,
                   gate_claim_fn fn, void *arg)
{
    struct changing *changing = MEM_NEW(*changing);
    *changing = (struct changing){ .gate = gate, .fn = fn, .arg = arg };
    struct redis_args args = REDIS_ARGS_INIT((size_t)5 * GATE_KEY_BYTES_MAX);
    add_key(&args, gate, VIEW_GATE, of->id);
    redis_args_int(&args, of->turn);
    gate_add_place(&args, of);
    redis_args_text(&args, gate->incarnation);
    redis_args_text(&args, rest);
    gate->open++;
    redis_script_run(gate->redis, &change_script, on_changed, changing, 1, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

void gate_keep(struct gate *gate, const struct gate_question *of, uint32_t attempt,
               int64_t due_at_ms, gate_claim_fn fn, void *arg)
{
    struct buf rest = BUF_INIT(64);
    buf_printf(&rest, "%u %lld", attempt, (long long)due_at_ms);
    change(gate, of, rest.data, fn, arg);
    buf_free(&rest);
}

void gate_release(struct gate *gate, const struct gate_question *of, gate_claim_fn fn, void *arg)
{
    change(gate, of, "0 0 r", fn, arg);
}

struct cancelling {
    struct gate *gate;
    void (*done)(void *arg, enum gate_cancel found);
    void *arg;
};

static void on_cancel(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct cancelling *cancelling = arg;
    enum gate_cancel found = GATE_CANCEL_UNKNOWN;
    struct span text = code == ERR_OK ? redis_reply_text(reply) : (struct span){ 0 };
    if (span_is(text, "idle"))
        found = GATE_CANCEL_IDLE;
    else if (span_is(text, "idle_begun"))
        found = GATE_CANCEL_IDLE_BEGUN;
    else if (span_is(text, "running"))
        found = GATE_CANCEL_RUNNING;
    else if (span_is(text, "terminal"))
        found = GATE_CANCEL_TERMINAL;
    cancelling->gate->open--;
    cancelling->done(cancelling->arg, found);
    free(cancelling);
}

void gate_cancel(struct gate *gate, const struct id *id, int64_t forget_at_ms,
                 void (*done)(void *arg, enum gate_cancel found), void *arg)
{
    struct cancelling *cancelling = MEM_NEW(*cancelling);
    *cancelling = (struct cancelling){ .gate = gate, .done = done, .arg = arg };
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(id, identity);
    struct redis_args args = REDIS_ARGS_INIT((size_t)5 * GATE_KEY_BYTES_MAX);
    add_key(&args, gate, VIEW_GATE, id);
    add_key(&args, gate, VIEW_RECORD, id);
    redis_args_begin(&args);
    view_incarnation_channel(&args.store, gate->namespace_, "");
    redis_args_end(&args);
    redis_args_int(&args, forget_at_ms > 0 ? forget_at_ms : 1);
    redis_args_text(&args, identity);
    gate->open++;
    redis_script_run(gate->redis, &cancel_script, on_cancel, cancelling, 2, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}
