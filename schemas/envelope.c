/* See envelope.h. The generated code declares text as bytes (the Makefile derives that from
 * envelope.proto; the wire is the same), because protobuf-c's strings lose everything behind a NUL.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"

#include "schemas/envelope_arena.h"
#include "schemas/mem.h"
#include "schemas/utf8.h"

#include <schemas/envelope.pb-c.h>

#include <stdio.h>

typedef Errand__V1__Facts pb_facts;
typedef Errand__V1__Label pb_label;
typedef Errand__V1__Command pb_command;
typedef Errand__V1__Event pb_event;
typedef Errand__V1__Failure pb_failure;
typedef Errand__V1__Record pb_record;
typedef Errand__V1__Envelope pb_envelope;
typedef Errand__V1__Redrive pb_redrive;
typedef Errand__V1__Resolution pb_resolution;

/* What decoding may take, beside the object itself: every byte of input can at worst become one
 * small allocation. */
static size_t budget_for(size_t input_size)
{
    return 16 * input_size + 4096;
}

/* --- decoding --- */

/* Collects the first thing that is wrong. */
struct checker {
    const char *field;
    const char *what;
};

static void reject(struct checker *checker, const char *field, const char *what)
{
    if (!checker->field) {
        checker->field = field;
        checker->what = what;
    }
}

static struct span bytes_in(ProtobufCBinaryData in)
{
    return (struct span){ in.data, in.len };
}

static struct span text_in(struct checker *checker, const char *field, ProtobufCBinaryData in)
{
    if (in.len && !utf8_is_text(bytes_in(in)))
        reject(checker, field, "is not valid UTF-8 without NUL");
    return bytes_in(in);
}

/* Every time in the system lies in the years 1970 to 9999; nothing overflows when two are
 * subtracted, and Redis takes each as an expiry. */
static int64_t time_in(struct checker *checker, const char *field, int64_t unix_ms)
{
    if (unix_ms < 0 || unix_ms > JOB_TIME_MS_MAX)
        reject(checker, field, "is not a time of the years 1970 to 9999");
    return unix_ms;
}

/* Offsets travel plus 1, so that 0 is none; returns -1 for none. */
static int64_t offset_in(struct checker *checker, const char *field, int64_t offset_plus_1)
{
    if (offset_plus_1 < 0) {
        reject(checker, field, "is negative");
        return -1;
    }
    return offset_plus_1 - 1;
}

static int32_t partition_in(struct checker *checker, const char *field, int32_t partition)
{
    if (partition < 0)
        reject(checker, field, "is negative");
    return partition;
}

static void id_in(struct checker *checker, const char *field, ProtobufCBinaryData in,
                  struct id *ret_id)
{
    if (in.len == sizeof ret_id->bytes)
        memcpy(ret_id->bytes, in.data, sizeof ret_id->bytes);
    else
        reject(checker, field, "is not 16 bytes");
}

/* What is not known is carried on; a field without a number could not be read again. */
static const void *unknown_in(struct checker *checker, const ProtobufCMessage *in)
{
    for (unsigned i = 0; i < in->n_unknown_fields; i++) {
        if (in->unknown_fields[i].tag == 0)
            reject(checker, "a field", "has the number 0");
    }
    return in;
}

static void labels_in(struct checker *checker, struct envelope_arena *arena, const pb_facts *in,
                      struct job_facts *out)
{
    if (in->n_labels > JOB_LABELS_MAX) {
        reject(checker, "labels", "are too many");
        return;
    }
    struct job_label *labels = NULL;
    if (in->n_labels) {
        labels = envelope_arena_alloc(arena, in->n_labels * sizeof *labels);
        if (!labels) {
            reject(checker, "labels", "are too many");
            return;
        }
    }
    for (size_t i = 0; i < in->n_labels; i++) {
        labels[i].name = text_in(checker, "labels.name", in->labels[i]->name);
        labels[i].value = text_in(checker, "labels.value", in->labels[i]->value);
        labels[i].unknown = unknown_in(checker, &in->labels[i]->base);
    }
    out->labels = labels;
    out->label_count = in->n_labels;
}

static void redrive_in(struct checker *checker, const pb_redrive *in, struct job_redrive *out)
{
    if (!in)
        return;
    out->number = in->number;
    id_in(checker, "redrive.of", in->of, &out->of);
    out->batch = text_in(checker, "redrive.batch", in->batch);
    out->edit = text_in(checker, "redrive.edit", in->edit);
    out->unknown = unknown_in(checker, &in->base);
    if (in->number == 0)
        reject(checker, "redrive.number", "counts from 1");
}

static void facts_in(struct checker *checker, struct envelope_arena *arena, const pb_facts *in,
                     struct job_facts *out)
{
    if (!in) {
        reject(checker, "facts", "are missing");
        return;
    }
    id_in(checker, "id", in->id, &out->id);
    out->effect_id = out->id;
    if (in->effect_id.len)
        id_in(checker, "effect_id", in->effect_id, &out->effect_id);
    out->tenant = text_in(checker, "tenant", in->tenant);
    out->type = text_in(checker, "type", in->type);
    out->queue = text_in(checker, "queue", in->queue);
    out->key = text_in(checker, "key", in->key);
    out->created_at_ms = time_in(checker, "created_at_ms", in->created_at_ms);
    out->run_at_ms = time_in(checker, "run_at_ms", in->run_at_ms);
    out->not_after_ms = time_in(checker, "not_after_ms", in->not_after_ms);
    out->forget_at_ms = time_in(checker, "forget_at_ms", in->forget_at_ms);
    out->deadline_ms = time_in(checker, "deadline_ms", in->deadline_ms);
    out->fingerprint = bytes_in(in->fingerprint);
    out->traceparent = text_in(checker, "traceparent", in->traceparent);
    out->tracestate = text_in(checker, "tracestate", in->tracestate);
    out->request_id = text_in(checker, "request_id", in->request_id);
    out->origin_partition = partition_in(checker, "origin", in->origin_partition);
    out->origin_offset = offset_in(checker, "origin", in->origin_offset_plus_1);
    redrive_in(checker, in->redrive, &out->redrive);
    out->unknown = unknown_in(checker, &in->base);
    if (in->fingerprint.len != 0 && in->fingerprint.len != JOB_FINGERPRINT_SIZE)
        reject(checker, "fingerprint", "is not 16 bytes");
    if (out->type.size == 0 || out->queue.size == 0)
        reject(checker, "type", "and queue must be set");
    if (out->forget_at_ms == 0)
        reject(checker, "forget_at_ms", "is missing"); /* the view keeps nothing for ever */
    labels_in(checker, arena, in, out);
}

static void failure_in(struct checker *checker, const pb_failure *in, struct job_failure *out)
{
    if (!in || in->code.len == 0) /* one without a code says nothing */
        return;
    out->code = text_in(checker, "failure.code", in->code);
    out->class_ = text_in(checker, "failure.class", in->class_);
    out->detail = text_in(checker, "failure.detail", in->detail);
    out->attempt = in->attempt;
    out->status = in->status;
    out->unknown = unknown_in(checker, &in->base);
    if (out->code.size + out->class_.size + out->detail.size > ENVELOPE_FAILURE_BYTES_MAX)
        reject(checker, "failure", "is too long");
}

/* A present but empty result differs from none: JSON results are never empty, text ones may be. */
static struct span result_in(ProtobufCBinaryData in, bool succeeded)
{
    if (in.len == 0)
        return (struct span){ succeeded ? "" : NULL, 0 };
    return bytes_in(in);
}

static enum job_result_kind result_kind_in(struct checker *checker, Errand__V1__ResultKind kind)
{
    if (kind != ERRAND__V1__RESULT_KIND__JSON && kind != ERRAND__V1__RESULT_KIND__TEXT)
        reject(checker, "result_kind", "is unknown");
    return kind == ERRAND__V1__RESULT_KIND__TEXT ? JOB_RESULT_TEXT : JOB_RESULT_JSON;
}

static void command_in(struct checker *checker, struct envelope_arena *arena, const pb_command *in,
                       struct job_command *out)
{
    facts_in(checker, arena, in->facts, &out->facts);
    out->turn = in->turn;
    out->attempt = in->attempt;
    out->holds = in->holds;
    out->again = in->again;
    out->due_at_ms = time_in(checker, "due_at_ms", in->due_at_ms);
    out->payload = text_in(checker, "payload", in->payload);
    out->unknown = unknown_in(checker, &in->base);
    if (in->attempt == 0)
        reject(checker, "attempt", "counts from 1");
}

static void event_in(struct checker *checker, struct envelope_arena *arena, const pb_event *in,
                     struct job_event *out)
{
    facts_in(checker, arena, in->facts, &out->facts);
    if (in->kind <= 0 || (int)in->kind >= JOB_EVENT_END)
        reject(checker, "kind", "is unknown");
    out->kind = (enum job_event_kind)in->kind;
    out->turn = in->turn;
    out->attempt = in->attempt;
    out->at_ms = time_in(checker, "at_ms", in->at_ms);
    out->started_at_ms = time_in(checker, "started_at_ms", in->started_at_ms);
    out->next_at_ms = time_in(checker, "next_at_ms", in->next_at_ms);
    (void)text_in(checker, "result", in->result); /* JSON is text too */
    out->result = result_in(in->result, out->kind == JOB_EVENT_SUCCEEDED);
    out->result_kind = result_kind_in(checker, in->result_kind);
    failure_in(checker, in->failure, &out->failure);
    out->worker = text_in(checker, "worker", in->worker);
    out->command_partition = partition_in(checker, "command_partition", in->command_partition);
    out->command_offset = offset_in(checker, "command_offset", in->command_offset_plus_1);
    out->handed_on = in->handed_on;
    out->unknown = unknown_in(checker, &in->base);
}

static void resolution_in(struct checker *checker, const pb_resolution *in,
                          struct job_resolution *out)
{
    if (in->letter_offset < 0)
        reject(checker, "letter_offset", "is negative");
    if (in->kind != ERRAND__V1__RESOLUTION_KIND__REDRIVEN &&
        in->kind != ERRAND__V1__RESOLUTION_KIND__PURGED)
        reject(checker, "kind", "is unknown");
    out->letter_offset = in->letter_offset;
    out->kind = (enum job_resolution_kind)in->kind;
    out->has_id = in->id.len > 0;
    if (out->has_id)
        id_in(checker, "id", in->id, &out->id);
    if (out->kind == JOB_REDRIVEN)
        id_in(checker, "job", in->job, &out->job);
    out->batch = text_in(checker, "batch", in->batch);
    out->who = text_in(checker, "who", in->who);
    out->why = text_in(checker, "why", in->why);
    out->edit = text_in(checker, "edit", in->edit);
    out->at_ms = time_in(checker, "at_ms", in->at_ms);
}

static enum err_code verdict(const struct checker *checker, struct err *err)
{
    if (!checker->field)
        return ERR_OK;
    return err_field(err, ERR_ENVELOPE_INVALID, checker->field, "%s %s", checker->field,
                     checker->what);
}

static enum err_code body_in(const pb_envelope *in, struct envelope *out, struct err *err)
{
    struct checker checker = { 0 };
    if (in->version > ENVELOPE_VERSION)
        return err_set(err, ERR_ENVELOPE_VERSION, "envelope version %u is newer than %d",
                       in->version, ENVELOPE_VERSION);
    out->version = in->version;
    if (in->version == 0) {
        reject(&checker, "version", "is missing");
    } else if (in->body_case == ERRAND__V1__ENVELOPE__BODY_COMMAND) {
        out->kind = ENVELOPE_COMMAND;
        command_in(&checker, out->arena, in->command, &out->command);
    } else if (in->body_case == ERRAND__V1__ENVELOPE__BODY_EVENT) {
        out->kind = ENVELOPE_EVENT;
        event_in(&checker, out->arena, in->event, &out->event);
    } else if (in->body_case == ERRAND__V1__ENVELOPE__BODY_RESOLUTION) {
        out->kind = ENVELOPE_RESOLUTION;
        resolution_in(&checker, in->resolution, &out->resolution);
    } else {
        reject(&checker, "body", "is missing");
    }
    return verdict(&checker, err);
}

enum err_code envelope_decode(struct span bytes, struct envelope **ret_envelope, struct err *err)
{
    if (bytes.size > ENVELOPE_BYTES_MAX)
        return err_set(err, ERR_ENVELOPE_INVALID, "%zu bytes; an envelope has at most %zu",
                       bytes.size, ENVELOPE_BYTES_MAX);
    void *object;
    struct envelope_arena *arena =
        envelope_arena_new(budget_for(bytes.size), sizeof(struct envelope), &object);
    struct envelope *envelope = object;
    envelope->arena = arena;
    const pb_envelope *in =
        errand__v1__envelope__unpack(envelope_arena_allocator(arena), bytes.size, bytes.data);
    enum err_code code = in ? body_in(in, envelope, err)
                            : err_set(err, ERR_ENVELOPE_INVALID,
                                      "not an envelope: %zu bytes that do not parse", bytes.size);
    if (code) {
        envelope_arena_free(arena);
        return code;
    }
    *ret_envelope = envelope;
    return ERR_OK;
}

void envelope_free(struct envelope *envelope)
{
    if (envelope)
        envelope_arena_free(envelope->arena);
}

static enum err_code record_in(const pb_record *in, char letter, struct envelope_record *object,
                               struct err *err)
{
    struct checker checker = { 0 };
    struct job_record *out = &object->record;
    facts_in(&checker, object->arena, in->facts, &out->facts);
    if (in->state >= JOB_STATE_COUNT || job_state_letter((enum job_state)in->state) != letter)
        reject(&checker, "state", "does not match its letter");
    out->state = (enum job_state)in->state;
    out->turn = in->turn;
    out->attempt = in->attempt;
    out->phase = in->phase;
    out->started_at_ms = time_in(&checker, "started_at_ms", in->started_at_ms);
    out->finished_at_ms = time_in(&checker, "finished_at_ms", in->finished_at_ms);
    out->next_at_ms = time_in(&checker, "next_at_ms", in->next_at_ms);
    out->result = result_in(in->result, in->state == JOB_SUCCEEDED);
    out->result_kind = result_kind_in(&checker, in->result_kind);
    failure_in(&checker, in->failure, &out->failure);
    out->command_partition = partition_in(&checker, "command_partition", in->command_partition);
    out->command_offset = offset_in(&checker, "command_offset", in->command_offset_plus_1);
    out->version = offset_in(&checker, "version", in->version_plus_1);
    out->unknown = unknown_in(&checker, &in->base);
    return verdict(&checker, err);
}

enum err_code envelope_decode_record(struct span bytes, struct envelope_record **ret_record,
                                     struct err *err)
{
    if (bytes.size < 1 || bytes.size > ENVELOPE_RECORD_BYTES_MAX)
        return err_set(err, ERR_ENVELOPE_INVALID, "a record has 1 to %zu bytes",
                       ENVELOPE_RECORD_BYTES_MAX);
    void *object;
    struct envelope_arena *arena =
        envelope_arena_new(budget_for(bytes.size), sizeof(struct envelope_record), &object);
    struct envelope_record *record = object;
    record->arena = arena;
    const uint8_t *data = bytes.data;
    const pb_record *in =
        errand__v1__record__unpack(envelope_arena_allocator(arena), bytes.size - 1, data + 1);
    enum err_code code = in ? record_in(in, (char)data[0], record, err)
                            : err_set(err, ERR_ENVELOPE_INVALID, "not a record of the view");
    if (code) {
        envelope_arena_free(arena);
        return code;
    }
    *ret_record = record;
    return ERR_OK;
}

void envelope_record_free(struct envelope_record *record)
{
    if (record)
        envelope_arena_free(record->arena);
}

/* --- encoding --- */

/* protobuf-c does not write to what it packs; its structs just lack const. */
static ProtobufCBinaryData bytes_out(struct span bytes)
{
    union {
        const void *from;
        uint8_t *to;
    } place = { .from = bytes.data };
    return (ProtobufCBinaryData){ .len = bytes.size, .data = place.to };
}

static ProtobufCBinaryData id_out(const struct id *id)
{
    return bytes_out((struct span){ id->bytes, sizeof id->bytes });
}

/* Fields of a newer version that came with the decoded message go out again. */
static void unknown_out(ProtobufCMessage *message, const void *unknown)
{
    const ProtobufCMessage *from = unknown;
    if (from && from->descriptor == message->descriptor) {
        message->n_unknown_fields = from->n_unknown_fields;
        message->unknown_fields = from->unknown_fields;
    }
}

/* The generated structs of one set of facts. */
struct facts_out {
    pb_facts facts;
    pb_redrive redrive;
    pb_label labels[JOB_LABELS_MAX];
    pb_label *label_list[JOB_LABELS_MAX];
};

static pb_facts *facts_out(const struct job_facts *in, struct facts_out *store)
{
    pb_facts *out = &store->facts;
    errand__v1__facts__init(out);
    unknown_out(&out->base, in->unknown);
    out->id = id_out(&in->id);
    if (memcmp(&in->effect_id, &in->id, sizeof in->id) != 0) /* its check counts, too */
        out->effect_id = id_out(&in->effect_id);
    out->tenant = bytes_out(in->tenant);
    out->type = bytes_out(in->type);
    out->queue = bytes_out(in->queue);
    out->key = bytes_out(in->key);
    out->created_at_ms = in->created_at_ms;
    out->run_at_ms = in->run_at_ms;
    out->not_after_ms = in->not_after_ms;
    out->forget_at_ms = in->forget_at_ms;
    out->deadline_ms = in->deadline_ms;
    out->fingerprint = bytes_out(in->fingerprint);
    out->traceparent = bytes_out(in->traceparent);
    out->tracestate = bytes_out(in->tracestate);
    out->request_id = bytes_out(in->request_id);
    out->origin_partition = in->origin_partition;
    out->origin_offset_plus_1 = in->origin_offset + 1;
    if (in->redrive.number) {
        errand__v1__redrive__init(&store->redrive);
        unknown_out(&store->redrive.base, in->redrive.unknown);
        store->redrive.number = in->redrive.number;
        store->redrive.of = id_out(&in->redrive.of);
        store->redrive.batch = bytes_out(in->redrive.batch);
        store->redrive.edit = bytes_out(in->redrive.edit);
        out->redrive = &store->redrive;
    }
    out->n_labels = in->label_count < JOB_LABELS_MAX ? in->label_count : JOB_LABELS_MAX;
    out->labels = store->label_list;
    for (size_t i = 0; i < out->n_labels; i++) {
        errand__v1__label__init(&store->labels[i]);
        unknown_out(&store->labels[i].base, in->labels[i].unknown);
        store->labels[i].name = bytes_out(in->labels[i].name);
        store->labels[i].value = bytes_out(in->labels[i].value);
        store->label_list[i] = &store->labels[i];
    }
    return out;
}

static pb_failure *failure_out(const struct job_failure *in, pb_failure *store)
{
    if (in->code.size == 0)
        return NULL;
    errand__v1__failure__init(store);
    unknown_out(&store->base, in->unknown);
    store->code = bytes_out(in->code);
    store->class_ = bytes_out(in->class_);
    store->detail = bytes_out(in->detail);
    store->attempt = in->attempt;
    store->status = in->status;
    return store;
}

static Errand__V1__ResultKind result_kind_out(enum job_result_kind kind)
{
    return kind == JOB_RESULT_TEXT ? ERRAND__V1__RESULT_KIND__TEXT : ERRAND__V1__RESULT_KIND__JSON;
}

static enum err_code pack(const ProtobufCMessage *message, const char *prefix, size_t size_max,
                          struct buf *out, struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(message) + strlen(prefix);
    if (size > size_max || out->overflow || size > out->max - out->size)
        return err_set(err, ERR_LIMIT, "the envelope has %zu bytes; at most %zu are allowed", size,
                       size_max);
    size_t start = out->size;
    buf_add_text(out, prefix);
    buf_reserve(out, size);
    protobuf_c_message_pack(message, (uint8_t *)out->data + out->size);
    buf_grow(out, start + size - out->size);
    return ERR_OK;
}

static enum err_code pack_envelope(pb_envelope *envelope, struct buf *out, struct err *err)
{
    envelope->version = ENVELOPE_VERSION;
    return pack(&envelope->base, "", ENVELOPE_BYTES_MAX, out, err);
}

enum err_code envelope_encode_command(const struct job_command *command, struct buf *out,
                                      struct err *err)
{
    struct facts_out facts;
    pb_command body = ERRAND__V1__COMMAND__INIT;
    unknown_out(&body.base, command->unknown);
    body.facts = facts_out(&command->facts, &facts);
    body.turn = command->turn;
    body.attempt = command->attempt;
    body.holds = command->holds;
    body.again = command->again;
    body.due_at_ms = command->due_at_ms;
    body.payload = bytes_out(command->payload);
    pb_envelope envelope = ERRAND__V1__ENVELOPE__INIT;
    envelope.body_case = ERRAND__V1__ENVELOPE__BODY_COMMAND;
    envelope.command = &body;
    return pack_envelope(&envelope, out, err);
}

enum err_code envelope_encode_event(const struct job_event *event, struct buf *out, struct err *err)
{
    struct facts_out facts;
    pb_failure failure;
    pb_event body = ERRAND__V1__EVENT__INIT;
    unknown_out(&body.base, event->unknown);
    body.facts = facts_out(&event->facts, &facts);
    body.kind = (Errand__V1__EventKind)event->kind;
    body.turn = event->turn;
    body.attempt = event->attempt;
    body.at_ms = event->at_ms;
    body.started_at_ms = event->started_at_ms;
    body.next_at_ms = event->next_at_ms;
    body.result = bytes_out(event->result);
    body.result_kind = result_kind_out(event->result_kind);
    body.failure = failure_out(&event->failure, &failure);
    body.worker = bytes_out(event->worker);
    body.command_partition = event->command_partition;
    body.command_offset_plus_1 = event->command_offset + 1;
    body.handed_on = event->handed_on;
    pb_envelope envelope = ERRAND__V1__ENVELOPE__INIT;
    envelope.body_case = ERRAND__V1__ENVELOPE__BODY_EVENT;
    envelope.event = &body;
    return pack_envelope(&envelope, out, err);
}

enum err_code envelope_encode_resolution(const struct job_resolution *resolution, struct buf *out,
                                         struct err *err)
{
    pb_resolution body = ERRAND__V1__RESOLUTION__INIT;
    body.letter_offset = resolution->letter_offset;
    body.kind = (Errand__V1__ResolutionKind)resolution->kind;
    if (resolution->has_id)
        body.id = id_out(&resolution->id);
    if (resolution->kind == JOB_REDRIVEN)
        body.job = id_out(&resolution->job);
    body.batch = bytes_out(resolution->batch);
    body.who = bytes_out(resolution->who);
    body.why = bytes_out(resolution->why);
    body.edit = bytes_out(resolution->edit);
    body.at_ms = resolution->at_ms;
    pb_envelope envelope = ERRAND__V1__ENVELOPE__INIT;
    envelope.body_case = ERRAND__V1__ENVELOPE__BODY_RESOLUTION;
    envelope.resolution = &body;
    return pack_envelope(&envelope, out, err);
}

enum err_code envelope_encode_record(const struct job_record *record, struct buf *out,
                                     struct err *err)
{
    struct facts_out facts;
    pb_failure failure;
    pb_record body = ERRAND__V1__RECORD__INIT;
    unknown_out(&body.base, record->unknown);
    body.facts = facts_out(&record->facts, &facts);
    body.state = (uint32_t)record->state;
    body.turn = record->turn;
    body.attempt = record->attempt;
    body.phase = record->phase;
    body.version_plus_1 = record->version + 1;
    body.started_at_ms = record->started_at_ms;
    body.finished_at_ms = record->finished_at_ms;
    body.next_at_ms = record->next_at_ms;
    body.result = bytes_out(record->result);
    body.result_kind = result_kind_out(record->result_kind);
    body.failure = failure_out(&record->failure, &failure);
    body.command_partition = record->command_partition;
    body.command_offset_plus_1 = record->command_offset + 1;
    const char letter[] = { job_state_letter(record->state), '\0' };
    return pack(&body.base, letter, ENVELOPE_RECORD_BYTES_MAX, out, err);
}
