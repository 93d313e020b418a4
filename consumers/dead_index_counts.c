/* How many dead letters there are, group by group. See dead_index.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/dead_index_internal.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdlib.h>

#define GROUPS_MAX       1000
#define GROUPS_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* ARGV: prefix, -, -, -, fingerprint, type, reason. Returns how many are open and resolved, then of
 * each group that fits its name, JSON, count and first offset. */
static struct redis_script counts_script = {
    .source = "local p = ARGV[1]\n"
              "local out = { redis.call('ZCARD', p .. ':o'), redis.call('ZCARD', p .. ':r') }\n"
              "local groups = redis.call('HGETALL', p .. ':g')\n"
              "for i = 1, #groups, 2 do\n" DEAD_GROUP_MATCH "  if fits then\n"
              "    local set = p .. ':g:' .. name\n"
              "    local n = #out\n"
              "    out[n+1], out[n+2], out[n+3] = name, told, redis.call('ZCARD', set)\n"
              "    out[n+4] = redis.call('ZRANGE', set, 0, 0)[1] or ''\n"
              "  end\n"
              "end\n"
              "return out\n",
};

struct group {
    const char *queue;
    char *name, *json;
    int64_t count, first;
};

struct counting {
    const struct dead_index *index;
    struct dead_filter filter;
    size_t asked;
    struct group *groups;
    size_t group_count;
    dead_counts_fn fn;
    void *arg;
    struct dead_counts counts;
};

struct asking {
    struct counting *counting;
    const char *queue;
};

static int by_count(const void *a, const void *b)
{
    const struct group *x = a;
    const struct group *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    int order = strcmp(x->queue, y->queue);
    return order ? order : strcmp(x->name, y->name);
}

static void write_groups(struct counting *counting)
{
    struct buf *out = &counting->counts.groups;
    if (counting->group_count)
        qsort(counting->groups, counting->group_count, sizeof *counting->groups, by_count);
    buf_add_char(out, '[');
    for (size_t i = 0; i < counting->group_count && i < GROUPS_MAX; i++) {
        const struct group *group = &counting->groups[i];
        buf_printf(out, "%s{\"queue\":", i ? "," : "");
        buf_add_json_string(out, span_of(group->queue));
        buf_printf(out,
                   ",\"fingerprint\":\"%.16s\",\"count\":%" PRId64 ",\"first_offset\":%" PRId64,
                   group->name, group->count, group->first);
        if (group->json[1] != '}')
            buf_printf(out, ",%s", group->json + 1); /* its own members, and the end */
        else
            buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void on_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct counting *counting = arg;
    if (code)
        counting->counts.code = ERR_VIEW_UNAVAILABLE;
    else
        counting->counts.certified = dead_index_is_certified(counting->index, reply);
    write_groups(counting);
    counting->fn(counting->arg, &counting->counts);
    for (size_t i = 0; i < counting->group_count; i++) {
        free(counting->groups[i].name);
        free(counting->groups[i].json);
    }
    free(counting->groups);
    buf_free(&counting->counts.groups);
    free(counting);
}

static void take_group(struct counting *counting, const char *queue,
                       const struct redis_reply *reply, size_t at)
{
    struct span name = redis_reply_text(redis_reply_at(reply, at));
    struct span json = redis_reply_text(redis_reply_at(reply, at + 1));
    if (name.size < DEAD_FINGERPRINT_SIZE || json.size < 2)
        return;
    counting->groups =
        mem_resize(counting->groups, counting->group_count + 1, sizeof *counting->groups);
    struct group *group = &counting->groups[counting->group_count++];
    *group = (struct group){ .queue = queue,
                             .name = mem_dup(name),
                             .json = mem_dup(json),
                             .count = redis_reply_integer(redis_reply_at(reply, at + 2)),
                             .first = redis_reply_integer(redis_reply_at(reply, at + 3)) };
    counting->counts.matching += MUTANT(dead_groups_counted) ? 1 : group->count;
}

static void on_counts(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct asking *asking = arg;
    struct counting *counting = asking->counting;
    if (code) {
        counting->counts.code = ERR_VIEW_UNAVAILABLE;
    } else {
        counting->counts.open += redis_reply_integer(redis_reply_at(reply, 0));
        if (MUTANT(resolved_is_open))
            counting->counts.open += redis_reply_integer(redis_reply_at(reply, 1));
        counting->counts.resolved += redis_reply_integer(redis_reply_at(reply, 1));
        for (size_t at = 2; at + 3 < redis_reply_count(reply); at += 4)
            take_group(counting, asking->queue, reply, at);
    }
    free(asking);
    if (--counting->asked == 0)
        dead_index_ask_certificate(counting->index, on_certificate, counting);
}

static void ask_counts(struct counting *counting)
{
    const struct dead_index *index = counting->index;
    const struct config *config = index->config;
    const struct dead_filter *filter = &counting->filter;
    for (size_t i = 0; i < config->queue_count; i++) {
        if (filter->queue[0] && strcmp(filter->queue, config->queues[i].name) != 0)
            continue;
        struct asking *asking = MEM_NEW(*asking);
        *asking = (struct asking){ counting, config->queues[i].name };
        counting->asked++;
        struct redis_args args = REDIS_ARGS_INIT(DEAD_ARGS_BYTES_MAX);
        dead_index_add_prefix(index, asking->queue, &args);
        for (int unused = 0; unused < 3; unused++)
            redis_args_text(&args, "");
        redis_args_text(&args, filter->fingerprint);
        redis_args_text(&args, filter->type);
        redis_args_text(&args, filter->reason);
        redis_script_run(index->redis, &counts_script, on_counts, asking, 0, args.count,
                         redis_args_list(&args));
        redis_args_free(&args);
    }
    if (counting->asked == 0)
        dead_index_ask_certificate(index, on_certificate, counting);
}

static void on_first_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct counting *counting = arg;
    if (code || !dead_index_is_certified(counting->index, reply))
        on_certificate(counting, code, reply);
    else
        ask_counts(counting);
}

void dead_index_counts(const struct dead_index *index, const struct dead_filter *filter,
                       dead_counts_fn fn, void *arg)
{
    struct counting *counting = MEM_NEW(*counting);
    *counting = (struct counting){ .index = index, .filter = *filter, .fn = fn, .arg = arg };
    counting->counts.groups = (struct buf)BUF_INIT(GROUPS_BYTES_MAX);
    dead_index_ask_certificate(index, on_first_certificate, counting);
}
