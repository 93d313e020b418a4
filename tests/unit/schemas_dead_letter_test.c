/* Dead letters: the same failure has the same fingerprint, and what the index keeps can be read
 * again. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/dead_letter.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct dead_letter sample(const char *detail)
{
    return (struct dead_letter){ .queue = SPAN_LIT("default"),
                                 .offset = 42,
                                 .died_at_ms = 1795709731123,
                                 .reason = SPAN_LIT("target_rejected"),
                                 .detail = span_of(detail),
                                 .target = SPAN_LIT("quotes"),
                                 .status = 404,
                                 .source = SPAN_LIT("errand.commands.default:3:17"),
                                 .record_bytes = 99 };
}

static void expect_normal(const char *detail, const char *normal)
{
    struct buf out = BUF_INIT(1024);
    dead_letter_normalise(span_of(detail), &out);
    assert_string_equal(out.data ? out.data : "", normal);
    buf_free(&out);
}

static void test_what_tells_cases_apart_is_taken_out(void **state)
{
    (void)state;
    expect_normal("", "");
    expect_normal("the target answered 404", "the target answered #");
    expect_normal("no  connection\tto 127.0.0.1:8080 in 250ms", "no connection to # in #");
    expect_normal("there is no \"Mars/Olympus\" here", "there is no \"*\" here");
    expect_normal("an open \"quote", "an open \"*\"");
    expect_normal("job 0193c0de-7000-7000-8000-000000000000, again", "job #, again");
    struct buf out = BUF_INIT(8192);
    char text[2000];
    memset(text, 'x', sizeof text);
    dead_letter_normalise((struct span){ text, sizeof text }, &out);
    assert_false(out.overflow);
    buf_free(&out);
}

static void fingerprint_of(const struct dead_letter *letter, char ret[DEAD_FINGERPRINT_SIZE])
{
    dead_letter_fingerprint(letter, ret);
    assert_int_equal(strlen(ret), DEAD_FINGERPRINT_SIZE - 1);
}

static void test_the_same_failure_has_the_same_fingerprint(void **state)
{
    (void)state;
    char first[DEAD_FINGERPRINT_SIZE];
    char other[DEAD_FINGERPRINT_SIZE];
    struct dead_letter letter = sample("order 17 is unknown");
    fingerprint_of(&letter, first);
    letter = sample("order 18 is unknown");
    letter.offset++;
    letter.source = (struct span){ 0 };
    fingerprint_of(&letter, other);
    assert_string_equal(first, other);
    for (int change = 0; change < 4; change++) {
        letter = sample("order 17 is unknown");
        if (change == 0)
            letter.status = 410;
        else if (change == 1)
            letter.target = span_of("other");
        else if (change == 2)
            letter.reason = span_of("target_status");
        else
            letter.detail = span_of("order 17 is closed");
        fingerprint_of(&letter, other);
        assert_string_not_equal(first, other);
    }
}

static void test_a_line_can_be_read_again(void **state)
{
    (void)state;
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 100 };
    struct job_command command = {
        .facts = { .id = { .bytes = { 1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10, 11, 12, 13 } },
                   .type = SPAN_LIT("a type \"with\" spaces"),
                   .redrive = { .number = 2, .batch = SPAN_LIT("1795709731123-9f86d081") } },
        .attempt = 3,
    };
    struct dead_letter letter = sample("a \"detail\" with spaces");
    letter.command = &command;
    struct buf line = BUF_INIT(DEAD_LINE_BYTES_MAX);
    dead_letter_line(&letter, &line);
    struct dead_line read;
    assert_true(dead_line_parse(buf_span(&line), &read));
    assert_int_equal(read.fingerprint.size, DEAD_FINGERPRINT_SIZE - 1);
    assert_int_equal(read.died_at_ms, letter.died_at_ms);
    assert_int_equal(read.redrives, 2);
    assert_true(span_is(read.batch, "1795709731123-9f86d081"));
    assert_true(span_is(read.source, "errand.commands.default:3:17"));
    assert_true(span_is(read.identity, "0102030405067008800a0b0c"));
    struct json *json = NULL;
    assert_int_equal(json_parse(read.json, &limits, &json, NULL), ERR_OK);
    assert_true(span_is(json_text(json_get(json, "type")), "a type \"with\" spaces"));
    assert_true(span_is(json_text(json_get(json, "detail")), "a \"detail\" with spaces"));
    json_free(json);
    buf_free(&line);
}

static void test_a_letter_of_no_job_has_a_line_too(void **state)
{
    (void)state;
    struct dead_letter letter = sample("no command");
    letter.source = (struct span){ 0 };
    struct buf line = BUF_INIT(DEAD_LINE_BYTES_MAX);
    dead_letter_line(&letter, &line);
    struct dead_line read;
    assert_true(dead_line_parse(buf_span(&line), &read));
    assert_true(span_is(read.identity, "-"));
    assert_true(span_is(read.source, "-:42"));
    assert_int_equal(read.redrives, 0);
    assert_false(dead_line_parse(span_of("too short"), &read));
    buf_free(&line);
}

static void test_a_batch_says_when_it_began(void **state)
{
    (void)state;
    char name[DEAD_BATCH_SIZE];
    int64_t began_ms = 0;
    dead_batch_name(1795709731123, 0x9f86d081, name);
    assert_string_equal(name, "1795709731123-9f86d081");
    assert_true(dead_batch_parse(span_of(name), &began_ms));
    assert_int_equal(began_ms, 1795709731123);
    static const char *const wrong[] = { "",
                                         "1795709731123",
                                         "1795709731123-9F86D081",
                                         "1795709731123 9f86d081",
                                         "179570973112x-9f86d081",
                                         "1795709731123-9f86d0811" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(dead_batch_parse(span_of(wrong[i]), &began_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_tells_cases_apart_is_taken_out),
        cmocka_unit_test(test_the_same_failure_has_the_same_fingerprint),
        cmocka_unit_test(test_a_line_can_be_read_again),
        cmocka_unit_test(test_a_letter_of_no_job_has_a_line_too),
        cmocka_unit_test(test_a_batch_says_when_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
