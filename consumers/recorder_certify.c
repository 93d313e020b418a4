/* The certificate: by what readers know that the view is whole. See recorder_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "schemas/mem.h"
#include "schemas/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELD_BYTES_MAX       320
#define CERTIFICATE_BYTES_MAX 256

/* Marks one partition; the one that was missing last writes the certificate. ARGV: applied field,
 * expected, applied, certified field, run id, certificate, then every certified field. */
static struct redis_script certify_script = {
    .source = "local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
              "if at ~= ARGV[2] then return -1 end\n"
              "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], ARGV[4], ARGV[5])\n"
              "for i = 7, #ARGV do\n"
              "  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[5] then return 0 end\n"
              "end\n"
              "redis.call('HSET', KEYS[1], '" VIEW_CERTIFICATE_FIELD "', ARGV[6])\n"
              "return 1\n",
};

struct fields {
    struct buf *items;
    size_t count;
};

static void add_field(void *arg, const char *topic, int32_t partition, bool commands)
{
    (void)commands;
    struct fields *fields = arg;
    fields->items = mem_resize(fields->items, fields->count + 1, sizeof *fields->items);
    fields->items[fields->count] = (struct buf)BUF_INIT(FIELD_BYTES_MAX);
    view_certified_field(&fields->items[fields->count++], topic, partition);
}

static void fields_free(struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        buf_free(&fields->items[i]);
    free(fields->items);
}

struct certifying {
    struct recorder_partition *partition;
    unsigned life;
    int64_t applied;
    char run_id[41];
};

static void on_certified(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct certifying *certifying = arg;
    struct recorder_partition *partition = certifying->partition;
    struct recorder *recorder = partition->recorder;
    if (partition->life == certifying->life) {
        partition->busy = false;
        partition->certifying = false;
        int64_t verdict = code == ERR_OK ? redis_reply_integer(reply) : -1;
        if (verdict < 0) {
            recorder_restart(partition, "its mark was refused");
        } else {
            snprintf(partition->expected, sizeof partition->expected, "%" PRId64,
                     certifying->applied);
            memcpy(partition->certified, certifying->run_id, sizeof partition->certified);
            recorder_pump(partition);
            recorder_look(recorder);
        }
    } else {
        partition->busy = false;
        loop_defer(recorder->loop, &recorder->locate);
    }
    recorder_partition_unref(partition);
    free(certifying);
}

void recorder_certify(struct recorder_partition *partition)
{
    struct recorder *recorder = partition->recorder;
    const char *run_id = redis_run_id(recorder->redis);
    if (partition->busy || partition->certifying || !run_id[0] ||
        strcmp(partition->certified, run_id) == 0)
        return;
    struct certifying *certifying = MEM_NEW(*certifying);
    *certifying = (struct certifying){ .partition = partition,
                                       .life = partition->life,
                                       .applied = partition->applied };
    snprintf(certifying->run_id, sizeof certifying->run_id, "%s", run_id);
    partition->references++;
    partition->busy = true;
    partition->certifying = true;

    struct fields all = { 0 };
    recorder_each_field(recorder, add_field, &all);
    struct buf applied_field = BUF_INIT(FIELD_BYTES_MAX);
    struct buf certified_field = BUF_INIT(FIELD_BYTES_MAX);
    struct buf certificate = BUF_INIT(CERTIFICATE_BYTES_MAX);
    char applied[24];
    view_applied_field(&applied_field, partition->topic, partition->number);
    view_certified_field(&certified_field, partition->topic, partition->number);
    view_certificate(&certificate, run_id, view_identity_text(recorder->identity));
    snprintf(applied, sizeof applied, "%" PRId64, partition->applied);

    struct span *argv = mem_zalloc(7 + all.count, sizeof *argv);
    size_t argc = 0;
    argv[argc++] = span_of(recorder->hash_key);
    argv[argc++] = buf_span(&applied_field);
    argv[argc++] = span_of(partition->expected);
    argv[argc++] = span_of(applied);
    argv[argc++] = buf_span(&certified_field);
    argv[argc++] = span_of(run_id);
    argv[argc++] = buf_span(&certificate);
    for (size_t i = 0; i < all.count; i++)
        argv[argc++] = buf_span(&all.items[i]);
    redis_script_run(recorder->redis, &certify_script, on_certified, certifying, 1, argc, argv);
    free(argv);
    buf_free(&applied_field);
    buf_free(&certified_field);
    buf_free(&certificate);
    fields_free(&all);
}

/* --- the look: once a second, idle or not --- */

struct view_state {
    const struct recorder *recorder;
    const struct redis_reply *reply; /* HGETALL: field, value, ... */
    bool replies_certified;
};

static struct span value_of(const struct redis_reply *reply, struct span field)
{
    for (size_t i = 0; i + 1 < redis_reply_count(reply); i += 2) {
        if (span_eq(redis_reply_text(redis_reply_at(reply, i)), field))
            return redis_reply_text(redis_reply_at(reply, i + 1));
    }
    return (struct span){ 0 };
}

static void check_field(void *arg, const char *topic, int32_t partition, bool commands)
{
    struct view_state *state = arg;
    if (commands)
        return;
    struct buf field = BUF_INIT(FIELD_BYTES_MAX);
    view_certified_field(&field, topic, partition);
    if (!span_is(value_of(state->reply, buf_span(&field)), redis_run_id(state->recorder->redis)))
        state->replies_certified = false;
    buf_free(&field);
}

/* What Redis has of a partition that we fold must be what we put there. */
static void check_partition(struct recorder_partition *partition, const struct redis_reply *reply)
{
    if (partition->state != RECORDER_FOLDING || partition->busy)
        return;
    struct buf field = BUF_INIT(FIELD_BYTES_MAX);
    view_applied_field(&field, partition->topic, partition->number);
    bool ours = span_is(value_of(reply, buf_span(&field)), partition->expected);
    buf_reset(&field);
    view_certified_field(&field, partition->topic, partition->number);
    ours = ours && span_is(value_of(reply, buf_span(&field)), partition->certified);
    buf_free(&field);
    if (!ours)
        recorder_restart(partition, "the view is not as it was left");
}

static void on_look(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct recorder *recorder = arg;
    recorder->looking = false;
    if (code)
        return;
    struct view_state state = { .recorder = recorder, .reply = reply, .replies_certified = true };
    recorder_each_field(recorder, check_field, &state);
    recorder->replies_certified = state.replies_certified;
    struct buf certificate = BUF_INIT(CERTIFICATE_BYTES_MAX);
    view_certificate(&certificate, redis_run_id(recorder->redis),
                     view_identity_text(recorder->identity));
    bool was_certified = recorder->certified;
    recorder->certified =
        span_eq(value_of(reply, span_of(VIEW_CERTIFICATE_FIELD)), buf_span(&certificate));
    buf_free(&certificate);
    if (recorder->certified && !was_certified)
        mem_give_back(); /* of a view that was made anew */
    metric_set(recorder->certified_gauge, recorder->certified);
    service_condition_set(recorder->view_ready, recorder->certified,
                          "the view is being rebuilt from the topics");
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next)
        check_partition(p, reply);
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next)
        recorder_advance(p);
    loop_defer(recorder->loop, &recorder->locate);
}

void recorder_look(void *arg)
{
    struct recorder *recorder = arg;
    if (recorder->looking || recorder->clearing || !redis_ready(recorder->redis))
        return;
    recorder->looking = true;
    redis_command_text(recorder->redis, on_look, recorder, 2, "HGETALL", recorder->hash_key);
}
