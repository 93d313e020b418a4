/* See envelope_attempts.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope_attempts.h"

#include "schemas/envelope_arena.h"
#include "schemas/utf8.h"

#include <schemas/attempts.pb-c.h>

#define SIZE_BYTES 4
/* What decoding takes beside the object: the bytes themselves, and no field that repeats but those
 * that are unknown. */
#define BUDGET(size) (4 * (size) + 4096)

typedef Errand__V1__AttemptRequest pb_request;
typedef Errand__V1__AttemptOutcome pb_outcome;

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

static enum err_code pack(const ProtobufCMessage *message, struct buf *out, struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > ATTEMPT_MESSAGE_BYTES_MAX || !buf_reserve(out, SIZE_BYTES + size))
        return err_set(err, ERR_LIMIT, "a message of %zu bytes; at most %zu are allowed", size,
                       ATTEMPT_MESSAGE_BYTES_MAX);
    uint8_t *place = (uint8_t *)out->data + out->size;
    for (size_t i = 0; i < SIZE_BYTES; i++)
        place[i] = (uint8_t)(size >> (8 * (SIZE_BYTES - 1 - i)));
    protobuf_c_message_pack(message, place + SIZE_BYTES);
    buf_grow(out, SIZE_BYTES + size);
    return ERR_OK;
}

enum err_code attempt_encode_request(const struct attempt_request *request, struct buf *out,
                                     struct err *err)
{
    pb_request message = ERRAND__V1__ATTEMPT_REQUEST__INIT;
    message.ticket = request->ticket;
    message.command = bytes_out(request->command);
    message.topic = bytes_out(request->topic);
    message.partition = request->partition;
    message.offset = request->offset;
    return pack(&message.base, out, err);
}

enum err_code attempt_encode_outcome(const struct attempt_outcome *outcome, struct buf *out,
                                     struct err *err)
{
    pb_outcome message = ERRAND__V1__ATTEMPT_OUTCOME__INIT;
    message.ticket = outcome->ticket;
    message.code = (uint32_t)outcome->code;
    message.class_ = (uint32_t)outcome->class_;
    message.detail = bytes_out(outcome->detail);
    message.status = outcome->status;
    message.retry_after_ms_plus_1 = outcome->retry_after_ms + 1;
    message.result = bytes_out(outcome->result);
    message.text = outcome->result_kind == JOB_RESULT_TEXT;
    return pack(&message.base, out, err);
}

/* --- decoding --- */

enum err_code attempt_next_message(struct span bytes, size_t *ret_used, struct span *ret_message,
                                   struct err *err)
{
    const uint8_t *data = bytes.data;
    *ret_used = 0;
    if (bytes.size < SIZE_BYTES)
        return ERR_OK;
    size_t size = 0;
    for (size_t i = 0; i < SIZE_BYTES; i++)
        size = size << 8 | data[i];
    if (size > ATTEMPT_MESSAGE_BYTES_MAX)
        return err_set(err, ERR_ENVELOPE_INVALID, "a message of %zu bytes; at most %zu are allowed",
                       size, ATTEMPT_MESSAGE_BYTES_MAX);
    if (bytes.size - SIZE_BYTES < size)
        return ERR_OK;
    *ret_used = SIZE_BYTES + size;
    *ret_message = (struct span){ data + SIZE_BYTES, size };
    return ERR_OK;
}

static struct span bytes_in(ProtobufCBinaryData in)
{
    return (struct span){ in.data ? (const char *)in.data : "", in.len };
}

enum err_code attempt_decode_request(struct span message, struct attempt_request **ret_request,
                                     struct err *err)
{
    void *object;
    struct envelope_arena *arena =
        envelope_arena_new(BUDGET(message.size), sizeof(struct attempt_request), &object);
    const pb_request *in = errand__v1__attempt_request__unpack(envelope_arena_allocator(arena),
                                                               message.size, message.data);
    if (!in || in->ticket == 0 || !utf8_is_text(bytes_in(in->topic)) || in->partition < 0 ||
        in->offset < 0) {
        envelope_arena_free(arena);
        return err_set(err, ERR_ENVELOPE_INVALID, "not a request for an attempt: %zu bytes",
                       message.size);
    }
    struct attempt_request *request = object;
    *request = (struct attempt_request){
        .ticket = in->ticket,
        .command = bytes_in(in->command),
        .topic = bytes_in(in->topic),
        .partition = in->partition,
        .offset = in->offset,
        .arena = arena,
    };
    *ret_request = request;
    return ERR_OK;
}

static bool is_sound(const pb_outcome *in)
{
    return in->code < ERR_COUNT && in->class_ <= ERR_CLASS_FATAL &&
           in->detail.len <= ATTEMPT_DETAIL_BYTES_MAX && utf8_is_text(bytes_in(in->detail)) &&
           utf8_is_text(bytes_in(in->result)) && in->retry_after_ms_plus_1 >= 0;
}

enum err_code attempt_decode_outcome(struct span message, struct attempt_outcome **ret_outcome,
                                     struct err *err)
{
    void *object;
    struct envelope_arena *arena =
        envelope_arena_new(BUDGET(message.size), sizeof(struct attempt_outcome), &object);
    const pb_outcome *in = errand__v1__attempt_outcome__unpack(envelope_arena_allocator(arena),
                                                               message.size, message.data);
    if (!in || !is_sound(in)) {
        envelope_arena_free(arena);
        return err_set(err, ERR_ENVELOPE_INVALID, "not an outcome of an attempt: %zu bytes",
                       message.size);
    }
    struct attempt_outcome *outcome = object;
    *outcome = (struct attempt_outcome){
        .ticket = in->ticket,
        .code = (enum err_code)in->code,
        .class_ = (enum err_class)in->class_,
        .detail = bytes_in(in->detail),
        .status = in->status,
        .retry_after_ms = in->retry_after_ms_plus_1 - 1,
        .result = bytes_in(in->result),
        .result_kind = in->text ? JOB_RESULT_TEXT : JOB_RESULT_JSON,
        .arena = arena,
    };
    *ret_outcome = outcome;
    return ERR_OK;
}

void attempt_request_free(struct attempt_request *request)
{
    if (request)
        envelope_arena_free(request->arena);
}

void attempt_outcome_free(struct attempt_outcome *outcome)
{
    if (outcome)
        envelope_arena_free(outcome->arena);
}
