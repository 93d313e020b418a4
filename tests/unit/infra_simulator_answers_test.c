/* The simulator's third parties answer what the documentation says, and always the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/answers.h"

#include "infra/simulator/answers_data.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NONE span_of("")

/* Checks that `answer` is JSON, and leaves it empty for the next one. */
static struct json *parsed(struct buf *answer)
{
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 1000 };
    struct json *json = NULL;
    assert_false(answer->overflow);
    assert_int_equal(json_parse(buf_span(answer), &limits, &json, NULL), ERR_OK);
    buf_reset(answer);
    return json;
}

static bool says(const struct json *object, const char *name, const char *text)
{
    return span_is(json_text(json_get(object, name)), text);
}

static int64_t number(const struct json *object, const char *name)
{
    int64_t value = INT64_MIN;
    assert_true(json_integer_of(json_get(object, name), &value));
    return value;
}

static void every_author_has_something_to_say(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    for (size_t i = 0; i < answers_data_author_count; i++) {
        assert_int_equal(
            answers_quote(1, span_of(answers_data_authors[i].key), NONE, &answer, NULL), ERR_OK);
        struct json *json = parsed(&answer);
        assert_true(says(json, "author", answers_data_authors[i].name));
        assert_true(json_text(json_get(json, "quote")).size > 10);
        json_free(json);
    }
    buf_free(&answer);
}

static bool is_author(const char *key)
{
    for (size_t i = 0; i < answers_data_author_count; i++) {
        if (strcmp(answers_data_authors[i].key, key) == 0)
            return true;
    }
    return false;
}

static void every_quotation_has_an_author_and_can_be_reached(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    for (size_t i = 0; i < answers_data_quotation_count; i++) {
        const struct answers_quotation *quotation = &answers_data_quotations[i];
        bool reached = false;
        assert_true(is_author(quotation->author));
        for (uint64_t seed = 0; seed < 200 && !reached; seed++) {
            assert_int_equal(answers_quote(seed, span_of(quotation->author),
                                           span_of(quotation->topic), &answer, NULL),
                             ERR_OK);
            struct json *json = parsed(&answer);
            assert_true(says(json, "topic", quotation->topic));
            reached = says(json, "quote", quotation->text);
            json_free(json);
        }
        assert_true(reached);
    }
    buf_free(&answer);
}

static void a_quotation_depends_on_the_question_and_the_seed(void **state)
{
    (void)state;
    struct buf one = BUF_INIT(4096);
    struct buf other = BUF_INIT(4096);
    int differing = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        buf_reset(&one);
        buf_reset(&other);
        assert_int_equal(answers_quote(seed, span_of("any"), NONE, &one, NULL), ERR_OK);
        assert_int_equal(answers_quote(seed, span_of("any"), NONE, &other, NULL), ERR_OK);
        assert_string_equal(one.data, other.data);
        buf_reset(&other);
        assert_int_equal(answers_quote(seed + 1, span_of("any"), NONE, &other, NULL), ERR_OK);
        differing += strcmp(one.data, other.data) != 0;
    }
    assert_true(differing > 40);
    buf_reset(&one);
    assert_int_equal(answers_quote(1, span_of("WILDE"), span_of("truth"), &one, NULL), ERR_OK);
    assert_string_equal(
        one.data,
        "{\"quote\":\"The truth is rarely pure and never simple.\",\"author\":\"Oscar Wilde\","
        "\"source\":\"The Importance of Being Earnest\",\"topic\":\"truth\"}");
    buf_free(&one);
    buf_free(&other);
}

static void refuse(enum err_code got, enum err_code wanted, const struct err *err, const char *text)
{
    assert_int_equal(got, wanted);
    if (!strstr(err->text, text))
        fail_msg("\"%s\" does not say \"%s\"", err->text, text);
}

static void who_is_not_known_is_not_found(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    struct err err = { 0 };
    refuse(answers_quote(1, span_of("wild"), NONE, &answer, &err), ERR_NOT_FOUND, &err,
           "did you mean \"wilde\"?");
    refuse(answers_quote(1, NONE, NONE, &answer, &err), ERR_NOT_FOUND, &err, "there is no author");
    refuse(answers_quote(1, span_of("wilde"), span_of("tax"), &answer, &err), ERR_NOT_FOUND, &err,
           "Oscar Wilde said nothing about this topic");
    refuse(answers_quote(1, span_of("any"), span_of("tax"), &answer, &err), ERR_NOT_FOUND, &err,
           "anybody here");
    refuse(answers_stock(1, span_of("ACMEX"), NONE, &answer, &err), ERR_NOT_FOUND, &err,
           "did you mean \"ACME\"?");
    refuse(answers_stock(1, (struct span){ "ACM\0", 4 }, NONE, &answer, &err), ERR_NOT_FOUND, &err,
           "there is no symbol");
    refuse(answers_weather(1, span_of("Lissbon"), NONE, &answer, &err), ERR_NOT_FOUND, &err,
           "\"Lisbon\"");
    refuse(answers_time(span_of("Europe/Berln"), NONE, &answer, &err), ERR_NOT_FOUND, &err,
           "\"Europe/Berlin\"");
    char long_name[500];
    memset(long_name, 'q', sizeof long_name);
    struct span name = { long_name, sizeof long_name };
    refuse(answers_weather(1, name, NONE, &answer, &err), ERR_NOT_FOUND, &err, "for example");
    assert_int_equal(answer.size, 0);
    buf_free(&answer);
}

static void a_price_is_near_what_it_usually_is_and_has_days(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    int differing = 0;
    for (size_t i = 0; i < answers_data_share_count; i++) {
        const struct answers_share *share = &answers_data_shares[i];
        assert_int_equal(answers_stock(3, span_of(share->symbol), NONE, &answer, NULL), ERR_OK);
        struct json *json = parsed(&answer);
        int64_t price = number(json, "price_cents");
        assert_true(says(json, "symbol", share->symbol) && says(json, "currency", share->currency));
        assert_true(price >= share->cents * 95 / 100 && price <= share->cents * 105 / 100 + 1);
        assert_null(json_get(json, "day"));
        json_free(json);
        assert_int_equal(
            answers_stock(3, span_of(share->symbol), span_of("2026-11-24"), &answer, NULL), ERR_OK);
        json = parsed(&answer);
        assert_true(says(json, "day", "2026-11-24"));
        differing += number(json, "price_cents") != price;
        json_free(json);
    }
    assert_true(differing > 10);
    buf_free(&answer);
}

static void a_day_must_be_a_date(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(4096);
    struct err err = { 0 };
    static const char *const wrong[] = { "today",       "2026-13-01", "2026-02-30", "2026-1-1",
                                         "2026-01-01T", "20260101",   " " };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        refuse(answers_stock(1, span_of("ACME"), span_of(wrong[i]), &answer, &err),
               ERR_INVALID_PARAMETER, &err, "a date such as");
        refuse(answers_weather(1, span_of("Oslo"), span_of(wrong[i]), &answer, &err),
               ERR_INVALID_PARAMETER, &err, "a date such as");
    }
    assert_int_equal(answer.size, 0);
    buf_free(&answer);
}

static void pictures_are_found_for_any_text(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(8192);
    static const char *const queries[] = { "harbour at dawn", "\xe6\xb8\xaf", "\"quoted\" \\ text",
                                           "  A--b  " };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        assert_int_equal(answers_images(1, span_of(queries[i]), &answer, NULL), ERR_OK);
        struct json *json = parsed(&answer);
        const struct json *images = json_get(json, "images");
        assert_true(says(json, "query", queries[i]));
        assert_int_equal(json_count(images), 4);
        for (size_t k = 0; k < 4; k++) {
            const struct json *image = json_at(images, k);
            assert_true(number(image, "width") >= 1000 && number(image, "height") >= 1000);
            assert_true(json_text(json_get(image, "alt")).size > strlen(queries[i]));
        }
        json_free(json);
    }
    assert_int_equal(answers_images(1, span_of("Harbour, at  DAWN!"), &answer, NULL), ERR_OK);
    assert_non_null(strstr(answer.data, "/harbour-at-dawn.jpg\""));
    buf_reset(&answer);
    assert_int_equal(answers_images(1, span_of("\xe6\xb8\xaf"), &answer, NULL), ERR_OK);
    assert_non_null(strstr(answer.data, "/picture.jpg\""));
    buf_free(&answer);
}

static void a_search_needs_text(void **state)
{
    (void)state;
    struct buf answer = BUF_INIT(8192);
    struct err err = { 0 };
    char long_text[81];
    memset(long_text, 'x', sizeof long_text);
    refuse(answers_images(1, NONE, &answer, &err), ERR_INVALID_PARAMETER, &err, "1 to 80 bytes");
    refuse(answers_images(1, (struct span){ long_text, 81 }, &answer, &err), ERR_INVALID_PARAMETER,
           &err, "1 to 80 bytes");
    refuse(answers_images(1, span_of("\xff"), &answer, &err), ERR_INVALID_PARAMETER, &err, "text");
    assert_int_equal(answers_images(1, (struct span){ long_text, 80 }, &answer, NULL), ERR_OK);
    assert_false(answer.overflow);
    buf_free(&answer);
}

static int64_t celsius(const char *city, const char *day)
{
    struct buf answer = BUF_INIT(4096);
    assert_int_equal(answers_weather(1, span_of(city), span_of(day), &answer, NULL), ERR_OK);
    struct json *json = parsed(&answer);
    int64_t value = number(json, "temperature_c");
    assert_in_range(number(json, "humidity_percent"), 35, 94);
    assert_in_range(number(json, "wind_kmh"), 0, 44);
    if (strstr("snow light snow", (const char *)json_text(json_get(json, "condition")).data))
        assert_true(value <= 1);
    json_free(json);
    buf_free(&answer);
    return value;
}

static void the_weather_knows_seasons_on_both_sides_of_the_equator(void **state)
{
    (void)state;
    assert_true(celsius("Madrid", "2026-07-10") > celsius("Madrid", "2026-01-10") + 10);
    assert_true(celsius("Santiago", "2026-01-10") > celsius("Santiago", "2026-07-10") + 5);
    assert_true(celsius("new york", "2026-12-24") < 15);
    for (size_t i = 0; i < answers_data_city_count; i++) {
        const struct answers_city *city = &answers_data_cities[i];
        int64_t average = celsius(city->name, "");
        assert_true(average >= city->winter_c - 3 && average <= city->summer_c + 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_author_has_something_to_say),
        cmocka_unit_test(every_quotation_has_an_author_and_can_be_reached),
        cmocka_unit_test(a_quotation_depends_on_the_question_and_the_seed),
        cmocka_unit_test(who_is_not_known_is_not_found),
        cmocka_unit_test(a_price_is_near_what_it_usually_is_and_has_days),
        cmocka_unit_test(a_day_must_be_a_date),
        cmocka_unit_test(pictures_are_found_for_any_text),
        cmocka_unit_test(a_search_needs_text),
        cmocka_unit_test(the_weather_knows_seasons_on_both_sides_of_the_equator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
