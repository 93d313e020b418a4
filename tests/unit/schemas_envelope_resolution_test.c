/* Resolutions of dead letters through the codec. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct job_resolution sample(enum job_resolution_kind kind)
{
    return (struct job_resolution){
        .letter_offset = 17,
        .kind = kind,
        .has_id = true,
        .id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10 } },
        .job = { .bytes = { 9, 2, 3, 4, 5, 6, 0x80, 8, 0x80, 10 } },
        .batch = SPAN_LIT("1795709731123-9f86d081"),
        .who = SPAN_LIT("ada@desk"),
        .why = SPAN_LIT("mended"),
        .edit = SPAN_LIT("{}"),
        .at_ms = 1000,
    };
}

static void expect_round_trip(const struct job_resolution *given)
{
    struct buf out = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct envelope *envelope = NULL;
    assert_int_equal(envelope_encode_resolution(given, &out, NULL), ERR_OK);
    assert_int_equal(envelope_decode(buf_span(&out), &envelope, NULL), ERR_OK);
    assert_int_equal(envelope->kind, ENVELOPE_RESOLUTION);
    const struct job_resolution *read = &envelope->resolution;
    assert_int_equal(read->letter_offset, given->letter_offset);
    assert_int_equal(read->kind, given->kind);
    assert_int_equal(read->has_id, given->has_id);
    if (given->has_id)
        assert_memory_equal(&read->id, &given->id, sizeof given->id);
    if (given->kind == JOB_REDRIVEN)
        assert_memory_equal(&read->job, &given->job, sizeof given->job);
    assert_true(span_eq(read->batch, given->batch) && span_eq(read->who, given->who));
    assert_true(span_eq(read->why, given->why) && span_eq(read->edit, given->edit));
    assert_int_equal(read->at_ms, given->at_ms);
    envelope_free(envelope);
    buf_free(&out);
}

static void test_a_resolution_comes_back_as_it_was(void **state)
{
    (void)state;
    struct job_resolution resolution = sample(JOB_REDRIVEN);
    expect_round_trip(&resolution);
    resolution = sample(JOB_PURGED);
    resolution.has_id = false;
    expect_round_trip(&resolution);
}

static void expect_refused(const struct job_resolution *resolution)
{
    struct buf out = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct envelope *envelope = NULL;
    assert_int_equal(envelope_encode_resolution(resolution, &out, NULL), ERR_OK);
    assert_int_equal(envelope_decode(buf_span(&out), &envelope, NULL), ERR_ENVELOPE_INVALID);
    buf_free(&out);
}

static void test_wrong_values_are_refused(void **state)
{
    (void)state;
    struct job_resolution resolution = sample(JOB_REDRIVEN);
    resolution.letter_offset = -1;
    expect_refused(&resolution);
    resolution = sample((enum job_resolution_kind)3);
    expect_refused(&resolution);
    resolution = sample(JOB_PURGED);
    resolution.who = (struct span)SPAN_LIT("\xff");
    expect_refused(&resolution);
    resolution = sample(JOB_PURGED);
    resolution.at_ms = -1;
    expect_refused(&resolution);
}

static void test_a_field_without_a_number_is_refused(void **state)
{
    (void)state;
    static const char facts[] = "\x0a\x10"
                                "0123456789abcdef"
                                "\x1a\x01t\x22\x01q\x50\x01";
    for (int broken = 0; broken < 2; broken++) {
        struct buf inner = BUF_INIT(1024);
        struct buf bytes = BUF_INIT(1024);
        struct envelope *envelope = NULL;
        buf_add(&inner, facts, sizeof facts - 1);
        if (broken)
            buf_add(&inner, "\x82\x00\x01x", 4); /* the number 0, in two bytes */
        buf_printf(&bytes, "\x08\x01\x12%c\x0a%c", (char)(inner.size + 4), (char)inner.size);
        buf_add_span(&bytes, buf_span(&inner));
        buf_add(&bytes, "\x18\x01", 2);
        assert_int_equal(envelope_decode(buf_span(&bytes), &envelope, NULL),
                         broken ? ERR_ENVELOPE_INVALID : ERR_OK);
        envelope_free(envelope);
        buf_free(&inner);
        buf_free(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_resolution_comes_back_as_it_was),
        cmocka_unit_test(test_wrong_values_are_refused),
        cmocka_unit_test(test_a_field_without_a_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
