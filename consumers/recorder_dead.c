/* The index of dead letters, folded from the dead topics like the rest of the view: batch by batch,
 * letters, what became of them and the applied offset in one Lua call, all or nothing. What is kept
 * is listed in docs/PROTOCOL.md, section 5. See recorder_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "infra/redis_args.h"
#include "schemas/dead_letter.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES_MAX    256 /* of one Lua call */
#define OVERHEAD_BYTES 768
#define TRIM_MAX       "100"

/* KEYS: the view's hash. ARGV: applied field, expected, new applied, the index's prefix, where the
 * log starts, then of each record: "L", offset, line, group, the group's JSON, source, identity; or
 * "R", the letter's offset, JSON, how, batch, "", "". Returns how many open letters retention has
 * taken. A letter that lies there twice has one source; the first resolution counts. */
static struct redis_script apply_dead_script = {
    .source =
        "local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
        "if at ~= ARGV[2] then return at end\n"
        "local p, gone = ARGV[4], 0\n"
        "local function leave(group, offset)\n"
        "  redis.call('ZREM', p .. ':g:' .. group, offset)\n"
        "  if redis.call('EXISTS', p .. ':g:' .. group) == 0 then\n"
        "    redis.call('HDEL', p .. ':g', group)\n"
        "  end\n"
        "end\n"
        "for i = 6, #ARGV, 7 do\n"
        "  local offset, value, group = ARGV[i+1], ARGV[i+2], ARGV[i+3]\n"
        "  if ARGV[i] == 'L' then\n"
        "    if redis.call('HSETNX', p .. ':s', ARGV[i+5], offset) == 1 then\n"
        "      redis.call('HSET', p .. ':l', offset, value)\n"
        "      redis.call('ZADD', p .. ':o', offset, offset)\n"
        "      redis.call('ZADD', p .. ':g:' .. group, offset, offset)\n"
        "      redis.call('HSET', p .. ':g', group, ARGV[i+4])\n"
        "      if ARGV[i+6] ~= '-' then redis.call('HSET', p .. ':j', ARGV[i+6], offset) end\n"
        "    end\n"
        "  else\n"
        "    local line = redis.call('HGET', p .. ':l', offset)\n"
        "    if line and redis.call('HSETNX', p .. ':x', offset, value) == 1 then\n"
        "      redis.call('ZREM', p .. ':o', offset)\n"
        "      leave(string.match(line, '^%S+'), offset)\n"
        "      redis.call('ZADD', p .. ':r', offset, offset)\n"
        "      if ARGV[i+4] ~= '' then\n"
        "        redis.call('ZADD', p .. ':b:' .. ARGV[i+4], offset, offset)\n"
        "      end\n"
        "    end\n"
        "    redis.call('DEL', p .. ':c:' .. offset)\n"
        "  end\n"
        "end\n"
        "for _, set in ipairs({':o', ':r'}) do\n"
        "  local old = redis.call('ZRANGEBYSCORE', p .. set, '-inf', '(' .. ARGV[5], 'LIMIT', "
        "0, " TRIM_MAX ")\n"
        "  for _, offset in ipairs(old) do\n"
        "    local line = redis.call('HGET', p .. ':l', offset)\n"
        "    local how = redis.call('HGET', p .. ':x', offset)\n"
        "    local group, source, job = string.match(line, '^(%S+) %S+ %S+ %S+ (%S+) (%S+)')\n"
        "    if set == ':o' then leave(group, offset) gone = gone + 1 end\n"
        "    redis.call('HDEL', p .. ':s', source)\n"
        "    if redis.call('HGET', p .. ':j', job) == offset then\n"
        "      redis.call('HDEL', p .. ':j', job)\n"
        "    end\n"
        "    local batch = how and string.match(how, '\"batch\":\"([^\"]*)\"')\n"
        "    if batch then redis.call('ZREM', p .. ':b:' .. batch, offset) end\n"
        "    redis.call('HDEL', p .. ':l', offset)\n"
        "    redis.call('HDEL', p .. ':x', offset)\n"
        "    redis.call('ZREM', p .. set, offset)\n"
        "  end\n"
        "end\n"
        "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\n"
        "return gone\n",
};

/* What a record is to the index: the arguments of the script, in its order. */
struct recorder_dead {
    bool letter;
    int64_t offset; /* the letter's */
    struct buf value, group, group_json, source, identity;
};

struct batch {
    struct recorder_partition *partition; /* referenced */
    unsigned life;
    struct recorder_entry *first;
    size_t entry_count;
    int64_t next_offset;
};

void recorder_dead_free(struct recorder_dead *dead)
{
    if (!dead)
        return;
    buf_free(&dead->value);
    buf_free(&dead->group);
    buf_free(&dead->group_json);
    buf_free(&dead->source);
    buf_free(&dead->identity);
    free(dead);
}

/* --- reading a record --- */

static struct recorder_dead *dead_new(bool letter, int64_t offset)
{
    struct recorder_dead *dead = MEM_NEW(*dead);
    *dead = (struct recorder_dead){
        .letter = letter,
        .offset = offset,
        .value = BUF_INIT(2 * DEAD_LINE_BYTES_MAX + 6 * DEAD_DETAIL_BYTES_MAX),
        .group = BUF_INIT(DEAD_LINE_BYTES_MAX),
        .group_json = BUF_INIT(DEAD_LINE_BYTES_MAX),
        .source = BUF_INIT(DEAD_LINE_BYTES_MAX),
        .identity = BUF_INIT(IDENTITY_TEXT_SIZE),
    };
    return dead;
}

static void add_source(const struct kafka_record *record, struct buf *out)
{
    struct span topic = kafka_record_header(record, TOPIC_HEADER_SOURCE_TOPIC);
    if (topic.size == 0)
        return;
    buf_add_span(out, topic);
    buf_add_char(out, ':');
    buf_add_span(out, kafka_record_header(record, TOPIC_HEADER_SOURCE_PARTITION));
    buf_add_char(out, ':');
    buf_add_span(out, kafka_record_header(record, TOPIC_HEADER_SOURCE_OFFSET));
}

static struct recorder_dead *read_letter(const struct recorder_partition *partition,
                                         const struct kafka_record *record,
                                         const struct envelope *envelope)
{
    struct recorder_dead *dead = dead_new(true, record->offset);
    struct buf source = BUF_INIT(DEAD_LINE_BYTES_MAX);
    char status[16];
    struct span told = kafka_record_header(record, TOPIC_HEADER_STATUS);
    snprintf(status, sizeof status, "%.*s", (int)(told.size < 15 ? told.size : 15),
             told.size ? (const char *)told.data : "");
    add_source(record, &source);
    struct dead_letter letter = {
        .queue = partition->queue,
        .offset = record->offset,
        .died_at_ms = record->timestamp_ms,
        .command = envelope && envelope->kind == ENVELOPE_COMMAND ? &envelope->command : NULL,
        .reason = kafka_record_header(record, TOPIC_HEADER_REASON),
        .detail = kafka_record_header(record, TOPIC_HEADER_DETAIL),
        .target = kafka_record_header(record, TOPIC_HEADER_TARGET),
        .status = (uint32_t)strtoul(status, NULL, 10),
        .source = buf_span(&source),
        .record_bytes = record->value.size,
    };
    struct dead_line line;
    dead_letter_line(&letter, &dead->value);
    dead_letter_group_json(&letter, &dead->group_json);
    if (!dead->value.overflow && dead_line_parse(buf_span(&dead->value), &line)) {
        buf_add_span(&dead->group, line.group);
        buf_add_span(&dead->source, line.source);
        buf_add_span(&dead->identity, line.identity);
    }
    buf_free(&source);
    if (dead->group.size)
        return dead;
    recorder_dead_free(dead);
    return NULL;
}

static struct recorder_dead *read_resolution(const struct job_resolution *resolution)
{
    struct recorder_dead *dead = dead_new(false, resolution->letter_offset);
    dead_resolution_json(resolution, &dead->value);
    buf_add_text(&dead->group, job_resolution_text(resolution->kind));
    buf_add_span(&dead->group_json, resolution->batch);
    return dead;
}

void recorder_dead_read(struct recorder_entry *entry, const struct kafka_record *record)
{
    struct recorder_partition *partition = entry->partition;
    struct envelope *envelope = NULL;
    /* A letter may be any bytes: what cannot be read is one nevertheless, without a job. */
    if (envelope_decode(record->value, &envelope, NULL) != ERR_OK)
        envelope = NULL;
    if (envelope && envelope->kind == ENVELOPE_RESOLUTION)
        entry->dead = read_resolution(&envelope->resolution);
    else
        entry->dead = read_letter(partition, record, envelope);
    envelope_free(envelope);
    if (entry->dead) {
        entry->bytes = entry->dead->value.size + OVERHEAD_BYTES; /* the record itself is not kept */
        return;
    }
    metric_add(partition->recorder->poison, 1);
    log_write(partition->recorder->log, LOG_ERROR, "recorder", NULL,
              "%s/%d: the letter at offset %" PRId64 " is too large for the index",
              partition->topic, partition->number, record->offset);
}

/* --- applying --- */

static void batch_free(struct batch *batch)
{
    while (batch->first) {
        struct recorder_entry *next = batch->first->next;
        recorder_entry_free(batch->first);
        batch->first = next;
    }
    recorder_partition_unref(batch->partition);
    free(batch);
}

static void on_applied(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct batch *batch = arg;
    struct recorder_partition *partition = batch->partition;
    struct recorder *recorder = partition->recorder;
    partition->busy = false;
    if (partition->life != batch->life) {
        loop_defer(recorder->loop, &recorder->locate);
    } else if (code == ERR_OK && redis_reply_type(reply) == REDIS_INTEGER) {
        int64_t gone = redis_reply_integer(reply);
        recorder_applied(partition, batch->next_offset);
        metric_add(recorder->applied_letters, (int64_t)batch->entry_count);
        metric_add(recorder->letters_gone, gone);
        if (gone)
            log_write(recorder->log, LOG_WARN, "recorder", NULL,
                      "%s/%d: retention has deleted %" PRId64 " letters that nobody had resolved",
                      partition->topic, partition->number, gone);
        recorder_advance(partition);
    } else {
        recorder_refused(partition, reply);
    }
    batch_free(batch);
}

static void add_span(struct redis_args *args, struct span text)
{
    redis_args_begin(args);
    buf_add_span(&args->store, text);
    redis_args_end(args);
}

static void apply(struct batch *batch)
{
    struct recorder_partition *partition = batch->partition;
    struct recorder *recorder = partition->recorder;
    struct redis_args args = REDIS_ARGS_INIT(((size_t)ENTRIES_MAX + 1) * 6 * DEAD_LINE_BYTES_MAX);
    char queue[TOPIC_NAME_MAX];
    snprintf(queue, sizeof queue, "%.*s", SPAN_ARG(partition->queue));
    redis_args_text(&args, recorder->hash_key);
    redis_args_begin(&args);
    view_applied_field(&args.store, partition->topic, partition->number);
    redis_args_end(&args);
    redis_args_text(&args, partition->expected);
    redis_args_int(&args, batch->next_offset);
    redis_args_begin(&args);
    view_dead_prefix(&args.store, recorder->config->namespace_, queue);
    redis_args_end(&args);
    redis_args_int(&args, partition->log_start);
    for (const struct recorder_entry *entry = batch->first; entry; entry = entry->next) {
        const struct recorder_dead *dead = entry->dead;
        if (!dead)
            continue;
        redis_args_text(&args, dead->letter ? "L" : "R");
        redis_args_int(&args, dead->offset);
        add_span(&args, buf_span(&dead->value));
        add_span(&args, buf_span(&dead->group));
        add_span(&args, buf_span(&dead->group_json));
        add_span(&args, buf_span(&dead->source));
        add_span(&args, buf_span(&dead->identity));
    }
    redis_script_run(recorder->redis, &apply_dead_script, on_applied, batch, 1, args.count,
                     redis_args_list(&args));
    redis_args_free(&args);
}

void recorder_dead_pump(struct recorder_partition *partition)
{
    struct batch *batch = MEM_NEW(*batch);
    batch->partition = partition;
    batch->life = partition->life;
    struct recorder_entry **last = &batch->first;
    size_t bytes = 0;
    size_t bytes_max = (size_t)partition->recorder->config->recorder.batch_bytes_max;
    while (partition->first && batch->entry_count < ENTRIES_MAX) {
        const struct recorder_dead *dead = partition->first->dead;
        bytes += dead ? dead->value.size + dead->group_json.size : 0;
        if (batch->entry_count && bytes > bytes_max)
            break;
        struct recorder_entry *entry = recorder_entry_take(partition);
        *last = entry;
        last = &entry->next;
        batch->entry_count++;
        batch->next_offset = entry->offset + 1;
    }
    partition->busy = true;
    partition->references++;
    apply(batch);
}
