/* Growable bytes: growth, the sticky overflow, and JSON strings of any bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/buf.h"

#include <stdlib.h>

static void test_an_untouched_buffer_is_empty(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(10);
    assert_int_equal(buf_span(&buf).size, 0);
    assert_string_equal(buf_span(&buf).data, "");
    buf_reset(&buf);
    char *taken = buf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
    buf_free(&buf);
    struct buf zeroed = { 0 };
    buf_free(&zeroed);
}

static void test_everything_added_is_there(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(1000);
    buf_add(&buf, "ab", 2);
    buf_add(&buf, NULL, 0);
    buf_add_span(&buf, span_of("cd"));
    buf_add_text(&buf, " ef");
    buf_add_char(&buf, ' ');
    buf_add_int(&buf, INT64_MIN);
    buf_printf(&buf, " %s=%d ", "x", 7);
    buf_add_hex(&buf, (struct span){ "\x00\x9f\xff", 3 });
    assert_string_equal(buf.data, "abcd ef -9223372036854775808 x=7 009fff");
    assert_int_equal(buf.size, strlen(buf.data));
    assert_false(buf.overflow);
    buf_free(&buf);
    assert_int_equal(buf.max, 1000);
    assert_null(buf.data);
}

static void test_it_grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(100000);
    for (size_t i = 0; i < 5000; i++) {
        buf_add_char(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.data[buf.size], '\0');
    }
    assert_int_equal(buf.size, 5000);
    assert_int_equal(buf.data[4999], 'a' + 4999 % 26);
    buf_free(&buf);
}

static void test_overflow_is_sticky(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(4);
    buf_add_text(&buf, "abcd");
    assert_false(buf.overflow);
    buf_add_text(&buf, "");
    assert_false(buf.overflow);
    buf_add_char(&buf, 'e');
    assert_true(buf.overflow);
    assert_string_equal(buf.data, "abcd");

    buf_reset(&buf);
    assert_false(buf.overflow);
    buf_add_text(&buf, "ab");
    buf_printf(&buf, "%s", "cde");
    assert_true(buf.overflow);
    buf_add_char(&buf, 'c'); /* there would be room, but what comes after a gap is of no use */
    assert_string_equal(buf.data, "ab");
    buf_free(&buf);
}

static void test_room_is_reserved_then_counted(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(8);
    buf_add_text(&buf, "ab");
    assert_true(buf_reserve(&buf, 6));
    memcpy(buf.data + buf.size, "cdef", 4);
    buf_grow(&buf, 4);
    assert_string_equal(buf.data, "abcdef");
    assert_false(buf_reserve(&buf, 3));
    assert_true(buf.overflow);
    assert_false(buf_reserve(&buf, 1));
    buf_free(&buf);

    struct buf huge = BUF_INIT(8);
    assert_false(buf_reserve(&huge, SIZE_MAX));
    buf_free(&huge);
}

static void test_what_is_taken_is_ones_own(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(8);
    buf_add_text(&buf, "mine");
    char *taken = buf_take(&buf);
    buf_add_text(&buf, "next");
    assert_string_equal(taken, "mine");
    assert_string_equal(buf.data, "next");
    free(taken);
    buf_free(&buf);
}

static void test_json_strings(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *expected;
    } cases[] = {
        { SPAN_LIT(""), "\"\"" },
        { SPAN_LIT("plain"), "\"plain\"" },
        { SPAN_LIT("\"\\/"), "\"\\\"\\\\/\"" },
        { SPAN_LIT("a\nb\rc\td"), "\"a\\nb\\u000dc\\u0009d\"" },
        { SPAN_LIT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\\u007f\"" },
        { SPAN_LIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
          "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { SPAN_LIT("a\xff"
                   "b\xc3"),
          "\"a\\ufffdb\\ufffd\"" },
        { SPAN_LIT("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf buf = BUF_INIT(100);
        buf_add_json_string(&buf, cases[i].text);
        assert_string_equal(buf.data, cases[i].expected);
        buf_free(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_untouched_buffer_is_empty),
        cmocka_unit_test(test_everything_added_is_there),
        cmocka_unit_test(test_it_grows_and_stays_terminated),
        cmocka_unit_test(test_overflow_is_sticky),
        cmocka_unit_test(test_room_is_reserved_then_counted),
        cmocka_unit_test(test_what_is_taken_is_ones_own),
        cmocka_unit_test(test_json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
