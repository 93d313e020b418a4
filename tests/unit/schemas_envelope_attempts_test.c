/* What worker and child say to each other, there and back, and what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/envelope_attempts.h"
#include "schemas/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool same(struct span a, const char *text)
{
    return span_is(a, text);
}

static struct span message_of(const struct buf *bytes)
{
    struct span message = { 0 };
    size_t used = 0;
    assert_int_equal(attempt_next_message(buf_span(bytes), &used, &message, NULL), ERR_OK);
    assert_int_equal(used, bytes->size);
    return message;
}

static void a_request_comes_back_as_it_was(void **state)
{
    (void)state;
    struct attempt_request request = { .ticket = 7,
                                       .command = SPAN_LIT("an envelope\0of bytes"),
                                       .topic = SPAN_LIT("errand.commands.default"),
                                       .partition = 3,
                                       .offset = INT64_C(1) << 40 };
    struct buf bytes = BUF_INIT(4096);
    assert_int_equal(attempt_encode_request(&request, &bytes, NULL), ERR_OK);
    struct attempt_request *back = NULL;
    assert_int_equal(attempt_decode_request(message_of(&bytes), &back, NULL), ERR_OK);
    assert_int_equal(back->ticket, 7);
    assert_int_equal(back->command.size, request.command.size);
    assert_memory_equal(back->command.data, request.command.data, request.command.size);
    assert_true(same(back->topic, "errand.commands.default"));
    assert_int_equal(back->partition, 3);
    assert_int_equal(back->offset, request.offset);
    attempt_request_free(back);
    buf_free(&bytes);
}

static void an_outcome_comes_back_as_it_was(void **state)
{
    (void)state;
    const struct attempt_outcome outcomes[] = {
        { .ticket = 9,
          .result = SPAN_LIT("{\"a\":1}"),
          .result_kind = JOB_RESULT_JSON,
          .status = 200,
          .retry_after_ms = -1 },
        { .ticket = 10, .result = SPAN_LIT(""), .result_kind = JOB_RESULT_TEXT },
        { .ticket = UINT64_MAX,
          .code = ERR_TARGET_STATUS,
          .class_ = ERR_CLASS_RETRY,
          .detail = SPAN_LIT("the target answered 503"),
          .status = 503,
          .retry_after_ms = 1500 },
        { .retry_after_ms = -1 }, /* ready */
    };
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        const struct attempt_outcome *in = &outcomes[i];
        struct buf bytes = BUF_INIT(4096);
        assert_int_equal(attempt_encode_outcome(in, &bytes, NULL), ERR_OK);
        struct attempt_outcome *back = NULL;
        assert_int_equal(attempt_decode_outcome(message_of(&bytes), &back, NULL), ERR_OK);
        assert_true(back->ticket == in->ticket);
        assert_int_equal(back->code, in->code);
        assert_int_equal(back->class_, in->class_);
        assert_int_equal(back->status, in->status);
        assert_int_equal(back->retry_after_ms, in->retry_after_ms);
        assert_int_equal(back->result_kind, in->result_kind);
        assert_int_equal(back->detail.size, in->detail.size);
        assert_int_equal(back->result.size, in->result.size);
        assert_non_null(back->result.data);
        attempt_outcome_free(back);
        buf_free(&bytes);
    }
}

static void messages_are_cut_out_of_a_stream(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT(4096);
    for (uint64_t ticket = 1; ticket <= 3; ticket++) {
        struct attempt_outcome outcome = { .ticket = ticket, .retry_after_ms = -1 };
        assert_int_equal(attempt_encode_outcome(&outcome, &bytes, NULL), ERR_OK);
    }
    uint64_t seen = 0;
    size_t from = 0;
    for (size_t come = 0; come <= bytes.size; come++) { /* byte by byte */
        size_t used = 0;
        struct span message;
        assert_int_equal(attempt_next_message((struct span){ bytes.data + from, come - from },
                                              &used, &message, NULL),
                         ERR_OK);
        if (!used)
            continue;
        struct attempt_outcome *back = NULL;
        assert_int_equal(attempt_decode_outcome(message, &back, NULL), ERR_OK);
        assert_true(back->ticket == ++seen);
        attempt_outcome_free(back);
        from += used;
    }
    assert_int_equal(seen, 3);
    buf_free(&bytes);
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    char *large = mem_zalloc(ATTEMPT_MESSAGE_BYTES_MAX + 1, 1);
    memset(large, 'x', ATTEMPT_MESSAGE_BYTES_MAX + 1);
    struct buf bytes = BUF_INIT(2 * ATTEMPT_MESSAGE_BYTES_MAX);
    struct err err;
    struct attempt_outcome outcome = { .ticket = 1,
                                       .result = { large, ATTEMPT_MESSAGE_BYTES_MAX + 1 } };
    assert_int_equal(attempt_encode_outcome(&outcome, &bytes, &err), ERR_LIMIT);
    assert_int_equal(bytes.size, 0);
    outcome.result.size = ENVELOPE_BYTES_MAX; /* the largest there can be */
    assert_int_equal(attempt_encode_outcome(&outcome, &bytes, &err), ERR_OK);
    struct attempt_outcome *back = NULL;
    assert_int_equal(attempt_decode_outcome(message_of(&bytes), &back, &err), ERR_OK);
    attempt_outcome_free(back);
    buf_free(&bytes);
    free(large);

    static const char prefix[] = { 0x7f, 0, 0, 0 };
    size_t used = 0;
    struct span message;
    assert_int_equal(
        attempt_next_message((struct span){ prefix, sizeof prefix }, &used, &message, &err),
        ERR_ENVELOPE_INVALID);
    assert_int_equal(used, 0);
}

static void check_refused(const struct attempt_outcome *outcome)
{
    struct buf bytes = BUF_INIT(8192);
    assert_int_equal(attempt_encode_outcome(outcome, &bytes, NULL), ERR_OK);
    struct attempt_outcome *back = NULL;
    assert_int_equal(attempt_decode_outcome(message_of(&bytes), &back, NULL), ERR_ENVELOPE_INVALID);
    assert_null(back);
    buf_free(&bytes);
}

static void an_outcome_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static char detail[ATTEMPT_DETAIL_BYTES_MAX + 1];
    memset(detail, 'd', sizeof detail);
    check_refused(&(struct attempt_outcome){ .ticket = 1, .code = ERR_COUNT });
    check_refused(&(struct attempt_outcome){ .ticket = 1, .class_ = (enum err_class)99 });
    check_refused(&(struct attempt_outcome){ .ticket = 1, .retry_after_ms = -2 });
    check_refused(&(struct attempt_outcome){ .ticket = 1, .result = SPAN_LIT("a\0b") });
    check_refused(&(struct attempt_outcome){ .ticket = 1, .result = SPAN_LIT("\xff") });
    check_refused(&(struct attempt_outcome){ .ticket = 1, .detail = { detail, sizeof detail } });
    struct attempt_outcome *back = NULL;
    assert_int_equal(attempt_decode_outcome(span_of("\xff\xff"), &back, NULL),
                     ERR_ENVELOPE_INVALID);
}

static void a_request_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct attempt_request requests[] = {
        { .ticket = 0 },
        { .ticket = 1, .partition = -1 },
        { .ticket = 1, .offset = -1 },
        { .ticket = 1, .topic = SPAN_LIT("\xff") },
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct buf bytes = BUF_INIT(4096);
        assert_int_equal(attempt_encode_request(&requests[i], &bytes, NULL), ERR_OK);
        struct attempt_request *back = NULL;
        assert_int_equal(attempt_decode_request(message_of(&bytes), &back, NULL),
                         ERR_ENVELOPE_INVALID);
        buf_free(&bytes);
    }
    struct attempt_request *back = NULL;
    assert_int_equal(attempt_decode_request(span_of("\xff\xff"), &back, NULL),
                     ERR_ENVELOPE_INVALID);
    attempt_request_free(NULL);
    attempt_outcome_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_back_as_it_was),
        cmocka_unit_test(an_outcome_comes_back_as_it_was),
        cmocka_unit_test(messages_are_cut_out_of_a_stream),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(an_outcome_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_request_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
