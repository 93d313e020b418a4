/* See dead_step.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/dead_step.h"

#include "infra/clock.h"
#include "schemas/digest.h"
#include "schemas/json.h"
#include "schemas/json_out.h"
#include "schemas/suggest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT  100
#define AHEAD_DEFAULT  100
#define FAILED_DEFAULT 50
#define CLOCK_MS       60000 /* so far ahead may another gateway's clock be */
#define DEPTH_MAX      32
#define TOKENS_MAX     10000

enum member {
    QUEUE,
    TYPE,
    REASON,
    FINGERPRINT,
    LETTER,
    CURSOR,
    BATCH,
    WHO,
    WHY,
    EXECUTE,
    EDIT,
    LIMIT,
    MAX_REDRIVES,
    MAX_FAILED_PERCENT,
    AHEAD,
    MEMBER_COUNT
};
static const char *const members[MEMBER_COUNT] = {
    "queue", "type", "reason",  "fingerprint", "letter", "cursor",       "batch",
    "who",   "why",  "execute", "edit",        "limit",  "max_redrives", "max_failed_percent",
    "ahead",
};

struct reading {
    struct redriving *step;
    enum err_code code;
    struct err *err;
};

static bool text_into(char *to, size_t size, struct span text)
{
    return text.data && span_copy(text, to, size);
}

static bool number_into(int64_t *to, int64_t min, int64_t max, const struct json *value)
{
    return json_integer_of(value, to) && *to >= min && *to <= max;
}

static bool edit_into(struct redriving *step, const struct json *value)
{
    step->edit = (struct buf)BUF_INIT(DEAD_EDIT_BYTES_MAX);
    step->edit_json = value;
    json_dump(value, &step->edit);
    return json_type_of(value) == JSON_TYPE_OBJECT && !step->edit.overflow && !step->purge;
}

static bool batch_into(struct redriving *step, struct span text)
{
    return text_into(step->batch, sizeof step->batch, text) &&
           dead_batch_parse(text, &step->began_ms) && step->began_ms < clock_wall_ms() + CLOCK_MS;
}

static bool set_selection(struct redriving *step, enum member member, struct span text)
{
    const struct config *config = step->gateway->config;
    struct dead_filter *filter = &step->filter;
    switch (member) {
    case QUEUE:
        return text_into(filter->queue, sizeof filter->queue, text) &&
               config_find_queue(config, text);
    case TYPE:
        return text_into(filter->type, sizeof filter->type, text);
    case REASON:
        return text_into(filter->reason, sizeof filter->reason, text);
    case FINGERPRINT:
        return text_into(filter->fingerprint, sizeof filter->fingerprint, text);
    case LETTER:
        return dead_place_parse(config, text, &step->letter);
    default:
        return dead_place_parse(config, text, &step->after);
    }
}

static bool set_member(struct redriving *step, enum member member, const struct json *value)
{
    struct span text = json_text(value);
    switch (member) {
    case BATCH:
        return batch_into(step, text);
    case WHO:
        return text_into(step->who, sizeof step->who, text);
    case WHY:
        return text_into(step->why, sizeof step->why, text);
    case EXECUTE:
        return json_bool_of(value, &step->execute);
    case EDIT:
        return edit_into(step, value);
    case LIMIT:
        return number_into(&step->limit, 0, DEAD_PAGE_MAX, value);
    case MAX_REDRIVES:
        return number_into(&step->number_max, 1, 1000, value);
    case MAX_FAILED_PERCENT:
        return number_into(&step->failed_percent_max, 0, 100, value);
    case AHEAD:
        return number_into(&step->ahead, 1, DEAD_BATCH_MAX, value);
    default:
        return set_selection(step, member, text);
    }
}

static void read_member(void *arg, struct span name, const struct json *value)
{
    struct reading *reading = arg;
    if (reading->code)
        return;
    int member = 0;
    while (member < MEMBER_COUNT && !span_is(name, members[member]))
        member++;
    char field[64];
    snprintf(field, sizeof field, "%.*s", (int)(name.size < 63 ? name.size : 63),
             (const char *)name.data);
    if (member == MEMBER_COUNT) {
        const char *near = suggest_nearest(name, members, MEMBER_COUNT);
        reading->code =
            err_field(reading->err, ERR_UNKNOWN_FIELD, field, "There is no member \"%s\"%s%s%s",
                      field, near ? "; did you mean \"" : ".", near ? near : "", near ? "\"?" : "");
    } else if (!set_member(reading->step, (enum member)member, value)) {
        reading->code = err_field(
            reading->err, ERR_INVALID_FIELD, field,
            "%s: texts name what is there; letter and cursor are \"queue/offset\", batch is as an "
            "answer told it, who at most %d bytes, why %d, limit 0 to %d, max_redrives 1 to 1000, "
            "max_failed_percent 0 to 100, ahead 1 to %d, edit an object of at most %d bytes.",
            field, DEAD_WHO_BYTES_MAX, DEAD_WHY_BYTES_MAX, DEAD_PAGE_MAX, DEAD_BATCH_MAX,
            DEAD_EDIT_BYTES_MAX);
    }
}

static enum err_code name_batch(struct redriving *step, struct err *err)
{
    uint32_t random = 0;
    if (step->batch[0])
        return ERR_OK;
    if (!digest_random(&random, sizeof random))
        return err_set(err, ERR_INTERNAL, "No random number could be had.");
    step->began_ms = clock_wall_ms();
    dead_batch_name(step->began_ms, random, step->batch);
    return ERR_OK;
}

enum err_code dead_step_parse(struct redriving *step, struct err *err)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct reading reading = { .step = step, .err = err };
    step->limit = LIMIT_DEFAULT;
    step->ahead = AHEAD_DEFAULT;
    step->failed_percent_max = FAILED_DEFAULT;
    step->number_max = REDRIVE_NUMBER_MAX;
    struct span request_id = http_request_id(step->req);
    (void)text_into(step->request_id, sizeof step->request_id, request_id);
    enum err_code code = json_parse(http_body(step->req), &limits, &step->body, err);
    if (code)
        return code;
    if (json_type_of(step->body) != JSON_TYPE_OBJECT)
        return err_set(err, ERR_INVALID_FIELD, "The body is no JSON object.");
    json_each(step->body, read_member, &reading);
    if (reading.code)
        return reading.code;
    if (step->limit == 0)
        step->execute = false; /* nothing is changed */
    if (step->execute && !step->who[0])
        return err_field(err, ERR_MISSING_FIELD, "who", "who is needed to change something.");
    if (step->execute && !step->why[0])
        return err_field(err, ERR_MISSING_FIELD, "why", "why is needed to change something.");
    return name_batch(step, err);
}

void dead_step_what(const struct redriving *step, struct buf *out)
{
    buf_add_char(out, '{');
    json_out_text(out, "queue", span_of(step->filter.queue));
    json_out_text(out, "type", span_of(step->filter.type));
    json_out_text(out, "reason", span_of(step->filter.reason));
    json_out_text(out, "fingerprint", span_of(step->filter.fingerprint));
    if (step->letter.queue) {
        json_out_name(out, "letter");
        buf_printf(out, "\"%s/%" PRId64 "\"", step->letter.queue, step->letter.offset);
    }
    json_out_text(out, "batch", span_of(step->batch));
    json_out_json(out, "edit", buf_span(&step->edit));
    buf_add_char(out, '}');
}

bool dead_step_id(const struct dead_item *item, struct id *ret_id)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct json *json = NULL;
    if (json_parse(item->read.json, &limits, &json, NULL) != ERR_OK)
        return false;
    bool found = id_parse(json_text(json_get(json, "id")), ret_id);
    json_free(json);
    return found;
}

bool dead_step_did(const struct redriving *step, const struct dead_item *item, struct id *ret_job)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct json *json = NULL;
    if (json_parse(span_of(item->resolution), &limits, &json, NULL) != ERR_OK)
        return false;
    bool ours = span_is(json_text(json_get(json, "batch")), step->batch);
    struct span job = json_text(json_get(json, "job"));
    if (ours && !step->purge)
        ours = id_parse(job, ret_job);
    else if (job.size)
        ours = false; /* it was redriven */
    json_free(json);
    return ours;
}

void dead_step_free(struct redriving *step)
{
    for (size_t i = 0; i < step->fetch_count; i++) {
        free(step->topics[i]);
        buf_free(&step->fetches[i].value);
    }
    free(step->fetches);
    free(step->topics);
    free(step->letters);
    free(step->items);
    buf_free(&step->edit);
    json_free(step->body);
    free(step);
}
