/* The registry of errors is whole and its texts are told apart.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/err.h"

#define UNKNOWN ((enum err_code)(ERR_COUNT))

static void test_setting_an_error(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(err_field(&err, ERR_MISSING_FIELD, "type", "%s is %d", "type", 1),
                     ERR_MISSING_FIELD);
    assert_int_equal(err.code, ERR_MISSING_FIELD);
    assert_string_equal(err.field, "type");
    assert_string_equal(err.text, "type is 1");
    assert_int_equal(err_set(&err, ERR_IO, "no %s", "disk"), ERR_IO);
    assert_string_equal(err.field, "");
    assert_string_equal(err.text, "no disk");
    assert_int_equal(err_set(NULL, ERR_IO, "x"), ERR_IO);
    assert_int_equal(err_field(NULL, ERR_IO, "f", "x"), ERR_IO);
}

static void test_control_characters_become_spaces(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(err_field(&err, ERR_UNKNOWN_FIELD, "a\nb", "there is no \"%s\"", "a\r\nb\x7f"),
                     ERR_UNKNOWN_FIELD);
    assert_string_equal(err.field, "a b");
    assert_string_equal(err.text, "there is no \"a  b \"");
    assert_int_equal(err_set(&err, ERR_IO, "a\tb\x1b[0m \xc3\xa9"), ERR_IO);
    assert_string_equal(err.text, "a b [0m \xc3\xa9");
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    struct err err = { 0 };
    char long_text[1000];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(err_field(&err, ERR_IO, long_text, "%s", long_text), ERR_IO);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_the_registry_is_whole(void **state)
{
    (void)state;
    for (unsigned i = 1; i < ERR_COUNT; i++) {
        enum err_code code = (enum err_code)i;
        const char *text = err_code_text(code);
        size_t size = strlen(text);
        assert_true(size > 0);
        assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz_"), size);
        assert_int_equal(err_code_parse(span_of(text)), code); /* so no text comes twice */
        assert_int_equal(err_title(code)[strlen(err_title(code)) - 1], '.');
        assert_in_range(err_http_status(code), 400, 599);
        assert_int_not_equal(err_class_of(code), ERR_CLASS_NONE);
    }
    assert_string_equal(err_code_text(ERR_OK), "ok");
    assert_int_equal(err_http_status(ERR_OK), 200);
    assert_int_equal(err_class_of(ERR_OK), ERR_CLASS_NONE);
}

static void test_codes_that_do_not_exist(void **state)
{
    (void)state;
    assert_string_equal(err_code_text(UNKNOWN), "unknown");
    assert_string_equal(err_title(UNKNOWN), "Unknown error.");
    assert_int_equal(err_class_of(UNKNOWN), ERR_CLASS_NONE);
    assert_int_equal(err_http_status(UNKNOWN), 500);
    assert_int_equal(err_code_parse(span_of("no_such_code")), ERR_COUNT);
    assert_int_equal(err_code_parse((struct span){ 0 }), ERR_COUNT);
}

static void test_classes_have_names(void **state)
{
    (void)state;
    assert_string_equal(err_class_text(ERR_CLASS_RETRY), "retry");
    assert_string_equal(err_class_text(ERR_CLASS_REJECT), "reject");
    assert_string_equal(err_class_text(ERR_CLASS_HOLD), "hold");
    assert_string_equal(err_class_text(ERR_CLASS_FATAL), "fatal");
    assert_string_equal(err_class_text(ERR_CLASS_NONE), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setting_an_error),
        cmocka_unit_test(test_control_characters_become_spaces),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_the_registry_is_whole),
        cmocka_unit_test(test_codes_that_do_not_exist),
        cmocka_unit_test(test_classes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
