/* See target_exchange.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/target_exchange.h"

#include "infra/redis_args.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <stdlib.h>

#define ARGS_BYTES_MAX 2048
#define GRANT_FIELDS   9
#define HASH_TTL_MS    "86400000" /* longer than a breaker waits */
#define SETTLE_MS      "1000"

/* ARGV by name, and the hash read into `b` (breaker), `bucket`, `others`. */
#define LUA_READ                                                                                   \
    "local A = {}\n"                                                                               \
    "for i = 1, #ARGV do A[i] = tonumber(ARGV[i]) or ARGV[i] end\n"                                \
    "local now, me, limit, keep, want = A[1], ARGV[2], A[3], A[4], A[5]\n"                         \
    "local count, period, burst, back, asks = A[6], A[7], A[8], A[9], A[10]\n"                     \
    "local epoch, ok, bad, probes_back, probes = A[11], A[12], A[13], A[14], A[15]\n"              \
    "local known = {state = A[16], left = A[17], wait = A[18]}\n"                                  \
    "local P = {percent = A[19], min = A[20], window = A[21], open = A[22], most = A[23],\n"       \
    "  probes = A[24], lost = A[25]}\n"                                                            \
    "local life = A[26]\n"                                                                         \
    "if now == 0 then\n"                                                                           \
    "  local t = redis.call('TIME')\n"                                                             \
    "  now = t[1] * 1000 + math.floor(t[2] / 1000)\n"                                              \
    "end\n"                                                                                        \
    "local function text(...)\n"                                                                   \
    "  local words = {...}\n"                                                                      \
    "  for i = 1, #words do words[i] = string.format('%.17g', words[i]) end\n"                     \
    "  return table.concat(words, ' ')\n"                                                          \
    "end\n"                                                                                        \
    "local function numbers(words)\n"                                                              \
    "  local out = {}\n"                                                                           \
    "  for word in string.gmatch(words, '%S+') do out[#out + 1] = tonumber(word) end\n"            \
    "  return out\n"                                                                               \
    "end\n"                                                                                        \
    "local hash = redis.call('HGETALL', KEYS[1])\n"                                                \
    "local stored, bucket, settle, others = nil, nil, 0, {}\n"                                     \
    "for i = 1, #hash, 2 do\n"                                                                     \
    "  local field, value = hash[i], hash[i + 1]\n"                                                \
    "  if field == 'b' then stored = numbers(value)\n"                                             \
    "  elseif field == 'r' then bucket = numbers(value)\n"                                         \
    "  elseif field == 's' then settle = tonumber(value)\n"                                        \
    "  elseif field ~= me then\n"                                                                  \
    "    local v = numbers(value)\n"                                                               \
    "    if v[1] <= now then redis.call('HDEL', KEYS[1], field)\n"                                 \
    "    else others[#others + 1] = {name = field, held = v[2], want = v[3], asks = v[4]} end\n"   \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local set = {}\n"                                                                             \
    "local function put(field, value) set[#set + 1] = field; set[#set + 1] = value end\n"

/* schemas/breaker.c in Lua. */
#define LUA_BREAKER                                                                                \
    "local b = {state = 0, epoch = 0, until_ = 0, wait = 0, half = 0, calls = 0, failed = 0,\n"    \
    "  calls0 = 0, failed0 = 0, round = 0, granted = 0, ok = 0, at = 0, bad = 0}\n"                \
    "local names = {'state', 'epoch', 'until_', 'wait', 'half', 'calls', 'failed', 'calls0',\n"    \
    "  'failed0', 'round', 'granted', 'ok', 'at', 'bad'}\n"                                        \
    "local granted = 0\n"                                                                          \
    "local function enter(state, wait)\n"                                                          \
    "  local e = b.epoch + 1\n"                                                                    \
    "  for _, name in ipairs(names) do b[name] = 0 end\n"                                          \
    "  b.state, b.epoch, b.wait = state, e, wait\n"                                                \
    "  if state == 1 then b.round = 1 end\n"                                                       \
    "  if state == 2 then b.until_ = now + wait end\n"                                             \
    "end\n"                                                                                        \
    "local function trip()\n"                                                                      \
    "  enter(2, math.min(b.wait > 0 and 2 * b.wait or P.open, P.most))\n"                          \
    "end\n"                                                                                        \
    "local function told()\n"                                                                      \
    "  local half, age = math.floor(P.window / 2), now - b.half\n"                                 \
    "  if age >= half then\n"                                                                      \
    "    local near = age < 2 * half\n"                                                            \
    "    b.calls0, b.failed0 = near and b.calls or 0, near and b.failed or 0\n"                    \
    "    b.calls, b.failed, b.half = 0, 0, now\n"                                                  \
    "  end\n"                                                                                      \
    "  b.calls, b.failed = b.calls + ok + bad, b.failed + bad\n"                                   \
    "  local all, failed = b.calls + b.calls0, b.failed + b.failed0\n"                             \
    "  if bad > 0 and all >= P.min and failed * 100 >= P.percent * all then trip() end\n"          \
    "end\n"                                                                                        \
    "local function probed()\n"                                                                    \
    "  b.ok, b.bad = b.ok + ok + bad, b.bad + bad\n"                                               \
    "  if bad > 0 and b.bad * 100 >= P.percent * b.round then trip() return end\n"                 \
    "  if b.ok < b.round then return end\n"                                                        \
    "  if b.round >= P.probes then enter(0, 0) return end\n"                                       \
    "  b.round, b.granted, b.ok, b.bad = math.min(2 * b.round, P.probes), 0, 0, 0\n"               \
    "end\n"                                                                                        \
    "if P.percent > 0 then\n"                                                                      \
    "  if stored then for i, name in ipairs(names) do b[name] = stored[i] or 0 end\n"              \
    "  elseif epoch > 0 then\n" /* an emptied Redis learns it again */                             \
    "    b.state, b.epoch, b.wait = known.state, epoch, known.wait\n"                              \
    "    b.round = known.state == 1 and 1 or 0\n"                                                  \
    "    b.until_ = known.state == 2 and now + known.left or 0\n"                                  \
    "  end\n"                                                                                      \
    "  if b.state == 1 and epoch == b.epoch then\n"                                                \
    "    b.granted = math.max(b.granted - probes_back, b.ok)\n"                                    \
    "  end\n"                                                                                      \
    "  if b.state == 2 and now >= b.until_ then enter(1, b.wait) end\n"                            \
    "  if epoch == b.epoch and ok + bad > 0 then\n"                                                \
    "    if b.state == 0 then told()\n"                                                            \
    "    elseif b.state == 1 then probed() end\n"                                                  \
    "  end\n"                                                                                      \
    "  if b.state == 1 and probes > 0 then\n"                                                      \
    "    if b.granted > b.ok and now - b.at >= P.lost then b.granted = b.ok end\n"                 \
    "    granted = math.max(0, math.min(probes, b.round - b.granted))\n"                           \
    "    if granted > 0 then b.granted, b.at = b.granted + granted, now end\n"                     \
    "  end\n"                                                                                      \
    "  local words = {}\n"                                                                         \
    "  for i, name in ipairs(names) do words[i] = b[name] end\n"                                   \
    "  put('b', text(unpack(words)))\n"                                                            \
    "end\n"

/* Ceilings and tokens. `again`: so that all who want more ask 250 times a second at most. */
#define LUA_LIMITS                                                                                 \
    "local workers, wanting, asking, held = #others + 1, {}, 1, 0\n"                               \
    "for _, o in ipairs(others) do\n"                                                              \
    "  held = held + o.held\n"                                                                     \
    "  if o.want > 0 then wanting[#wanting + 1] = o.name end\n"                                    \
    "  if o.asks > 0 then asking = asking + 1 end\n"                                               \
    "end\n"                                                                                        \
    "local again = math.max(20, 4 * workers)\n"                                                    \
    "local ceiling = 0\n"                                                                          \
    "if limit > 0 and want > 0 then\n"                                                             \
    "  wanting[#wanting + 1] = me\n"                                                               \
    "  local fair, free = math.floor(limit / #wanting), math.max(0, limit - held)\n"               \
    "  if fair > 0 then\n"                                                                         \
    "    local due = 0\n" /* what others may still come to have */                                 \
    "    for _, o in ipairs(others) do\n"                                                          \
    "      due = due + math.max(0, math.min(o.want, fair) - o.held)\n"                             \
    "    end\n"                                                                                    \
    "    ceiling = math.min(want, math.max(math.min(fair, free), free - due))\n"                   \
    "  else\n" /* more workers than calls: by turns */                                             \
    "    table.sort(wanting)\n"                                                                    \
    "    for i, name in ipairs(wanting) do\n"                                                      \
    "      if name == me and (i + math.floor(now / 1000)) % #wanting < limit then\n"               \
    "        ceiling = math.min(1, free)\n"                                                        \
    "      end\n"                                                                                  \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  if #hash == 0 and keep > 0 then\n"                                                          \
    "    settle = now + " SETTLE_MS "\n"                                                           \
    "    put('s', settle)\n"                                                                       \
    "  end\n"                                                                                      \
    "  if now < settle then ceiling = math.min(ceiling, keep) end\n"                               \
    "end\n"                                                                                        \
    "local tokens = 0\n"                                                                           \
    "if count > 0 then\n"                                                                          \
    "  local have, at = burst, now\n"                                                              \
    "  if bucket then\n"                                                                           \
    "    have, at = bucket[1], math.max(bucket[2], now)\n"                                         \
    "    have = have + math.max(0, now - bucket[2]) * count / period\n"                            \
    "  end\n"                                                                                      \
    "  have = math.min(burst, have + back)\n"                                                      \
    "  local share = math.max(math.ceil(have / asking),\n"                                         \
    "    math.ceil(2 * again * count / period / asking))\n"                                        \
    "  tokens = math.max(0, math.min(asks, math.floor(have), share))\n"                            \
    "  have = have - tokens\n"                                                                     \
    "  put('r', text(have, at))\n"                                                                 \
    "  if tokens < asks and have < 1 then\n"                                                       \
    "    again = math.max(again, math.ceil((1 - have) * period / count))\n"                        \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "if limit > 0 or count > 0 then\n"                                                             \
    "  if keep == 0 and want == 0 and asks == 0 then redis.call('HDEL', KEYS[1], me)\n"            \
    "  else put(me, text(now + life, math.max(keep, ceiling), want, asks)) end\n"                  \
    "end\n"                                                                                        \
    "if #set > 0 then redis.call('HSET', KEYS[1], unpack(set)) end\n"                              \
    "redis.call('PEXPIRE', KEYS[1], " HASH_TTL_MS ")\n"                                            \
    "return {b.state, b.epoch, b.state == 2 and b.until_ - now or 0, b.wait, ceiling, tokens,\n"   \
    "  granted, workers, again}\n"

static const struct redis_script script = { .source = LUA_READ LUA_BREAKER LUA_LIMITS };

struct asked {
    target_grant_fn fn;
    void *arg;
};

static void on_reply(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct asked *asked = arg;
    if (code != ERR_OK || redis_reply_count(reply) != GRANT_FIELDS) {
        asked->fn(asked->arg, NULL);
        free(asked);
        return;
    }
    int64_t field[GRANT_FIELDS];
    for (size_t i = 0; i < GRANT_FIELDS; i++)
        field[i] = redis_reply_integer(redis_reply_at(reply, i));
    struct target_grant grant = {
        .state = field[0] == BREAKER_OPEN        ? BREAKER_OPEN
                 : field[0] == BREAKER_HALF_OPEN ? BREAKER_HALF_OPEN
                                                 : BREAKER_CLOSED,
        .epoch = field[1],
        .left_ms = field[2],
        .wait_ms = field[3],
        .ceiling = field[4],
        .tokens = field[5],
        .probes = field[6],
        .workers = field[7] > 0 ? field[7] : 1,
        .again_ms = field[8],
    };
    asked->fn(asked->arg, &grant);
    free(asked);
}

static void add_limits(struct redis_args *args, const struct config_target *target,
                       const struct target_report *report)
{
    redis_args_int(args, target->concurrency_max);
    redis_args_int(args, report->keep);
    redis_args_int(args, report->want);
    redis_args_int(args, target->rate_count);
    redis_args_int(args, target->rate_period_ms);
    redis_args_int(args, target_lease_burst(target));
    redis_args_int(args, report->tokens_back);
    redis_args_int(args, report->tokens_wanted);
}

static void add_breaker(struct redis_args *args, const struct breaker_policy *policy,
                        const struct target_report *report)
{
    redis_args_int(args, report->known.epoch);
    redis_args_int(args, report->successes);
    redis_args_int(args, MUTANT(breaker_never_opens) ? 0 : report->failures);
    redis_args_int(args, report->probes_back);
    redis_args_int(args, report->probes_wanted);
    redis_args_int(args, (int)report->known.state);
    redis_args_int(args, report->known.until_ms);
    redis_args_int(args, report->known.wait_ms);
    redis_args_int(args, policy->enabled ? policy->failures_percent : 0);
    redis_args_int(args, policy->calls_min);
    redis_args_int(args, policy->window_ms);
    redis_args_int(args, policy->open_ms);
    redis_args_int(args, policy->open_ms_max);
    redis_args_int(args, policy->probes);
    redis_args_int(args, policy->probe_wait_ms);
}

void target_exchange(const struct target_exchange *exchange, const struct config_target *target,
                     const struct target_report *report, target_grant_fn fn, void *arg)
{
    struct asked *asked = MEM_NEW(*asked);
    *asked = (struct asked){ .fn = fn, .arg = arg };
    struct redis_args args = REDIS_ARGS_INIT(ARGS_BYTES_MAX);
    redis_args_begin(&args);
    view_target_key(&args.store,
                    MUTANT(limits_not_shared) ? exchange->worker : exchange->namespace_,
                    target->name);
    redis_args_end(&args);
    redis_args_int(&args, exchange->now_ms);
    redis_args_text(&args, exchange->worker);
    add_limits(&args, target, report);
    add_breaker(&args, &target->breaker, report);
    redis_args_int(&args, TARGET_EXCHANGE_LIFE_MS);
    redis_script_run(exchange->redis, &script, on_reply, asked, 1, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}
