/* Where a partition of the view begins, what is delivered, and when it is whole. See
 * recorder_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOCATE_TIMEOUT_MS    5000
#define ENTRY_OVERHEAD_BYTES 2560
#define PARTITION_BYTES_MAX  ((size_t)4 * 1024 * 1024)
#define FIELD_BYTES_MAX      320
#define RESTART_PAUSE_MS     1000 /* a partition that is refused again and again waits for the look */

/* --- entries --- */

void recorder_entry_free(struct recorder_entry *entry)
{
    envelope_free(entry->envelope);
    recorder_dead_free(entry->dead);
    free(entry);
}

struct recorder_entry *recorder_entry_take(struct recorder_partition *partition)
{
    struct recorder_entry *entry = partition->first;
    partition->first = entry->next;
    if (!partition->first)
        partition->last = NULL;
    partition->entry_bytes -= entry->bytes;
    partition->entry_count--;
    entry->next = NULL;
    return entry;
}

static void set_full(struct recorder_partition *partition, bool full)
{
    struct recorder_reader *reader = recorder_reader_of(partition);
    if (partition->full == full)
        return;
    partition->full = full;
    reader->full_count += full ? 1 : (size_t)-1;
    kafka_consumer_slow(reader->consumer, reader->full_count > 0);
}

static void drop_entries(struct recorder_partition *partition)
{
    set_full(partition, false);
    struct recorder_entry *entry = partition->first;
    while (entry) {
        struct recorder_entry *next = entry->next;
        if (entry->held)
            entry->partition = NULL; /* its acknowledgement frees it */
        else
            recorder_entry_free(entry);
        entry = next;
    }
    partition->first = partition->last = NULL;
    partition->entry_bytes = 0;
    partition->entry_count = 0;
}

static void on_held(void *arg, enum err_code code, int32_t number, int64_t offset)
{
    (void)number;
    (void)offset;
    struct recorder_entry *entry = arg;
    struct recorder_partition *partition = entry->partition;
    if (!partition) {
        recorder_entry_free(entry);
        return;
    }
    entry->held = false;
    if (code == ERR_OK)
        recorder_pump(partition);
    else
        recorder_restart(partition, "a record of a newer version could not be put aside");
}

/* A record of a newer version is put aside, with the dead letters, where it waits for a newer
 * program. */
static bool put_aside(struct recorder_entry *entry, const struct kafka_record *record,
                      const struct err *why)
{
    struct recorder_partition *partition = entry->partition;
    struct recorder *recorder = partition->recorder;
    struct publish_dead dead = {
        .queue = partition->queue,
        .key = record->key,
        .value = record->value,
        .topic = partition->topic,
        .partition = partition->number,
        .offset = record->offset,
        .reason = span_of(err_code_text(why->code)),
        .detail = span_of(why->text),
    };
    struct err err;
    if (publish_dead(&recorder->publish, &dead, on_held, entry, &err))
        return false;
    metric_add(recorder->held, 1);
    return true;
}

bool recorder_flows(const struct recorder_partition *partition)
{
    const struct recorder *recorder = partition->recorder;
    return !partition->commands || recorder->certified || recorder->replies_certified;
}

/* Keeps what is delivered and not applied within bounds. One that flows and is full lets all of its
 * reader wait for a moment, with all that is fetched (to pause it would have that fetched again,
 * each time). One that does not flow may not for long, and a slowed reader still takes a record
 * each poll: it is paused alone. */
static void balance(struct recorder_partition *partition)
{
    if (!partition->handle)
        return;
    bool folding = partition->state == RECORDER_FOLDING;
    bool much = partition->entry_bytes > PARTITION_BYTES_MAX;
    bool little = partition->entry_bytes <= PARTITION_BYTES_MAX / 2;
    if (!folding || (much && !recorder_flows(partition)))
        kafka_partition_pause(partition->handle);
    else if (little && kafka_partition_is_paused(partition->handle))
        kafka_partition_resume(partition->handle);
    if (folding && much && recorder_flows(partition))
        set_full(partition, true);
    else if (!folding || little || !recorder_flows(partition))
        set_full(partition, false);
}

/* False when the record must not be passed over yet. */
static bool read_envelope(struct recorder_entry *entry, const struct kafka_record *record)
{
    struct recorder_partition *partition = entry->partition;
    struct recorder *recorder = partition->recorder;
    struct err err;
    enum err_code code = envelope_decode(record->value, &entry->envelope, &err);
    if (code == ERR_OK &&
        entry->envelope->kind != (partition->commands ? ENVELOPE_COMMAND : ENVELOPE_EVENT)) {
        envelope_free(entry->envelope);
        entry->envelope = NULL;
        code = err_set(&err, ERR_ENVELOPE_INVALID, "the wrong kind of envelope for this topic");
    }
    if (code == ERR_OK)
        return true;
    /* A command's poison is the worker's to bury; here it is only counted and passed. */
    if (code == ERR_ENVELOPE_VERSION && !partition->commands) {
        entry->held = put_aside(entry, record, &err);
        if (!entry->held)
            return false;
    }
    metric_add(recorder->poison, 1);
    log_write(recorder->log, LOG_ERROR, "recorder", &(struct log_about){ .err = &err },
              "%s/%d: the record at offset %" PRId64 " cannot be folded", partition->topic,
              partition->number, record->offset);
    return true;
}

/* Nothing of our topics leaves a gap but retention. Should reading have gone on at another place
 * than was asked for, what was passed over would never be folded: begin again, and believe the log
 * when it says the same once more. */
static bool is_gap(struct recorder_partition *partition, int64_t offset)
{
    if (offset == partition->awaited || offset == partition->gap_before)
        return false;
    partition->gap_before = offset;
    return true;
}

/* A producer's clock that is ahead, or a time that is none, holds nothing up. */
static int64_t due_at(const struct recorder *recorder, int64_t timestamp_ms)
{
    int64_t now_ms = clock_wall_ms();
    int64_t since_ms = timestamp_ms < now_ms || MUTANT(future_awaited) ? timestamp_ms : now_ms;
    return since_ms + recorder->config->recorder.queued_after_ms;
}

void recorder_record(void *arg, const struct kafka_record *record)
{
    (void)arg;
    struct recorder_partition *partition = kafka_partition_context(record->partition);
    if (!partition || partition->state != RECORDER_FOLDING || record->offset < partition->awaited)
        return;
    if (is_gap(partition, record->offset)) {
        recorder_restart(partition, "records were passed over");
        return;
    }
    partition->awaited = record->offset + 1;
    const struct recorder *recorder = partition->recorder;
    struct recorder_entry *entry = MEM_NEW(*entry);
    entry->partition = partition;
    entry->offset = record->offset;
    entry->timestamp_ms = record->timestamp_ms;
    entry->bytes = record->value.size + ENTRY_OVERHEAD_BYTES;
    if (partition->commands && record->timestamp_ms > 0)
        entry->due_ms = due_at(recorder, record->timestamp_ms);
    if (partition->dead) {
        recorder_dead_read(entry, record);
    } else if (!read_envelope(entry, record)) {
        recorder_entry_free(entry);
        recorder_restart(partition, "a record of a newer version could not be put aside");
        return;
    }
    if (partition->last)
        partition->last->next = entry;
    else
        partition->first = entry;
    partition->last = entry;
    partition->entry_bytes += entry->bytes;
    partition->entry_count++;
    balance(partition);
    recorder_pump(partition);
}

/* --- assignment --- */

void recorder_assign(void *arg, struct kafka_partition *handle, const struct kafka_start *start,
                     int64_t *ret_offset)
{
    struct recorder *recorder = arg;
    struct recorder_partition *partition = MEM_NEW(*partition);
    *partition = (struct recorder_partition){
        .recorder = recorder,
        .handle = handle,
        .topic = mem_dup_text(kafka_partition_topic(handle)),
        .number = kafka_partition_number(handle),
        .committed = start->committed,
        .gap_before = -1,
        .references = 1,
        .next = recorder->partitions,
    };
    enum topic_kind kind;
    bool known = topic_parse(span_of(partition->topic), recorder->config->namespace_, &kind,
                             &partition->queue);
    assert(known);
    (void)known;
    partition->commands = kind == TOPIC_COMMANDS;
    partition->dead = kind == TOPIC_DEAD;
    recorder->partitions = partition;
    kafka_partition_set_context(handle, partition);
    *ret_offset =
        start->log_end > 0 ? start->log_end : *ret_offset; /* nothing useful until it is located */
    loop_defer(recorder->loop, &recorder->locate);
}

void recorder_partition_unref(struct recorder_partition *partition)
{
    if (--partition->references)
        return;
    drop_entries(partition);
    free(partition->topic);
    free(partition);
}

void recorder_revoke(void *arg, struct kafka_partition *handle, bool lost)
{
    (void)arg;
    (void)lost;
    struct recorder_partition *partition = kafka_partition_context(handle);
    if (!partition)
        return;
    partition->state = RECORDER_WAITING;
    partition->life++;
    partition->handle = NULL;
    drop_entries(partition);
}

void recorder_revoked(void *arg)
{
    struct recorder *recorder = arg;
    struct recorder_partition **link = &recorder->partitions;
    while (*link) {
        struct recorder_partition *partition = *link;
        if (partition->handle) {
            link = &partition->next;
            continue;
        }
        *link = partition->next;
        recorder_partition_unref(partition);
    }
}

void recorder_restart(struct recorder_partition *partition, const char *why)
{
    struct recorder *recorder = partition->recorder;
    if (!partition->handle)
        return;
    if (why)
        log_write(recorder->log, LOG_WARN, "recorder", NULL,
                  "%s/%d: %s; begins again from the view", partition->topic, partition->number,
                  why);
    partition->state = RECORDER_WAITING;
    partition->life++;
    partition->certifying = false;
    drop_entries(partition);
    kafka_partition_pause(partition->handle);
    int64_t now_ms = loop_now_ms(recorder->loop);
    if (!why || now_ms - partition->restarted_at_ms >= RESTART_PAUSE_MS)
        loop_defer(recorder->loop, &recorder->locate);
    partition->restarted_at_ms = now_ms;
}

void recorder_restart_all(struct recorder *recorder)
{
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next)
        recorder_restart(p, NULL);
}

/* --- locating: where the log ends, where the view is --- */

struct located {
    struct recorder_partition *partition; /* referenced */
    unsigned life;
};
struct locating {
    struct recorder *recorder;
    size_t count;
    struct located *items;
    struct kafka_range *ranges;
};

static void locating_free(struct locating *locating)
{
    for (size_t i = 0; i < locating->count; i++)
        recorder_partition_unref(locating->items[i].partition);
    free(locating->items);
    free(locating->ranges);
    free(locating);
}

static bool is_current(const struct located *item)
{
    return item->partition->handle && item->life == item->partition->life;
}

/* Nothing could be learned: the look, once a second, tries again. */
static void locate_failed(struct locating *locating)
{
    for (size_t i = 0; i < locating->count; i++) {
        if (is_current(&locating->items[i]))
            locating->items[i].partition->state = RECORDER_WAITING;
    }
    locating_free(locating);
}

/* Begins at the view's applied offset. False when the view does not fit the log at all. */
static bool begin_at(struct recorder_partition *partition, const struct kafka_range *range,
                     struct span applied, struct span certified)
{
    struct recorder *recorder = partition->recorder;
    snprintf(partition->expected, sizeof partition->expected, "%.*s", SPAN_ARG(applied));
    snprintf(partition->certified, sizeof partition->certified, "%.*s", SPAN_ARG(certified));
    int64_t offset = applied.size ? strtoll(partition->expected, NULL, 10) : range->start;
    if (offset > range->end)
        return false;
    if (offset < range->start) {
        metric_add(recorder->lost, range->start - offset);
        log_write(recorder->log, LOG_ERROR, "recorder", NULL,
                  "%s/%d: the log begins at %" PRId64 ", the view had applied up to %" PRId64
                  ": what lies between was deleted before it was folded",
                  partition->topic, partition->number, range->start, offset);
        offset = range->start;
    }
    partition->applied = partition->awaited = offset;
    partition->log_start = range->start;
    partition->log_end = range->end;
    struct err err;
    if (kafka_partition_seek(partition->handle, offset, &err)) {
        partition->state = RECORDER_WAITING;
        return true;
    }
    partition->state = RECORDER_FOLDING;
    kafka_partition_resume(partition->handle);
    if (strcmp(partition->certified, redis_run_id(recorder->redis)) != 0)
        metric_add(recorder->refolds, 1);
    log_write(recorder->log, LOG_INFO, "recorder", NULL,
              "%s/%d folds from %" PRId64 " (log end %" PRId64 ")", partition->topic,
              partition->number, offset, range->end);
    recorder_advance(partition);
    return true;
}

static void on_view(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct locating *locating = arg;
    struct recorder *recorder = locating->recorder;
    recorder->locating = false;
    if (code || redis_reply_count(reply) != 2 + 2 * locating->count) {
        locate_failed(locating);
        return;
    }
    struct span identity = redis_reply_text(redis_reply_at(reply, 0));
    const char *clear = NULL;
    if (!span_is(identity, view_identity_text(recorder->identity)))
        clear = identity.size ? "it belongs to another cluster or generation" : "it is empty";
    else if (!span_is(redis_reply_text(redis_reply_at(reply, 1)), VIEW_PARTS))
        clear = "an older recorder began it, without lists of jobs";
    for (size_t i = 0; i < locating->count && !clear; i++) {
        if (!is_current(&locating->items[i]))
            continue;
        if (!begin_at(locating->items[i].partition, &locating->ranges[i],
                      redis_reply_text(redis_reply_at(reply, 2 + 2 * i)),
                      redis_reply_text(redis_reply_at(reply, 3 + 2 * i))))
            clear = "it is ahead of the log";
    }
    if (clear) {
        locate_failed(locating);
        recorder_clear(recorder, identity, clear);
        return;
    }
    locating_free(locating);
    recorder_look(recorder);
}

static void on_ranges(void *arg, enum err_code code)
{
    struct locating *locating = arg;
    struct recorder *recorder = locating->recorder;
    recorder->asking_ranges = false;
    if (recorder->closed) {
        locating_free(locating);
        recorder_free(recorder);
        return;
    }
    if (code || !redis_ready(recorder->redis)) {
        recorder->locating = false;
        locate_failed(locating);
        return;
    }
    size_t argc = 4 + 2 * locating->count;
    struct span *argv = mem_zalloc(argc, sizeof *argv);
    struct buf *fields = mem_zalloc(2 * locating->count, sizeof *fields);
    argv[0] = span_of("HMGET");
    argv[1] = span_of(recorder->hash_key);
    argv[2] = span_of(VIEW_IDENTITY_FIELD);
    argv[3] = span_of(VIEW_PARTS_FIELD);
    for (size_t i = 0; i < locating->count; i++) {
        const struct recorder_partition *partition = locating->items[i].partition;
        fields[2 * i].max = fields[2 * i + 1].max = FIELD_BYTES_MAX;
        view_applied_field(&fields[2 * i], partition->topic, partition->number);
        view_certified_field(&fields[2 * i + 1], partition->topic, partition->number);
        argv[4 + 2 * i] = buf_span(&fields[2 * i]);
        argv[5 + 2 * i] = buf_span(&fields[2 * i + 1]);
    }
    redis_command(recorder->redis, on_view, locating, argc, argv);
    for (size_t i = 0; i < 2 * locating->count; i++)
        buf_free(&fields[i]);
    free(fields);
    free(argv);
}

void recorder_locate(void *arg)
{
    struct recorder *recorder = arg;
    if (recorder->locating || recorder->clearing || recorder->draining ||
        !redis_ready(recorder->redis) || !view_identity_text(recorder->identity)[0])
        return;
    size_t count = 0;
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next)
        count += p->handle && p->state == RECORDER_WAITING && !p->busy;
    if (count == 0)
        return;
    struct locating *locating = MEM_NEW(*locating);
    locating->recorder = recorder;
    locating->items = mem_zalloc(count, sizeof *locating->items);
    locating->ranges = mem_zalloc(count, sizeof *locating->ranges);
    for (struct recorder_partition *p = recorder->partitions; p; p = p->next) {
        if (!p->handle || p->state != RECORDER_WAITING || p->busy)
            continue;
        p->state = RECORDER_LOCATING;
        p->references++;
        balance(p);
        locating->items[locating->count] = (struct located){ .partition = p, .life = p->life };
        locating->ranges[locating->count++] =
            (struct kafka_range){ .topic = p->topic, .partition = p->number };
    }
    recorder->locating = recorder->asking_ranges = true;
    kafka_ranges(recorder->admin, locating->ranges, locating->count,
                 &(struct kafka_reply){ recorder->loop, LOCATE_TIMEOUT_MS, on_ranges, locating });
}

/* --- going on --- */

void recorder_applied(struct recorder_partition *partition, int64_t next_offset)
{
    partition->applied = next_offset;
    snprintf(partition->expected, sizeof partition->expected, "%" PRId64, next_offset);
    metric_add(partition->recorder->batches, 1);
}

void recorder_refused(struct recorder_partition *partition, const struct redis_reply *reply)
{
    char why[160];
    struct span text = reply ? redis_reply_text(reply) : span_of("no answer");
    metric_add(partition->recorder->refused, 1);
    snprintf(why, sizeof why, "a batch was refused (%.*s)",
             (int)(text.size > 100 ? 100 : text.size), (const char *)text.data);
    recorder_restart(partition, why);
}

void recorder_advance(struct recorder_partition *partition)
{
    balance(partition);
    if (partition->state == RECORDER_FOLDING && partition->applied >= partition->log_end)
        recorder_certify(partition);
    recorder_pump(partition);
}
