/* The lists by which jobs are found: where a job stands in them, and the sweep that takes out what
 * is forgotten. See recorder_internal.h and docs/PROTOCOL.md, P-54.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/list_lua.h"
#include "consumers/recorder_internal.h"
#include "schemas/view.h"

#define SWEEP_MS      1000
#define SWEEP_SOON_MS 20    /* the next step when there is much to take out */
#define SWEEP_ENTRIES "500" /* one step looks at some so many; a Lua call of 2 ms */
#define SWEEP_PARTS   "100" /* and passes through so many parts */
#define SWEEP_PAUSE   "900" /* ms from one recorder's step to another's */
#define MUCH_PERCENT  10
#define SWEEP_BYTES   1024

/* One step on the way through all parts of all lists, again and again. KEYS: how far it is, the set
 * of lists. ARGV: prefix of records, of command records, who, how many. Returns how many entries
 * were looked at and how many of them were taken out. A list that is empty leaves the set. */
static struct redis_script sweep_script = {
    .source = LIST_LUA_PARTS
    "local now = redis.call('TIME')\n"
    "now = now[1] * 1000 + math.floor(now[2] / 1000)\n"
    "local at = redis.call('HMGET', KEYS[1], 'who', 'at', 'list', 'begin', 'cursor')\n"
    "if at[1] and at[1] ~= ARGV[3] and now < tonumber(at[2]) + " SWEEP_PAUSE " then\n"
    "  return {0, 0}\n"
    "end\n"
    "local list, begin, cursor, looked, gone = at[3], at[4], at[5] or '0', 0, 0\n"
    "local lists = redis.call('SMEMBERS', KEYS[2])\n"
    "table.sort(lists)\n"
    "local form = string.rep('%02x', 12)\n"
    "local function go_on()\n"
    "  begin = list and redis.call('ZRANGEBYSCORE', list, '(' .. begin, '+inf', 'LIMIT', 0, 1)[1]\n"
    "  for _, name in ipairs(lists) do\n"
    "    if begin then return end\n"
    "    if not list or name > list then\n"
    "      list = name\n"
    "      begin = redis.call('ZRANGE', list, 0, 0)[1]\n"
    "      if not begin then redis.call('SREM', KEYS[2], list) end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "for _ = 1, " SWEEP_PARTS " do\n"
    "  if cursor == '0' then go_on() end\n"
    "  if not begin then list = false break end\n"
    "  local part = part_of(list, begin)\n"
    "  local found = redis.call('ZSCAN', part, cursor, 'COUNT', ARGV[4])\n"
    "  cursor = found[1]\n"
    "  for i = 1, #found[2], 2 do\n"
    "    local entry = found[2][i]\n"
    "    local name = #entry == 12 and string.format(form, string.byte(entry, 1, 12)) or ''\n"
    "    looked = looked + 1\n"
    "    if redis.call('EXISTS', ARGV[1] .. name, ARGV[2] .. name) == 0 then\n"
    "      gone = gone + redis.call('ZREM', part, entry)\n"
    "    end\n"
    "  end\n"
    "  if redis.call('EXISTS', part) == 0 then redis.call('ZREM', list, begin) end\n"
    "  if redis.call('EXISTS', list) == 0 then redis.call('SREM', KEYS[2], list) end\n"
    "  if looked >= tonumber(ARGV[4]) then break end\n"
    "end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('HSET', KEYS[1], 'who', ARGV[3], 'at', string.format('%.0f', now))\n"
    "if list then\n"
    "  redis.call('HSET', KEYS[1], 'list', list, 'begin', begin, 'cursor', cursor)\n"
    "end\n"
    "return {looked, gone}\n",
};

/* --- where a job stands --- */

void recorder_list_sets(const struct recorder *recorder, struct redis_args *args)
{
    redis_args_begin(args);
    view_list_sets_key(&args->store, recorder->config->namespace_);
    redis_args_end(args);
}

void recorder_list_of(const struct recorder *recorder, const struct job_facts *facts,
                      enum job_state state, struct redis_args *args)
{
    redis_args_begin(args);
    view_list_key(&args->store, recorder->config->namespace_, job_state_letter(state),
                  facts->tenant, facts->type);
    redis_args_end(args);
}

void recorder_list_entry(const struct job_facts *facts, struct redis_args *args)
{
    redis_args_int(args, facts->created_at_ms);
    redis_args_begin(args);
    buf_add(&args->store, facts->id.bytes, ID_IDENTITY_BYTES);
    redis_args_end(args);
}

/* --- the sweep --- */

static void on_swept(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    recorder->sweep.asking = false;
    if (code || redis_reply_count(reply) != 2)
        return;
    int64_t looked = redis_reply_integer(redis_reply_at(reply, 0));
    int64_t gone = redis_reply_integer(redis_reply_at(reply, 1));
    metric_add(recorder->sweep.swept, gone);
    if (gone > 0 && gone * 100 >= looked * MUCH_PERCENT && !recorder->draining)
        loop_timer_start(recorder->sweep.timer, SWEEP_SOON_MS, SWEEP_MS);
}

static void add_prefix(struct redis_args *args, const struct recorder *recorder,
                       enum view_kind kind)
{
    redis_args_begin(args);
    buf_printf(&args->store, "%s:%c:", recorder->config->namespace_, (char)kind);
    redis_args_end(args);
}

static void sweep(void *arg)
{
    struct recorder *recorder = arg;
    if (recorder->sweep.asking || recorder->clearing || recorder->draining ||
        !redis_ready(recorder->redis))
        return;
    recorder->sweep.asking = true;
    struct redis_args args = REDIS_ARGS_INIT(SWEEP_BYTES);
    redis_args_begin(&args);
    view_list_sweep_key(&args.store, recorder->config->namespace_);
    redis_args_end(&args);
    recorder_list_sets(recorder, &args);
    add_prefix(&args, recorder, VIEW_RECORD);
    add_prefix(&args, recorder, VIEW_COMMAND);
    redis_args_text(&args, service_incarnation(recorder->service));
    redis_args_text(&args, SWEEP_ENTRIES);
    redis_script_run(recorder->redis, &sweep_script, on_swept, recorder, 2, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

void recorder_list_open(struct recorder *recorder)
{
    recorder->sweep.swept =
        metrics_counter(service_metrics(recorder->service), "errand_list_swept_total",
                        "Entries of forgotten jobs taken out of the lists of jobs.", NULL);
    recorder->sweep.timer = loop_timer_new(recorder->loop, sweep, recorder);
    loop_timer_start(recorder->sweep.timer, SWEEP_MS, SWEEP_MS);
}

void recorder_list_close(struct recorder *recorder)
{
    loop_timer_free(recorder->sweep.timer);
    recorder->sweep.timer = NULL;
}
