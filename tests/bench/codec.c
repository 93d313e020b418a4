/* What reading a submission and carrying it costs: its JSON is read, the command is written for
 * Kafka and read again. "ours" is what Errand does, with all that it checks; "bare" is libjansson
 * and protobuf-c alone, with the very same bytes.
 * Usage: codec ours|bare JOBS BODY   (the body of a POST /v1/jobs)
 * Prints one line of JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"
#include "schemas/submission.h"
#include "tests/bench/tool.h"

#include <inttypes.h>
#include <jansson.h>
#include <schemas/envelope.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX    100000000
#define CREATED_MS  INT64_C(1800000000000)
#define FORGET_MS   (CREATED_MS + INT64_C(3600000))
#define TENANT      "default"
#define QUEUE       "rules"
#define REQUEST_ID  "4f6d1d2a0c7b4e5f9a8b7c6d5e4f3a2b"
#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static const struct submission_limits limits = { .depth_max = 64,
                                                 .tokens_max = 100000,
                                                 .labels_max = JOB_LABELS_MAX };

/* --- ours --- */

/* The envelope of the job that is submitted so, appended to `out`. */
static void write_ours(struct span body, struct buf *out)
{
    struct submission submission;
    struct err err;
    if (submission_parse(body, &limits, &submission, &err))
        fail("the body", err.text);
    struct job_command command = {
        .facts = {
            .tenant = SPAN_LIT(TENANT),
            .type = submission.type,
            .queue = SPAN_LIT(QUEUE),
            .created_at_ms = CREATED_MS,
            .not_after_ms = FORGET_MS,
            .forget_at_ms = FORGET_MS,
            .traceparent = SPAN_LIT(TRACEPARENT),
            .request_id = SPAN_LIT(REQUEST_ID),
            .origin_offset = -1,
        },
        .attempt = 1,
        .due_at_ms = CREATED_MS,
        .payload = submission.payload,
    };
    memset(command.facts.id.bytes, 7, sizeof command.facts.id.bytes);
    uint8_t fingerprint[JOB_FINGERPRINT_SIZE] = { 7 };
    command.facts.fingerprint = (struct span){ fingerprint, sizeof fingerprint };
    if (envelope_encode_command(&command, out, &err))
        fail("the envelope", err.text);
    submission_clear(&submission);
}

static void ours(struct span body, struct buf *out)
{
    struct envelope *envelope;
    struct err err;
    out->size = 0;
    write_ours(body, out);
    if (envelope_decode(buf_span(out), &envelope, &err))
        fail("the envelope", err.text);
    envelope_free(envelope);
}

/* --- the libraries alone --- */

static void bare(struct span body, const Errand__V1__Envelope *message, struct buf *out)
{
    json_error_t error;
    json_t *json = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail("the body", error.text);
    out->size = errand__v1__envelope__pack(message, (uint8_t *)out->data);
    Errand__V1__Envelope *read =
        errand__v1__envelope__unpack(NULL, out->size, (const uint8_t *)out->data);
    if (!read)
        fail("the envelope", "it cannot be read");
    errand__v1__envelope__free_unpacked(read, NULL);
    json_decref(json);
}

int main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[1], "ours") != 0 && strcmp(argv[1], "bare") != 0))
        fail("usage", "codec ours|bare JOBS BODY");
    bool is_ours = strcmp(argv[1], "ours") == 0;
    int64_t count = number_of(argv[2], JOBS_MAX, "JOBS");
    struct span body = span_of(argv[3]);
    struct buf out = BUF_INIT(ENVELOPE_BYTES_MAX);
    write_ours(body, &out);
    size_t bytes = out.size;
    Errand__V1__Envelope *message =
        errand__v1__envelope__unpack(NULL, bytes, (const uint8_t *)out.data);
    if (!message)
        fail("the envelope", "it cannot be read");
    double began_us = cpu_us();
    for (int64_t i = 0; i < count; i++) {
        if (is_ours)
            ours(body, &out);
        else
            bare(body, message, &out);
    }
    double us = (cpu_us() - began_us) / (double)count;
    if (out.size != bytes)
        fail("the envelope", "the two do not write the same");
    errand__v1__envelope__free_unpacked(message, NULL);
    buf_free(&out);
    printf("{\"jobs\":%" PRId64 ",\"envelope_bytes\":%zu,\"cpu_us\":%.4f}\n", count, bytes, us);
    return 0;
}
