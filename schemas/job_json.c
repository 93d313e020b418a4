/* See job_json.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/job_json.h"

#include "schemas/json_out.h"
#include "schemas/topic.h"
#include "schemas/trace.h"

#include <stdio.h>

void job_json_redrive(struct buf *out, const struct job_redrive *redrive)
{
    if (redrive->number == 0)
        return;
    json_out_name(out, "redrive");
    buf_add_char(out, '{');
    json_out_id(out, "of", &redrive->of);
    json_out_number(out, "number", redrive->number);
    json_out_text(out, "batch", redrive->batch);
    json_out_text(out, "edit", redrive->edit);
    buf_add_char(out, '}');
}

/* A job that was given up on has a letter, which tells what became of it. */
static void links(struct buf *out, const struct id *id, bool given_up)
{
    char value[ID_TEXT_SIZE];
    id_text(id, value);
    json_out_name(out, "links");
    buf_add_text(out, "{\"self\":\"/v1/jobs/");
    buf_add_text(out, value);
    buf_add_text(out, "\",\"result\":\"/v1/jobs/");
    buf_add_text(out, value);
    buf_add_text(out, "/result\"");
    if (given_up)
        buf_printf(out, ",\"dead\":\"/v1/dead/%s\"", value);
    buf_add_char(out, '}');
}

static void labels(struct buf *out, const struct job_facts *facts)
{
    if (facts->label_count == 0)
        return;
    json_out_name(out, "labels");
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
    json_out_name(out, "result");
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
    json_out_name(out, "error");
    buf_add_char(out, '{');
    json_out_text(out, "code", failure->code);
    json_out_text(out, "class", failure->class_);
    json_out_text(out, "detail", failure->detail);
    json_out_number(out, "attempt", failure->attempt);
    if (failure->status)
        json_out_number(out, "status", failure->status);
    buf_add_char(out, '}');
}

static void command(struct buf *out, const struct job_record *record, const char *namespace_)
{
    if (record->facts.origin_offset < 0)
        return;
    char queue[TOPIC_NAME_MAX];
    snprintf(queue, sizeof queue, "%.*s", SPAN_ARG(record->facts.queue));
    json_out_name(out, "command");
    buf_add_text(out, "{\"topic\":\"");
    topic_name(out, namespace_, TOPIC_COMMANDS,
               queue); /* names hold no character that JSON escapes */
    buf_add_text(out, "\",\"partition\":");
    buf_add_int(out, record->facts.origin_partition);
    buf_add_text(out, ",\"offset\":");
    buf_add_int(out, record->facts.origin_offset);
    buf_add_char(out, '}');
}

enum job_state job_json_state(const struct job_record *record, int64_t now_ms)
{
    if (record->state == JOB_SCHEDULED && record->facts.run_at_ms <= now_ms)
        return JOB_QUEUED;
    return record->state;
}

static void whole(const struct job_record *record, const char *namespace_, int64_t now_ms,
                  bool with_result, struct buf *out)
{
    const struct job_facts *facts = &record->facts;
    buf_add_char(out, '{');
    json_out_id(out, "id", &facts->id);
    json_out_text(out, "type", facts->type);
    json_out_text(out, "queue", facts->queue);
    json_out_text(out, "state", span_of(job_state_text(job_json_state(record, now_ms))));
    if (record->attempt)
        json_out_number(out, "attempt", record->attempt);
    json_out_instant(out, "created_at", facts->created_at_ms);
    json_out_instant(out, "run_at", facts->run_at_ms);
    json_out_instant(out, "started_at", record->started_at_ms);
    json_out_instant(out, "next_at", record->next_at_ms);
    json_out_instant(out, "finished_at", record->finished_at_ms);
    json_out_instant(out, "expires_at", facts->forget_at_ms);
    json_out_instant(out, "deadline", facts->deadline_ms);
    json_out_text(out, "key", facts->key);
    labels(out, facts);
    if (with_result)
        result(out, record);
    failure(out, record);
    command(out, record, namespace_);
    json_out_text(out, "trace_id", trace_id_in(facts->traceparent));
    job_json_redrive(out, &facts->redrive);
    links(out, &facts->id, record->state == JOB_FAILED || record->state == JOB_EXPIRED);
    buf_add_char(out, '}');
}

void job_json(const struct job_record *record, const char *namespace_, int64_t now_ms,
              struct buf *out)
{
    whole(record, namespace_, now_ms, true, out);
}

void job_json_listed(const struct job_record *record, const char *namespace_, int64_t now_ms,
                     struct buf *out)
{
    whole(record, namespace_, now_ms, false, out);
}

void job_json_accepted(const struct id *id, struct buf *out)
{
    buf_add_char(out, '{');
    json_out_id(out, "id", id);
    json_out_text(out, "state", span_of(job_state_text(JOB_QUEUED)));
    links(out, id, false);
    buf_add_char(out, '}');
}
