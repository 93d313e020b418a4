/* See dead_index.h. Pages and letters here; counts, claims and batches in dead_index_counts.c and
 * dead_index_batch.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/dead_index_internal.h"
#include "schemas/mem.h"
#include "schemas/topic.h"
#include "schemas/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ARGV: prefix, behind which offset, how many, set, fingerprint, type, reason. Returns offset, line
 * and resolution of each. Groups are told apart by their name, "<fingerprint>:<type>", and by the
 * reason in their JSON. */
static struct redis_script page_script = {
    .source =
        "local p, after, limit = ARGV[1], '(' .. ARGV[2], tonumber(ARGV[3])\n"
        "local sets = {}\n"
        "if ARGV[4] == 'r' or ARGV[5] .. ARGV[6] .. ARGV[7] == '' then\n"
        "  sets = { p .. ':' .. ARGV[4] }\n"
        "else\n"
        "  local groups = redis.call('HGETALL', p .. ':g')\n"
        "  for i = 1, #groups, 2 do\n" DEAD_GROUP_MATCH
        "    if fits then sets[#sets + 1] = p .. ':g:' .. groups[i] end\n"
        "  end\n"
        "end\n"
        "local found = {}\n"
        "for _, set in ipairs(sets) do\n"
        "  for _, o in ipairs(redis.call('ZRANGEBYSCORE', set, after, '+inf', 'LIMIT', 0, limit))\n"
        "  do found[#found + 1] = tonumber(o) end\n"
        "end\n"
        "if #sets > 1 then table.sort(found) end\n"
        "local out = {}\n"
        "for i = 1, math.min(#found, limit) do\n"
        "  local o = string.format('%.0f', found[i])\n"
        "  out[#out + 1] = o\n"
        "  out[#out + 1] = redis.call('HGET', p .. ':l', o)\n"
        "  out[#out + 1] = redis.call('HGET', p .. ':x', o)\n"
        "end\n"
        "return out\n",
};

/* ARGV: prefix, offset ("": that of the identity), identity. Returns as above. */
static struct redis_script letter_script = {
    .source = "local p, o = ARGV[1], ARGV[2]\n"
              "if o == '' then o = redis.call('HGET', p .. ':j', ARGV[3]) end\n"
              "if not o then return {} end\n"
              "local line = redis.call('HGET', p .. ':l', o)\n"
              "if not line then return {} end\n"
              "return { o, line, redis.call('HGET', p .. ':x', o) }\n",
};

void dead_items_free(struct dead_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(items[i].line);
        free(items[i].resolution);
    }
    free(items);
}

/* --- whether it may be believed --- */

void dead_index_ask_certificate(const struct dead_index *index, redis_fn fn, void *arg)
{
    const struct config *config = index->config;
    struct redis_args args = REDIS_ARGS_INIT((config->queue_count + 2) * DEAD_KEY_BYTES_MAX);
    redis_args_text(&args, "HMGET");
    redis_args_begin(&args);
    view_hash_key(&args.store, config->namespace_);
    redis_args_end(&args);
    redis_args_text(&args, VIEW_IDENTITY_FIELD);
    for (size_t i = 0; i < config->queue_count; i++) {
        char *topic = topic_name_dup(config->namespace_, TOPIC_DEAD, config->queues[i].name);
        redis_args_begin(&args);
        view_certified_field(&args.store, topic, 0);
        redis_args_end(&args);
        free(topic);
    }
    redis_command(index->redis, fn, arg, args.count, redis_args_list(&args));
    redis_args_free(&args);
}

bool dead_index_is_certified(const struct dead_index *index, const struct redis_reply *reply)
{
    const char *identity = view_identity_text(index->identity);
    if (!identity[0] || redis_reply_count(reply) != 1 + index->config->queue_count ||
        !span_is(redis_reply_text(redis_reply_at(reply, 0)), identity))
        return false;
    for (size_t i = 0; i < index->config->queue_count; i++) {
        if (!span_is(redis_reply_text(redis_reply_at(reply, 1 + i)), redis_run_id(index->redis)))
            return false;
    }
    return true;
}

void dead_index_add_prefix(const struct dead_index *index, const char *queue,
                           struct redis_args *args)
{
    redis_args_begin(args);
    view_dead_prefix(&args->store, index->config->namespace_, queue);
    redis_args_end(args);
}

/* --- pages --- */

struct paging {
    const struct dead_index *index;
    struct dead_filter filter;
    size_t queue; /* the one being asked, in the configuration */
    int64_t after;
    size_t limit;
    size_t asked; /* letters: questions under way */
    void (*begin)(struct paging *paging);
    const char *one_queue; /* of one letter: NULL where it is named by its identity */
    int64_t one_offset;
    char identity[IDENTITY_TEXT_SIZE];
    dead_page_fn fn;
    void *arg;
    struct dead_page page;
};

static void on_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct paging *paging = arg;
    if (code)
        paging->page.code = ERR_VIEW_UNAVAILABLE;
    else
        paging->page.certified = dead_index_is_certified(paging->index, reply);
    paging->page.more = paging->page.count == paging->limit;
    paging->fn(paging->arg, &paging->page);
    dead_items_free(paging->page.items, paging->page.items ? paging->page.count : 0);
    free(paging);
}

static void finish(struct paging *paging)
{
    dead_index_ask_certificate(paging->index, on_certificate, paging);
}

static void on_first_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct paging *paging = arg;
    if (code || !dead_index_is_certified(paging->index, reply))
        on_certificate(paging, code, reply);
    else
        paging->begin(paging);
}

/* False when the answer is none. */
static bool take_items(struct dead_page *page, const char *queue, const struct redis_reply *reply)
{
    for (size_t i = 0; i + 2 < redis_reply_count(reply); i += 3) {
        struct span line = redis_reply_text(redis_reply_at(reply, i + 1));
        struct span resolution = redis_reply_text(redis_reply_at(reply, i + 2));
        page->items = mem_resize(page->items, page->count + 1, sizeof *page->items);
        struct dead_item *item = &page->items[page->count++];
        *item = (struct dead_item){
            .queue = queue,
            .offset = redis_reply_integer(redis_reply_at(reply, i)),
            .line = mem_dup(line),
            .resolution = resolution.size ? mem_dup(resolution) : NULL,
        };
        if (!dead_line_parse((struct span){ item->line, line.size }, &item->read))
            return false;
    }
    return true;
}

static void ask_page(struct paging *paging);

static void on_page(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct paging *paging = arg;
    const struct config *config = paging->index->config;
    if (code || !take_items(&paging->page, config->queues[paging->queue].name, reply)) {
        paging->page.code = ERR_VIEW_UNAVAILABLE;
        finish(paging);
        return;
    }
    paging->queue++;
    paging->after = -1;
    ask_page(paging);
}

static void ask_page(struct paging *paging)
{
    const struct config *config = paging->index->config;
    const struct dead_filter *filter = &paging->filter;
    while (paging->queue < config->queue_count && filter->queue[0] &&
           strcmp(filter->queue, config->queues[paging->queue].name) != 0)
        paging->queue++;
    if (paging->queue == config->queue_count || paging->page.count == paging->limit) {
        finish(paging);
        return;
    }
    struct redis_args args = REDIS_ARGS_INIT(DEAD_ARGS_BYTES_MAX);
    dead_index_add_prefix(paging->index, config->queues[paging->queue].name, &args);
    redis_args_int(&args, paging->after);
    redis_args_int(&args, (int64_t)(paging->limit - paging->page.count));
    redis_args_text(&args, filter->resolved ? "r" : "o");
    redis_args_text(&args, filter->fingerprint);
    redis_args_text(&args, filter->type);
    redis_args_text(&args, filter->reason);
    redis_script_run(paging->index->redis, &page_script, on_page, paging, 0, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

void dead_index_page(const struct dead_index *index, const struct dead_filter *filter,
                     struct dead_place after, size_t limit, dead_page_fn fn, void *arg)
{
    struct paging *paging = MEM_NEW(*paging);
    *paging = (struct paging){ .index = index,
                               .filter = *filter,
                               .begin = ask_page,
                               .after = -1,
                               .limit = limit < DEAD_PAGE_MAX ? limit : DEAD_PAGE_MAX,
                               .fn = fn,
                               .arg = arg };
    for (size_t i = 0; after.queue && i < index->config->queue_count; i++) {
        if (strcmp(index->config->queues[i].name, after.queue) == 0) {
            paging->queue = i;
            paging->after = after.offset;
        }
    }
    dead_index_ask_certificate(index, on_first_certificate, paging);
}

/* --- one letter --- */

struct looking {
    struct paging *paging;
    const char *queue;
};

static void on_letter(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct looking *looking = arg;
    struct paging *paging = looking->paging;
    if (code || !take_items(&paging->page, looking->queue, reply))
        paging->page.code = ERR_VIEW_UNAVAILABLE;
    free(looking);
    if (--paging->asked == 0)
        finish(paging);
}

static void ask_letter(struct paging *paging)
{
    const struct dead_index *index = paging->index;
    const struct config *config = index->config;
    for (size_t i = 0; i < config->queue_count; i++) {
        if (paging->one_queue && strcmp(paging->one_queue, config->queues[i].name) != 0)
            continue;
        struct looking *looking = MEM_NEW(*looking);
        *looking = (struct looking){ paging, config->queues[i].name };
        paging->asked++;
        struct redis_args args = REDIS_ARGS_INIT(DEAD_ARGS_BYTES_MAX);
        dead_index_add_prefix(index, looking->queue, &args);
        if (paging->one_queue)
            redis_args_int(&args, paging->one_offset);
        else
            redis_args_text(&args, "");
        redis_args_text(&args, paging->identity);
        redis_script_run(index->redis, &letter_script, on_letter, looking, 0, args.count,
                         redis_args_list(&args));
        redis_args_free(&args);
    }
    if (paging->asked == 0)
        finish(paging);
}

void dead_index_letter(const struct dead_index *index, const char *queue, int64_t offset,
                       const struct id *id, dead_page_fn fn, void *arg)
{
    struct paging *paging = MEM_NEW(*paging);
    *paging = (struct paging){ .index = index,
                               .begin = ask_letter,
                               .one_offset = offset,
                               .limit = DEAD_PAGE_MAX,
                               .fn = fn,
                               .arg = arg };
    for (size_t i = 0; queue && i < index->config->queue_count; i++) {
        if (strcmp(queue, index->config->queues[i].name) == 0)
            paging->one_queue = index->config->queues[i].name; /* the caller's may go */
    }
    if (queue && !paging->one_queue)
        paging->one_queue = ""; /* no letter is there */
    if (id)
        id_identity_text(id, paging->identity);
    dead_index_ask_certificate(index, on_first_certificate, paging);
}
