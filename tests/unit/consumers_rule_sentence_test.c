/* sentence.make: the same payload makes the same sentence, every seed a readable one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static enum err_code make(const char *payload, struct buf *result, struct err *err)
{
    const struct json_limits limits = { .depth_max = 32, .tokens_max = 10000 };
    struct json *json = NULL;
    assert_int_equal(json_parse(span_of(payload), &limits, &json, NULL), ERR_OK);
    struct rule_input input = { .payload = json, .payload_bytes = span_of(payload) };
    enum err_code code = rule_sentence_run(&input, result, err);
    json_free(json);
    return code;
}

/* The sentence alone. */
static void sentence(const char *payload, struct buf *ret_text)
{
    const struct json_limits limits = { .depth_max = 32, .tokens_max = 10000 };
    struct buf result = BUF_INIT(4000);
    struct json *json = NULL;
    assert_int_equal(make(payload, &result, NULL), ERR_OK);
    assert_int_equal(json_parse(buf_span(&result), &limits, &json, NULL), ERR_OK);
    buf_reset(ret_text);
    buf_add_span(ret_text, json_text(json_get(json, "sentence")));
    json_free(json);
    buf_free(&result);
}

static void a_sentence_is_always_the_same(void **state)
{
    (void)state;
    struct buf result = BUF_INIT(4000);
    assert_int_equal(make("{\"subject\":\"the night porter\",\"seed\":7}", &result, NULL), ERR_OK);
    assert_string_equal(result.data,
                        "{\"sentence\":\"Before breakfast, the night porter borrows the last map "
                        "of the harbour beneath the market hall.\",\"seed\":7}");
    buf_reset(&result);
    assert_int_equal(
        make("{\"words\":[\"river\",\"clock\",\"lantern\"],\"seed\":7}", &result, NULL), ERR_OK);
    assert_string_equal(
        result.data,
        "{\"sentence\":\"Before breakfast, the youngest gardener argues with the silence after the "
        "rain and dreams of river, clock and lantern.\",\"seed\":7}");
    buf_reset(&result);
    assert_int_equal(make("{}", &result, NULL), ERR_OK);
    assert_string_equal(result.data,
                        "{\"sentence\":\"Long after the lamps are lit, my neighbour's parrot "
                        "counts an umbrella full of stars between two ferries.\",\"seed\":0}");
    buf_free(&result);
}

static void every_seed_makes_a_readable_sentence(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4000);
    struct buf last = BUF_INIT(4000);
    int changes = 0;
    for (int seed = 0; seed < 300; seed++) {
        char payload[100];
        snprintf(payload, sizeof payload, "{\"subject\":\"our hero\",\"seed\":%d}", seed);
        sentence(payload, &text);
        assert_true(text.data[0] >= 'A' && text.data[0] <= 'Z');
        assert_int_equal(text.data[text.size - 1], '.');
        assert_non_null(strstr(text.data, "ur hero "));
        assert_null(strchr(text.data, '@'));
        assert_null(strstr(text.data, "  "));
        changes += !span_eq(buf_span(&text), buf_span(&last));
        buf_reset(&last);
        buf_add_span(&last, buf_span(&text));
    }
    assert_true(changes > 250);
    buf_free(&text);
    buf_free(&last);
}

static void words_are_listed_as_people_do(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4000);
    sentence("{\"words\":[\"tea\"]}", &text);
    assert_non_null(strstr(text.data, "tea"));
    sentence("{\"words\":[\"tea\",\"rain\"]}", &text);
    assert_non_null(strstr(text.data, "tea and rain"));
    sentence("{\"words\":[\"a1\",\"a2\",\"a3\",\"a4\",\"a5\",\"a6\",\"a7\",\"a8\"]}", &text);
    assert_non_null(strstr(text.data, "a1, a2, a3, a4, a5, a6, a7 and a8"));
    buf_free(&text);
}

static void any_text_stays_text(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(4000);
    sentence("{\"subject\":\"@v \\\"\\u00e9t\\u00e9\\\" \\\\\"}", &text);
    assert_non_null(strstr(text.data, "@v \"\xc3\xa9t\xc3\xa9\" \\"));
    buf_free(&text);
}

static void the_longest_payload_fits(void **state)
{
    (void)state;
    struct buf payload = BUF_INIT(4000);
    struct buf text = BUF_INIT(4000);
    buf_add_text(&payload, "{\"seed\":9007199254740991,\"words\":[");
    for (int i = 0; i < 8; i++)
        buf_printf(&payload, "%s\"%040d\"", i ? "," : "", i);
    buf_add_text(&payload, "]}");
    sentence(payload.data, &text);
    for (int i = 0; i < 8; i++) {
        char word[48];
        snprintf(word, sizeof word, "%040d", i);
        assert_non_null(strstr(text.data, word));
    }
    buf_free(&payload);
    buf_free(&text);
}

static void refuse(const char *payload, const char *field, const char *says)
{
    struct buf got = BUF_INIT(1000);
    struct err err = { 0 };
    assert_int_equal(make(payload, &got, &err), ERR_PAYLOAD_INVALID);
    assert_string_equal(err.field, field);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    assert_int_equal(got.size, 0);
    buf_free(&got);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    refuse("{\"subject\":\"a\",\"words\":[\"b\"]}", "words", "exclude each other");
    refuse("{\"words\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}", "words",
           "1 to 8 entries");
    refuse("{\"words\":[\"a\",\"\"]}", "words[1]", "1 to 40 bytes");
    refuse("{\"words\":[\"a\",\"\\u0007\"]}", "words[1]", "control characters");
    refuse("{\"words\":[[]]}", "words[0]", "must be a text");
    refuse("{\"seed\":9007199254740992}", "seed", "whole number from 0 to 9007199254740991");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_is_always_the_same),
        cmocka_unit_test(every_seed_makes_a_readable_sentence),
        cmocka_unit_test(words_are_listed_as_people_do),
        cmocka_unit_test(any_text_stays_text),
        cmocka_unit_test(the_longest_payload_fits),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
