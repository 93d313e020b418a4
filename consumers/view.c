/* See view.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/view.h"

#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/topic.h"
#include "schemas/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_BYTES_MAX 320
#define CLAIM_TTL_MS                                                                               \
    3600000 /* by then the record itself tells; a lost claim costs a duplicate command, which is   \
               skipped */
#define RANGES_TIMEOUT_MS 2000
#define CATCH_UP_MS       1000 /* beyond recorder.queued_after: so long may the view take to follow */
#define CATCH_UP_LOOK_MS  50

struct question { /* "has it caught up?" */
    struct question *next;
    void (*fn)(void *arg, enum err_code code);
    void *arg;
};

struct view {
    struct view_options use;
    char *hash_key;
    struct question *asked;   /* share the check under way */
    struct question *waiting; /* came after it began */
    struct kafka_range *ranges;
    char **topics;
    size_t range_count;
    struct loop_timer *look;
    int64_t look_until_ms;
    bool asking_ranges; /* the thread pool has a question of ours, which outlives view_free */
    bool freed;
};

/* --- reading --- */

struct reading {
    struct view *view;
    view_fn fn;
    view_claim_fn claim_fn;
    void *arg;
    unsigned left; /* answers that are to come, in any order: Redis may refuse some, and at once */
    bool ours;
    struct envelope_record *from_command, *from_events;
    struct view_answer answer;
};

/* "<claimed at ms> <u|a> <fingerprint in hex>" */
static void read_claim(struct span text, struct view_answer *answer)
{
    char copy[80];
    snprintf(copy, sizeof copy, "%.*s", (int)(text.size < 79 ? text.size : 79),
             (const char *)text.data);
    char *end;
    int64_t at_ms = strtoll(copy, &end, 10);
    if (end == copy || end[0] != ' ' || strlen(end) != 3 + 2 * JOB_FINGERPRINT_SIZE)
        return;
    for (size_t i = 0; i < JOB_FINGERPRINT_SIZE; i++) {
        char digits[3] = { end[3 + 2 * i], end[4 + 2 * i], '\0' };
        answer->claim_fingerprint[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    answer->claimed = true;
    answer->claimed_at_ms = at_ms;
    answer->claim_accepted = end[1] == 'a';
}

static struct envelope_record *read_record(struct span bytes)
{
    struct envelope_record *record = NULL;
    if (bytes.size == 0 || envelope_decode_record(bytes, &record, NULL) != ERR_OK)
        return NULL;
    return record;
}

/* After each answer; with the last one the reading is told, and gone. */
static void finish(struct reading *reading)
{
    if (--reading->left > 0)
        return;
    if (reading->claim_fn)
        reading->claim_fn(reading->arg, reading->ours, &reading->answer);
    else
        reading->fn(reading->arg, &reading->answer);
    envelope_record_free(reading->from_command);
    envelope_record_free(reading->from_events);
    free(reading);
}

static void take_records(struct reading *reading, const struct redis_reply *reply)
{
    reading->from_command = read_record(redis_reply_text(redis_reply_at(reply, 0)));
    reading->from_events = read_record(redis_reply_text(redis_reply_at(reply, 1)));
    if (reading->from_events)
        reading->answer.record = &reading->from_events->record;
    else if (reading->from_command)
        reading->answer.record = &reading->from_command->record;
    if (!reading->claim_fn)
        read_claim(redis_reply_text(redis_reply_at(reply, 2)), &reading->answer);
}

static void on_records(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct reading *reading = arg;
    if (code || redis_reply_count(reply) != 3)
        reading->answer.code = ERR_VIEW_UNAVAILABLE;
    else
        take_records(reading, reply);
    finish(reading);
}

bool view_is_certified(const struct view_options *use, struct span certificate)
{
    const char *identity = view_identity_text(use->identity);
    struct buf expected = BUF_INIT(256);
    view_certificate(&expected, redis_run_id(use->redis), identity);
    bool same = identity[0] && span_eq(certificate, buf_span(&expected));
    buf_free(&expected);
    return same || MUTANT(no_certificate);
}

static void on_certificate(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct reading *reading = arg;
    const struct view *view = reading->view;
    if (code)
        reading->answer.code = ERR_VIEW_UNAVAILABLE;
    reading->answer.certified =
        code == ERR_OK && view_is_certified(&view->use, redis_reply_text(reply));
    finish(reading);
}

static void key_of(const struct view *view, enum view_kind kind, const struct id *id,
                   struct buf *out)
{
    view_key(out, view->use.config->namespace_, kind, id);
}

/* The records first, then the certificate: had the view been emptied in between, the certificate
 * would be gone too. */
static void read_all(struct reading *reading, const struct id *id)
{
    struct view *view = reading->view;
    struct buf keys[3] = { BUF_INIT(KEY_BYTES_MAX), BUF_INIT(KEY_BYTES_MAX),
                           BUF_INIT(KEY_BYTES_MAX) };
    key_of(view, VIEW_COMMAND, id, &keys[0]);
    key_of(view, VIEW_RECORD, id, &keys[1]);
    key_of(view, VIEW_KEY, id, &keys[2]);
    struct span argv[] = { span_of("MGET"), buf_span(&keys[0]), buf_span(&keys[1]),
                           buf_span(&keys[2]) };
    redis_command(view->use.redis, on_records, reading, 4, argv);
    redis_command_text(view->use.redis, on_certificate, reading, 3, "HGET", view->hash_key,
                       VIEW_CERTIFICATE_FIELD);
    for (size_t i = 0; i < 3; i++)
        buf_free(&keys[i]);
}

void view_read(struct view *view, const struct id *id, view_fn fn, void *arg)
{
    struct reading *reading = MEM_NEW(*reading);
    *reading = (struct reading){ .view = view, .fn = fn, .arg = arg, .left = 2 };
    read_all(reading, id);
}

/* --- claims --- */

static void claim_text(struct buf *out, const uint8_t fingerprint[JOB_FINGERPRINT_SIZE],
                       int64_t now_ms, char state)
{
    buf_printf(out, "%" PRId64 " %c ", now_ms, state);
    buf_add_hex(out, (struct span){ fingerprint, JOB_FINGERPRINT_SIZE });
}

static void on_claimed(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct reading *reading = arg;
    if (code)
        reading->answer.code = ERR_VIEW_UNAVAILABLE;
    else if (redis_reply_type(reply) == REDIS_NIL)
        reading->ours = true;
    else
        read_claim(redis_reply_text(reply), &reading->answer);
    finish(reading);
}

void view_claim(struct view *view, const struct id *id, const struct view_claim *claim,
                view_claim_fn fn, void *arg)
{
    struct reading *reading = MEM_NEW(*reading);
    *reading = (struct reading){ .view = view, .claim_fn = fn, .arg = arg, .left = 3 };
    struct buf key = BUF_INIT(KEY_BYTES_MAX);
    struct buf value = BUF_INIT(128);
    key_of(view, VIEW_KEY, id, &key);
    claim_text(&value, claim->fingerprint, claim->now_ms, 'u');
    char until[24];
    int64_t until_ms = claim->now_ms + CLAIM_TTL_MS;
    if (claim->forget_at_ms < until_ms && !MUTANT(claim_outlives_job))
        until_ms = claim->forget_at_ms;
    snprintf(until, sizeof until, "%" PRId64, until_ms);
    struct span argv[] = { span_of("SET"), buf_span(&key),  buf_span(&value), span_of("NX"),
                           span_of("GET"), span_of("PXAT"), span_of(until) };
    redis_command(view->use.redis, on_claimed, reading, 7, argv);
    buf_free(&key);
    buf_free(&value);
    read_all(reading, id);
}

/* Changes the claim only while it is still the one that was made. KEYS: claim. ARGV: it, and what
 * it becomes ("" nothing). */
static struct redis_script settle_script = {
    .source = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
              "if ARGV[2] == '' then redis.call('DEL', KEYS[1])\n"
              "else redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') end\n"
              "return 1\n",
};

void view_claim_settle(struct view *view, const struct id *id,
                       const uint8_t fingerprint[JOB_FINGERPRINT_SIZE], int64_t claimed_at_ms,
                       int64_t accepted_at_ms)
{
    struct buf key = BUF_INIT(KEY_BYTES_MAX);
    struct buf before = BUF_INIT(128);
    struct buf after = BUF_INIT(128);
    key_of(view, VIEW_KEY, id, &key);
    claim_text(&before, fingerprint, claimed_at_ms, 'u');
    if (accepted_at_ms)
        claim_text(&after, fingerprint, accepted_at_ms, 'a');
    struct span argv[] = { buf_span(&key), buf_span(&before), buf_span(&after) };
    redis_script_run(view->use.redis, &settle_script, NULL, NULL, 1, 3, argv);
    buf_free(&key);
    buf_free(&before);
    buf_free(&after);
}

/* --- caught up? --- */

static void start_check(struct view *view);

static void answer_all(struct view *view, enum err_code code)
{
    struct question *question = view->asked;
    view->asked = NULL;
    while (question) {
        struct question *next = question->next;
        question->fn(question->arg, code);
        free(question);
        question = next;
    }
    if (view->waiting && !view->asked)
        start_check(view);
}

static bool has_applied_all(const struct view *view, const struct redis_reply *reply)
{
    for (size_t i = 0; i < view->range_count; i++) {
        const struct redis_reply *value = redis_reply_at(reply, 1 + i);
        if (redis_reply_type(value) != REDIS_STRING ||
            redis_reply_integer(value) < view->ranges[i].end)
            return false;
    }
    return true;
}

/* The recorder takes in a command only after recorder.queued_after: until the log ends that were
 * asked for are reached, or ought to have been, it is looked at again. */
static void on_applied(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct view *view = arg;
    if (code || redis_reply_count(reply) != 1 + view->range_count) {
        answer_all(view, ERR_VIEW_UNAVAILABLE);
        return;
    }
    bool certified = view_is_certified(&view->use, redis_reply_text(redis_reply_at(reply, 0)));
    bool caught_up = certified && has_applied_all(view, reply);
    if (certified && !caught_up && loop_now_ms(view->use.loop) < view->look_until_ms)
        loop_timer_start(view->look, CATCH_UP_LOOK_MS, 0);
    else
        answer_all(view, caught_up ? ERR_OK : ERR_VIEW_BEHIND);
}

static void look(void *arg)
{
    struct view *view = arg;
    size_t argc = 3 + view->range_count;
    struct span *argv = mem_zalloc(argc, sizeof *argv);
    struct buf *fields = mem_zalloc(view->range_count, sizeof *fields);
    argv[0] = span_of("HMGET");
    argv[1] = span_of(view->hash_key);
    argv[2] = span_of(VIEW_CERTIFICATE_FIELD);
    for (size_t i = 0; i < view->range_count; i++) {
        fields[i].max = KEY_BYTES_MAX;
        view_applied_field(&fields[i], view->ranges[i].topic, view->ranges[i].partition);
        argv[3 + i] = buf_span(&fields[i]);
    }
    redis_command(view->use.redis, on_applied, view, argc, argv);
    for (size_t i = 0; i < view->range_count; i++)
        buf_free(&fields[i]);
    free(fields);
    free(argv);
}

static void free_now(struct view *view);

static void on_ranges(void *arg, enum err_code code)
{
    struct view *view = arg;
    view->asking_ranges = false;
    if (view->freed) {
        free_now(view);
    } else if (code) {
        answer_all(view, ERR_VIEW_BEHIND);
    } else {
        view->look_until_ms =
            loop_now_ms(view->use.loop) + view->use.config->recorder.queued_after_ms + CATCH_UP_MS;
        look(view);
    }
}

static void start_check(struct view *view)
{
    view->asked = view->waiting;
    view->waiting = NULL;
    view->asking_ranges = true;
    kafka_ranges(view->use.admin, view->ranges, view->range_count,
                 &(struct kafka_reply){ view->use.loop, RANGES_TIMEOUT_MS, on_ranges, view });
}

void view_check_caught_up(struct view *view, void (*fn)(void *arg, enum err_code code), void *arg)
{
    struct question *question = MEM_NEW(*question);
    *question = (struct question){ .next = view->waiting, .fn = fn, .arg = arg };
    view->waiting = question;
    if (!view->asked)
        start_check(view);
}

/* --- the rest --- */

static void open_ranges(struct view *view)
{
    const struct config *config = view->use.config;
    view->topics = mem_zalloc(2 * config->queue_count, sizeof *view->topics);
    for (size_t i = 0; i < config->queue_count; i++)
        view->range_count += 2 * (size_t)config->queues[i].partitions;
    view->ranges = mem_zalloc(view->range_count, sizeof *view->ranges);
    size_t at = 0;
    for (size_t i = 0; i < 2 * config->queue_count; i++) {
        struct buf name = BUF_INIT(TOPIC_NAME_MAX);
        topic_name(&name, config->namespace_, i % 2 ? TOPIC_REPLIES : TOPIC_COMMANDS,
                   config->queues[i / 2].name);
        view->topics[i] = buf_take(&name);
        for (int32_t partition = 0; partition < config->queues[i / 2].partitions; partition++)
            view->ranges[at++] =
                (struct kafka_range){ .topic = view->topics[i], .partition = partition };
    }
}

struct view *view_new(const struct view_options *options)
{
    struct view *view = MEM_NEW(*view);
    view->use = *options;
    struct buf key = BUF_INIT(KEY_BYTES_MAX);
    view_hash_key(&key, options->config->namespace_);
    view->hash_key = buf_take(&key);
    open_ranges(view);
    view->look = loop_timer_new(options->loop, look, view);
    return view;
}

static void free_now(struct view *view)
{
    for (size_t i = 0; i < 2 * view->use.config->queue_count; i++)
        free(view->topics[i]);
    free(view->topics);
    free(view->ranges);
    free(view->hash_key);
    free(view);
}

void view_free(struct view *view)
{
    if (!view)
        return;
    loop_timer_free(view->look);
    view->freed = true;
    for (struct question *q = view->asked, *next; q; q = next) {
        next = q->next;
        q->fn(q->arg, ERR_VIEW_UNAVAILABLE);
        free(q);
    }
    for (struct question *q = view->waiting, *next; q; q = next) {
        next = q->next;
        q->fn(q->arg, ERR_VIEW_UNAVAILABLE);
        free(q);
    }
    if (!view->asking_ranges)
        free_now(view);
}

struct envelope_record *view_wake_record(struct span message)
{
    return read_record(message);
}
