/* W3C Trace Context, level 1: what is taken, what is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/buf.h"
#include "schemas/trace.h"

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN_ID  "00f067aa0ba902b7"

static void test_a_traceparent_goes_there_and_back(void **state)
{
    (void)state;
    struct trace trace;
    char text[TRACE_TEXT_SIZE];
    assert_true(trace_parse(span_of("00-" TRACE_ID "-" SPAN_ID "-01"), &trace));
    assert_true(span_is(trace_id_in(span_of("00-" TRACE_ID "-" SPAN_ID "-01")), TRACE_ID));
    assert_int_equal(trace_id_in(span_of("00-0af7")).size, 0);
    assert_string_equal(trace.trace_id, TRACE_ID);
    assert_string_equal(trace.span_id, SPAN_ID);
    assert_int_equal(trace.flags, TRACE_SAMPLED);
    trace_format(&trace, text);
    assert_string_equal(text, "00-" TRACE_ID "-" SPAN_ID "-01");
}

static void test_a_newer_version_is_read_as_far_as_known(void **state)
{
    (void)state;
    struct trace trace;
    char text[TRACE_TEXT_SIZE];
    assert_true(trace_parse(span_of("01-" TRACE_ID "-" SPAN_ID "-03"), &trace));
    assert_true(trace_parse(span_of("cc-" TRACE_ID "-" SPAN_ID "-00-what-the-future-has"), &trace));
    trace_format(&trace, text);
    assert_string_equal(text, "00-" TRACE_ID "-" SPAN_ID "-00");
}

static void test_what_is_no_traceparent(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "00",
        "00-" TRACE_ID "-" SPAN_ID,
        "00-" TRACE_ID "-" SPAN_ID "-0",
        "00-" TRACE_ID "-" SPAN_ID "-011",
        "00-" TRACE_ID "-" SPAN_ID "-01-extra",
        "cc-" TRACE_ID "-" SPAN_ID "-01.extra",
        "ff-" TRACE_ID "-" SPAN_ID "-01",
        "0x-" TRACE_ID "-" SPAN_ID "-01",
        "00_" TRACE_ID "-" SPAN_ID "-01",
        "00-" TRACE_ID "_" SPAN_ID "-01",
        "00-" TRACE_ID "-" SPAN_ID "_01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN_ID "-01",
        "00-00000000000000000000000000000000-" SPAN_ID "-01",
        "00-" TRACE_ID "-0000000000000000-01",
        "00-" TRACE_ID "-00f067aa0ba902bg-01",
        "00-" TRACE_ID "-" SPAN_ID "-0A",
        " 00-" TRACE_ID "-" SPAN_ID "-01",
    };
    struct trace trace = { .flags = 42 };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (trace_parse(span_of(texts[i]), &trace))
            fail_msg("%s", texts[i]);
    }
    assert_int_equal(trace.flags, 42);
}

static void test_a_trace_starts_and_has_children(void **state)
{
    (void)state;
    uint8_t random[24];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(i * 11);
    struct trace trace;
    char text[TRACE_TEXT_SIZE];
    trace_start(&trace, random);
    trace_format(&trace, text);
    assert_string_equal(text, "00-000b16212c37424d58636e79848f9aa5-b0bbc6d1dce7f2fd-01");

    trace.flags = 0xff;
    trace_child(&trace, random, &trace);
    trace_format(&trace, text);
    assert_string_equal(text, "00-000b16212c37424d58636e79848f9aa5-000b16212c37424d-01");
}

static void test_ids_are_never_zero(void **state)
{
    (void)state;
    static const uint8_t zeros[24];
    struct trace trace;
    char text[TRACE_TEXT_SIZE];
    trace_start(&trace, zeros);
    trace_format(&trace, text);
    assert_true(trace_parse(span_of(text), &trace));
    trace_child(&trace, zeros, &trace);
    assert_string_equal(trace.span_id, "0000000000000001");
}

static void expect_state(struct span text, bool valid)
{
    if (trace_state_valid(text) != valid)
        fail_msg("%.*s", SPAN_ARG(text));
}

static void test_tracestates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        { "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true },
        { "a=1 , b=2\t,,c= x y!", true },
        { "1tenant@system=v", true },
        { "fw529a3039@dt=FfAzEwYAAA", true },
        { "a_-*/9=v", true },
        { "", false },
        { ",", false },
        { "a", false },
        { "a=", false },
        { "=v", false },
        { "a=b=c", false },
        { "A=v", false },
        { "1a=v", false },
        { "a b=v", false },
        { "a=\xc3\xa4", false },
        { "a=\x7f", false },
        { "a=x\ny", false },
        { "a@b@c=v", false },
        { "@b=v", false },
        { "a@=v", false },
        { "a@1=v", false },
        { "a@abcdefghijklmno=v", false }, /* a system has at most 14 characters */
        { "a=1,b=2,a=3", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_state(span_of(cases[i].text), cases[i].valid);
    expect_state((struct span){ "a=\0", 3 }, false);
}

static void test_tracestates_are_limited(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(1024);
    for (unsigned i = 0; i < 32; i++)
        buf_printf(&text, "%sk%u=v", i ? "," : "", i);
    expect_state(buf_span(&text), true);
    buf_add_text(&text, ",k32=v");
    expect_state(buf_span(&text), false);

    buf_reset(&text);
    buf_add_text(&text, "a=");
    for (int i = 0; i < 256; i++)
        buf_add_char(&text, 'x');
    expect_state(buf_span(&text), true);
    buf_add_char(&text, 'x');
    expect_state(buf_span(&text), false);

    buf_reset(&text);
    buf_add_text(&text, "a=v");
    while (text.size < 512)
        buf_add_char(&text, ' ');
    expect_state(buf_span(&text), true);
    buf_add_char(&text, ' ');
    expect_state(buf_span(&text), false);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_traceparent_goes_there_and_back),
        cmocka_unit_test(test_a_newer_version_is_read_as_far_as_known),
        cmocka_unit_test(test_what_is_no_traceparent),
        cmocka_unit_test(test_a_trace_starts_and_has_children),
        cmocka_unit_test(test_ids_are_never_zero),
        cmocka_unit_test(test_tracestates),
        cmocka_unit_test(test_tracestates_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
