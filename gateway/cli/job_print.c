/* Printing jobs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/job_print.h"

#include "gateway/cli/output.h"
#include "gateway/cli/when.h"
#include "infra/clock.h"
#include "schemas/job.h"
#include "schemas/json.h"
#include "schemas/timefmt.h"

#define LABEL_COLUMN 13
#define VALUE_MAX    ((size_t)16 * 1024 * 1024)

static const struct {
    const char *member;
    const char *label;
} shown[] = {
    { "id", "id" },
    { "type", "type" },
    { "queue", "queue" },
    { "key", "key" },
    { "state", "state" },
    { "attempt", "attempt" },
    { "created_at", "created" },
    { "run_at", "runs at" },
    { "started_at", "started" },
    { "finished_at", "finished" },
    { "expires_at", "kept until" },
    { "deadline", "deadline" },
    { "labels", "labels" },
    { "result", "result" },
};

static void add_line(const char *label, struct span value, bool colour, struct buf *out)
{
    const char *code = colour ? table_colour_of(value) : "";
    buf_add_text(out, label);
    for (size_t i = strlen(label); i < LABEL_COLUMN; i++)
        buf_add_char(out, ' ');
    buf_add_text(out, code);
    table_add_safe(out, value);
    if (*code)
        buf_add_text(out, TABLE_COLOUR_OFF);
    buf_add_char(out, '\n');
}

/* A text as it is, anything else as JSON. */
static void add_member(const char *label, const struct json *value, bool colour, struct buf *out)
{
    if (!value)
        return;
    struct span text = json_text(value);
    struct buf dumped = BUF_INIT(VALUE_MAX);
    if (!text.data)
        json_dump(value, &dumped);
    add_line(label, text.data ? text : buf_span(&dumped), colour, out);
    buf_free(&dumped);
}

static void add_error(const struct json *error, struct buf *out)
{
    if (!error)
        return;
    struct span code = json_text(json_get(error, "code"));
    struct span detail = json_text(json_get(error, "detail"));
    struct buf text = BUF_INIT(VALUE_MAX);
    buf_add_span(&text, code);
    if (detail.size) {
        buf_add_text(&text, ": ");
        buf_add_span(&text, detail);
    }
    add_line("error", buf_span(&text), false, out);
    buf_free(&text);
}

/* A time: of all members those that are one. */
static bool is_time(const char *member)
{
    size_t length = strlen(member);
    return strcmp(member, "deadline") == 0 ||
           (length > 3 && strcmp(member + length - 3, "_at") == 0);
}

static void add_time(const char *label, const struct json *value, struct buf *out)
{
    int64_t at_ms = 0;
    struct span text = json_text(value);
    struct buf said = BUF_INIT(VALUE_MAX);
    if (timefmt_parse_rfc3339(text, &at_ms)) {
        when_relative(at_ms, clock_wall_ms(), &said);
        add_line(label, buf_span(&said), false, out);
    } else {
        add_member(label, value, false, out);
    }
    buf_free(&said);
}

void job_print_render(const struct json *job, bool colour, bool relative, struct buf *out)
{
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const struct json *value = json_get(job, shown[i].member);
        if (relative && is_time(shown[i].member))
            add_time(shown[i].label, value, out);
        else
            add_member(shown[i].label, value, colour, out);
    }
    add_error(json_get(job, "error"), out);
}

int job_print(const struct args *args, const struct api_answer *answer)
{
    if (output_is_json(args))
        return output_json("errand.job/1", buf_span(&answer->body));
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    job_print_render(answer->json, output_has_colour(), when_is_relative(), &text);
    int code = output_data(buf_span(&text));
    buf_free(&text);
    return code;
}

static enum job_state state_of(const struct json *job)
{
    enum job_state state = JOB_QUEUED;
    (void)job_state_parse(json_text(json_get(job, "state")), &state);
    return state;
}

bool job_print_is_finished(const struct json *job)
{
    return job_state_is_terminal(state_of(job));
}

int job_print_exit_code(const struct json *job)
{
    switch (state_of(job)) {
    case JOB_SUCCEEDED:
        return CLI_OK;
    case JOB_FAILED:
        return CLI_JOB_FAILED;
    case JOB_CANCELLED:
    case JOB_EXPIRED:
        return CLI_JOB_ENDED;
    case JOB_QUEUED:
    case JOB_SCHEDULED:
    case JOB_RUNNING:
    case JOB_RETRYING:
    case JOB_HELD:
    case JOB_STATE_COUNT:
        break;
    }
    return CLI_PENDING;
}
