/* Batches: read the records that events touch in one round trip, fold in memory, write all or
 * nothing. See recorder_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/gate_lua.h"
#include "consumers/list_lua.h"
#include "consumers/recorder_internal.h"
#include "infra/clock.h"
#include "infra/redis_args.h"
#include "schemas/fold.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_BYTES_MAX  320
#define AT_ONCE_MS     200 /* below worker.started_after: no event came before the one that ends it */
#define WAKE_BYTES_MAX "8192" /* a larger record does not ride in the wake-up */

/* KEYS: the view's hash, the set of lists, then of each job: record, command record, gate, the list
 * it was in and the one it is in now. ARGV: applied field, expected, new applied, then of each job:
 * record, expiry, "1" when terminal, else the turn that has passed (gate_lua.h) or "", wake-up
 * channel, time of creation there and here, identity. Last comes "1" when the records were folded
 * unread, as of jobs that have none: nothing is written, and 0 returned, when one has. What is
 * forgotten already is in no list; nor is a job of which there is no record of either kind, as of
 * most that end at once: every call that is left out here counts, and what can be done for all of
 * the batch is one call. */
static struct redis_script apply_events_script = {
    .source = GATE_LUA_PARSE GATE_LUA_RELEASE_PASSED LIST_LUA_CHANGE
    "local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
    "if at ~= ARGV[2] then return at end\n"
    "local records, commands, gone, fresh = {}, {}, {}, false\n"
    "for i = 1, (#KEYS - 2) / 5 do\n"
    "  records[i], commands[i] = KEYS[5*i-2], KEYS[5*i-1]\n"
    "end\n"
    "if ARGV[#ARGV] == '1' and #records > 0 then\n"
    "  if redis.call('EXISTS', unpack(records)) > 0 then return 0 end\n"
    "  fresh = redis.call('EXISTS', unpack(commands)) == 0\n"
    "end\n"
    "local seen, now = {}, redis.call('TIME')\n"
    "now = now[1] * 1000 + now[2] / 1000\n"
    "for i = 1, #records do\n"
    "  local k, a = 5*i-2, 7*i-3\n"
    "  local value = ARGV[a]\n"
    "  local listed = not fresh and redis.call('EXISTS', KEYS[k], KEYS[k+1]) > 0\n"
    "  redis.call('SET', KEYS[k], value, 'PXAT', ARGV[a+1])\n"
    "  local lives = tonumber(ARGV[a+1]) > now\n" /* else its keys may be of the id's next life */
    "  if lives and ARGV[a+2] == '1' then\n"
    "    gone[#gone + 1] = KEYS[k+2]\n"
    "    if not fresh then gone[#gone + 1] = KEYS[k+1] end\n"
    "  elseif lives and ARGV[a+2] ~= '' then\n"
    "    release_passed(KEYS[k+2], ARGV[a+2], ARGV[a+1])\n"
    "  end\n"
    "  if listed and (KEYS[k+3] ~= KEYS[k+4] or ARGV[a+4] ~= ARGV[a+5]) then\n"
    "    take(KEYS[k+3], ARGV[a+4], ARGV[a+6])\n"
    "  end\n"
    "  if lives then\n"
    "    put(KEYS[k+4], ARGV[a+5], ARGV[a+6])\n"
    "    seen[KEYS[k+4]] = true\n"
    "  end\n"
    "  if #value > " WAKE_BYTES_MAX " then value = '' end\n"
    "  redis.call('PUBLISH', ARGV[a+3], value)\n"
    "end\n"
    "put_all()\n"
    "if #gone > 0 then redis.call('DEL', unpack(gone)) end\n"
    "for list in pairs(seen) do redis.call('SADD', KEYS[2], list) end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\n"
    "return 1\n",
};

/* KEYS: the view's hash, the set of lists, then of each job: record, command record, list. ARGV:
 * applied field, expected, new applied, then of each job: command record, expiry, time of creation,
 * identity. A job that has events already needs no record of its command. */
static struct redis_script apply_commands_script = {
    .source = LIST_LUA_CHANGE
    "local at = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
    "if at ~= ARGV[2] then return at end\n"
    "local records, seen = {}, {}\n"
    "for i = 1, (#KEYS - 2) / 3 do records[i] = KEYS[3*i] end\n"
    "local known = #records > 0 and redis.call('EXISTS', unpack(records)) or 0\n"
    "for i = 1, known < #records and #records or 0 do\n"
    "  local k, a = 3*i, 4*i\n"
    "  if known == 0 or redis.call('EXISTS', KEYS[k]) == 0 then\n"
    "    redis.call('SET', KEYS[k+1], ARGV[a], 'PXAT', ARGV[a+1], 'NX')\n"
    "    if redis.call('EXISTS', KEYS[k+1]) == 1 then\n"
    "      put(KEYS[k+2], ARGV[a+2], ARGV[a+3])\n"
    "      seen[KEYS[k+2]] = true\n"
    "    end\n"
    "  end\n"
    "end\n"
    "put_all()\n"
    "for list in pairs(seen) do redis.call('SADD', KEYS[2], list) end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])\n"
    "return 1\n",
};

/* One job of a batch. */
struct folded {
    const struct job_facts *facts;
    struct envelope_record *before; /* as Redis had it */
    struct job_record record;
    bool exists, changed;
    bool handed_on; /* by the turn of the record */
};

struct batch {
    struct recorder_partition *partition; /* referenced */
    unsigned life;
    struct recorder_entry *first, *last; /* taken from the partition */
    size_t entry_count;
    int64_t next_offset;
    uint16_t *slots;   /* of a job: its index plus 1 */
    size_t slot_count; /* a power of two, more than twice the room for jobs */
    size_t job_count;
    bool unread;          /* folded without a look at the records in Redis */
    struct folded jobs[]; /* room for one an entry */
};

static void batch_free(struct batch *batch)
{
    while (batch->first) {
        struct recorder_entry *next = batch->first->next;
        recorder_entry_free(batch->first);
        batch->first = next;
    }
    for (size_t i = 0; i < batch->job_count; i++)
        envelope_record_free(batch->jobs[i].before);
    recorder_partition_unref(batch->partition);
    free(batch->slots);
    free(batch);
}

/* --- the arguments of a Lua call --- */

static void add_key(struct redis_args *args, const struct recorder *recorder, enum view_kind kind,
                    const struct id *id)
{
    redis_args_begin(args);
    view_key(&args->store, recorder->config->namespace_, kind, id);
    redis_args_end(args);
}

static bool add_record(struct redis_args *args, const struct job_record *record)
{
    redis_args_begin(args);
    enum err_code code = envelope_encode_record(record, &args->store, NULL);
    redis_args_end(args);
    return code == ERR_OK;
}

/* When the record goes. Redis refuses an expiry of 0, and the whole batch with it: a record without
 * a time to be forgotten at is not kept. */
static void add_expiry(struct redis_args *args, const struct job_record *record)
{
    redis_args_int(args, record->facts.forget_at_ms > 0 ? record->facts.forget_at_ms : 1);
}

static void add_progress(struct redis_args *args, const struct batch *batch)
{
    const struct recorder_partition *partition = batch->partition;
    redis_args_begin(args);
    view_applied_field(&args->store, partition->topic, partition->number);
    redis_args_end(args);
    redis_args_text(args, partition->expected);
    redis_args_int(args, batch->next_offset);
}

/* --- applying --- */

static void read_records(struct batch *batch);

/* Some job had a record after all: all of them are folded anew. */
static void fold_again(struct batch *batch)
{
    batch->unread = false;
    for (size_t i = 0; i < batch->job_count; i++)
        batch->jobs[i] = (struct folded){ .facts = batch->jobs[i].facts };
    read_records(batch);
}

static void on_applied(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct batch *batch = arg;
    struct recorder_partition *partition = batch->partition;
    struct recorder *recorder = partition->recorder;
    bool applied = code == ERR_OK && redis_reply_type(reply) == REDIS_INTEGER;
    if (applied && redis_reply_integer(reply) == 0 && partition->life == batch->life) {
        fold_again(batch);
        return;
    }
    partition->busy = false;
    if (partition->life != batch->life) {
        loop_defer(recorder->loop, &recorder->locate);
    } else if (applied) {
        recorder_applied(partition, batch->next_offset);
        metric_add(partition->commands ? recorder->applied_commands : recorder->applied_events,
                   (int64_t)batch->entry_count);
        if (!partition->commands)
            recorder_metrics_applied(recorder, batch->first->timestamp_ms);
        recorder_advance(partition);
    } else {
        recorder_refused(partition, reply);
    }
    batch_free(batch);
}

static void apply(struct batch *batch, struct redis_script *script, struct redis_args *args,
                  size_t key_count)
{
    redis_script_run(batch->partition->recorder->redis, script, on_applied, batch, key_count,
                     args->count, redis_args_list(args));
    redis_args_free(args);
}

/* Room for a batch: its bytes are bounded by the records read and those of the events. */
static struct redis_args arguments_for(const struct batch *batch)
{
    size_t bytes_max =
        4 * (size_t)batch->partition->recorder->config->recorder.batch_bytes_max +
        batch->entry_count * ((size_t)7 * KEY_BYTES_MAX + 2 * ENVELOPE_FAILURE_BYTES_MAX) +
        (size_t)4 * ENVELOPE_RECORD_BYTES_MAX;
    return (struct redis_args)REDIS_ARGS_INIT(bytes_max);
}

/* Apart from the records, as mutants do. */
static void write_applied(const struct batch *batch, const char *offset)
{
    const struct recorder_partition *partition = batch->partition;
    struct redis_args args = arguments_for(batch);
    redis_args_text(&args, "HSET");
    redis_args_text(&args, partition->recorder->hash_key);
    redis_args_begin(&args);
    view_applied_field(&args.store, partition->topic, partition->number);
    redis_args_end(&args);
    redis_args_text(&args, offset);
    redis_command(partition->recorder->redis, NULL, NULL, args.count, redis_args_list(&args));
    redis_args_free(&args);
}

/* Where the job was listed: by its record, or by its command if that was all there was. */
static void add_list_before(struct redis_args *args, const struct recorder *recorder,
                            const struct folded *job)
{
    const struct job_record *before = job->before ? &job->before->record : NULL;
    if (MUTANT(list_not_moved))
        recorder_list_of(recorder, &job->record.facts, job->record.state, args);
    else if (before)
        recorder_list_of(recorder, &before->facts, before->state, args);
    else
        recorder_list_of(recorder, &job->record.facts, fold_command_state(&job->record.facts),
                         args);
}

/* Whether it has ended, or which turn of it is nobody's any more. */
static void add_end(struct redis_args *args, const struct folded *job)
{
    const struct job_record *record = &job->record;
    redis_args_begin(args);
    if (job_state_is_terminal(record->state))
        buf_add_text(&args->store, "1");
    else if (job->handed_on && !MUTANT(hand_on_untold))
        buf_printf(&args->store, "%u %d:%lld", record->turn, record->command_partition,
                   (long long)record->command_offset);
    else if (record->turn > 0)
        buf_printf(&args->store, "%u -", record->turn - 1);
    redis_args_end(args);
}

static void apply_events(struct batch *batch)
{
    const struct recorder *recorder = batch->partition->recorder;
    struct redis_args args = arguments_for(batch);
    redis_args_text(&args, recorder->hash_key);
    recorder_list_sets(recorder, &args);
    size_t key_count = 2;
    for (size_t i = 0; i < batch->job_count; i++) {
        const struct folded *job = &batch->jobs[i];
        if (!job->changed)
            continue;
        const struct id *id = &job->facts->id;
        add_key(&args, recorder, VIEW_RECORD, id);
        add_key(&args, recorder, VIEW_COMMAND, id);
        add_key(&args, recorder, VIEW_GATE, id);
        add_list_before(&args, recorder, job);
        recorder_list_of(recorder, &job->record.facts, job->record.state, &args);
        key_count += 5;
    }
    add_progress(&args, batch);
    for (size_t i = 0; i < batch->job_count; i++) {
        const struct folded *job = &batch->jobs[i];
        if (!job->changed)
            continue;
        bool encoded = add_record(&args, &job->record);
        assert(encoded); /* a record has room for whatever an envelope held */
        (void)encoded;
        add_expiry(&args, &job->record);
        add_end(&args, job);
        add_key(&args, recorder, VIEW_WAKE, &job->facts->id);
        redis_args_int(&args, job->before ? job->before->record.facts.created_at_ms
                                          : job->record.facts.created_at_ms);
        recorder_list_entry(&job->record.facts, &args);
    }
    redis_args_text(&args, batch->unread && !MUTANT(records_never_read) ? "1" : "0");
    if (MUTANT(applied_unchecked))
        write_applied(batch, batch->partition->expected);
    apply(batch, &apply_events_script, &args, key_count);
}

static void apply_commands(struct batch *batch)
{
    const struct recorder *recorder = batch->partition->recorder;
    struct redis_args args = arguments_for(batch);
    redis_args_text(&args, recorder->hash_key);
    recorder_list_sets(recorder, &args);
    for (size_t i = 0; i < batch->job_count; i++) {
        const struct job_record *record = &batch->jobs[i].record;
        add_key(&args, recorder, VIEW_RECORD, &batch->jobs[i].facts->id);
        add_key(&args, recorder, VIEW_COMMAND, &batch->jobs[i].facts->id);
        recorder_list_of(recorder, &record->facts, record->state, &args);
    }
    add_progress(&args, batch);
    for (size_t i = 0; i < batch->job_count; i++) {
        bool encoded = add_record(&args, &batch->jobs[i].record);
        assert(encoded);
        (void)encoded;
        add_expiry(&args, &batch->jobs[i].record);
        recorder_list_entry(&batch->jobs[i].record.facts, &args);
    }
    apply(batch, &apply_commands_script, &args, 2 + 3 * batch->job_count);
}

/* --- folding --- */

/* The job's slot, or the empty one where it would be. */
static uint16_t *slot_of(struct batch *batch, const struct id *id)
{
    for (size_t at = id_hash(batch->partition->recorder->secret, id->bytes);; at++) {
        uint16_t *slot = &batch->slots[at & (batch->slot_count - 1)];
        if (!*slot || id_same(&batch->jobs[*slot - 1].facts->id, id))
            return slot;
    }
}

static struct folded *find_job(struct batch *batch, const struct id *id)
{
    uint16_t slot = *slot_of(batch, id);
    return slot ? &batch->jobs[slot - 1] : NULL;
}

static struct folded *add_job(struct batch *batch, const struct job_facts *facts)
{
    uint16_t *slot = slot_of(batch, &facts->id);
    struct folded *job = &batch->jobs[batch->job_count++];
    job->facts = facts;
    *slot = (uint16_t)batch->job_count;
    return job;
}

static void fold_entries(struct batch *batch)
{
    for (const struct recorder_entry *entry = batch->first; entry; entry = entry->next) {
        if (!entry->envelope)
            continue;
        const struct job_event *event = &entry->envelope->event;
        struct folded *job = find_job(batch, &event->facts.id);
        struct job_record next;
        if (!fold_event(job->exists ? &job->record : NULL, event, entry->offset, &next))
            continue;
        job->record = next;
        job->exists = job->changed = true;
        job->handed_on = event->handed_on;
    }
}

static void on_records(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct batch *batch = arg;
    struct recorder_partition *partition = batch->partition;
    if (code || redis_reply_count(reply) != batch->job_count || partition->life != batch->life) {
        partition->busy = false;
        recorder_restart(partition, code ? "its records could not be read" : NULL);
        batch_free(batch);
        return;
    }
    for (size_t i = 0; i < batch->job_count; i++) {
        struct folded *job = &batch->jobs[i];
        struct span bytes = redis_reply_text(redis_reply_at(reply, i));
        if (bytes.size && envelope_decode_record(bytes, &job->before, NULL) == ERR_OK) {
            job->record = job->before->record;
            job->exists = true;
        }
    }
    fold_entries(batch);
    apply_events(batch);
}

/* As far as it tells: of a job's first turn, and of no attempt that took so long that its start was
 * told. */
static bool is_first(const struct job_event *event)
{
    return event->turn == 0 && (event->kind == JOB_EVENT_STARTED || event->started_at_ms == 0 ||
                                event->at_ms - event->started_at_ms < AT_ONCE_MS);
}

/* Most jobs have one event only: whether Redis has records of these is then asked with the call
 * that writes them, instead of one before it. */
static bool are_first(const struct batch *batch)
{
    for (const struct recorder_entry *entry = batch->first; entry; entry = entry->next) {
        if (entry->envelope && !is_first(&entry->envelope->event))
            return false;
    }
    return true;
}

static void write_offset_first(struct batch *batch)
{
    struct recorder_partition *partition = batch->partition;
    snprintf(partition->expected, sizeof partition->expected, "%" PRId64, batch->next_offset);
    write_applied(batch, partition->expected);
}

static void read_records(struct batch *batch)
{
    struct recorder *recorder = batch->partition->recorder;
    if (MUTANT(offset_before_records))
        write_offset_first(batch);
    struct redis_args args = arguments_for(batch);
    redis_args_text(&args, "MGET");
    for (size_t i = 0; i < batch->job_count; i++)
        add_key(&args, recorder, VIEW_RECORD, &batch->jobs[i].facts->id);
    redis_command(recorder->redis, on_records, batch, args.count, redis_args_list(&args));
    redis_args_free(&args);
}

/* --- taking a batch --- */

/* A command's record, unless it is of a later turn or its time is over. */
static void take_command(struct batch *batch, const struct recorder_entry *entry)
{
    const struct job_command *command = &entry->envelope->command;
    struct job_record record;
    struct folded *job = find_job(batch, &command->facts.id);
    if (!fold_command(job ? &job->record : NULL, command, batch->partition->number, entry->offset,
                      &record))
        return;
    if (!job)
        job = add_job(batch, &command->facts);
    job->record = record;
    job->exists = job->changed = true;
}

static void take_event(struct batch *batch, const struct recorder_entry *entry)
{
    const struct job_facts *facts = &entry->envelope->event.facts;
    if (!find_job(batch, &facts->id))
        add_job(batch, facts);
}

/* One timer for all partitions: the earliest due time counts. */
static void arm_due(struct recorder *recorder, int64_t wait_ms)
{
    int64_t at_ms = loop_now_ms(recorder->loop) + wait_ms;
    if (recorder->due_at_ms && recorder->due_at_ms <= at_ms)
        return;
    recorder->due_at_ms = at_ms;
    loop_timer_start(recorder->due_timer, wait_ms, 0);
}

static bool is_due(const struct recorder_partition *partition, const struct recorder_entry *entry)
{
    struct recorder *recorder = partition->recorder;
    if (entry->held || !recorder_flows(partition))
        return false;
    if (!partition->commands)
        return true;
    int64_t wait_ms = entry->due_ms - clock_wall_ms();
    if (wait_ms > 0)
        arm_due(recorder, wait_ms);
    return wait_ms <= 0;
}

/* Begins with the first entry, which is due. */
static struct batch *take_batch(struct recorder_partition *partition)
{
    const struct config_recorder *config = &partition->recorder->config->recorder;
    size_t records_max = (size_t)config->batch_records_max;
    if (records_max > RECORDER_BATCH_MAX)
        records_max = RECORDER_BATCH_MAX;
    if (records_max > partition->entry_count)
        records_max = partition->entry_count;
    struct batch *batch = mem_zalloc(1, sizeof *batch + records_max * sizeof batch->jobs[0]);
    batch->partition = partition;
    batch->life = partition->life;
    batch->slot_count = 4;
    while (batch->slot_count <= 2 * records_max)
        batch->slot_count *= 2;
    batch->slots = mem_zalloc(batch->slot_count, sizeof *batch->slots);
    size_t bytes = 0;
    while (partition->first && batch->entry_count < records_max) {
        size_t more = partition->first->bytes;
        if (batch->entry_count && (!is_due(partition, partition->first) ||
                                   bytes + more > (size_t)config->batch_bytes_max))
            break;
        bytes += more;
        struct recorder_entry *entry = recorder_entry_take(partition);
        if (batch->last)
            batch->last->next = entry;
        else
            batch->first = entry;
        batch->last = entry;
        batch->entry_count++;
        batch->next_offset = entry->offset + 1;
        if (entry->envelope && partition->commands)
            take_command(batch, entry);
        else if (entry->envelope)
            take_event(batch, entry);
    }
    return batch;
}

void recorder_pump(struct recorder_partition *partition)
{
    if (partition->busy || partition->state != RECORDER_FOLDING || !partition->first ||
        partition->recorder->draining)
        return;
    if (partition->dead) {
        recorder_dead_pump(partition);
        return;
    }
    /* Asked first: a command is looked at once for each that comes behind it. */
    if (!is_due(partition, partition->first))
        return;
    struct batch *batch = take_batch(partition);
    partition->busy = true;
    partition->references++;
    if (partition->commands) {
        apply_commands(batch);
        return;
    }
    if (batch->job_count && (!are_first(batch) || MUTANT(offset_before_records))) {
        read_records(batch);
        return;
    }
    batch->unread = batch->job_count > 0;
    fold_entries(batch);
    apply_events(batch);
}
