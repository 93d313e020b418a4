/* See view_list.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/view_list.h"
#include "consumers/list_lua.h"
#include "infra/redis_args.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGUMENT_BYTES_MAX 4096
#define HEADER_COUNT       4 /* of the reply: certificate, more, time and identity of the last */

/* KEYS: the view's hash, the set of lists. ARGV: prefix of lists, letters of states, "tenant:",
 * type ("*" and it, "" any), since, time and identity of the place ("" none), entries at most,
 * bytes at most, prefix of records, of command records. Where each list begins is found by rank: of
 * the entries with the place's own time, which are in the order of their bytes, by halving. Bytes
 * are compared one by one, since Lua compares texts as the locale says. */
static struct redis_script list_script = {
    .source = LIST_LUA_PARTS
    "local function before(a, b)\n"
    "  for i = 1, 12 do\n"
    "    local x, y = string.byte(a, i) or 0, string.byte(b, i) or 0\n"
    "    if x ~= y then return x > y end\n"
    "  end\n"
    "  return false\n"
    "end\n"
    "local heads, since, form = {}, tonumber(ARGV[5]), string.rep('%02x', 12)\n"
    "local function rank_in(part)\n"
    "  local low = redis.call('ZCOUNT', part, '(' .. ARGV[6], '+inf')\n"
    "  local high = redis.call('ZCOUNT', part, ARGV[6], '+inf')\n"
    "  while low < high do\n"
    "    local middle = math.floor((low + high) / 2)\n"
    "    local entry = redis.call('ZREVRANGE', part, middle, middle)[1]\n"
    "    if before(ARGV[7], entry) then high = middle else low = middle + 1 end\n"
    "  end\n"
    "  return low\n"
    "end\n"
    "local function start(head)\n"
    "  if ARGV[6] == '' then\n"
    "    head.begin = redis.call('ZREVRANGE', head.list, 0, 0)[1]\n"
    "  else\n"
    "    head.begin = begin_of(head.list, ARGV[6])\n"
    "    if head.begin then head.rank = rank_in(part_of(head.list, head.begin)) end\n"
    "  end\n"
    "end\n"
    "local function fill(head)\n"
    "  while head.at > #head.page do\n"
    "    if not head.begin then return false end\n"
    "    head.page = redis.call('ZREVRANGE', part_of(head.list, head.begin), head.rank,\n"
    "      head.rank + 15, 'WITHSCORES')\n"
    "    head.rank, head.at = head.rank + 16, 1\n"
    "    if #head.page == 0 then\n"
    "      head.begin, head.rank = begin_of(head.list, '(' .. head.begin), 0\n"
    "    end\n"
    "  end\n"
    "  head.entry, head.time = head.page[head.at], tonumber(head.page[head.at + 1])\n"
    "  return head.time >= since\n"
    "end\n"
    "for _, list in ipairs(redis.call('SMEMBERS', KEYS[2])) do\n"
    "  local rest = string.sub(list, #ARGV[1] + 1)\n"
    "  local letter = string.sub(rest, 1, 1)\n"
    "  rest = string.sub(rest, 3)\n"
    "  if string.find(ARGV[2], letter, 1, true) and\n"
    "     string.sub(rest, 1, #ARGV[3]) == ARGV[3] and\n"
    "     (ARGV[4] == '' or '*' .. string.sub(rest, #ARGV[3] + 1) == ARGV[4]) then\n"
    "    local head = {list = list, letter = letter, rank = 0, at = 1, page = {}}\n"
    "    start(head)\n"
    "    if fill(head) then heads[#heads + 1] = head end\n"
    "  end\n"
    "end\n"
    "local found = {redis.call('HGET', KEYS[1], '" VIEW_CERTIFICATE_FIELD "') or '', 0, '', ''}\n"
    "local count, bytes = 0, 0\n"
    "while #heads > 0 do\n"
    "  if count >= tonumber(ARGV[8]) or bytes >= tonumber(ARGV[9]) then found[2] = 1 break "
    "end\n"
    "  local best = 1\n"
    "  for i = 2, #heads do\n"
    "    local a, b = heads[i], heads[best]\n"
    "    if a.time > b.time or a.time == b.time and before(a.entry, b.entry) then best = i "
    "end\n"
    "  end\n"
    "  local head = heads[best]\n"
    "  local name = string.format(form, string.byte(head.entry, 1, 12))\n"
    "  local record = redis.call('GET', ARGV[10] .. name) or\n"
    "                 redis.call('GET', ARGV[11] .. name)\n"
    "  count = count + 1\n"
    "  found[3], found[4] = head.page[head.at + 1], name\n"
    "  if record and string.sub(record, 1, 1) == head.letter then\n"
    "    bytes = bytes + #record\n"
    "    found[#found + 1] = head.page[head.at + 1]\n"
    "    found[#found + 1] = record\n"
    "  end\n"
    "  head.at = head.at + 2\n"
    "  if not fill(head) then table.remove(heads, best) end\n"
    "end\n"
    "return found\n",
};

struct asking {
    struct view_options use;
    view_list_fn fn;
    void *arg;
};

/* Entries of an earlier life of an id, that were not swept yet, are not of this record. */
static bool is_of(const struct job_record *record, const struct redis_reply *time)
{
    return record->facts.created_at_ms == redis_reply_integer(time);
}

static void read_header(const struct asking *asking, const struct redis_reply *reply,
                        struct view_list_answer *answer)
{
    answer->code = ERR_OK;
    answer->certified = view_is_certified(&asking->use, redis_reply_text(redis_reply_at(reply, 0)));
    answer->more = redis_reply_integer(redis_reply_at(reply, 1)) == 1;
    answer->last.created_at_ms = redis_reply_integer(redis_reply_at(reply, 2));
    (void)id_identity_parse(redis_reply_text(redis_reply_at(reply, 3)), &answer->last.id);
}

static void on_found(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct asking *asking = arg;
    struct view_list_answer answer = { .code = ERR_VIEW_UNAVAILABLE };
    size_t parts = redis_reply_count(reply);
    size_t decoded = 0;
    struct envelope_record *records[VIEW_LIST_ENTRIES_MAX];
    const struct job_record *told[VIEW_LIST_ENTRIES_MAX];
    if (code == ERR_OK && parts >= HEADER_COUNT)
        read_header(asking, reply, &answer);
    for (size_t i = HEADER_COUNT; i + 1 < parts && decoded < VIEW_LIST_ENTRIES_MAX; i += 2) {
        struct span bytes = redis_reply_text(redis_reply_at(reply, i + 1));
        if (envelope_decode_record(bytes, &records[decoded], NULL) != ERR_OK)
            continue;
        const struct job_record *record = &records[decoded++]->record;
        if (is_of(record, redis_reply_at(reply, i)))
            told[answer.count++] = record;
    }
    answer.records = told;
    asking->fn(asking->arg, &answer);
    for (size_t i = 0; i < decoded; i++)
        envelope_record_free(records[i]);
    free(asking);
}

static void add_letters(struct redis_args *args, const struct job_filter *filter)
{
    unsigned states = job_filter_record_states(filter);
    redis_args_begin(args);
    for (int state = 0; state < JOB_STATE_COUNT; state++) {
        if (states & 1U << state)
            buf_add_char(&args->store, job_state_letter((enum job_state)state));
    }
    redis_args_end(args);
}

static void add_lists(struct redis_args *args, const char *namespace_,
                      const struct job_filter *filter)
{
    redis_args_begin(args);
    view_list_prefix(&args->store, namespace_);
    redis_args_end(args);
    add_letters(args, filter);
    redis_args_begin(args);
    view_list_name(&args->store, filter->tenant);
    buf_add_char(&args->store, ':');
    redis_args_end(args);
    redis_args_begin(args);
    if (filter->type.data) {
        buf_add_char(&args->store, '*');
        view_list_name(&args->store, filter->type);
    }
    redis_args_end(args);
    redis_args_int(args, filter->since_ms);
}

static void add_place(struct redis_args *args, const struct job_place *place)
{
    if (place->created_at_ms < 0) {
        redis_args_text(args, "");
        redis_args_text(args, "");
        return;
    }
    redis_args_int(args, place->created_at_ms + MUTANT(list_cursor_early));
    redis_args_begin(args);
    buf_add(&args->store, place->id.bytes, ID_IDENTITY_BYTES);
    redis_args_end(args);
}

static void add_prefix(struct redis_args *args, const char *namespace_, enum view_kind kind)
{
    redis_args_begin(args);
    buf_printf(&args->store, "%s:%c:", namespace_, (char)kind);
    redis_args_end(args);
}

void view_list(const struct view_options *use, const struct view_list_question *question,
               view_list_fn fn, void *arg)
{
    struct asking *asking = MEM_NEW(*asking);
    *asking = (struct asking){ .use = *use, .fn = fn, .arg = arg };
    const char *namespace_ = use->config->namespace_;
    struct redis_args args = REDIS_ARGS_INIT(ARGUMENT_BYTES_MAX);
    redis_args_begin(&args);
    view_hash_key(&args.store, namespace_);
    redis_args_end(&args);
    redis_args_begin(&args);
    view_list_sets_key(&args.store, namespace_);
    redis_args_end(&args);
    add_lists(&args, namespace_, question->filter);
    add_place(&args, &question->after);
    redis_args_int(&args, (int64_t)question->count);
    redis_args_int(&args, (int64_t)VIEW_LIST_BYTES_MAX);
    add_prefix(&args, namespace_, VIEW_RECORD);
    add_prefix(&args, namespace_, VIEW_COMMAND);
    redis_script_run(use->redis, &list_script, on_found, asking, 2, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}
