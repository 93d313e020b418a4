/* The member scanner, held against the parser on documents made up by chance from fixed seeds.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/json.h"
#include "schemas/json_scan.h"
#include "schemas/mem.h"
#include "schemas/seeded.h"

#include <stdlib.h>

#define DOCUMENTS     2000
#define DOCUMENT_MAX  65536
#define DEPTH_MAX     4
#define MEMBERS_MAX   6
#define NESTED_CHANCE 3 /* one in so many values is an array or object */

/* --- documents --- */

static void write_any_value(struct buf *out, struct seeded *seeded, unsigned depth);

static const char *pick(struct seeded *seeded, const char *const *list, uint32_t count)
{
    return list[seeded_below(seeded, count)];
}

static void write_space(struct buf *out, struct seeded *seeded)
{
    static const char *const spaces[] = { "", "", "", " ", "\n", "\t \r\n" };
    buf_add_text(out, pick(seeded, spaces, 6));
}

static void write_inside_of_string(struct buf *out, struct seeded *seeded)
{
    static const char *const pieces[] = {
        "a",
        "payload",
        "}",
        "]",
        "{\\\"",
        ",",
        ":",
        "\\\\",
        "\\\"",
        "\\/",
        " ",
        "\\u00E4",
        "\\b",
        "\\f\\n",
        "\\r\\t",
        "\xe2\x82\xac",
        "[",
        "0",
        "e",
        "\\u20ac",
        "\\u0041",
        "\\ud83d\\ude00",
        "\xf0\x9f\x98\x80",
        "\\u007d",
    };
    uint32_t count = seeded_below(seeded, 4);
    for (uint32_t i = 0; i < count; i++)
        buf_add_text(out, pick(seeded, pieces, sizeof pieces / sizeof *pieces));
}

static void write_string(struct buf *out, struct seeded *seeded)
{
    buf_add_char(out, '"');
    write_inside_of_string(out, seeded);
    buf_add_char(out, '"');
}

static void write_entries(struct buf *out, struct seeded *seeded, unsigned depth, bool named)
{
    uint32_t count = seeded_below(seeded, MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        buf_add_text(out, i ? "," : "");
        write_space(out, seeded);
        if (named) {
            buf_printf(out, "\"%u", i); /* so that no name comes twice */
            write_inside_of_string(out, seeded);
            buf_add_char(out, '"');
            write_space(out, seeded);
            buf_add_char(out, ':');
            write_space(out, seeded);
        }
        write_any_value(out, seeded, depth + 1);
        write_space(out, seeded);
    }
}

static void write_object(struct buf *out, struct seeded *seeded, unsigned depth)
{
    buf_add_char(out, '{');
    write_entries(out, seeded, depth, true);
    buf_add_char(out, '}');
}

static void write_any_value(struct buf *out, struct seeded *seeded, unsigned depth)
{
    static const char *const scalars[] = { "0", "-12", "1.5e-3", "true", "false", "null" };
    bool nested = depth < DEPTH_MAX && seeded_below(seeded, NESTED_CHANCE) == 0;
    if (nested && seeded_below(seeded, 2)) {
        write_object(out, seeded, depth);
    } else if (nested) {
        buf_add_char(out, '[');
        write_entries(out, seeded, depth, false);
        buf_add_char(out, ']');
    } else if (seeded_below(seeded, 2)) {
        write_string(out, seeded);
    } else {
        buf_add_text(out, pick(seeded, scalars, 6));
    }
}

/* --- the tests --- */

static struct json *parse(struct span text)
{
    const struct json_limits limits = { .depth_max = 16, .tokens_max = 65536, .any_value = true };
    struct json *json = NULL;
    struct err err = { 0 };
    if (json_parse(text, &limits, &json, &err))
        fail_msg("%s in %.*s", err.text, SPAN_ARG(text));
    return json;
}

static void expect_member(void *arg, struct span name, const struct json *expected)
{
    const struct buf *document = arg;
    struct span found;
    char *text = mem_dup(name);
    if (!json_scan_member(buf_span(document), text, &found))
        fail_msg("no \"%s\" in %s", text, document->data);
    struct json *value = parse(found);
    if (!json_same(value, expected))
        fail_msg("\"%s\" is not %.*s in %s", text, SPAN_ARG(found), document->data);
    json_free(value);
    free(text);
}

static void test_finds_what_the_parser_finds(void **state)
{
    (void)state;
    struct buf document = BUF_INIT(DOCUMENT_MAX);
    for (uint64_t seed = 0; seed < DOCUMENTS; seed++) {
        struct seeded seeded;
        struct span found;
        seeded_init(&seeded, seed);
        buf_reset(&document);
        write_space(&document, &seeded);
        write_object(&document, &seeded, 0);
        write_space(&document, &seeded);
        assert_false(document.overflow);
        struct json *json = parse(buf_span(&document));
        json_each(json, expect_member, &document);
        assert_false(json_scan_member(buf_span(&document), "payload", &found));
        json_free(json);
    }
    buf_free(&document);
}

static void test_the_value_is_untouched(void **state)
{
    (void)state;
    static const struct {
        const char *object;
        const char *value;
    } cases[] = {
        { "{\"payload\":{ \"a\" : 1.0 }}", "{ \"a\" : 1.0 }" },
        { " {\t\"x\":[\"}\",{}],\r\n\"payload\" :\n-0.10e+05 }", "-0.10e+05" },
        { "{\"payload\":\"\\\"}\"}", "\"\\\"}\"" },
        { "{\"payload\":[[],[]],\"payload2\":1}", "[[],[]]" },
        { "{\"p\\u0061yload\":true}", "true" },
        { "{\"\\u0070\\u0061\\u0079\\u006c\\u006f\\u0061\\u0064\":null }", "null" },
        { "{\"outer\":{\"payload\":1},\"payload\":2}", "2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span found = { 0 };
        assert_true(json_scan_member(span_of(cases[i].object), "payload", &found));
        if (!span_is(found, cases[i].value))
            fail_msg("%.*s", SPAN_ARG(found));
    }
}

static void test_names_are_compared_without_their_escapes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "{\"\\u00e4\":1}", "\xc3\xa4" },
        { "{\"\\u20AC\":1}", "\xe2\x82\xac" },
        { "{\"\\ud83d\\ude00\":1}", "\xf0\x9f\x98\x80" },
        { "{\"\\\"\\\\\\/\\b\\f\\n\\r\\t\":1}", "\"\\/\b\f\n\r\t" },
        { "{\"\":1}", "" },
    };
    struct span found;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(json_scan_member(span_of(cases[i][0]), cases[i][1], &found));
        assert_true(span_is(found, "1"));
        assert_false(json_scan_member(span_of(cases[i][0]), "other", &found));
    }
}

/* Copies are of the exact size, so that the address sanitizer sees a byte too far. */
static void test_broken_texts_are_not_read_past_their_end(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"a\\u00e4\\ud83d\\ude00\\n\":[{\"b\":\"c\\\\\"},-1.5],\"payload\":{\"x\":[true,null]}}",
        "{\"\\ud83dx\":1,\"\\uZZZZ\":2,\"\\q\":3,\"payload\" 4}",
        "{\"\\ud83d\\uzz\":1,\"\\ud83d\\n\":1,,}",
        "[1]",
        "{\"a\":]}",
        "{a:1}",
        "\\",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t size = 0; size <= strlen(texts[i]); size++) {
            struct span found;
            void *copy = mem_zalloc(1, size);
            memcpy(copy, texts[i], size);
            struct span text = { size ? copy : NULL, size };
            bool whole = i == 0 && size >= strlen(texts[0]) - 1;
            assert_int_equal(json_scan_member(text, "payload", &found), whole);
            assert_false(json_scan_member(text, "a\xc3\xa4?", &found));
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_the_parser_finds),
        cmocka_unit_test(test_the_value_is_untouched),
        cmocka_unit_test(test_names_are_compared_without_their_escapes),
        cmocka_unit_test(test_broken_texts_are_not_read_past_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
