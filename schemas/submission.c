/* See submission.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/submission.h"

#include "schemas/digest.h"
#include "schemas/json.h"
#include "schemas/json_scan.h"
#include "schemas/suggest.h"
#include "schemas/timefmt.h"

#include <stdio.h>

#define IDEMPOTENCY_KEY_MAX 255
#define CANONICAL_BYTES_MAX ((size_t)16 * 1024 * 1024)

static const char *const members[] = { "type",   "payload",  "labels", "delay",
                                       "run_at", "deadline", "key" };
#define MEMBER_COUNT (sizeof members / sizeof *members)

/* Collects labels, or the first error. */
struct reading {
    struct submission *submission;
    size_t labels_max;
    enum err_code code;
    struct err *err;
};

static void check_member(void *arg, struct span name, const struct json *value)
{
    (void)value;
    struct reading *reading = arg;
    if (reading->code)
        return;
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (span_is(name, members[i]))
            return;
    }
    char field[64];
    snprintf(field, sizeof field, "%.*s", (int)(name.size < 60 ? name.size : 60),
             (const char *)name.data);
    const char *near = suggest_nearest(name, members, MEMBER_COUNT);
    reading->code =
        err_field(reading->err, ERR_UNKNOWN_FIELD, field, "there is no field \"%s\"%s%s%s", field,
                  near ? "; did you mean \""
                       : " (there are: type, payload, labels, delay, run_at, deadline, key)",
                  near ? near : "", near ? "\"?" : "");
}

static void read_label(void *arg, struct span name, const struct json *value)
{
    struct reading *reading = arg;
    struct submission *submission = reading->submission;
    if (reading->code)
        return;
    struct span text =
        json_type_of(value) == JSON_TYPE_TEXT ? json_text(value) : (struct span){ 0 };
    if (json_type_of(value) != JSON_TYPE_TEXT)
        reading->code = err_field(reading->err, ERR_INVALID_FIELD, "labels",
                                  "a label's value must be a string");
    else if (submission->label_count == reading->labels_max)
        reading->code = err_field(reading->err, ERR_INVALID_FIELD, "labels",
                                  "at most %zu labels are allowed", reading->labels_max);
    else if (name.size == 0 || name.size > SUBMISSION_LABEL_NAME_MAX ||
             text.size > SUBMISSION_LABEL_VALUE_MAX)
        reading->code = err_field(reading->err, ERR_INVALID_FIELD, "labels",
                                  "a label's name has 1 to %d bytes, its value at most %d",
                                  SUBMISSION_LABEL_NAME_MAX, SUBMISSION_LABEL_VALUE_MAX);
    else
        submission->labels[submission->label_count++] =
            (struct job_label){ .name = name, .value = text };
}

static enum err_code read_labels(struct submission *submission, size_t labels_max, struct err *err)
{
    const struct json *labels = json_get(submission->json, "labels");
    if (!labels)
        return ERR_OK;
    if (json_type_of(labels) != JSON_TYPE_OBJECT)
        return err_field(err, ERR_INVALID_FIELD, "labels", "labels must be an object of strings");
    struct reading reading = { .submission = submission, .labels_max = labels_max, .err = err };
    json_each(labels, read_label, &reading);
    return reading.code;
}

/* A number of seconds, or a duration as text ("90s", "PT1M30S"). */
static enum err_code read_delay(struct submission *submission, struct err *err)
{
    const struct json *delay = json_get(submission->json, "delay");
    double seconds;
    submission->delay_ms = -1;
    if (!delay)
        return ERR_OK;
    bool good = false;
    if (json_real_of(delay, &seconds)) {
        good = seconds >= 0 && seconds * 1000 <= (double)SUBMISSION_DELAY_MS_MAX;
        submission->delay_ms = good ? (int64_t)(seconds * 1000) : -1;
    } else if (json_type_of(delay) == JSON_TYPE_TEXT) {
        good = timefmt_parse_duration(json_text(delay), &submission->delay_ms) &&
               submission->delay_ms <= SUBMISSION_DELAY_MS_MAX;
    }
    if (!good)
        return err_field(
            err, ERR_INVALID_FIELD, "delay",
            "delay is a number of seconds or a duration such as \"90s\" or \"PT1M30S\", "
            "of at most 7 days");
    return ERR_OK;
}

/* What a command can carry (envelope.h); the very first moment is its "none". */
static bool read_time(struct span text, int64_t *ret_ms)
{
    int64_t ms;
    if (!timefmt_parse_rfc3339(text, &ms) || ms <= 0 || ms > JOB_TIME_MS_MAX)
        return false;
    *ret_ms = ms;
    return true;
}

static enum err_code read_run_at(struct submission *submission, struct err *err)
{
    const struct json *run_at = json_get(submission->json, "run_at");
    if (!run_at)
        return ERR_OK;
    if (submission->delay_ms >= 0)
        return err_field(err, ERR_INVALID_FIELD, "run_at", "give delay or run_at, not both");
    if (!read_time(json_text(run_at), &submission->run_at_ms))
        return err_field(err, ERR_INVALID_FIELD, "run_at",
                         "run_at is a time of RFC 3339 such as \"2026-11-24T09:30:00Z\", of the "
                         "years 1970 to 9999");
    return ERR_OK;
}

/* A time, or a duration from acceptance on. */
static enum err_code read_deadline(struct submission *submission, struct err *err)
{
    const struct json *deadline = json_get(submission->json, "deadline");
    struct span text = json_text(deadline);
    if (!deadline || read_time(text, &submission->deadline_ms) ||
        (timefmt_parse_duration(text, &submission->deadline_after_ms) &&
         submission->deadline_after_ms > 0 &&
         submission->deadline_after_ms <= SUBMISSION_DEADLINE_MS_MAX))
        return ERR_OK;
    return err_field(err, ERR_INVALID_FIELD, "deadline",
                     "deadline is a time of RFC 3339 of the years 1970 to 9999, or a duration from "
                     "now such as \"30s\", of at most 3650 days");
}

static enum err_code read_key(struct submission *submission, struct err *err)
{
    const struct json *key = json_get(submission->json, "key");
    submission->key = json_text(key);
    if (!key || (submission->key.size > 0 && submission->key.size <= SUBMISSION_KEY_MAX))
        return ERR_OK;
    return err_field(err, ERR_INVALID_FIELD, "key",
                     "key is a string of 1 to %d bytes: jobs of one key run one at a time, in the "
                     "order of their submission",
                     SUBMISSION_KEY_MAX);
}

static enum err_code read_members(struct submission *submission, struct span body,
                                  const struct submission_limits *limits, struct err *err)
{
    if (json_type_of(submission->json) != JSON_TYPE_OBJECT)
        return err_set(err, ERR_INVALID_FIELD, "the body must be a JSON object");
    struct reading reading = { .err = err };
    json_each(submission->json, check_member, &reading);
    if (reading.code)
        return reading.code;
    const struct json *type = json_get(submission->json, "type");
    if (!type)
        return err_field(err, ERR_MISSING_FIELD, "type",
                         "type is required: the name of a job type (GET /v1/types)");
    if (json_type_of(type) != JSON_TYPE_TEXT)
        return err_field(err, ERR_INVALID_FIELD, "type", "type must be a string");
    submission->type = json_text(type);
    const struct json *payload = json_get(submission->json, "payload");
    if (!payload)
        return err_field(err, ERR_MISSING_FIELD, "payload", "payload is required: a JSON object");
    if (json_type_of(payload) != JSON_TYPE_OBJECT)
        return err_field(err, ERR_INVALID_FIELD, "payload", "payload must be a JSON object");
    if (!json_scan_member(body, "payload", &submission->payload))
        return err_field(err, ERR_INVALID_FIELD, "payload", "payload cannot be read");
    size_t labels_max = limits->labels_max < JOB_LABELS_MAX ? limits->labels_max : JOB_LABELS_MAX;
    enum err_code code = read_labels(submission, labels_max, err);
    if (code == ERR_OK)
        code = read_delay(submission, err);
    if (code == ERR_OK)
        code = read_run_at(submission, err);
    if (code == ERR_OK)
        code = read_deadline(submission, err);
    if (code == ERR_OK)
        code = read_key(submission, err);
    return code;
}

enum err_code submission_parse(struct span body, const struct submission_limits *limits,
                               struct submission *ret_submission, struct err *err)
{
    struct submission submission = { 0 };
    struct json_limits json_limits = { .depth_max = limits->depth_max,
                                       .tokens_max = limits->tokens_max };
    enum err_code code = json_parse(body, &json_limits, &submission.json, err);
    if (code == ERR_OK)
        code = read_members(&submission, body, limits, err);
    if (code) {
        submission_clear(&submission);
        return code;
    }
    *ret_submission = submission;
    return ERR_OK;
}

void submission_clear(struct submission *submission)
{
    json_free(submission->json);
    submission->json = NULL;
}

enum err_code submission_check_order(const struct submission *submission, const char *queue,
                                     bool ordered, struct err *err)
{
    const char *put_off = submission->run_at_ms ? "run_at" : "delay";
    if (!ordered && submission->key.size)
        return err_field(err, ERR_INVALID_FIELD, "key",
                         "jobs of the queue \"%s\" have no order: leave the key out, or submit a "
                         "type of an ordered queue",
                         queue);
    if (ordered && !submission->key.size)
        return err_field(err, ERR_MISSING_FIELD, "key",
                         "key is required: the queue \"%s\" is ordered, jobs of one key run one "
                         "at a time, in the order of their submission",
                         queue);
    if (ordered && (submission->delay_ms >= 0 || submission->run_at_ms))
        return err_field(err, ERR_INVALID_FIELD, put_off,
                         "a job of the ordered queue \"%s\" cannot be put off: the jobs of its "
                         "key would wait behind it",
                         queue);
    return ERR_OK;
}

void submission_fingerprint(const struct submission *submission, uint8_t ret[JOB_FINGERPRINT_SIZE])
{
    struct buf canonical = BUF_INIT(CANONICAL_BYTES_MAX);
    json_canonical(submission->json, &canonical);
    struct span part = buf_span(&canonical);
    uint8_t digest[32];
    digest_sha256(&part, 1, digest);
    memcpy(ret, digest, JOB_FINGERPRINT_SIZE);
    buf_free(&canonical);
}

static enum err_code key_error(struct err *err)
{
    return err_field(err, ERR_INVALID_PARAMETER, "Idempotency-Key",
                     "an idempotency key is a quoted string of 1 to %d printable ASCII characters",
                     IDEMPOTENCY_KEY_MAX);
}

enum err_code submission_idempotency_key(struct span header, struct buf *store, struct err *err)
{
    const char *text = header.data;
    size_t size = header.size;
    while (size && (*text == ' ' || *text == '\t')) {
        text++;
        size--;
    }
    while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    bool quoted = size >= 2 && text[0] == '"' && text[size - 1] == '"';
    if (quoted) {
        text++;
        size -= 2;
    }
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c < 0x20 || c > 0x7e || (c == '"' && quoted) || (c == '\\' && quoted && i + 1 == size))
            return key_error(err);
        if (c == '\\' && quoted) {
            c = text[++i];
            if (c != '"' && c != '\\')
                return key_error(err);
        }
        buf_add_char(store, c);
    }
    if (store->size == 0 || store->size > IDEMPOTENCY_KEY_MAX || store->overflow)
        return key_error(err);
    return ERR_OK;
}
