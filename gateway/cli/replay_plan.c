/* Making a replay's plan: the ranges, and what is in them. See replay_plan.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/replay_plan.h"

#include "infra/clock.h"
#include "infra/kafka_by_time.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 30000

void replay_plan_clear(struct replay_plan *plan)
{
    for (size_t i = 0; i < plan->type_count; i++)
        free(plan->types[i].name);
    free(plan->into);
    free(plan->namespace_);
    free(plan->topic);
    free(plan->queue);
    free(plan->from);
    free(plan->to);
    free(plan->type);
    free(plan->key);
    free(plan->where);
    free(plan->ranges);
    free(plan->places);
    *plan = (struct replay_plan){ 0 };
}

bool replay_plan_resolves(const struct replay_plan *plan)
{
    return plan->letters && strcmp(plan->into, REPLAY_LIVE) == 0;
}

int64_t replay_plan_jobs(const struct replay_plan *plan)
{
    return plan->tally.chosen - plan->refused;
}

enum err_code replay_plan_source(const struct replay_plan *plan, struct kafka_admin *admin,
                                 struct replay_source *ret_source, struct where **ret_where,
                                 struct err *err)
{
    *ret_where = NULL;
    if (*plan->where) {
        enum err_code code = where_parse(span_of(plan->where), ret_where, err);
        if (code)
            return code;
    }
    *ret_source = (struct replay_source){
        .admin = admin,
        .topic = plan->topic,
        .ranges = plan->ranges,
        .range_count = plan->range_count,
        .letters = plan->letters,
        .type = span_of(plan->type),
        .key = span_of(plan->key),
        .where = *ret_where,
    };
    return ERR_OK;
}

/* --- the ranges --- */

struct finding {
    struct kafka_range *logs;
    struct kafka_offset *from, *to;
    size_t count;
};

/* Of a partition that is not listed there is nothing: it would begin at its end, and end at its
 * start. */
static int64_t within(const struct kafka_range *log, int64_t offset, bool begins)
{
    if (offset < 0)
        return begins ? log->end : log->start;
    return offset < log->start ? log->start : offset > log->end ? log->end : offset;
}

/* The offset of `place` in each log; -N and +N of the start count from the end and the start, those
 * of the end from the end and from where it begins. */
static enum err_code find(const struct replay_survey *survey, const struct place *place,
                          const struct finding *logs, const struct kafka_offset *begin,
                          struct kafka_offset *offsets, struct err *err)
{
    enum err_code code = ERR_OK;
    if (place->kind == PLACE_TIME)
        code = kafka_by_time_sync(survey->look->admin, place->value, logs->logs, offsets,
                                  logs->count, err);
    for (size_t i = 0; i < logs->count && !code; i++) {
        const struct kafka_range *log = &logs->logs[i];
        if (place->kind == PLACE_EACH) {
            offsets[i].offset = within(log, place_each(place, offsets[i].partition), begin == NULL);
            continue;
        }
        int64_t base = place->kind == PLACE_BACK ? log->end : begin ? begin[i].offset : log->start;
        offsets[i].offset = place_offset(place, log->start, log->end, base, offsets[i].offset);
    }
    return code;
}

static enum err_code find_all(const struct replay_survey *survey, const char *topic,
                              struct finding *ret, struct err *err)
{
    enum err_code code = kafka_topic_ranges_sync(survey->look->admin, topic, TIMEOUT_MS, &ret->logs,
                                                 &ret->count, err);
    ret->from = mem_zalloc(ret->count, sizeof *ret->from);
    ret->to = mem_zalloc(ret->count, sizeof *ret->to);
    for (size_t i = 0; i < ret->count; i++)
        ret->from[i] = ret->to[i] = (struct kafka_offset){ topic, (int32_t)i, -1 };
    if (!code)
        code = find(survey, &survey->from, ret, NULL, ret->from, err);
    if (!code)
        code = find(survey, &survey->to, ret, ret->from, ret->to, err);
    return code;
}

static enum err_code find_ranges(struct replay_plan *plan, const struct replay_survey *survey,
                                 struct err *err)
{
    struct finding found = { 0 };
    enum err_code code = find_all(survey, plan->topic, &found, err);
    plan->ranges = mem_zalloc(found.count, sizeof *plan->ranges);
    for (size_t i = 0; i < found.count && !code; i++) {
        if (found.from[i].offset < found.to[i].offset)
            plan->ranges[plan->range_count++] =
                (struct replay_range){ (int32_t)i, found.from[i].offset, found.to[i].offset };
    }
    free(found.logs);
    free(found.from);
    free(found.to);
    return code;
}

/* --- the survey --- */

struct surveying {
    struct replay_plan *plan;
    const struct replay_survey *survey;
    struct redrive_options redrive;
    struct replay_range *narrow; /* by range: what is chosen lies within; from -1: nothing */
    int64_t seen;
    bool stopped;
};

static void count_type(struct replay_plan *plan, struct span type)
{
    size_t i = 0;
    while (i < plan->type_count && !span_is(type, plan->types[i].name))
        i++;
    if (i == REPLAY_TYPES_MAX)
        i--; /* a deployment with more types sees the rest as one */
    if (i == plan->type_count)
        plan->types[plan->type_count++] = (struct replay_type){ .name = mem_dup(type) };
    plan->types[i].count++;
}

static bool on_record(void *arg, const struct replay_record *record)
{
    struct surveying *surveying = arg;
    struct replay_plan *plan = surveying->plan;
    const struct replay_survey *survey = surveying->survey;
    if (!record || ++surveying->seen % 1024 == 0)
        surveying->stopped =
            survey->on_progress && !survey->on_progress(survey->arg, surveying->seen);
    if (!record || surveying->stopped)
        return !surveying->stopped;
    size_t i = 0;
    while (plan->ranges[i].partition != record->partition)
        i++;
    struct replay_range *narrow = &surveying->narrow[i];
    if (narrow->from < 0)
        narrow->from = record->offset;
    narrow->to = record->offset + 1;
    if (record->resolved) {
        plan->resolved++;
        return true;
    }
    if (plan->first_ms == 0 || record->timestamp_ms < plan->first_ms)
        plan->first_ms = record->timestamp_ms;
    if (record->timestamp_ms > plan->last_ms)
        plan->last_ms = record->timestamp_ms;
    plan->bytes += (int64_t)record->bytes;
    count_type(plan, record->command->facts.type);
    struct job_command unused;
    struct buf payload = BUF_INIT(1); /* nothing is edited */
    struct err err;
    if (redrive_command(&surveying->redrive, record->command, clock_wall_ms(), &payload, &unused,
                        &err) != ERR_OK) {
        plan->refused++;
        (void)snprintf(plan->refusal, sizeof plan->refusal, "%s", err.text);
    }
    return true;
}

static void narrow(struct replay_plan *plan, const struct replay_range *narrow_)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->range_count; i++) {
        struct replay_range one = narrow_[i];
        one.partition = plan->ranges[i].partition;
        if (one.from >= 0)
            plan->ranges[count++] = one;
    }
    plan->range_count = count;
}

enum err_code replay_plan_survey(struct replay_plan *plan, const struct replay_survey *survey,
                                 struct err *err)
{
    struct replay_source source;
    struct where *where = NULL;
    struct surveying surveying = {
        .plan = plan,
        .survey = survey,
        .redrive = { .config = survey->look->config,
                     .minter = survey->minter,
                     .batch = span_of(plan->id),
                     .number_max = INT64_MAX },
    };
    enum err_code code = find_ranges(plan, survey, err);
    if (!code)
        code = replay_plan_source(plan, survey->look->admin, &source, &where, err);
    if (code)
        return code;
    source.limit = plan->limit;
    surveying.narrow = mem_zalloc(plan->range_count, sizeof *surveying.narrow);
    for (size_t i = 0; i < plan->range_count; i++)
        surveying.narrow[i].from = -1;
    struct replay_resolved resolved = { 0 };
    if (replay_plan_resolves(plan))
        code = replay_resolved_read(&resolved, source.admin, &source, plan->id, err);
    source.resolved = resolved.others;
    if (!code)
        code = replay_source_read(&source, on_record, &surveying, &plan->tally, err);
    replay_resolved_clear(&resolved);
    if (!code && surveying.stopped)
        code = err_set(err, ERR_CANCELLED, "it was stopped");
    narrow(plan, surveying.narrow);
    free(surveying.narrow);
    where_free(where);
    return code;
}

enum err_code replay_plan_mark(struct replay_plan *plan, struct kafka_admin *admin, struct err *err)
{
    char *topic = topic_name_dup(plan->namespace_, TOPIC_COMMANDS, plan->queue);
    struct kafka_range *ranges;
    size_t count;
    enum err_code code = kafka_topic_ranges_sync(admin, topic, TIMEOUT_MS, &ranges, &count, err);
    free(plan->places);
    plan->place_count = count;
    plan->places = mem_zalloc(count, sizeof *plan->places);
    for (size_t i = 0; i < plan->place_count; i++) {
        plan->places[i] = (struct replay_place){ .partition = (int32_t)i, .from = ranges[i].end };
        (void)snprintf(plan->places[i].topic, sizeof plan->places[i].topic, "%s", topic);
    }
    free(ranges);
    free(topic);
    return code;
}
