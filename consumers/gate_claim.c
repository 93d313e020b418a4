/* What becomes of a claim: kept, released, marked. See gate.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate_internal.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdlib.h>

/* ARGV: turn, place, incarnation, what stands after the epoch from now on. */
static struct redis_script keep_script = {
    .source = GATE_LUA_PARSE
    "local claim = redis.call('GET', KEYS[1])\n"
    "if not claim then return 'gone' end\n"
    "local mark, t, p, who, epoch = parse(claim)\n"
    "if t ~= ARGV[1] or p ~= ARGV[2] or who ~= ARGV[3] then return 'gone' end\n"
    "redis.call('SET', KEYS[1], mark .. t .. ' ' .. p .. ' ' .. who .. ' ' .. epoch\n"
    "  .. ' ' .. ARGV[4], 'KEEPTTL')\n"
    "return mark == 'x' and 'cancelled' or 'kept'\n",
};

/* KEYS: gate, record. ARGV: turn, place, incarnation, 'n' when nothing has begun as far as is
 * known, expiry. A claim that is not there, or of a lower turn, is one of a command that only
 * waited, or was lost. */
static struct redis_script release_script = {
    .source = GATE_LUA_PARSE
    "local letter = redis.call('GETRANGE', KEYS[2], 0, 0)\n"
    "if letter ~= '' and letter == string.upper(letter) then return 'gone' end\n"
    "local mark, t, p, who, _, _, _, _, _, n = parse(redis.call('GET', KEYS[1]) or '')\n"
    "local mine = t == ARGV[1] and p == ARGV[2] and who == ARGV[3]\n"
    "if not mine and t ~= '' and tonumber(t) >= tonumber(ARGV[1]) then return 'gone' end\n"
    "local unbegun = ARGV[4] == 'n' and (mine or n == 'n' or t == '' and ARGV[1] == '0')\n"
    "redis.call('SET', KEYS[1], mark .. ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3]\n"
    "  .. ' 0 0 0 r' .. (unbegun and ' n' or ''), 'PXAT', ARGV[5])\n"
    "return mine and mark == 'x' and 'cancelled' or 'kept'\n",
};

/* KEYS: gate, record. ARGV: prefix of the incarnations' channels, expiry, identity. */
static struct redis_script cancel_script = {
    .source = GATE_LUA_PARSE
    "local letter = redis.call('GETRANGE', KEYS[2], 0, 0)\n"
    "if letter ~= '' and letter == string.upper(letter) then return 'terminal' end\n"
    "local claim = redis.call('GET', KEYS[1]) or ''\n"
    "local mark, t, _, who, _, _, _, released, _, unbegun = parse(claim)\n"
    "if mark ~= 'x' then\n"
    "  if claim == '' then redis.call('SET', KEYS[1], 'x', 'PXAT', ARGV[2])\n"
    "  else redis.call('SET', KEYS[1], 'x' .. claim, 'KEEPTTL') end\n"
    "end\n"
    "if t == '' then\n" /* or the claim is lost: whoever has the job knows */
    "  redis.call('PUBLISH', ARGV[1], ARGV[3])\n"
    "  return 'idle'\n"
    "end\n"
    "if released == 'r' then\n" /* or the claim of a later turn is lost */
    "  redis.call('PUBLISH', ARGV[1], ARGV[3])\n"
    "  return unbegun == 'n' and 'idle' or 'idle_begun'\n"
    "end\n"
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

static void add_claim(struct redis_args *args, const struct gate *gate,
                      const struct gate_question *of)
{
    redis_args_int(args, of->turn);
    gate_add_place(args, of);
    redis_args_text(args, gate->incarnation);
}

static void change(struct gate *gate, const struct redis_script *script, size_t keys,
                   struct redis_args *args, gate_claim_fn fn, void *arg)
{
    struct changing *changing = MEM_NEW(*changing);
    *changing = (struct changing){ .gate = gate, .fn = fn, .arg = arg };
    gate->open++;
    redis_script_run(gate->redis, script, on_changed, changing, keys, args->count,
                     redis_args_list(args));
    redis_args_free(args);
}

void gate_keep(struct gate *gate, const struct gate_question *of, const struct gate_kept *kept,
               gate_claim_fn fn, void *arg)
{
    struct redis_args args = REDIS_ARGS_INIT((size_t)5 * GATE_KEY_BYTES_MAX);
    add_key(&args, gate, VIEW_GATE, of->id);
    add_claim(&args, gate, of);
    redis_args_begin(&args);
    buf_printf(&args.store, "%u %lld%s", kept->attempt, (long long)kept->due_at_ms,
               kept->begun ? "" : " n");
    redis_args_end(&args);
    change(gate, &keep_script, 1, &args, fn, arg);
}

void gate_release(struct gate *gate, const struct gate_question *of, bool begun, gate_claim_fn fn,
                  void *arg)
{
    struct redis_args args = REDIS_ARGS_INIT((size_t)6 * GATE_KEY_BYTES_MAX);
    add_key(&args, gate, VIEW_GATE, of->id);
    add_key(&args, gate, VIEW_RECORD, of->id);
    add_claim(&args, gate, of);
    redis_args_text(&args, begun ? "" : "n");
    redis_args_int(&args, of->forget_at_ms > 0 ? of->forget_at_ms : 1);
    change(gate, &release_script, 2, &args, fn, arg);
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
