/* colour.mix: the worked examples, every way to write a colour, and payloads that do not fit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum err_code mix(const char *payload, struct buf *result, struct err *err)
{
    const struct json_limits limits = { .depth_max = 32, .tokens_max = 10000 };
    struct json *json = NULL;
    assert_int_equal(json_parse(span_of(payload), &limits, &json, NULL), ERR_OK);
    struct rule_input input = { .payload = json, .payload_bytes = span_of(payload) };
    enum err_code code = rule_colour_run(&input, result, err);
    json_free(json);
    return code;
}

static void expect(const char *payload, const char *result)
{
    struct buf got = BUF_INIT(1000);
    struct err err = { 0 };
    if (mix(payload, &got, &err))
        fail_msg("%s: %s", payload, err.text);
    assert_string_equal(got.data, result);
    buf_free(&got);
}

static void refuse(const char *payload, const char *field, const char *says)
{
    struct buf got = BUF_INIT(1000);
    struct err err = { 0 };
    assert_int_equal(mix(payload, &got, &err), ERR_PAYLOAD_INVALID);
    assert_string_equal(err.field, field);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    buf_free(&got);
}

static void the_worked_examples_are_right(void **state)
{
    (void)state;
    expect("{\"colours\":[\"#ff0000\",\"blue\"],\"weights\":[1,3]}",
           "{\"hex\":\"#8900e1\",\"rgb\":[137,0,225],\"nearest\":\"purple\",\"text\":\"#ffffff\","
           "\"contrast\":6.66}");
    expect("{\"colours\":[\"black\",\"white\"]}",
           "{\"hex\":\"#bcbcbc\",\"rgb\":[188,188,188],\"nearest\":\"silver\",\"text\":\"#000000\","
           "\"contrast\":11.05}");
}

static void one_colour_stays_what_it_is(void **state)
{
    (void)state;
    static const char *const names[] = { "black",  "silver",  "gray",  "white", "maroon", "red",
                                         "purple", "fuchsia", "green", "lime",  "olive",  "yellow",
                                         "navy",   "blue",    "teal",  "aqua" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf payload = BUF_INIT(100);
        struct buf got = BUF_INIT(1000);
        struct buf nearest = BUF_INIT(100);
        buf_printf(&payload, "{\"colours\":[\"%s\"]}", names[i]);
        assert_int_equal(mix(payload.data, &got, NULL), ERR_OK);
        buf_printf(&nearest, "\"nearest\":\"%s\"", names[i]);
        assert_non_null(strstr(got.data, nearest.data));
        buf_free(&payload);
        buf_free(&got);
        buf_free(&nearest);
    }
}

static void a_grey_of_every_level_survives_decoding_and_encoding(void **state)
{
    (void)state;
    for (unsigned level = 0; level < 256; level++) {
        struct buf payload = BUF_INIT(100);
        struct buf got = BUF_INIT(1000);
        struct buf hex = BUF_INIT(100);
        buf_printf(&hex, "\"#%02x%02x%02x\"", level, level, level);
        buf_printf(&payload, "{\"colours\":[%s,%s]}", hex.data, hex.data);
        assert_int_equal(mix(payload.data, &got, NULL), ERR_OK);
        assert_non_null(strstr(got.data, hex.data));
        buf_free(&payload);
        buf_free(&got);
        buf_free(&hex);
    }
}

static void colours_are_written_in_many_ways(void **state)
{
    (void)state;
    const char *const red = "{\"hex\":\"#ff0000\",\"rgb\":[255,0,0],\"nearest\":\"red\",\"text\":"
                            "\"#000000\",\"contrast\":5.25}";
    expect("{\"colours\":[\"#f00\"]}", red);
    expect("{\"colours\":[\"#F00\"]}", red);
    expect("{\"colours\":[\"#Ff0000\"]}", red);
    expect("{\"colours\":[\"RED\"]}", red);
    expect("{\"colours\":[\"red\",\"blue\"],\"weights\":[5,0]}", red);
    expect("{\"colours\":[\"red\"],\"weights\":[1000000]}", red);
}

static void the_text_is_what_reads_best(void **state)
{
    (void)state;
    struct buf got = BUF_INIT(1000);
    assert_int_equal(mix("{\"colours\":[\"white\"]}", &got, NULL), ERR_OK);
    assert_non_null(strstr(got.data, "\"text\":\"#000000\",\"contrast\":21.00}"));
    buf_reset(&got);
    assert_int_equal(mix("{\"colours\":[\"black\"]}", &got, NULL), ERR_OK);
    assert_non_null(strstr(got.data, "\"text\":\"#ffffff\",\"contrast\":21.00}"));
    buf_free(&got);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    refuse("{}", "colours", "is missing");
    refuse("{\"colours\":[]}", "colours", "1 to 64 entries");
    refuse("{\"colours\":\"red\"}", "colours", "must be a list");
    refuse("{\"colours\":[\"red\",\"rde\"]}", "colours[1]", "basic CSS colour");
    refuse("{\"colours\":[\"#ff00\"]}", "colours[0]", "basic CSS colour");
    refuse("{\"colours\":[\"#ff000g\"]}", "colours[0]", "basic CSS colour");
    refuse("{\"colours\":[\"@ff0000\"]}", "colours[0]", "basic CSS colour");
    refuse("{\"colours\":[7]}", "colours[0]", "must be a text");
    refuse("{\"colours\":[\"a colour with a very long name\"]}", "colours[0]", "1 to 16 bytes");
    refuse("{\"colours\":[\"red\",\"blue\"],\"weights\":[1]}", "weights", "each of the 2 colours");
    refuse("{\"colours\":[\"red\"],\"weights\":1}", "weights", "must be a list");
    refuse("{\"colours\":[\"red\",\"blue\"],\"weights\":[1,-1]}", "weights[1]",
           "from 0 to 1000000");
    refuse("{\"colours\":[\"red\",\"blue\"],\"weights\":[1,0.5]}", "weights[1]", "whole number");
    refuse("{\"colours\":[\"red\",\"blue\"],\"weights\":[0,0]}", "weights", "must not all be 0");
    refuse("{\"colors\":[\"red\"]}", "colors", "did you mean \"colours\"?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_examples_are_right),
        cmocka_unit_test(one_colour_stays_what_it_is),
        cmocka_unit_test(a_grey_of_every_level_survives_decoding_and_encoding),
        cmocka_unit_test(colours_are_written_in_many_ways),
        cmocka_unit_test(the_text_is_what_reads_best),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
