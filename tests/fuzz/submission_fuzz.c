/* The body of POST /v1/jobs: whatever is taken makes a command that every worker can read, and has
 * one fingerprint in all forms that mean the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"
#include "schemas/json.h"
#include "schemas/submission.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1764115200000)

static const struct submission_limits limits = { .depth_max = 16,
                                                 .tokens_max = 2000,
                                                 .labels_max = 4 };
static const struct json_limits json_limits = { 16, 2000, .any_value = true };

static void require_payload(const struct submission *submission, struct span body)
{
    const char *payload = submission->payload.data;
    const char *begin = body.data;
    FUZZ_REQUIRE(payload >= begin);
    FUZZ_REQUIRE((size_t)(payload - begin) + submission->payload.size <= body.size);
    struct json *json = NULL;
    FUZZ_REQUIRE(json_parse(submission->payload, &json_limits, &json, NULL) == ERR_OK);
    FUZZ_REQUIRE(json_type_of(json) == JSON_TYPE_OBJECT);
    FUZZ_REQUIRE(json_same(json, json_get(submission->json, "payload")));
    json_free(json);
}

static void require_members(const struct submission *submission)
{
    FUZZ_REQUIRE(submission->type.data != NULL);
    FUZZ_REQUIRE(submission->label_count <= limits.labels_max);
    for (size_t i = 0; i < submission->label_count; i++) {
        struct job_label label = submission->labels[i];
        FUZZ_REQUIRE(label.name.size >= 1 && label.name.size <= SUBMISSION_LABEL_NAME_MAX);
        FUZZ_REQUIRE(label.value.size <= SUBMISSION_LABEL_VALUE_MAX);
    }
    FUZZ_REQUIRE(submission->delay_ms >= -1 && submission->delay_ms <= SUBMISSION_DELAY_MS_MAX);
    FUZZ_REQUIRE(submission->delay_ms == -1 || submission->run_at_ms == 0);
    FUZZ_REQUIRE(submission->deadline_ms == 0 || submission->deadline_after_ms == 0);
    FUZZ_REQUIRE(submission->key.size <= SUBMISSION_KEY_MAX);
    FUZZ_REQUIRE(!json_get(submission->json, "key") || submission->key.size > 0);
    if (json_get(submission->json, "run_at"))
        FUZZ_REQUIRE(submission->run_at_ms > 0);
    if (json_get(submission->json, "deadline"))
        FUZZ_REQUIRE(submission->deadline_ms > 0 || submission->deadline_after_ms > 0);
}

/* As the gateway makes it; what was accepted must never be poison. */
static void require_command(const struct submission *submission)
{
    struct job_command command = {
        .facts = { .type = SPAN_LIT("a.type"),
                   .queue = SPAN_LIT("default"),
                   .key = submission->key,
                   .labels = submission->labels,
                   .label_count = submission->label_count,
                   .created_at_ms = NOW_MS,
                   .run_at_ms = submission->delay_ms > 0 ? NOW_MS + submission->delay_ms
                                                         : submission->run_at_ms,
                   .deadline_ms = submission->deadline_after_ms
                                      ? NOW_MS + submission->deadline_after_ms
                                      : submission->deadline_ms,
                   .forget_at_ms = NOW_MS,
                   .origin_offset = -1 },
        .attempt = 1,
        .due_at_ms = submission->run_at_ms,
        .payload = submission->payload,
    };
    struct buf out = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct envelope *envelope = NULL;
    FUZZ_REQUIRE(envelope_encode_command(&command, &out, NULL) == ERR_OK);
    FUZZ_REQUIRE(envelope_decode(buf_span(&out), &envelope, NULL) == ERR_OK);
    FUZZ_REQUIRE(span_eq(envelope->command.payload, submission->payload));
    envelope_free(envelope);
    buf_free(&out);
}

static void require_fingerprint(const struct submission *submission)
{
    uint8_t first[JOB_FINGERPRINT_SIZE];
    uint8_t second[JOB_FINGERPRINT_SIZE];
    struct submission again;
    struct buf compact = BUF_INIT(SIZE_MAX / 2);
    submission_fingerprint(submission, first);
    json_dump(submission->json, &compact);
    FUZZ_REQUIRE(submission_parse(buf_span(&compact), &limits, &again, NULL) == ERR_OK);
    submission_fingerprint(&again, second);
    FUZZ_REQUIRE(memcmp(first, second, sizeof first) == 0);
    submission_clear(&again);
    buf_free(&compact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = fuzz_exact((struct span){ data, size });
    struct submission submission;
    struct err err = { 0 };
    enum err_code code = submission_parse(body, &limits, &submission, &err);
    if (code) {
        fuzz_require_told(code, &err);
        FUZZ_REQUIRE(err_http_status(code) == 400 || err_http_status(code) == 413);
    } else {
        require_payload(&submission, body);
        require_members(&submission);
        require_command(&submission);
        require_fingerprint(&submission);
        submission_clear(&submission);
    }
    fuzz_free(body);
    return 0;
}
