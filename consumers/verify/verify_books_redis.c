/* See verify_books_redis.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_redis.h"

#include "consumers/verify/verify_redis.h"
#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/topic.h"
#include "schemas/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH_MAX     256
#define KEY_BYTES_MAX 320
#define FIELDS_MAX    ((size_t)64 * 1024)
#define LOOK_MS       50
#define CATCH_UP_MS   15000 /* beyond recorder.queued_after: so long may the view take to follow */
#define SCAN_COUNT    "1000"

struct looking {
    const struct verify_books_use *use;
    struct verify_books *books;
    struct verify_redis *redis;
    struct id ids[BATCH_MAX];
    uint32_t jobs[BATCH_MAX]; /* numbers; 0 of an identity that the log does not know */
    size_t count;
    struct id *unknown; /* of a page of keys */
    size_t unknown_count;
    bool behind; /* as of the last look */
    bool tell;   /* what is behind is a finding */
    const char *cluster_id;
    char cursor[32];
    struct err failed; /* the first failure; its code is ERR_OK while there is none */
};

/* --- questions --- */

/* After an answer: whether to go on. */
static bool goes_on(struct looking *looking)
{
    const struct verify_books_use *use = looking->use;
    if (!looking->failed.code && use->stop && atomic_load(use->stop))
        err_set(&looking->failed, ERR_CANCELLED, "the reading was called off");
    if (!looking->failed.code && use->until_ms && clock_monotonic_ms() > use->until_ms)
        err_set(&looking->failed, ERR_LIMIT, "the time for reading the view is over");
    return !looking->failed.code;
}

static bool ask(struct looking *looking, struct redis_args *args, verify_redis_fn take)
{
    (void)!verify_redis_ask(looking->redis, args, take, looking, &looking->failed);
    return goes_on(looking);
}

/* --- has the view applied what was read? --- */

/* Commands and events of the queues that there are; delays and dead letters are not folded. */
static bool is_applied_topic(const struct looking *looking, const struct verify_books_range *range)
{
    const struct config *config = looking->use->config;
    enum topic_kind kind = TOPIC_CONTROL;
    struct span suffix;
    return topic_parse(span_of(range->topic), config->namespace_, &kind, &suffix) &&
           (kind == TOPIC_COMMANDS || kind == TOPIC_REPLIES) && config_find_queue(config, suffix);
}

static void take_applied(void *arg, const struct redis_reply *reply)
{
    struct looking *looking = arg;
    char prefix[160];
    struct span certificate = redis_reply_text(redis_reply_at(reply, 0));
    (void)snprintf(prefix, sizeof prefix, "%s/%s/", verify_redis_run_id(looking->redis),
                   looking->cluster_id);
    size_t size = strlen(prefix);
    looking->behind = certificate.size <= size || memcmp(certificate.data, prefix, size) != 0;
    if (looking->behind && looking->tell)
        verify_books_uncertified(looking->books);
    size_t at = 1;
    for (size_t i = 0; i < verify_books_range_count(looking->books); i++) {
        const struct verify_books_range *range = verify_books_range_at(looking->books, (uint16_t)i);
        if (!is_applied_topic(looking, range))
            continue;
        const struct redis_reply *value = redis_reply_at(reply, at++);
        int64_t applied = redis_reply_type(value) == REDIS_STRING ? redis_reply_integer(value) : -1;
        if (range->to == 0 || applied >= range->to)
            continue;
        looking->behind = true;
        if (looking->tell)
            verify_books_behind(looking->books, (uint16_t)i, applied);
    }
}

static bool look_applied(struct looking *looking, bool tell)
{
    struct redis_args args =
        REDIS_ARGS_INIT(FIELDS_MAX + verify_books_range_count(looking->books) * KEY_BYTES_MAX);
    redis_args_text(&args, "HMGET");
    redis_args_begin(&args);
    view_hash_key(&args.store, looking->use->config->namespace_);
    redis_args_end(&args);
    redis_args_text(&args, VIEW_CERTIFICATE_FIELD);
    for (size_t i = 0; i < verify_books_range_count(looking->books); i++) {
        const struct verify_books_range *range = verify_books_range_at(looking->books, (uint16_t)i);
        if (!is_applied_topic(looking, range))
            continue;
        redis_args_begin(&args);
        view_applied_field(&args.store, range->topic, range->partition);
        redis_args_end(&args);
    }
    looking->tell = tell;
    return ask(looking, &args, take_applied);
}

/* Waits for it, and tells of what is missing then; false: there is nothing to compare. */
static bool wait_applied(struct looking *looking)
{
    int64_t until_ms =
        clock_monotonic_ms() + looking->use->config->recorder.queued_after_ms + CATCH_UP_MS;
    while (look_applied(looking, false) && looking->behind) {
        if (clock_monotonic_ms() > until_ms)
            return look_applied(looking, true) && !looking->behind;
        verify_redis_pause(looking->redis, LOOK_MS);
    }
    return !looking->failed.code;
}

/* --- records --- */

/* Whether the first command of the record's job lies in what was read of the log. */
static bool is_read(const struct looking *looking, const struct job_facts *facts)
{
    struct buf topic = BUF_INIT(TOPIC_NAME_MAX);
    char queue[TOPIC_NAME_MAX];
    bool inside = facts->origin_offset < 0;
    (void)snprintf(queue, sizeof queue, "%.*s", SPAN_ARG(facts->queue));
    topic_name(&topic, looking->use->config->namespace_, TOPIC_COMMANDS, queue);
    for (size_t i = 0; i < verify_books_range_count(looking->books); i++) {
        const struct verify_books_range *range = verify_books_range_at(looking->books, (uint16_t)i);
        if (range->partition == facts->origin_partition && span_is(buf_span(&topic), range->topic))
            inside =
                inside || (facts->origin_offset >= range->from && facts->origin_offset < range->to);
    }
    buf_free(&topic);
    return inside;
}

static void take_unknown(struct looking *looking, const struct id *id,
                         const struct verify_books_found *found)
{
    struct span bytes = found->record.size ? found->record : found->command;
    struct envelope_record *record = NULL;
    if (bytes.size == 0)
        return; /* it has expired since */
    if (envelope_decode_record(bytes, &record, NULL) != ERR_OK)
        verify_books_stray(looking->books, id, "what the view has is no record");
    else if (!id_same(&record->record.facts.id, id))
        verify_books_stray(looking->books, id, "the record is another job's");
    else if (is_read(looking, &record->record.facts))
        verify_books_stray(looking->books, id, "a record, and the log has nothing of this job");
    envelope_record_free(record);
}

static void take_records(void *arg, const struct redis_reply *reply)
{
    struct looking *looking = arg;
    if (redis_reply_count(reply) != 4 * looking->count) {
        err_set(&looking->failed, ERR_REDIS, "the view cannot be read");
        return;
    }
    for (size_t i = 0; i < looking->count; i++) {
        const struct verify_books_found found = {
            .record = redis_reply_text(redis_reply_at(reply, 4 * i)),
            .record_expires_ms = redis_reply_integer(redis_reply_at(reply, 4 * i + 1)),
            .command = redis_reply_text(redis_reply_at(reply, 4 * i + 2)),
            .command_expires_ms = redis_reply_integer(redis_reply_at(reply, 4 * i + 3)),
            .now_ms = clock_wall_ms(),
        };
        if (looking->jobs[i])
            verify_books_compare(looking->books, looking->jobs[i], &found);
        else
            take_unknown(looking, &looking->ids[i], &found);
    }
}

static bool flush(struct looking *looking)
{
    struct redis_args args = REDIS_ARGS_INIT((size_t)2 * BATCH_MAX * KEY_BYTES_MAX);
    if (looking->count == 0)
        return true;
    for (size_t i = 0; i < 2 * looking->count; i++) {
        redis_args_begin(&args);
        view_key(&args.store, looking->use->config->namespace_, i % 2 ? VIEW_COMMAND : VIEW_RECORD,
                 &looking->ids[i / 2]);
        redis_args_end(&args);
    }
    (void)!verify_redis_look(looking->redis, &args, take_records, looking, &looking->failed);
    looking->count = 0;
    return goes_on(looking);
}

static bool add(struct looking *looking, const struct id *id, uint32_t job)
{
    looking->ids[looking->count] = *id;
    looking->jobs[looking->count++] = job;
    return looking->count < BATCH_MAX || flush(looking);
}

static bool compare_all(struct looking *looking)
{
    for (uint32_t job = 1; job <= verify_books_job_count(looking->books); job++) {
        struct id id;
        if (verify_books_is_viewed(looking->books, job, &id) && !add(looking, &id, job))
            return false;
    }
    return flush(looking);
}

/* --- records of no job --- */

static void take_keys(void *arg, const struct redis_reply *reply)
{
    struct looking *looking = arg;
    const struct redis_reply *keys = redis_reply_at(reply, 1);
    struct span cursor = redis_reply_text(redis_reply_at(reply, 0));
    (void)snprintf(looking->cursor, sizeof looking->cursor, "%.*s", SPAN_ARG(cursor));
    for (size_t i = 0; i < redis_reply_count(keys); i++) {
        struct span key = redis_reply_text(redis_reply_at(keys, i));
        size_t size = IDENTITY_TEXT_SIZE - 1;
        struct id id;
        struct span text = { (const char *)key.data + (key.size - size), size };
        if (key.size < size || !id_identity_parse(text, &id)) {
            verify_books_stray(looking->books, NULL, "a key of the view that names no job");
        } else if (!verify_books_knows(looking->books, &id)) {
            looking->unknown =
                mem_resize(looking->unknown, looking->unknown_count + 1, sizeof *looking->unknown);
            looking->unknown[looking->unknown_count++] = id;
        }
    }
}

static bool look_at_unknown(struct looking *looking)
{
    bool more = true;
    for (size_t i = 0; i < looking->unknown_count && more; i++)
        more = add(looking, &looking->unknown[i], 0);
    looking->unknown_count = 0;
    return more && flush(looking);
}

static bool scan(struct looking *looking, enum view_kind kind)
{
    char pattern[160];
    (void)snprintf(pattern, sizeof pattern, "%s:%c:*", looking->use->config->namespace_, (int)kind);
    (void)snprintf(looking->cursor, sizeof looking->cursor, "0");
    do {
        struct redis_args args = REDIS_ARGS_INIT(1024);
        redis_args_text(&args, "SCAN");
        redis_args_text(&args, looking->cursor);
        redis_args_text(&args, "MATCH");
        redis_args_text(&args, pattern);
        redis_args_text(&args, "COUNT");
        redis_args_text(&args, SCAN_COUNT);
        if (!ask(looking, &args, take_keys) || !look_at_unknown(looking))
            return false;
    } while (strcmp(looking->cursor, "0") != 0);
    return true;
}

/* --- life --- */

enum err_code verify_books_view(struct verify_books *books, const struct verify_books_use *use,
                                const char *cluster_id, struct err *err)
{
    struct looking *looking = MEM_NEW(*looking);
    looking->use = use;
    looking->books = books;
    looking->cluster_id = cluster_id;
    if (verify_redis_open(&use->config->redis, &looking->redis, &looking->failed) == ERR_OK &&
        wait_applied(looking) && compare_all(looking) && scan(looking, VIEW_RECORD))
        (void)scan(looking, VIEW_COMMAND);
    enum err_code code = looking->failed.code;
    if (code && err)
        *err = looking->failed;
    verify_redis_close(looking->redis);
    free(looking->unknown);
    free(looking);
    return code;
}
