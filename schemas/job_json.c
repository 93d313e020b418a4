/* See job_json.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/job_json.h"

#include "schemas/timefmt.h"
#include "schemas/topic.h"
#include "schemas/trace.h"

#include <inttypes.h>
#include <stdio.h>

static void member(struct buf *out, const char *name)
{
    if (out->data[out->size - 1] != '{')
        buf_add_char(out, ',');
    buf_printf(out, "\"%s\":", name);
}

static void text(struct buf *out, const char *name, struct span value)
{
    if (value.size == 0)
        return;
    member(out, name);
    buf_add_json_string(out, value);
}

static void number(struct buf *out, const char *name, int64_t value)
{
    member(out, name);
    buf_add_int(out, value);
}

static void instant(struct buf *out, const char *name, int64_t ms)
{
    if (ms == 0)
        return;
    char value[32];
    timefmt_rfc3339(ms, value);
    text(out, name, span_of(value));
}

static void identifier(struct buf *out, const char *name, const struct id *id)
{
    char value[ID_TEXT_SIZE];
    id_text(id, value);
    text(out, name, span_of(value));
}

static void links(struct buf *out, const struct id *id)
{
    char value[ID_TEXT_SIZE];
    id_text(id, value);
    member(out, "links");
    buf_printf(out, "{\"self\":\"/v1/jobs/%s\",\"result\":\"/v1/jobs/%s/result\"}", value, value);
}

static void labels(struct buf *out, const struct job_facts *facts)
{
    if (facts->label_count == 0)
        return;
    member(out, "labels");
    buf_add_char(out, '{');
    for (size_t i = 0; i < facts->label_count; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, facts->labels[i].name);
        buf_add_char(out, ':');
        buf_add_json_string(out, facts->labels[i].value);
    }
    buf_add_char(out, '}');
}

static void result(struct buf *out, const struct job_record *record)
{
    if (record->state != JOB_SUCCEEDED)
        return;
    member(out, "result");
    if (record->result_kind == JOB_RESULT_TEXT)
        buf_add_json_string(out, record->result);
    else
        buf_add_span(out, record->result);
}

static void failure(struct buf *out, const struct job_record *record)
{
    const struct job_failure *failure = &record->failure;
    if (failure->code.size == 0 || record->state == JOB_SUCCEEDED)
        return;
    member(out, "error");
    buf_add_char(out, '{');
    text(out, "code", failure->code);
    text(out, "class", failure->class_);
    text(out, "detail", failure->detail);
    number(out, "attempt", failure->attempt);
    if (failure->status)
        number(out, "status", failure->status);
    buf_add_char(out, '}');
}

static void command(struct buf *out, const struct job_record *record, const char *namespace_)
{
    if (record->facts.origin_offset < 0)
        return;
    char queue[TOPIC_NAME_MAX];
    snprintf(queue, sizeof queue, "%.*s", SPAN_ARG(record->facts.queue));
    member(out, "command");
    buf_add_text(out, "{\"topic\":\"");
    topic_name(out, namespace_, TOPIC_COMMANDS,
               queue); /* names hold no character that JSON escapes */
    buf_printf(out, "\",\"partition\":%" PRId32 ",\"offset\":%" PRId64 "}",
               record->facts.origin_partition, record->facts.origin_offset);
}

enum job_state job_json_state(const struct job_record *record, int64_t now_ms)
{
    if (record->state == JOB_SCHEDULED && record->facts.run_at_ms <= now_ms)
        return JOB_QUEUED;
    return record->state;
}

void job_json(const struct job_record *record, const char *namespace_, int64_t now_ms,
              struct buf *out)
{
    const struct job_facts *facts = &record->facts;
    buf_add_char(out, '{');
    identifier(out, "id", &facts->id);
    text(out, "type", facts->type);
    text(out, "queue", facts->queue);
    text(out, "state", span_of(job_state_text(job_json_state(record, now_ms))));
    if (record->attempt)
        number(out, "attempt", record->attempt);
    instant(out, "created_at", facts->created_at_ms);
    instant(out, "run_at", facts->run_at_ms);
    instant(out, "started_at", record->started_at_ms);
    instant(out, "next_at", record->next_at_ms);
    instant(out, "finished_at", record->finished_at_ms);
    instant(out, "expires_at", facts->forget_at_ms);
    instant(out, "deadline", facts->deadline_ms);
    text(out, "key", facts->key);
    labels(out, facts);
    result(out, record);
    failure(out, record);
    command(out, record, namespace_);
    text(out, "trace_id", trace_id_in(facts->traceparent));
    links(out, &facts->id);
    buf_add_char(out, '}');
}

void job_json_accepted(const struct id *id, struct buf *out)
{
    buf_add_char(out, '{');
    identifier(out, "id", id);
    text(out, "state", span_of(job_state_text(JOB_QUEUED)));
    links(out, id);
    buf_add_char(out, '}');
}
