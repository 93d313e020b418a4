/* See replay.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/replay.h"

#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define POSTS_MAX       1024
#define PRODUCE_MS      60000
#define LINGER_MS       20    /* nobody waits for one of the records: fewer and larger requests */
#define OPEN_MAX        50000 /* records on their way to Kafka */
#define TURN_EVERY      256   /* records, when nothing else lets the loop turn */
#define PROGRESS_MS     100
#define QUEUE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define WAIT_MS_MAX     100 /* a progress is told at least so often */

/* A letter whose job is on its way, or there. */
struct resolving {
    struct replaying *run;
    struct resolving *next; /* of those that wait for room in the producer's queue */
    int64_t letter_offset;
    struct id of, job;
};

struct replaying {
    const struct replay_options *options;
    struct resolving *waiting;
    struct loop *loop;
    struct loop_timer *alarm; /* ends a wait of the loop */
    struct kafka_producer *producer;
    struct publish publish;
    struct replay_report report;
    int64_t began_us, told_ms, first_ms;
    bool stopped;
    enum err_code failed; /* a record was not taken */
};

static void on_alarm(void *arg)
{
    (void)arg;
}

static void tell(struct replaying *run)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - run->told_ms < PROGRESS_MS)
        return;
    run->told_ms = now_ms;
    run->report.elapsed_us = clock_monotonic_us() - run->began_us;
    if (run->options->on_progress && !run->options->on_progress(run->options->arg, &run->report))
        run->stopped = true;
}

static bool goes_on(const struct replaying *run)
{
    return !run->stopped && !run->failed;
}

/* The first failure counts. */
static void note(struct replaying *run, enum err_code code)
{
    if (!run->failed)
        run->failed = code;
}

/* --- letters --- */

static void on_resolved(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct replaying *run = arg;
    note(run, code);
    run->report.resolved += code == ERR_OK;
}

/* The job is there. */
static void resolve(struct resolving *resolving)
{
    struct replaying *run = resolving->run;
    const struct replay_options *options = run->options;
    const struct job_resolution resolution = {
        .letter_offset = resolving->letter_offset,
        .kind = JOB_REDRIVEN,
        .has_id = true,
        .id = resolving->of,
        .job = resolving->job,
        .batch = options->redrive->batch,
        .who = options->who,
        .why = options->why,
        .at_ms = clock_wall_ms(),
    };
    struct err err;
    enum err_code code = MUTANT(replay_letter_open)
                             ? ERR_OK
                             : publish_resolution(&run->publish, options->queue, &resolution,
                                                  on_resolved, run, &err);
    if (code == ERR_OVERLOADED) {
        resolving->next = run->waiting;
        run->waiting = resolving;
        return;
    }
    note(run, code);
    free(resolving);
}

static void resolve_waiting(struct replaying *run)
{
    struct resolving *waiting = run->waiting;
    run->waiting = NULL;
    while (waiting) {
        struct resolving *next = waiting->next;
        resolve(waiting);
        waiting = next;
    }
}

static struct resolving *resolving_new(struct replaying *run, const struct replay_record *record,
                                       const struct job_command *command)
{
    struct resolving *resolving = MEM_NEW(*resolving);
    *resolving = (struct resolving){ .run = run,
                                     .letter_offset = record->offset,
                                     .of = record->command->facts.id,
                                     .job = command->facts.id };
    return resolving;
}

/* Turns the loop until something happens, at most for `wait_ms`. */
static void turn(struct replaying *run, int64_t wait_ms)
{
    if (wait_ms > 0)
        loop_timer_start(run->alarm, wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX, 0);
    loop_turn(run->loop, wait_ms > 0);
    resolve_waiting(run);
    tell(run);
}

/* --- when --- */

/* Monotonic microseconds at which the next record is due, by the rate or the rhythm. */
static int64_t due_us(struct replaying *run, const struct replay_record *record)
{
    const struct replay_options *options = run->options;
    int64_t sent = run->report.sent;
    if (sent == 0)
        run->first_ms = record->timestamp_ms;
    if (MUTANT(replay_rate_ignored))
        return run->began_us;
    if (MUTANT(replay_pace_off))
        sent += sent / 10;
    if (options->rate_milli)
        return run->began_us + sent * INT64_C(1000000000) / options->rate_milli;
    int64_t since_ms = record->timestamp_ms - run->first_ms;
    if (MUTANT(replay_rhythm_even))
        since_ms = sent * 25;
    if (since_ms > 0)
        return run->began_us + since_ms * 1000 * REPLAY_SPEED_ONE / options->speed_milli;
    return run->began_us;
}

static void wait_until_due(struct replaying *run, int64_t at_us)
{
    int64_t left_us = 0;
    while (goes_on(run) && (left_us = at_us - clock_monotonic_us()) > 0)
        turn(run, (left_us + 999) / 1000);
}

/* --- sending --- */

static void on_delivered(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct replaying *run = arg;
    note(run, code);
    run->report.acknowledged += code == ERR_OK;
}

static void on_letter_delivered(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    struct resolving *resolving = arg;
    on_delivered(resolving->run, code, partition, offset);
    if (code == ERR_OK)
        resolve(resolving);
    else
        free(resolving);
}

static enum err_code send(struct replaying *run, const struct replay_record *record,
                          const struct job_command *command, struct err *err)
{
    struct resolving *resolving =
        run->options->resolved ? resolving_new(run, record, command) : NULL;
    char partition[16];
    char offset[24];
    char at[TIMEFMT_RFC3339_SIZE];
    (void)snprintf(partition, sizeof partition, "%" PRId32, record->partition);
    (void)snprintf(offset, sizeof offset, "%" PRId64, record->offset);
    timefmt_rfc3339(record->timestamp_ms, at);
    const struct kafka_header more[] = {
        { TOPIC_HEADER_REPLAY, run->options->redrive->batch },
        { TOPIC_HEADER_SOURCE_TOPIC, span_of(run->options->source->topic) },
        { TOPIC_HEADER_SOURCE_PARTITION, span_of(partition) },
        { TOPIC_HEADER_SOURCE_OFFSET, span_of(offset) },
        { TOPIC_HEADER_SOURCE_TIME, span_of(at) },
        { TOPIC_HEADER_SOURCE_KEY, record->key },
    };
    enum err_code code = publish_command_with(
        &run->publish, command, &(struct publish_more){ more, sizeof more / sizeof *more },
        resolving ? on_letter_delivered : on_delivered, resolving ? (void *)resolving : run, err);
    if (code)
        free(resolving);
    return code;
}

/* A full queue is waited for. */
static void send_when_there_is_room(struct replaying *run, const struct replay_record *record,
                                    const struct job_command *command)
{
    struct err err;
    enum err_code code = ERR_OVERLOADED;
    while (goes_on(run) && code == ERR_OVERLOADED) {
        if (run->report.sent - run->report.acknowledged < OPEN_MAX)
            code = send(run, record, command, &err);
        if (code == ERR_OVERLOADED)
            turn(run, 1);
    }
    if (code && goes_on(run))
        run->failed = code;
    if (code)
        return;
    run->report.sent++;
    if (run->report.sent % TURN_EVERY == 0)
        turn(run, 0);
}

/* It is there already: what may be missing is its letter's resolution. */
static void take_arrived(struct replaying *run, const struct replay_record *record)
{
    const struct replay_options *options = run->options;
    struct job_command command;
    struct buf unused = BUF_INIT(1);
    struct err err;
    run->report.before++;
    if (!options->resolved || record->resolved)
        return;
    if (replay_seen_has(options->resolved, record->partition, record->offset))
        run->report.resolved++;
    else if (redrive_command(options->redrive, record->command, clock_wall_ms(), &unused, &command,
                             &err) == ERR_OK)
        resolve(resolving_new(run, record, &command));
}

static bool on_record(void *arg, const struct replay_record *record)
{
    struct replaying *run = arg;
    const struct replay_options *options = run->options;
    struct job_command command;
    struct buf unused = BUF_INIT(1); /* nothing is edited */
    struct err err;
    if (!record) {
        turn(run, 0);
        return goes_on(run);
    }
    if (replay_seen_has(options->seen, record->partition, record->offset) &&
        !MUTANT(replay_sent_again)) {
        take_arrived(run, record);
        return goes_on(run);
    }
    if (record->resolved) {
        run->report.passed++;
        return goes_on(run);
    }
    if (MUTANT(replay_record_lost) && record->offset % 7 == 3)
        return goes_on(run);
    if (options->rate_milli || options->speed_milli)
        wait_until_due(run, due_us(run, record));
    if (redrive_command(options->redrive, record->command, clock_wall_ms(), &unused, &command,
                        &err) != ERR_OK)
        return goes_on(run); /* as the survey told */
    send_when_there_is_room(run, record, &command);
    return goes_on(run);
}

/* What is on its way arrives, even when no more is to be sent. */
static void finish(struct replaying *run)
{
    while ((kafka_producer_unacknowledged(run->producer) > 0 || run->waiting) && !run->failed)
        turn(run, WAIT_MS_MAX);
    run->report.elapsed_us = clock_monotonic_us() - run->began_us;
}

static enum err_code result(const struct replaying *run, enum err_code code, struct err *err)
{
    if (!code && run->failed)
        code =
            err_set(err, run->failed, "Kafka did not take a record within %d s", PRODUCE_MS / 1000);
    if (!code && run->stopped)
        code = err_set(err, ERR_CANCELLED, "it was stopped");
    return code;
}

enum err_code replay_run(const struct replay_options *options, struct replay_report *ret_report,
                         struct err *err)
{
    const struct config_kafka *kafka = &options->redrive->config->kafka;
    struct replaying run = { .options = options };
    struct replay_tally tally = { 0 };
    run.loop = loop_new(POSTS_MAX);
    run.alarm = loop_timer_new(run.loop, on_alarm, &run);
    const struct kafka_producer_options producer = { .config = kafka,
                                                     .client_id = "errand-replay",
                                                     .timeout_ms = PRODUCE_MS,
                                                     .linger_ms = LINGER_MS,
                                                     .queue_bytes_max = QUEUE_BYTES_MAX };
    enum err_code code = kafka_producer_open(run.loop, &producer, &run.producer, err);
    run.publish = (struct publish){ .producer = run.producer,
                                    .namespace_ = options->namespace_,
                                    .source = "/errand/replay" };
    run.began_us = clock_monotonic_us();
    if (!code) {
        code = replay_source_read(options->source, on_record, &run, &tally, err);
        finish(&run);
        code = result(&run, code, err);
    }
    *ret_report = run.report;
    kafka_producer_close(run.producer);
    while (run.waiting) {
        struct resolving *next = run.waiting->next;
        free(run.waiting);
        run.waiting = next;
    }
    loop_timer_free(run.alarm);
    loop_free(run.loop);
    return code;
}
