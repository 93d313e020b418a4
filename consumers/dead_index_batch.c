/* Claims of letters, and what became of the jobs that a batch made. See dead_index.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/dead_index_internal.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <stdio.h>
#include <stdlib.h>

#define CLAIM_TTL_MS   INT64_C(604800000) /* a week */
#define JOB_FIELD      "\"job\":\""
#define JOBS_BYTES_MAX ((size_t)256 * 1024)

/* --- claims --- */

/* ARGV: prefix, batch, how long in ms (0: mark nothing), offsets. Returns of each 0 ours, 1
 * resolved or not there, 2 another batch's. */
static struct redis_script claim_script = {
    .source = "local p, out = ARGV[1], {}\n"
              "for i = 4, #ARGV do\n"
              "  local o, key = ARGV[i], p .. ':c:' .. ARGV[i]\n"
              "  if not redis.call('ZSCORE', p .. ':o', o) then out[#out + 1] = 1\n"
              "  elseif ARGV[3] == '0' then\n"
              "    local of = redis.call('GET', key)\n"
              "    out[#out + 1] = (not of or of == ARGV[2]) and 0 or 2\n"
              "  elseif redis.call('SET', key, ARGV[2], 'NX', 'PX', ARGV[3])\n"
              "    or redis.call('GET', key) == ARGV[2] then out[#out + 1] = 0\n"
              "  else out[#out + 1] = 2 end\n"
              "end\n"
              "return out\n",
};

struct claiming {
    size_t count;
    dead_claims_fn fn;
    void *arg;
    enum dead_claim verdicts[];
};

static void on_claimed(void *arg, enum err_code code, const struct redis_reply *reply)
{
    static const enum dead_claim meaning[] = { DEAD_CLAIM_OURS, DEAD_CLAIM_RESOLVED,
                                               DEAD_CLAIM_OTHER };
    struct claiming *claiming = arg;
    for (size_t i = 0; i < claiming->count; i++) {
        int64_t told = code ? -1 : redis_reply_integer(redis_reply_at(reply, i));
        claiming->verdicts[i] = told >= 0 && told <= 2 ? meaning[told] : DEAD_CLAIM_UNKNOWN;
    }
    claiming->fn(claiming->arg, claiming->verdicts, claiming->count);
    free(claiming);
}

void dead_index_claim(const struct dead_index *index, const struct dead_claims *claims,
                      dead_claims_fn fn, void *arg)
{
    struct claiming *claiming =
        mem_zalloc(1, sizeof *claiming + claims->count * sizeof claiming->verdicts[0]);
    claiming->count = claims->count;
    claiming->fn = fn;
    claiming->arg = arg;
    struct redis_args args = REDIS_ARGS_INIT(DEAD_ARGS_BYTES_MAX + claims->count * 24);
    dead_index_add_prefix(index, claims->queue, &args);
    redis_args_text(&args, claims->batch);
    redis_args_int(&args, claims->look ? 0 : CLAIM_TTL_MS);
    for (size_t i = 0; i < claims->count; i++)
        redis_args_int(&args, claims->offsets[i]);
    redis_script_run(index->redis, &claim_script, on_claimed, claiming, 0, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

/* --- a batch's jobs --- */

/* ARGV: prefix, batch, how many at most. Returns how many there are, then of each of the newest
 * ones its letter's offset and its resolution. */
static struct redis_script batch_script = {
    .source = "local set = ARGV[1] .. ':b:' .. ARGV[2]\n"
              "local out = { redis.call('ZCARD', set) }\n"
              "for _, o in ipairs(redis.call('ZREVRANGE', set, 0, ARGV[3] - 1)) do\n"
              "  out[#out + 1] = tonumber(o)\n"
              "  out[#out + 1] = redis.call('HGET', ARGV[1] .. ':x', o) or ''\n"
              "end\n"
              "return out\n",
};

struct summing {
    const struct dead_index *index;
    char name[DEAD_BATCH_SIZE];
    size_t asked;
    struct dead_made *made;
    size_t made_count;
    dead_batch_fn fn;
    void *arg;
    struct dead_batch batch;
};

struct of_queue {
    struct summing *summing;
    const char *queue;
};

static void on_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct summing *summing = arg;
    if (code)
        summing->batch.code = ERR_VIEW_UNAVAILABLE;
    else
        summing->batch.certified = dead_index_is_certified(summing->index, reply);
    summing->batch.items = summing->made;
    summing->batch.count = summing->made_count;
    summing->fn(summing->arg, &summing->batch);
    free(summing->made);
    free(summing);
}

static void count_state(struct dead_batch *batch, struct span record)
{
    enum job_state state = JOB_QUEUED;
    if (record.size)
        (void)job_state_of_letter(*(const char *)record.data, &state);
    batch->seen++;
    if (state == JOB_SUCCEEDED || state == JOB_CANCELLED)
        batch->succeeded++;
    else if (job_state_is_terminal(state) || state == JOB_RETRYING)
        batch->failed++;
    else
        batch->undecided++;
}

static void on_records(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct summing *summing = arg;
    if (code)
        summing->batch.code = ERR_VIEW_UNAVAILABLE;
    for (size_t i = 0; !code && i < redis_reply_count(reply); i++)
        count_state(&summing->batch, redis_reply_text(redis_reply_at(reply, i)));
    dead_index_ask_certificate(summing->index, on_certificate, summing);
}

static void ask_records(struct summing *summing)
{
    const struct dead_index *index = summing->index;
    size_t job_count = 0;
    for (size_t i = 0; i < summing->made_count; i++)
        job_count += summing->made[i].has_job;
    if (job_count == 0) {
        dead_index_ask_certificate(index, on_certificate, summing);
        return;
    }
    struct redis_args args = REDIS_ARGS_INIT(JOBS_BYTES_MAX * (1 + index->config->queue_count));
    redis_args_text(&args, "MGET");
    for (size_t i = 0; i < summing->made_count; i++) {
        if (!summing->made[i].has_job)
            continue;
        redis_args_begin(&args);
        view_key(&args.store, index->config->namespace_, VIEW_RECORD, &summing->made[i].job);
        redis_args_end(&args);
    }
    redis_command(index->redis, on_records, summing, args.count, redis_args_list(&args));
    redis_args_free(&args);
}

/* The new job's id in a resolution, which we wrote. */
static bool job_of(struct span resolution, struct id *ret_id)
{
    const char *at = resolution.size
                         ? memmem(resolution.data, resolution.size, JOB_FIELD, sizeof JOB_FIELD - 1)
                         : NULL;
    if (!at)
        return false;
    at += sizeof JOB_FIELD - 1;
    size_t left = resolution.size - (size_t)(at - (const char *)resolution.data);
    return left >= ID_TEXT_SIZE - 1 && id_parse((struct span){ at, ID_TEXT_SIZE - 1 }, ret_id);
}

static void on_batch(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct of_queue *asked = arg;
    struct summing *summing = asked->summing;
    size_t count = code ? 0 : redis_reply_count(reply) / 2;
    if (code)
        summing->batch.code = ERR_VIEW_UNAVAILABLE;
    else
        summing->batch.made += redis_reply_integer(redis_reply_at(reply, 0));
    if (count)
        summing->made =
            mem_resize(summing->made, summing->made_count + count, sizeof *summing->made);
    for (size_t i = 0; i < count; i++) {
        struct dead_made *made = &summing->made[summing->made_count];
        *made = (struct dead_made){ .queue = asked->queue };
        made->offset = redis_reply_integer(redis_reply_at(reply, 1 + 2 * i));
        made->has_job = job_of(redis_reply_text(redis_reply_at(reply, 2 + 2 * i)), &made->job);
        summing->made_count++;
    }
    free(asked);
    if (--summing->asked == 0)
        ask_records(summing);
}

static void ask_batch(struct summing *summing)
{
    const struct dead_index *index = summing->index;
    const struct config *config = index->config;
    summing->asked = config->queue_count;
    for (size_t i = 0; i < config->queue_count; i++) {
        struct redis_args args = REDIS_ARGS_INIT(DEAD_ARGS_BYTES_MAX);
        dead_index_add_prefix(index, config->queues[i].name, &args);
        redis_args_text(&args, summing->name);
        redis_args_int(&args, DEAD_BATCH_MAX);
        struct of_queue *asked = MEM_NEW(*asked);
        *asked = (struct of_queue){ summing, config->queues[i].name };
        redis_script_run(index->redis, &batch_script, on_batch, asked, 0, args.count,
                         redis_args_list(&args));
        redis_args_free(&args);
    }
}

static void on_first_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct summing *summing = arg;
    if (code || !dead_index_is_certified(summing->index, reply))
        on_certificate(summing, code, reply);
    else
        ask_batch(summing);
}

void dead_index_batch(const struct dead_index *index, const char *batch, dead_batch_fn fn,
                      void *arg)
{
    struct summing *summing = MEM_NEW(*summing);
    *summing = (struct summing){ .index = index, .fn = fn, .arg = arg };
    (void)snprintf(summing->name, sizeof summing->name, "%s", batch);
    dead_index_ask_certificate(index, on_first_certificate, summing);
}
