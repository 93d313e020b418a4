/* Envelopes and records of the view: whatever decodes encodes to something that decodes to the
 * same, to the last field, those of newer versions included.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"
#include "tests/fuzz/fuzz.h"

#include <schemas/envelope.pb-c.h>

static void require_same_text(struct span a, struct span b)
{
    FUZZ_REQUIRE(span_eq(a, b));
}

static void require_same_facts(const struct job_facts *a, const struct job_facts *b)
{
    FUZZ_REQUIRE(memcmp(&a->id, &b->id, sizeof a->id) == 0);
    FUZZ_REQUIRE(memcmp(&a->effect_id, &b->effect_id, sizeof a->effect_id) == 0);
    require_same_text(a->tenant, b->tenant);
    require_same_text(a->type, b->type);
    require_same_text(a->queue, b->queue);
    require_same_text(a->key, b->key);
    FUZZ_REQUIRE(a->label_count == b->label_count);
    for (size_t i = 0; i < a->label_count; i++) {
        require_same_text(a->labels[i].name, b->labels[i].name);
        require_same_text(a->labels[i].value, b->labels[i].value);
    }
    FUZZ_REQUIRE(a->created_at_ms == b->created_at_ms && a->run_at_ms == b->run_at_ms);
    FUZZ_REQUIRE(a->not_after_ms == b->not_after_ms && a->forget_at_ms == b->forget_at_ms);
    FUZZ_REQUIRE(a->deadline_ms == b->deadline_ms);
    require_same_text(a->fingerprint, b->fingerprint);
    require_same_text(a->traceparent, b->traceparent);
    require_same_text(a->tracestate, b->tracestate);
    require_same_text(a->request_id, b->request_id);
    FUZZ_REQUIRE(a->origin_partition == b->origin_partition);
    FUZZ_REQUIRE(a->origin_offset == b->origin_offset);
    FUZZ_REQUIRE(a->redrive.number == b->redrive.number);
    FUZZ_REQUIRE(memcmp(&a->redrive.of, &b->redrive.of, sizeof a->redrive.of) == 0);
    require_same_text(a->redrive.batch, b->redrive.batch);
    require_same_text(a->redrive.edit, b->redrive.edit);
}

static void require_same_failure(const struct job_failure *a, const struct job_failure *b)
{
    require_same_text(a->code, b->code);
    require_same_text(a->class_, b->class_);
    require_same_text(a->detail, b->detail);
    FUZZ_REQUIRE(a->attempt == b->attempt && a->status == b->status);
}

static void require_same_result(struct span a, struct span b)
{
    FUZZ_REQUIRE((a.data == NULL) == (b.data == NULL)); /* none differs from empty */
    require_same_text(a, b);
}

static void require_same_command(const struct job_command *a, const struct job_command *b)
{
    require_same_facts(&a->facts, &b->facts);
    FUZZ_REQUIRE(a->turn == b->turn && a->attempt == b->attempt && a->due_at_ms == b->due_at_ms);
    require_same_text(a->payload, b->payload);
}

static void require_same_event(const struct job_event *a, const struct job_event *b)
{
    require_same_facts(&a->facts, &b->facts);
    FUZZ_REQUIRE(a->kind == b->kind && a->turn == b->turn && a->attempt == b->attempt);
    FUZZ_REQUIRE(a->at_ms == b->at_ms && a->started_at_ms == b->started_at_ms);
    FUZZ_REQUIRE(a->next_at_ms == b->next_at_ms && a->result_kind == b->result_kind);
    require_same_result(a->result, b->result);
    require_same_failure(&a->failure, &b->failure);
    require_same_text(a->worker, b->worker);
    FUZZ_REQUIRE(a->command_partition == b->command_partition);
    FUZZ_REQUIRE(a->command_offset == b->command_offset);
}

static void require_same_resolution(const struct job_resolution *a, const struct job_resolution *b)
{
    FUZZ_REQUIRE(a->letter_offset == b->letter_offset && a->kind == b->kind);
    FUZZ_REQUIRE(a->has_id == b->has_id && a->at_ms == b->at_ms);
    FUZZ_REQUIRE(memcmp(&a->id, &b->id, sizeof a->id) == 0);
    FUZZ_REQUIRE(memcmp(&a->job, &b->job, sizeof a->job) == 0);
    require_same_text(a->batch, b->batch);
    require_same_text(a->who, b->who);
    require_same_text(a->why, b->why);
    require_same_text(a->edit, b->edit);
}

static void require_same_record(const struct job_record *a, const struct job_record *b)
{
    require_same_facts(&a->facts, &b->facts);
    FUZZ_REQUIRE(a->state == b->state && a->turn == b->turn && a->attempt == b->attempt);
    FUZZ_REQUIRE(a->phase == b->phase && a->version == b->version);
    FUZZ_REQUIRE(a->started_at_ms == b->started_at_ms && a->finished_at_ms == b->finished_at_ms);
    FUZZ_REQUIRE(a->next_at_ms == b->next_at_ms && a->result_kind == b->result_kind);
    require_same_result(a->result, b->result);
    require_same_failure(&a->failure, &b->failure);
    FUZZ_REQUIRE(a->command_partition == b->command_partition);
    FUZZ_REQUIRE(a->command_offset == b->command_offset);
}

/* --- fields of newer versions, seen with protobuf-c alone --- */

static void require_same_unknown(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    FUZZ_REQUIRE(a->n_unknown_fields == b->n_unknown_fields);
    for (unsigned i = 0; i < a->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *x = &a->unknown_fields[i];
        const ProtobufCMessageUnknownField *y = &b->unknown_fields[i];
        FUZZ_REQUIRE(x->tag == y->tag && x->wire_type == y->wire_type);
        require_same_text((struct span){ x->data, x->len }, (struct span){ y->data, y->len });
    }
}

static void require_envelope_keeps_unknown(struct span before, struct span after)
{
    Errand__V1__Envelope *a = errand__v1__envelope__unpack(NULL, before.size, before.data);
    Errand__V1__Envelope *b = errand__v1__envelope__unpack(NULL, after.size, after.data);
    FUZZ_REQUIRE(a && b && a->body_case == b->body_case);
    if (a->body_case == ERRAND__V1__ENVELOPE__BODY_COMMAND) {
        require_same_unknown(&a->command->base, &b->command->base);
        require_same_unknown(&a->command->facts->base, &b->command->facts->base);
    } else if (a->body_case == ERRAND__V1__ENVELOPE__BODY_EVENT) {
        require_same_unknown(&a->event->base, &b->event->base);
        require_same_unknown(&a->event->facts->base, &b->event->facts->base);
    }
    errand__v1__envelope__free_unpacked(a, NULL);
    errand__v1__envelope__free_unpacked(b, NULL);
}

static void require_record_keeps_unknown(struct span before, struct span after)
{
    const uint8_t *x = before.data;
    const uint8_t *y = after.data;
    Errand__V1__Record *a = errand__v1__record__unpack(NULL, before.size - 1, x + 1);
    Errand__V1__Record *b = errand__v1__record__unpack(NULL, after.size - 1, y + 1);
    FUZZ_REQUIRE(a && b);
    require_same_unknown(&a->base, &b->base);
    require_same_unknown(&a->facts->base, &b->facts->base);
    errand__v1__record__free_unpacked(a, NULL);
    errand__v1__record__free_unpacked(b, NULL);
}

/* --- there and back --- */

static void encode(const struct envelope *envelope, struct buf *out)
{
    struct err err = { 0 };
    enum err_code code = ERR_OK;
    if (envelope->kind == ENVELOPE_COMMAND)
        code = envelope_encode_command(&envelope->command, out, &err);
    else if (envelope->kind == ENVELOPE_EVENT)
        code = envelope_encode_event(&envelope->event, out, &err);
    else
        code = envelope_encode_resolution(&envelope->resolution, out, &err);
    FUZZ_REQUIRE(code == ERR_OK);
}

static void try_envelope(struct span bytes)
{
    struct err err = { 0 };
    struct envelope *first = NULL;
    struct envelope *second = NULL;
    enum err_code code = envelope_decode(bytes, &first, &err);
    if (code) {
        fuzz_require_told(code, &err);
        FUZZ_REQUIRE(code == ERR_ENVELOPE_INVALID || code == ERR_ENVELOPE_VERSION);
        return;
    }
    struct buf out = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct buf again = BUF_INIT(ENVELOPE_BYTES_MAX);
    encode(first, &out);
    FUZZ_REQUIRE(envelope_decode(buf_span(&out), &second, &err) == ERR_OK);
    FUZZ_REQUIRE(first->kind == second->kind);
    if (first->kind == ENVELOPE_COMMAND)
        require_same_command(&first->command, &second->command);
    else if (first->kind == ENVELOPE_EVENT)
        require_same_event(&first->event, &second->event);
    else
        require_same_resolution(&first->resolution, &second->resolution);
    require_envelope_keeps_unknown(bytes, buf_span(&out));
    encode(second, &again);
    require_same_text(buf_span(&out), buf_span(&again));
    envelope_free(first);
    envelope_free(second);
    buf_free(&out);
    buf_free(&again);
}

static void try_record(struct span bytes)
{
    struct err err = { 0 };
    struct envelope_record *first = NULL;
    struct envelope_record *second = NULL;
    enum err_code code = envelope_decode_record(bytes, &first, &err);
    if (code) {
        fuzz_require_told(code, &err);
        return;
    }
    struct buf out = BUF_INIT(ENVELOPE_RECORD_BYTES_MAX);
    FUZZ_REQUIRE(envelope_encode_record(&first->record, &out, &err) == ERR_OK);
    FUZZ_REQUIRE(envelope_decode_record(buf_span(&out), &second, &err) == ERR_OK);
    require_same_record(&first->record, &second->record);
    require_record_keeps_unknown(bytes, buf_span(&out));
    envelope_record_free(first);
    envelope_record_free(second);
    buf_free(&out);
}

/* A record begins with its letter, an envelope with a tag, which is none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = fuzz_exact((struct span){ data, size });
    try_envelope(bytes);
    try_record(bytes);
    fuzz_free(bytes);
    return 0;
}
