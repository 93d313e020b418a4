/* UTF-8 by the table of RFC 3629: every first and last character of each width, and the bytes next
 * to them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/utf8.h"

static void test_width_of_the_first_character(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        size_t width;
    } cases[] = {
        { { NULL, 0 }, 0 },
        { SPAN_LIT("\0"), 1 },
        { SPAN_LIT("\x7f"), 1 },
        { SPAN_LIT("ab"), 1 },
        { SPAN_LIT("\x80"), 0 },             /* a tail without a head */
        { SPAN_LIT("\xc1\xbf"), 0 },         /* overlong */
        { SPAN_LIT("\xc2\x80"), 2 },         /* U+0080 */
        { SPAN_LIT("\xdf\xbf"), 2 },         /* U+07FF */
        { SPAN_LIT("\xc2"), 0 },             /* cut */
        { SPAN_LIT("\xc2\x7f"), 0 },         /* no tail */
        { SPAN_LIT("\xe0\x9f\xbf"), 0 },     /* overlong */
        { SPAN_LIT("\xe0\xa0\x80"), 3 },     /* U+0800 */
        { SPAN_LIT("\xed\x9f\xbf"), 3 },     /* U+D7FF */
        { SPAN_LIT("\xed\xa0\x80"), 0 },     /* a surrogate */
        { SPAN_LIT("\xee\x80\x80"), 3 },     /* U+E000 */
        { SPAN_LIT("\xef\xbf\xbf"), 3 },     /* U+FFFF */
        { SPAN_LIT("\xe2\x82"), 0 },         /* cut */
        { SPAN_LIT("\xe2\x82\xc2"), 0 },     /* no tail */
        { SPAN_LIT("\xe2\x28\xa1"), 0 },     /* no tail */
        { SPAN_LIT("\xf0\x8f\xbf\xbf"), 0 }, /* overlong */
        { SPAN_LIT("\xf0\x90\x80\x80"), 4 }, /* U+10000 */
        { SPAN_LIT("\xf4\x8f\xbf\xbf"), 4 }, /* U+10FFFF */
        { SPAN_LIT("\xf4\x90\x80\x80"), 0 }, /* beyond */
        { SPAN_LIT("\xf0\x90\x80"), 0 },     /* cut */
        { SPAN_LIT("\xf0\x28\x80\x80"), 0 },
        { SPAN_LIT("\xf0\x90\x28\x80"), 0 },
        { SPAN_LIT("\xf0\x90\x80\x28"), 0 },
        { SPAN_LIT("\xf5\x80\x80\x80"), 0 },
        { SPAN_LIT("\xff"), 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (utf8_width(cases[i].text) != cases[i].width)
            fail_msg("case %zu", i);
    }
}

static void test_text_is_valid_throughout(void **state)
{
    (void)state;
    assert_true(utf8_is_text((struct span){ 0 }));
    assert_true(utf8_is_text(span_of("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z")));
    assert_false(utf8_is_text((struct span){ "a\0b", 3 }));
    assert_false(utf8_is_text(span_of("a\xc3")));
    assert_false(utf8_is_text(span_of("\xff"
                                      "a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width_of_the_first_character),
        cmocka_unit_test(test_text_is_valid_throughout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
