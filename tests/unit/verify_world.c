/* See verify_world.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/verify_world.h"

#include "schemas/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BEGIN_MS   INT64_C(1700000000000)
#define PARTITIONS 4
#define HOUR_MS    INT64_C(3600000)

enum { COMMANDS, DELAYS, REPLIES };

struct world *world_new(void)
{
    struct world *world = MEM_NEW(*world);
    world->now_ms = BEGIN_MS;
    return world;
}

struct id world_id(int job)
{
    struct id id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 0, 0x80 } };
    id.bytes[9] = (uint8_t)(job >> 16);
    id.bytes[10] = (uint8_t)(job >> 8);
    id.bytes[11] = (uint8_t)job;
    return id;
}

/* --- the history --- */

static struct world_line *add_line(struct world *world, int job, enum history_kind kind)
{
    assert_true(world->line_count < WORLD_LINES_MAX);
    struct world_line *made = &world->lines[world->line_count++];
    *made = (struct world_line){ .line = { .kind = kind, .version = -1 }, .job = job };
    return made;
}

static void add_submission(struct world *world, int job, const char *suffix, int64_t at_ms,
                           int status)
{
    struct world_line *submit = add_line(world, job, HISTORY_SUBMIT);
    struct world_line *submitted = add_line(world, job, HISTORY_SUBMITTED);
    (void)snprintf(submit->request, sizeof submit->request, "load-%d%s", job, suffix);
    (void)snprintf(submitted->request, sizeof submitted->request, "load-%d%s", job, suffix);
    submit->line.begin_ms = submitted->line.begin_ms = at_ms;
    submitted->line.end_ms = at_ms + 3;
    submitted->line.status = status;
    submitted->line.has_id = status == 202;
    submitted->line.id = world_id(job);
    if (status == 503)
        submitted->line.code = span_of("kafka_unavailable");
}

struct world_line *world_add_read(struct world *world, int job, int64_t at_ms, enum job_state state,
                                  int64_t version)
{
    struct world_line *read = add_line(world, job, HISTORY_READ);
    read->line.has_id = true;
    read->line.id = world_id(job);
    read->line.status = 200;
    read->line.has_state = true;
    read->line.state = state;
    read->line.version = version;
    read->line.begin_ms = at_ms;
    read->line.end_ms = at_ms + 2;
    if (job_state_is_terminal(state))
        read->line.digest = 1000 + (uint64_t)job;
    return read;
}

static void add_fault(struct world *world, int64_t at_ms)
{
    struct world_line *fault = add_line(world, -1, HISTORY_FAULT);
    fault->line.what = span_of("kill");
    fault->line.begin_ms = at_ms;
    fault->line.end_ms = at_ms + 10;
}

/* --- the log --- */

static struct job_facts facts_of(const struct world *world, int job)
{
    return (struct job_facts){
        .id = world_id(job),
        .effect_id = world_id(job),
        .created_at_ms = world->now_ms,
        .not_after_ms = world->now_ms + HOUR_MS,
        .forget_at_ms = world->now_ms + 2 * HOUR_MS,
        .origin_offset = -1,
    };
}

static struct world_command *add_command(struct world *world, int job, uint32_t turn,
                                         uint32_t attempt, int64_t due_ms)
{
    assert_true(world->command_count < WORLD_RECORDS_MAX);
    struct world_command *made = &world->commands[world->command_count];
    *made = (struct world_command){
        .told = { .place = { .topic = COMMANDS,
                             .partition = (uint16_t)(job % PARTITIONS),
                             .offset = (int64_t)world->command_count },
                  .committed = true },
        .command = { .facts = facts_of(world, job),
                     .turn = turn,
                     .attempt = attempt,
                     .due_at_ms = due_ms },
        .job = job,
    };
    (void)snprintf(made->request, sizeof made->request, "load-%d", job);
    world->command_count++;
    return made;
}

static struct world_event *add_event(struct world *world, int job, enum job_event_kind kind,
                                     int64_t started_ms, int64_t at_ms)
{
    assert_true(world->event_count < WORLD_RECORDS_MAX);
    struct world_event *made = &world->events[world->event_count];
    const struct job_command *command = &world_last_command(world, job)->command;
    *made = (struct world_event){
        .place = { .topic = REPLIES,
                   .partition = (uint16_t)(job % PARTITIONS),
                   .offset = (int64_t)world->event_count },
        .event = { .facts = command->facts,
                   .kind = kind,
                   .turn = command->turn,
                   .attempt = command->attempt,
                   .at_ms = at_ms,
                   .started_at_ms = started_ms },
        .job = job,
    };
    world->event_count++;
    return made;
}

static void add_call(struct world *world, int job, int64_t at_ms)
{
    assert_true(world->call_count < WORLD_RECORDS_MAX);
    struct world_command *command = world_last_command(world, job);
    command->told.calls = true;
    world->calls[world->call_count] = (struct world_call){
        .call = { .effect = world_id(job),
                  .attempt = command->command.attempt,
                  .started_ms = at_ms,
                  .seq = (int64_t)world->call_count + 1,
                  .path = SPAN_LIT("/echo") },
        .job = job,
    };
    world->call_count++;
}

static void add_dead(struct world *world, int job)
{
    assert_true(world->dead_count < WORLD_RECORDS_MAX);
    world->dead[world->dead_count++] = (struct world_dead){ .id = world_id(job), .job = job };
}

#define LAST_OF(name, list, count)                                                                 \
    struct name *name##_last(struct world *world, int job);                                        \
    struct name *name##_last(struct world *world, int job)                                         \
    {                                                                                              \
        struct name *last = NULL;                                                                  \
        for (size_t i = 0; i < world->count; i++) {                                                \
            if (world->list[i].job == job)                                                         \
                last = &world->list[i];                                                            \
        }                                                                                          \
        return last;                                                                               \
    }
LAST_OF(world_event, events, event_count)
LAST_OF(world_command, commands, command_count)
LAST_OF(world_call, calls, call_count)

struct world_event *world_last_event(struct world *world, int job)
{
    return world_event_last(world, job);
}

struct world_command *world_last_command(struct world *world, int job)
{
    return world_command_last(world, job);
}

struct world_call *world_last_call(struct world *world, int job)
{
    return world_call_last(world, job);
}

/* --- jobs --- */

/* Tells the end of the job, in the log and to a client. */
static void end(struct world *world, int job, enum job_event_kind kind, int64_t at_ms)
{
    struct world_event *event = add_event(world, job, kind, at_ms - 20, at_ms);
    if (kind == JOB_EVENT_EXPIRED || kind == JOB_EVENT_CANCELLED)
        event->event.started_at_ms = 0;
    if (kind == JOB_EVENT_EXPIRED || kind == JOB_EVENT_FAILED)
        add_dead(world, job);
    world_add_read(world, job, at_ms + 30, job_event_state(kind), event->place.offset);
}

static void add_called(struct world *world, int job, enum world_kind kind, int64_t t)
{
    add_call(world, job, t + 21);
    if (kind == WORLD_LONG) {
        int64_t version = add_event(world, job, JOB_EVENT_STARTED, t + 20, t + 70)->place.offset;
        world_add_read(world, job, t + 80, JOB_RUNNING, version);
    } else if (kind == WORLD_RETRY) {
        add_event(world, job, JOB_EVENT_RETRYING, t + 20, t + 30);
        add_command(world, job, 1, 2, t + 60);
        add_call(world, job, t + 81);
    } else if (kind == WORLD_HELD) {
        add_event(world, job, JOB_EVENT_HELD, t + 20, t + 30);
        add_command(world, job, 1, 1, t + 60);
        add_call(world, job, t + 81);
    } else if (kind == WORLD_CRASHED) {
        add_fault(world, t + 50);
        add_call(world, job, t + 81);
    }
    end(world, job, kind == WORLD_FAILED ? JOB_EVENT_FAILED : JOB_EVENT_SUCCEEDED, t + 100);
    if (kind == WORLD_CRASHED)
        add_event(world, job, JOB_EVENT_SUCCEEDED, t + 80, t + 110);
    if (kind == WORLD_CALL)
        world_add_read(world, job, t + 140, JOB_SUCCEEDED,
                       world_last_event(world, job)->place.offset);
}

static void add_scheduled(struct world *world, int job, int64_t t)
{
    struct world_command *first = world_last_command(world, job);
    int64_t run_at_ms = t + 80;
    first->command.facts.run_at_ms = run_at_ms;
    first->command.due_at_ms = run_at_ms;
    world_add_read(world, job, t + 40, JOB_SCHEDULED, -1);
    struct world_command *waiting = add_command(world, job, 1, 1, run_at_ms);
    waiting->told.place.topic = DELAYS;
    waiting->command.facts.run_at_ms = run_at_ms;
    struct world_command *back = add_command(world, job, 1, 1, run_at_ms);
    back->command.facts.run_at_ms = run_at_ms;
    add_call(world, job, run_at_ms);
    end(world, job, JOB_EVENT_SUCCEEDED, run_at_ms + 20);
}

static void add_ordered(struct world *world, int job, enum world_kind kind, int64_t t)
{
    struct world_command *command = world_last_command(world, job);
    command->command.facts.key = span_of("customer-7");
    command->told.place.partition = 1;
    int64_t begin_ms = world->ordered_end_ms > t ? world->ordered_end_ms : t;
    add_call(world, job, begin_ms);
    if (kind == WORLD_POSTPONED) { /* the turn stays */
        struct world_event *retry =
            add_event(world, job, JOB_EVENT_RETRYING, begin_ms, begin_ms + 10);
        retry->event.next_at_ms = begin_ms += 40;
        add_call(world, job, begin_ms);
        world_last_call(world, job)->call.attempt = 2;
    }
    world->ordered_end_ms = begin_ms + 20;
    end(world, job, JOB_EVENT_SUCCEEDED, begin_ms + 20);
    world_last_event(world, job)->event.attempt = kind == WORLD_POSTPONED ? 2 : 1;
}

static void add_body(struct world *world, int job, enum world_kind kind, int64_t t)
{
    add_command(world, job, 0, 1, 0);
    if (kind == WORLD_RULE || kind == WORLD_SILENT || kind == WORLD_REPLAYED ||
        kind == WORLD_FORGOTTEN)
        end(world, job, JOB_EVENT_SUCCEEDED, t + 40);
    else if (kind == WORLD_EXPIRED)
        end(world, job, JOB_EVENT_EXPIRED, t + 40);
    else if (kind == WORLD_CANCELLED)
        end(world, job, JOB_EVENT_CANCELLED, t + 40);
    else if (kind == WORLD_SCHEDULED)
        add_scheduled(world, job, t);
    else if (kind == WORLD_ORDERED || kind == WORLD_POSTPONED)
        add_ordered(world, job, kind, t);
    else
        add_called(world, job, kind, t);
}

int world_add(struct world *world, enum world_kind kind)
{
    int job = world->job_count++;
    int64_t t = world->now_ms;
    world->kinds[job] = kind;
    add_submission(world, job, "", t, kind == WORLD_REFUSED ? 503 : kind == WORLD_SILENT ? 0 : 202);
    if (kind == WORLD_REFUSED)
        return job;
    if (kind == WORLD_REPLAYED)
        add_submission(world, job, "-again", t + 5, 202);
    if (kind != WORLD_SILENT)
        world_add_read(world, job, t + 6, JOB_QUEUED, -1);
    add_body(world, job, kind, t);
    if (kind == WORLD_FORGOTTEN) {
        struct world_line *gone = world_add_read(world, job, t + 2 * HOUR_MS + 1, JOB_QUEUED, -1);
        gone->line.status = 410;
        gone->line.has_state = false;
    }
    world->now_ms += 7;
    return job;
}

/* --- judging --- */

static int compare(const void *a, const void *b)
{
    const struct history_line *x = &((const struct world_line *)a)->line;
    const struct history_line *y = &((const struct world_line *)b)->line;
    int64_t left = x->kind == HISTORY_SUBMIT || x->kind == HISTORY_FAULT ? x->begin_ms : x->end_ms;
    int64_t right = y->kind == HISTORY_SUBMIT || y->kind == HISTORY_FAULT ? y->begin_ms : y->end_ms;
    return (left > right) - (left < right);
}

static void tell_log(struct world *world, struct verify_judge *judge)
{
    for (size_t i = 0; i < world->command_count; i++) {
        struct world_command *c = &world->commands[i];
        c->command.facts.request_id = span_of(c->request);
        c->told.command = &c->command;
        if (!c->dropped)
            verify_judge_command(judge, &c->told);
    }
    for (size_t i = 0; i < world->event_count; i++) {
        if (!world->events[i].dropped)
            verify_judge_event(judge, &world->events[i].place, &world->events[i].event, false);
    }
    for (size_t i = 0; i < world->dead_count; i++) {
        if (!world->dead[i].dropped)
            verify_judge_dead(judge, &world->dead[i].id);
    }
    for (size_t i = 0; i < world->call_count; i++) {
        if (!world->calls[i].dropped)
            verify_judge_call(judge, &world->calls[i].call);
    }
}

struct verify_judge *world_judge(struct world *world)
{
    const struct verify_options options = { .bytes_max = 64 << 20,
                                            .ack_ms = 5,
                                            .grace_ms = 10,
                                            .partial = world->partial,
                                            .ledger = true };
    struct verify_judge *judge = verify_judge_new(&options);
    struct err err = { 0 };
    assert_int_equal(verify_judge_topic(judge, "errand.commands.default"), COMMANDS);
    assert_int_equal(verify_judge_topic(judge, "errand.delay.5s"), DELAYS);
    assert_int_equal(verify_judge_topic(judge, "errand.replies.default"), REPLIES);
    qsort(world->lines, world->line_count, sizeof world->lines[0], compare);
    for (size_t i = 0; i < world->line_count; i++) {
        struct world_line *line = &world->lines[i];
        line->line.request = span_of(line->request);
        if (!line->dropped &&
            verify_judge_told(judge, &line->line, (uint32_t)i + 1, &err) != ERR_OK)
            fail_msg("line %zu: %s", i + 1, err.text);
    }
    tell_log(world, judge);
    assert_int_equal(verify_judge_finish(judge, &err), ERR_OK);
    return judge;
}

void world_call_again(struct world *world, int job)
{
    struct world_call call = *world_last_call(world, job);
    call.call.started_ms += 3;
    world->calls[world->call_count++] = call;
}
