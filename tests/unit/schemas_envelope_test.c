/* The codec: what goes in comes out; what is wrong is refused; what is newer is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"
#include "schemas/seeded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <schemas/envelope.pb-c.h>

static const uint8_t fingerprint[JOB_FINGERPRINT_SIZE] = { 9, 8, 7 };
static const struct job_label labels[] = {
    { .name = SPAN_LIT("team"), .value = SPAN_LIT("blue") },
    { .name = SPAN_LIT("empty"), .value = SPAN_LIT("") },
};

static struct job_facts sample_facts(void)
{
    return (struct job_facts){
        .id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16 } },
        .effect_id = { .bytes = { 2, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13, 14, 15, 16 } },
        .tenant = SPAN_LIT("default"),
        .type = SPAN_LIT("quote.fetch"),
        .queue = SPAN_LIT("default"),
        .key = SPAN_LIT("k"),
        .labels = labels,
        .label_count = 2,
        .created_at_ms = 1000,
        .run_at_ms = 2000,
        .not_after_ms = 3000,
        .forget_at_ms = 4000,
        .deadline_ms = 5000,
        .fingerprint = { fingerprint, sizeof fingerprint },
        .traceparent = SPAN_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        .tracestate = SPAN_LIT("a=b"),
        .request_id = SPAN_LIT("req-1"),
        .origin_partition = 7,
        .origin_offset = 0,
        .redrive = { .number = 2,
                     .of = { .bytes = { 3, 2, 3, 4, 5, 6, 0x70, 8, 0x80 } },
                     .batch = SPAN_LIT("1795709731123-9f86d081"),
                     .edit = SPAN_LIT("{}") },
    };
}

static struct job_command sample_command(void)
{
    return (struct job_command){ .facts = sample_facts(),
                                 .turn = 2,
                                 .attempt = 3,
                                 .holds = 7,
                                 .again = true,
                                 .due_at_ms = 1234,
                                 .payload = SPAN_LIT("{ \"b\" : [1, 2] }") };
}

static struct job_event sample_event(enum job_event_kind kind)
{
    return (struct job_event){
        .facts = sample_facts(),
        .kind = kind,
        .turn = 2,
        .attempt = 3,
        .at_ms = 1500,
        .started_at_ms = 1400,
        .next_at_ms = 1600,
        .result = SPAN_LIT("\"text\""),
        .result_kind = JOB_RESULT_TEXT,
        .failure = { SPAN_LIT("target_status"), SPAN_LIT("retry"), SPAN_LIT("503"), 3, 503, NULL },
        .worker = SPAN_LIT("worker-1"),
        .command_partition = 4,
        .command_offset = 99,
        .handed_on = true,
    };
}

static void assert_facts_equal(const struct job_facts *a, const struct job_facts *b)
{
    assert_memory_equal(a->id.bytes, b->id.bytes, 16);
    assert_memory_equal(a->effect_id.bytes, b->effect_id.bytes, 16);
    assert_true(span_eq(a->tenant, b->tenant) && span_eq(a->type, b->type) &&
                span_eq(a->queue, b->queue));
    assert_true(span_eq(a->key, b->key) && span_eq(a->fingerprint, b->fingerprint));
    assert_true(span_eq(a->traceparent, b->traceparent) && span_eq(a->tracestate, b->tracestate));
    assert_true(span_eq(a->request_id, b->request_id));
    assert_int_equal(a->created_at_ms, b->created_at_ms);
    assert_int_equal(a->run_at_ms, b->run_at_ms);
    assert_int_equal(a->not_after_ms, b->not_after_ms);
    assert_int_equal(a->forget_at_ms, b->forget_at_ms);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->origin_partition, b->origin_partition);
    assert_int_equal(a->origin_offset, b->origin_offset);
    assert_int_equal(a->redrive.number, b->redrive.number);
    assert_memory_equal(&a->redrive.of, &b->redrive.of, sizeof a->redrive.of);
    assert_true(span_eq(a->redrive.batch, b->redrive.batch) &&
                span_eq(a->redrive.edit, b->redrive.edit));
    assert_int_equal(a->label_count, b->label_count);
    for (size_t i = 0; i < a->label_count; i++) {
        assert_true(span_eq(a->labels[i].name, b->labels[i].name));
        assert_true(span_eq(a->labels[i].value, b->labels[i].value));
    }
}

static struct buf encode(const struct job_command *command)
{
    struct buf out = BUF_INIT(ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_command(command, &out, NULL), ERR_OK);
    return out;
}

static void an_effect_id_that_differs_in_its_check_alone_comes_back(void **state)
{
    (void)state;
    struct job_command command = sample_command();
    command.facts.effect_id = command.facts.id;
    command.facts.effect_id.bytes[15] ^= 1;
    struct buf bytes = encode(&command);
    struct envelope *envelope;
    assert_int_equal(envelope_decode(buf_span(&bytes), &envelope, NULL), ERR_OK);
    assert_facts_equal(&envelope->command.facts, &command.facts);
    envelope_free(envelope);
    buf_free(&bytes);
}

static void a_failure_without_a_code_is_none(void **state)
{
    (void)state;
    struct job_event event = sample_event(JOB_EVENT_FAILED);
    event.failure = (struct job_failure){ 0 };
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_event(&event, &bytes, NULL), ERR_OK);
    /* The event is the last field of the envelope; it gets failure {detail: "x", attempt: 3}. */
    static const char failure[] = "\x52\x05\x1a\x01x\x20\x03";
    unsigned char *length = (unsigned char *)bytes.data + 3; /* behind version and tag */
    size_t size = (length[0] & 0x7f) + ((size_t)length[1] << 7) + sizeof failure - 1;
    length[0] = (unsigned char)(0x80 | (size & 0x7f));
    length[1] = (unsigned char)(size >> 7);
    buf_add(&bytes, failure, sizeof failure - 1);
    struct envelope *envelope;
    assert_int_equal(envelope_decode(buf_span(&bytes), &envelope, NULL), ERR_OK);
    assert_int_equal(envelope->event.failure.code.size, 0);
    assert_int_equal(envelope->event.failure.detail.size, 0);
    assert_int_equal(envelope->event.failure.attempt, 0);
    envelope_free(envelope);
    buf_free(&bytes);
}

static void a_command_comes_back_as_it_was(void **state)
{
    (void)state;
    struct job_command command = sample_command();
    struct buf bytes = encode(&command);
    struct envelope *envelope;
    assert_int_equal(envelope_decode(buf_span(&bytes), &envelope, NULL), ERR_OK);
    assert_int_equal(envelope->kind, ENVELOPE_COMMAND);
    assert_facts_equal(&envelope->command.facts, &command.facts);
    assert_int_equal(envelope->command.turn, 2);
    assert_int_equal(envelope->command.attempt, 3);
    assert_int_equal(envelope->command.holds, 7);
    assert_true(envelope->command.again);
    assert_int_equal(envelope->command.due_at_ms, 1234);
    assert_true(span_eq(envelope->command.payload, command.payload));
    struct buf again = encode(&envelope->command);
    assert_true(span_eq(buf_span(&again), buf_span(&bytes)));
    envelope_free(envelope);
    buf_free(&again);
    buf_free(&bytes);
}

static void an_event_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int kind = 1; kind < JOB_EVENT_END; kind++) {
        struct job_event event = sample_event((enum job_event_kind)kind);
        struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
        assert_int_equal(envelope_encode_event(&event, &bytes, NULL), ERR_OK);
        struct envelope *envelope;
        assert_int_equal(envelope_decode(buf_span(&bytes), &envelope, NULL), ERR_OK);
        assert_int_equal(envelope->kind, ENVELOPE_EVENT);
        assert_facts_equal(&envelope->event.facts, &event.facts);
        assert_int_equal(envelope->event.kind, kind);
        assert_int_equal(envelope->event.at_ms, 1500);
        assert_int_equal(envelope->event.next_at_ms, 1600);
        assert_int_equal(envelope->event.command_offset, 99);
        assert_true(span_eq(envelope->event.result, event.result));
        assert_int_equal(envelope->event.result_kind, JOB_RESULT_TEXT);
        assert_true(span_eq(envelope->event.failure.code, event.failure.code));
        assert_true(span_eq(envelope->event.failure.class_, event.failure.class_));
        assert_int_equal(envelope->event.failure.status, 503);
        assert_true(span_is(envelope->event.worker, "worker-1"));
        envelope_free(envelope);
        buf_free(&bytes);
    }
}

static void a_record_comes_back_with_its_letter(void **state)
{
    (void)state;
    struct job_record record = {
        .facts = sample_facts(),
        .state = JOB_SUCCEEDED,
        .turn = 1,
        .attempt = 2,
        .phase = 4,
        .version = 0,
        .started_at_ms = 5,
        .finished_at_ms = 6,
        .result = { "", 0 },
        .command_partition = 2,
        .command_offset = -1,
    };
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_record(&record, &bytes, NULL), ERR_OK);
    assert_int_equal(bytes.data[0], 'S');
    struct envelope_record *object;
    assert_int_equal(envelope_decode_record(buf_span(&bytes), &object, NULL), ERR_OK);
    assert_facts_equal(&object->record.facts, &record.facts);
    assert_int_equal(object->record.state, JOB_SUCCEEDED);
    assert_int_equal(object->record.version, 0);
    assert_int_equal(object->record.command_offset, -1);
    assert_non_null(object->record.result.data);
    envelope_record_free(object);
    bytes.data[0] = 'F';
    assert_int_equal(envelope_decode_record(buf_span(&bytes), &object, NULL), ERR_ENVELOPE_INVALID);
    assert_int_equal(envelope_decode_record((struct span){ "", 0 }, &object, NULL),
                     ERR_ENVELOPE_INVALID);
    assert_int_equal(envelope_decode_record(span_of("Sx"), &object, NULL), ERR_ENVELOPE_INVALID);
    buf_free(&bytes);
}

static void every_prefix_is_refused_or_whole(void **state)
{
    (void)state;
    struct job_command command = sample_command();
    struct buf bytes = encode(&command);
    for (size_t size = 0; size < bytes.size; size++) {
        struct envelope *envelope = NULL;
        char *copy = malloc(size + 1); /* exactly sized, so that the sanitizer sees a read beyond */
        memcpy(copy, bytes.data, size);
        if (envelope_decode((struct span){ copy, size }, &envelope, NULL) == ERR_OK)
            envelope_free(envelope);
        free(copy);
    }
    buf_free(&bytes);
}

static void random_bytes_never_pass_and_never_break(void **state)
{
    (void)state;
    struct seeded random;
    seeded_init(&random, 7);
    struct job_command command = sample_command();
    struct buf bytes = encode(&command);
    for (int round = 0; round < 20000; round++) {
        char copy[512];
        size_t size = bytes.size < sizeof copy ? bytes.size : sizeof copy;
        memcpy(copy, bytes.data, size);
        for (uint32_t i = 0; i <= seeded_below(&random, 8); i++)
            copy[seeded_below(&random, (uint32_t)size)] = (char)seeded_next(&random);
        struct envelope *envelope;
        struct err err;
        if (envelope_decode((struct span){ copy, size }, &envelope, &err) == ERR_OK)
            envelope_free(envelope);
        else
            assert_true(err.code == ERR_ENVELOPE_INVALID || err.code == ERR_ENVELOPE_VERSION);
    }
    buf_free(&bytes);
}

static enum err_code decode_changed(void (*change)(struct job_command *command), struct err *err)
{
    struct job_command command = sample_command();
    change(&command);
    struct buf bytes = encode(&command);
    struct envelope *envelope = NULL;
    enum err_code code = envelope_decode(buf_span(&bytes), &envelope, err);
    if (code == ERR_OK)
        envelope_free(envelope);
    buf_free(&bytes);
    return code;
}

static void nul_in_type(struct job_command *command)
{
    command->facts.type = (struct span){ "a\0b", 3 };
}

static void bad_utf8_in_payload(struct job_command *command)
{
    command->payload = (struct span){ "\xff", 1 };
}

static void no_type(struct job_command *command)
{
    command->facts.type = (struct span){ 0 };
}

static void attempt_zero(struct job_command *command)
{
    command->attempt = 0;
}

static void short_fingerprint(struct job_command *command)
{
    command->facts.fingerprint.size = 3;
}

static void negative_origin(struct job_command *command)
{
    command->facts.origin_partition = -1;
}

static void never_forgotten(struct job_command *command)
{
    command->facts.forget_at_ms = 0;
}

static void forgotten_before_time_began(struct job_command *command)
{
    command->facts.forget_at_ms = -1;
}

static void created_in_the_year_10000(struct job_command *command)
{
    command->facts.created_at_ms = JOB_TIME_MS_MAX + 1;
}

static void due_at_the_least_number(struct job_command *command)
{
    command->due_at_ms = INT64_MIN;
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct job_command *command);
        const char *field;
    } cases[] = {
        { nul_in_type, "type" },
        { bad_utf8_in_payload, "payload" },
        { no_type, "type" },
        { attempt_zero, "attempt" },
        { short_fingerprint, "fingerprint" },
        { negative_origin, "origin" },
        { never_forgotten, "forget_at_ms" },
        { forgotten_before_time_began, "forget_at_ms" },
        { created_in_the_year_10000, "created_at_ms" },
        { due_at_the_least_number, "due_at_ms" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        assert_int_equal(decode_changed(cases[i].change, &err), ERR_ENVELOPE_INVALID);
        assert_string_equal(err.field, cases[i].field);
    }
}

static enum err_code decode_event(const struct job_event *event, struct err *err)
{
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_event(event, &bytes, NULL), ERR_OK);
    struct envelope *envelope = NULL;
    enum err_code code = envelope_decode(buf_span(&bytes), &envelope, err);
    if (code == ERR_OK)
        envelope_free(envelope);
    buf_free(&bytes);
    return code;
}

/* Each would harm who folds or shows it: a batch that Redis refuses, a difference that overflows, a
 * JSON answer that is none. */
static void wrong_values_of_events_are_named(void **state)
{
    (void)state;
    struct job_event events[6];
    for (size_t i = 0; i < 6; i++)
        events[i] = sample_event(JOB_EVENT_FAILED);
    char detail[ENVELOPE_FAILURE_BYTES_MAX + 1];
    memset(detail, 'x', sizeof detail);
    events[0].at_ms = -1;
    events[1].command_offset = -100;
    events[2].command_partition = -1;
    events[3].result = (struct span){ "\xff", 1 };
    events[4].failure.detail = (struct span){ detail, sizeof detail };
    events[5].facts.forget_at_ms = INT64_MAX;
    static const char *const fields[] = { "at_ms",  "command_offset", "command_partition",
                                          "result", "failure",        "forget_at_ms" };
    for (size_t i = 0; i < 6; i++) {
        struct err err;
        assert_int_equal(decode_event(&events[i], &err), ERR_ENVELOPE_INVALID);
        assert_string_equal(err.field, fields[i]);
    }
}

/* The largest event that passes, folded into a record that shows more: it must not be too large for
 * the view. */
static void a_record_holds_whatever_an_event_held(void **state)
{
    (void)state;
    char *bytes = malloc(ENVELOPE_BYTES_MAX);
    memset(bytes, 'x', ENVELOPE_BYTES_MAX);
    struct job_event event = sample_event(JOB_EVENT_SUCCEEDED);
    event.worker = (struct span){ 0 };
    event.result = (struct span){ bytes, ENVELOPE_BYTES_MAX };
    struct buf out = BUF_INIT(2 * ENVELOPE_BYTES_MAX);
    while (envelope_encode_event(&event, &out, NULL))
        event.result.size--;
    struct job_record record = {
        .facts = event.facts,
        .state = JOB_SUCCEEDED,
        .turn = event.turn,
        .attempt = event.attempt,
        .phase = 4,
        .version = INT64_MAX - 1,
        .started_at_ms = event.started_at_ms,
        .finished_at_ms = event.at_ms,
        .next_at_ms = event.next_at_ms,
        .result = event.result,
        .result_kind = event.result_kind,
        .failure = { { bytes, ENVELOPE_FAILURE_BYTES_MAX / 2 },
                     { bytes, ENVELOPE_FAILURE_BYTES_MAX / 4 },
                     { bytes, ENVELOPE_FAILURE_BYTES_MAX / 4 },
                     UINT32_MAX,
                     UINT32_MAX,
                     NULL },
        .command_partition = event.command_partition,
        .command_offset = event.command_offset,
    };
    buf_free(&out);
    out = (struct buf)BUF_INIT(2 * ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_record(&record, &out, NULL), ERR_OK);
    struct envelope_record *object;
    assert_int_equal(envelope_decode_record(buf_span(&out), &object, NULL), ERR_OK);
    assert_int_equal(object->record.result.size, event.result.size);
    envelope_record_free(object);
    buf_free(&out);
    free(bytes);
}

/* version 2 as the first field, then nothing we know */
static void a_newer_version_is_told_apart(void **state)
{
    (void)state;
    struct envelope *envelope;
    struct err err;
    assert_int_equal(envelope_decode((struct span){ "\x08\x02", 2 }, &envelope, &err),
                     ERR_ENVELOPE_VERSION);
    assert_int_equal(envelope_decode((struct span){ "\x08\x01", 2 }, &envelope, &err),
                     ERR_ENVELOPE_INVALID);
    assert_int_equal(envelope_decode((struct span){ "", 0 }, &envelope, &err),
                     ERR_ENVELOPE_INVALID);
}

/* A field 100 (varint) appended to the inner command: length-delimited field 2 of the envelope
 * grows by it. */
static void unknown_fields_are_carried_on(void **state)
{
    (void)state;
    static const char unknown[] = "\xa0\x06\x2a"; /* field 100, value 42 */
    struct job_command command = sample_command();
    struct buf bytes = encode(&command);
    /* 08 01 12 <length, two bytes> <command> */
    const unsigned char *data = (const unsigned char *)bytes.data;
    assert_int_equal(data[2], 0x12);
    size_t length = (size_t)(data[3] & 0x7f) | (size_t)data[4] << 7;
    assert_int_equal(length + 5, bytes.size);
    struct buf newer = BUF_INIT(ENVELOPE_BYTES_MAX);
    size_t longer = length + 3;
    buf_add(&newer, bytes.data, 3);
    buf_add_char(&newer, (char)(0x80 | (longer & 0x7f)));
    buf_add_char(&newer, (char)(longer >> 7));
    buf_add(&newer, bytes.data + 5, length);
    buf_add(&newer, unknown, 3);

    struct envelope *envelope;
    assert_int_equal(envelope_decode(buf_span(&newer), &envelope, NULL), ERR_OK);
    struct buf again = encode(&envelope->command);
    assert_true(span_eq(buf_span(&again), buf_span(&newer)));
    envelope_free(envelope);
    buf_free(&again);
    buf_free(&newer);
    buf_free(&bytes);
}

/* Also in what a command or an event holds: labels, where a job comes from, why it failed. */
static void unknown_fields_of_inner_messages_are_carried_on(void **state)
{
    (void)state;
    uint8_t value = 42;
    ProtobufCMessageUnknownField newer = { 100, PROTOBUF_C_WIRE_TYPE_VARINT, 1, &value };
    struct job_event event = sample_event(JOB_EVENT_FAILED);
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct buf again = BUF_INIT(ENVELOPE_BYTES_MAX);
    assert_int_equal(envelope_encode_event(&event, &bytes, NULL), ERR_OK);
    Errand__V1__Envelope *told =
        errand__v1__envelope__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    ProtobufCMessage *const inner[] = { &told->event->facts->labels[1]->base,
                                        &told->event->facts->redrive->base,
                                        &told->event->failure->base };
    for (size_t i = 0; i < 3; i++) {
        inner[i]->n_unknown_fields = 1;
        inner[i]->unknown_fields = &newer;
    }
    char packed[4096];
    size_t size = errand__v1__envelope__get_packed_size(told);
    assert_in_range(size, bytes.size + 9, sizeof packed);
    (void)errand__v1__envelope__pack(told, (uint8_t *)packed);
    for (size_t i = 0; i < 3; i++)
        *inner[i] = (ProtobufCMessage){ .descriptor = inner[i]->descriptor };
    errand__v1__envelope__free_unpacked(told, NULL);

    struct envelope *envelope;
    assert_int_equal(envelope_decode((struct span){ packed, size }, &envelope, NULL), ERR_OK);
    assert_int_equal(envelope_encode_event(&envelope->event, &again, NULL), ERR_OK);
    assert_true(span_eq(buf_span(&again), (struct span){ packed, size }));
    envelope_free(envelope);
    buf_free(&again);
    buf_free(&bytes);
}

static void too_large_is_refused_both_ways(void **state)
{
    (void)state;
    char *payload = malloc(ENVELOPE_BYTES_MAX + 1);
    memset(payload, 'x', ENVELOPE_BYTES_MAX + 1);
    struct job_command command = sample_command();
    command.payload = (struct span){ payload, ENVELOPE_BYTES_MAX };
    struct buf out = BUF_INIT(4 * ENVELOPE_BYTES_MAX);
    struct err err;
    assert_int_equal(envelope_encode_command(&command, &out, &err), ERR_LIMIT);
    struct envelope *envelope;
    assert_int_equal(
        envelope_decode((struct span){ payload, ENVELOPE_BYTES_MAX + 1 }, &envelope, &err),
        ERR_ENVELOPE_INVALID);
    struct envelope_record *record;
    assert_int_equal(
        envelope_decode_record((struct span){ payload, ENVELOPE_BYTES_MAX + 1 }, &record, &err),
        ERR_ENVELOPE_INVALID);
    free(payload);
    buf_free(&out);
}

/* 200,000 bytes of empty labels would be tens of megabytes in memory: the arena's budget refuses
 * them. */
static void many_small_fields_do_not_grow_large(void **state)
{
    (void)state;
    struct buf facts = BUF_INIT(ENVELOPE_BYTES_MAX);
    for (int i = 0; i < 100000; i++)
        buf_add(&facts, "\x32\x00", 2); /* field 6, empty */
    struct buf bytes = BUF_INIT(ENVELOPE_BYTES_MAX);
    buf_add(&bytes, "\x08\x01\x12", 3);
    size_t inner = facts.size + 4;
    char lengths[] = { (char)(0x80 | (inner & 0x7f)), (char)(0x80 | ((inner >> 7) & 0x7f)),
                       (char)(inner >> 14) };
    buf_add(&bytes, lengths, 3);
    size_t size = facts.size;
    char tag[] = { 0x0a, (char)(0x80 | (size & 0x7f)), (char)(0x80 | ((size >> 7) & 0x7f)),
                   (char)(size >> 14) };
    buf_add(&bytes, tag, 4);
    buf_add_span(&bytes, buf_span(&facts));
    struct envelope *envelope;
    assert_int_equal(envelope_decode(buf_span(&bytes), &envelope, NULL), ERR_ENVELOPE_INVALID);
    buf_free(&facts);
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_effect_id_that_differs_in_its_check_alone_comes_back),
        cmocka_unit_test(a_failure_without_a_code_is_none),
        cmocka_unit_test(a_command_comes_back_as_it_was),
        cmocka_unit_test(an_event_comes_back_as_it_was),
        cmocka_unit_test(a_record_comes_back_with_its_letter),
        cmocka_unit_test(every_prefix_is_refused_or_whole),
        cmocka_unit_test(random_bytes_never_pass_and_never_break),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(wrong_values_of_events_are_named),
        cmocka_unit_test(a_record_holds_whatever_an_event_held),
        cmocka_unit_test(a_newer_version_is_told_apart),
        cmocka_unit_test(unknown_fields_are_carried_on),
        cmocka_unit_test(unknown_fields_of_inner_messages_are_carried_on),
        cmocka_unit_test(too_large_is_refused_both_ways),
        cmocka_unit_test(many_small_fields_do_not_grow_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
