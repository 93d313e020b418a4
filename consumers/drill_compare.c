/* See drill_compare.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/drill_compare.h"

#include "infra/clock.h"
#include "infra/kafka_by_time.h"
#include "infra/kafka_tail.h"
#include "producers/replay.h"
#include "schemas/digest.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS    30000
#define SLOTS_MIN     1024
#define CLOCKS_OFF_MS 60000 /* an event's time is another machine's than its command's */

const char *drill_verdict_text(enum drill_verdict verdict)
{
    static const char *const texts[DRILL_VERDICT_COUNT] = { "same", "differs", "new_error",
                                                            "undecided", "unknown" };
    return texts[verdict];
}

enum drill_verdict drill_compare_ends(const struct drill_end *before, const struct drill_end *after)
{
    if (!after->known)
        return DRILL_UNDECIDED;
    if (!before->known)
        return DRILL_UNKNOWN;
    bool same_error = strcmp(before->code, after->code) == 0;
    bool same_result = memcmp(before->result, after->result, sizeof before->result) == 0;
    if (before->state == after->state && same_error &&
        (same_result || MUTANT(drill_results_uncompared)))
        return DRILL_SAME;
    if (after->state != JOB_SUCCEEDED && (before->state != after->state || !same_error))
        return DRILL_NEW_ERROR;
    return DRILL_DIFFERS;
}

/* --- jobs by their ids: open addressing, at most half full --- */

static uint32_t *find_slot(const struct drill_comparison *all, uint32_t *table, const struct id *id)
{
    size_t slot = id_hash(all->secret, id->bytes) & (all->slots - 1);
    assert(all->jobs);
    while (table[slot]) {
        const struct drill_job *job = &all->jobs[table[slot] - 1];
        if (id_same(table == all->by_id ? &job->id : &job->original, id))
            break;
        slot = (slot + 1) & (all->slots - 1);
    }
    return &table[slot];
}

static void grow(struct drill_comparison *all)
{
    free(all->by_id);
    free(all->by_original);
    if (all->slots == 0)
        siphash_secret(all->secret);
    all->slots = all->slots ? 2 * all->slots : SLOTS_MIN;
    all->by_id = mem_zalloc(all->slots, sizeof *all->by_id);
    all->by_original = mem_zalloc(all->slots, sizeof *all->by_original);
    all->jobs = mem_resize(all->jobs, all->slots / 2 + 1, sizeof *all->jobs);
    for (size_t i = 0; i < all->count; i++) {
        *find_slot(all, all->by_id, &all->jobs[i].id) = (uint32_t)i + 1;
        *find_slot(all, all->by_original, &all->jobs[i].original) = (uint32_t)i + 1;
    }
}

static struct drill_job *find(const struct drill_comparison *all, uint32_t *table,
                              const struct id *id)
{
    if (all->slots == 0)
        return NULL;
    uint32_t number = *find_slot(all, table, id);
    return number ? &all->jobs[number - 1] : NULL;
}

/* A job whose command lies twice in the log it was replayed from, or was sent twice by a replay
 * that went on, is one. */
static void add(struct drill_comparison *all, const struct job_facts *facts,
                const struct replay_origin *origin)
{
    const struct drill_job *known = find(all, all->by_id, &facts->id);
    if (known) {
        all->copies +=
            known->source_partition != origin->partition || known->source_offset != origin->offset;
        return;
    }
    if (all->count >= all->slots / 2)
        grow(all);
    assert(all->jobs);
    all->jobs[all->count++] = (struct drill_job){ .id = facts->id,
                                                  .original = facts->redrive.of,
                                                  .source_partition = origin->partition,
                                                  .source_offset = origin->offset };
    *find_slot(all, all->by_id, &facts->id) = (uint32_t)all->count;
    *find_slot(all, all->by_original, &facts->redrive.of) = (uint32_t)all->count;
}

void drill_comparison_clear(struct drill_comparison *comparison)
{
    free(comparison->jobs);
    free(comparison->by_id);
    free(comparison->by_original);
    *comparison = (struct drill_comparison){ 0 };
}

/* --- reading --- */

struct comparing {
    const struct drill_compare_options *options;
    struct drill_comparison *all;
    size_t ended; /* of the drill's */
    int64_t until_ms, told_ms;
    bool originals; /* the topic of the originals is read */
    bool too_many;
};

static bool on_command(void *arg, const struct kafka_tail_record *record)
{
    struct comparing *comparing = arg;
    struct envelope *envelope = NULL;
    struct err ignored;
    if (!record || envelope_decode(record->value, &envelope, &ignored) != ERR_OK)
        return true;
    const struct job_command *command = &envelope->command;
    const struct replay_origin origin = replay_origin_of(record);
    if (envelope->kind == ENVELOPE_COMMAND && command->facts.origin_offset < 0 &&
        command->facts.redrive.number > 0) {
        if (comparing->all->count == DRILL_COMPARE_JOBS_MAX)
            comparing->too_many = true;
        else
            add(comparing->all, &command->facts, &origin);
    }
    envelope_free(envelope);
    return !comparing->too_many;
}

static void take_end(const struct job_event *event, const struct kafka_tail_record *record,
                     struct drill_end *end)
{
    const struct job_failure *failure = &event->failure;
    *end = (struct drill_end){ .known = true,
                               .state = job_event_state(event->kind),
                               .attempt = event->attempt,
                               .partition = record->partition,
                               .offset = record->offset };
    /* Of a success it is what went wrong before. */
    if (end->state != JOB_SUCCEEDED)
        (void)snprintf(end->code, sizeof end->code, "%.*s", SPAN_ARG(failure->code));
    if (event->result.data) {
        uint8_t digest[DIGEST_SIZE];
        digest_sha256(&event->result, 1, digest);
        memcpy(end->result, digest, sizeof end->result);
    }
}

static bool goes_on(struct comparing *comparing)
{
    const struct drill_compare_options *options = comparing->options;
    int64_t now_ms = clock_monotonic_ms();
    if (comparing->originals)
        return true;
    if (now_ms - comparing->told_ms > 200 && options->on_progress) {
        comparing->told_ms = now_ms;
        if (!options->on_progress(options->arg, comparing->ended, comparing->all->count))
            return false;
    }
    return comparing->ended < comparing->all->count && now_ms < comparing->until_ms;
}

static bool on_event(void *arg, const struct kafka_tail_record *record)
{
    struct comparing *comparing = arg;
    struct drill_comparison *all = comparing->all;
    struct envelope *envelope = NULL;
    struct err ignored;
    if (!record || envelope_decode(record->value, &envelope, &ignored) != ERR_OK)
        return goes_on(comparing);
    const struct job_event *event = &envelope->event;
    if (envelope->kind == ENVELOPE_EVENT && job_state_is_terminal(job_event_state(event->kind))) {
        struct drill_job *job =
            find(all, comparing->originals ? all->by_original : all->by_id, &event->facts.id);
        struct drill_end *end = !job ? NULL : comparing->originals ? &job->before : &job->after;
        if (end && !end->known) {
            take_end(event, record, end);
            comparing->ended += !comparing->originals;
        }
    }
    envelope_free(envelope);
    return goes_on(comparing);
}

struct reading {
    const char *topic;
    int64_t since_ms; /* -1: from the start */
    bool follow;
    bool (*fn)(void *arg, const struct kafka_tail_record *record);
};

static void find_begin(struct kafka_admin *admin, const struct reading *reading,
                       const struct kafka_range *ranges, struct kafka_offset *from, size_t count)
{
    struct err ignored;
    bool found = reading->since_ms > 0 && kafka_by_time_sync(admin, reading->since_ms, ranges, from,
                                                             count, &ignored) == ERR_OK;
    for (size_t i = 0; i < count; i++) {
        if (!found)
            from[i].offset = ranges[i].start;
        else if (from[i].offset < 0)
            from[i].offset = ranges[i].end;
    }
}

static enum err_code read_topic(struct comparing *comparing, const struct reading *reading,
                                struct err *err)
{
    struct kafka_admin *admin = comparing->options->admin;
    struct kafka_range *ranges;
    size_t count;
    enum err_code code =
        kafka_topic_ranges_sync(admin, reading->topic, TIMEOUT_MS, &ranges, &count, err);
    struct kafka_offset *from = mem_zalloc(count, sizeof *from);
    int64_t *ends = mem_zalloc(count, sizeof *ends);
    for (size_t i = 0; i < count; i++) {
        from[i] = (struct kafka_offset){ reading->topic, (int32_t)i, -1 };
        ends[i] = ranges[i].end;
    }
    if (!code)
        find_begin(admin, reading, ranges, from, count);
    const struct kafka_tail tail = { .from = from,
                                     .ends = reading->follow ? NULL : ends,
                                     .count = count,
                                     .fn = reading->fn,
                                     .arg = comparing };
    if (!code)
        code = kafka_tail_sync(admin, &tail, TIMEOUT_MS, err);
    free(ranges);
    free(from);
    free(ends);
    return code;
}

static void judge(struct drill_comparison *all)
{
    for (size_t i = 0; i < all->count; i++) {
        struct drill_job *job = &all->jobs[i];
        job->verdict = drill_compare_ends(&job->before, &job->after);
        all->verdicts[job->verdict]++;
    }
}

enum err_code drill_compare(const struct drill_compare_options *options,
                            struct drill_comparison *ret_comparison, struct err *err)
{
    struct drill_comparison all = { 0 };
    struct comparing comparing = { .options = options, .all = &all };
    const struct reading commands = { options->commands, -1, false, on_command };
    const struct reading replies = { options->replies, -1, options->wait_ms > 0, on_event };
    const struct reading originals = { options->original_replies, options->since_ms - CLOCKS_OFF_MS,
                                       false, on_event };
    enum err_code code = read_topic(&comparing, &commands, err);
    if (!code && comparing.too_many)
        code = err_set(err, ERR_LIMIT, "the drill has more than %d jobs", DRILL_COMPARE_JOBS_MAX);
    comparing.until_ms =
        clock_monotonic_ms() + (options->wait_ms > 0 ? options->wait_ms : INT32_MAX);
    if (!code && all.count > 0)
        code = read_topic(&comparing, &replies, err);
    comparing.originals = true;
    if (!code && all.count > 0)
        code = read_topic(&comparing, &originals, err);
    if (code) {
        drill_comparison_clear(&all);
        return code;
    }
    judge(&all);
    *ret_comparison = all;
    return ERR_OK;
}
