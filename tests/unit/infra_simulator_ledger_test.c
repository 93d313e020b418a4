/* The ledger: order, filters, pages, what is dropped, and the counts that tests rest on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/ledger.h"

#include "infra/simulator/tally.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t add(struct ledger *ledger, const char *path, const char *key)
{
    return ledger_add(ledger, &(struct ledger_call){
                                  .method = span_of("GET"),
                                  .path = span_of(path),
                                  .idempotency_key = span_of(key),
                                  .started_ms = 1000,
                              });
}

static struct json *parsed(struct buf *text)
{
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 1000000 };
    struct json *json = NULL;
    assert_false(text->overflow);
    assert_int_equal(json_parse(buf_span(text), &limits, &json, NULL), ERR_OK);
    buf_free(text);
    return json;
}

static struct json *list(const struct ledger *ledger, struct ledger_filter filter)
{
    struct buf text = BUF_INIT(1000000);
    ledger_list(ledger, &filter, &text);
    return parsed(&text);
}

static struct json *summary(const struct ledger *ledger)
{
    struct buf text = BUF_INIT(1000000);
    ledger_summary(ledger, &text);
    return parsed(&text);
}

static int64_t number(const struct json *object, const char *name)
{
    int64_t value = INT64_MIN;
    assert_true(json_integer_of(json_get(object, name), &value));
    return value;
}

static bool says(const struct json *object, const char *name, const char *text)
{
    return span_is(json_text(json_get(object, name)), text);
}

static const struct json *call_at(const struct json *page, size_t i)
{
    return json_at(json_get(page, "calls"), i);
}

static void a_call_is_told_in_full(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(10);
    int64_t seq = ledger_add(ledger, &(struct ledger_call){
                                         .method = span_of("POST"),
                                         .path = span_of("/echo/\"x\""),
                                         .idempotency_key = span_of("key-1"),
                                         .traceparent = span_of("00-aa-bb-01"),
                                         .simulate = span_of("slow=5"),
                                         .attempt = 3,
                                         .started_ms = 1764000000123,
                                     });
    ledger_finish(ledger, seq, 503, 1764000000456);
    struct buf text = BUF_INIT(100000);
    ledger_list(ledger, &(struct ledger_filter){ .limit = 1 }, &text);
    assert_string_equal(
        text.data,
        "{\"calls\":[{\"seq\":1,\"time\":\"2025-11-24T16:00:00.123Z\",\"method\":\"POST\","
        "\"path\":\"/echo/\\\"x\\\"\",\"idempotency_key\":\"key-1\","
        "\"traceparent\":\"00-aa-bb-01\",\"attempt\":3,\"simulate\":\"slow=5\","
        "\"state\":\"answered\",\"status\":503,\"executed\":false,\"started_ms\":1764000000123,"
        "\"finished_ms\":1764000000456}],\"next\":1,\"dropped\":0}");
    buf_free(&text);
    ledger_free(ledger);
    ledger_free(NULL);
}

static void a_call_is_open_then_answered_or_gone(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(10);
    add(ledger, "/a", "");
    int64_t seq = add(ledger, "/b", "");
    ledger_execute(ledger, seq);
    ledger_finish(ledger, seq, 0, 2000);
    struct json *page = list(ledger, (struct ledger_filter){ .limit = 10 });
    assert_true(says(call_at(page, 0), "state", "open"));
    assert_true(json_get(call_at(page, 0), "status") != NULL);
    assert_false(json_integer_of(json_get(call_at(page, 0), "finished_ms"), &(int64_t){ 0 }));
    assert_null(json_text(json_get(call_at(page, 0), "idempotency_key")).data);
    assert_true(says(call_at(page, 1), "state", "gone"));
    assert_int_equal(number(call_at(page, 1), "finished_ms"), 2000);
    bool executed = true;
    assert_true(json_bool_of(json_get(call_at(page, 0), "executed"), &executed) && !executed);
    assert_true(json_bool_of(json_get(call_at(page, 1), "executed"), &executed) && executed);
    json_free(page);
    ledger_free(ledger);
}

static void pages_follow_each_other(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(100);
    for (int i = 0; i < 25; i++)
        add(ledger, i % 2 ? "/odd" : "/even", "");
    int64_t since = 0;
    size_t seen = 0;
    for (int page_number = 0; page_number < 4; page_number++) {
        struct json *page = list(ledger, (struct ledger_filter){ .since = since, .limit = 10 });
        for (size_t i = 0; i < json_count(json_get(page, "calls")); i++)
            assert_int_equal(number(call_at(page, i), "seq"), (int64_t)++seen);
        since = number(page, "next");
        json_free(page);
    }
    assert_int_equal(seen, 25);
    assert_int_equal(since, 25);
    struct json *page = list(ledger, (struct ledger_filter){ .since = 999, .limit = 10 });
    assert_int_equal(json_count(json_get(page, "calls")), 0);
    assert_int_equal(number(page, "next"), 25);
    json_free(page);
    page = list(ledger, (struct ledger_filter){ .limit = 0 });
    assert_int_equal(number(page, "next"), 0);
    json_free(page);
    ledger_free(ledger);
}

static void filters_pick_by_key_and_path(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(100);
    add(ledger, "/a", "k1");
    add(ledger, "/b", "k1");
    add(ledger, "/a", "k2");
    add(ledger, "/a/b", "k1");
    struct json *page = list(ledger, (struct ledger_filter){ .key = span_of("k1"), .limit = 10 });
    assert_int_equal(json_count(json_get(page, "calls")), 3);
    json_free(page);
    page = list(ledger, (struct ledger_filter){ .path = span_of("/a"), .limit = 10 });
    assert_int_equal(json_count(json_get(page, "calls")), 2);
    json_free(page);
    page = list(ledger,
                (struct ledger_filter){ .key = span_of("k1"), .path = span_of("/a"), .limit = 10 });
    assert_int_equal(json_count(json_get(page, "calls")), 1);
    assert_int_equal(number(page, "next"), 4);
    json_free(page);
    /* the page ends with the call that filled it, so that none is looked at twice or left out */
    page = list(ledger, (struct ledger_filter){ .key = span_of("k1"), .limit = 2 });
    assert_int_equal(number(page, "next"), 2);
    json_free(page);
    ledger_free(ledger);
}

static void the_oldest_make_room_and_are_counted(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(3);
    int64_t first = add(ledger, "/a", "k1");
    add(ledger, "/a", "");
    add(ledger, "/b", "k1");
    assert_int_equal(ledger_count(ledger, span_of("k1"), span_of("/a")), 2);
    add(ledger, "/c", "k2");
    assert_int_equal(ledger_dropped(ledger), 1);
    assert_int_equal(ledger_count(ledger, span_of("k1"), span_of("/a")), 1);
    assert_int_equal(ledger_count(ledger, span_of(""), span_of("/a")), 1);
    add(ledger, "/c", "k2");
    assert_int_equal(ledger_count(ledger, span_of(""), span_of("/a")), 0);
    ledger_finish(ledger, first, 200, 2000); /* not held any more */
    struct json *page = list(ledger, (struct ledger_filter){ .limit = 10 });
    assert_int_equal(json_count(json_get(page, "calls")), 3);
    assert_int_equal(number(call_at(page, 0), "seq"), 3);
    assert_int_equal(number(page, "dropped"), 2);
    json_free(page);
    ledger_free(ledger);
}

static void clearing_forgets_all_but_the_numbers(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(2);
    int64_t open = add(ledger, "/a", "k");
    add(ledger, "/a", "k");
    add(ledger, "/a", "k");
    ledger_clear(ledger);
    assert_int_equal(ledger_dropped(ledger), 0);
    assert_int_equal(ledger_count(ledger, span_of("k"), span_of("/a")), 0);
    ledger_finish(ledger, open, 200, 2000);
    assert_int_equal(add(ledger, "/b", "k"), 4);
    struct json *page = list(ledger, (struct ledger_filter){ .limit = 10 });
    assert_int_equal(json_count(json_get(page, "calls")), 1);
    json_free(page);
    ledger_free(ledger);
}

static void the_summary_counts_keys_and_paths(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(100);
    add(ledger, "/a", "k1");
    add(ledger, "/a", "k1");
    add(ledger, "/b", "k1");
    add(ledger, "/b", "k2");
    add(ledger, "/b", "");
    struct json *json = summary(ledger);
    const struct json *keys = json_get(json, "keys");
    assert_int_equal(number(json, "calls"), 5);
    assert_int_equal(number(keys, "distinct"), 2);
    assert_int_equal(number(keys, "repeated"), 1);
    assert_int_equal(number(keys, "calls_max"), 3);
    assert_int_equal(number(json_get(json, "paths"), "/a"), 2);
    assert_int_equal(number(json_get(json, "paths"), "/b"), 3);
    assert_int_equal(number(json, "paths_left_out"), 0);
    json_free(json);
    ledger_free(ledger);
}

static void the_summary_says_how_many_paths_it_leaves_out(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(2000);
    for (int i = 0; i < LEDGER_PATHS_MAX + 5; i++) {
        char path[32];
        snprintf(path, sizeof path, "/%d", i);
        add(ledger, path, "");
    }
    struct json *json = summary(ledger);
    assert_int_equal(number(json, "paths_left_out"), 5);
    json_free(json);
    ledger_free(ledger);
}

static void long_texts_are_cut_and_found_all_the_same(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_new(10);
    char long_text[LEDGER_TEXT_MAX + 100];
    memset(long_text, '\x01', sizeof long_text);
    struct span text = { long_text, sizeof long_text };
    for (int i = 0; i < 10; i++)
        ledger_add(ledger, &(struct ledger_call){ text, text, text, text, text, 1, 1000 });
    assert_int_equal(ledger_count(ledger, text, text), 10);
    /* a full answer ends early, with the place to go on from */
    struct buf page = BUF_INIT(60000);
    ledger_list(ledger, &(struct ledger_filter){ .limit = 10 }, &page);
    struct json *json = parsed(&page);
    size_t count = json_count(json_get(json, "calls"));
    assert_true(count > 0 && count < 10);
    assert_int_equal(number(json, "next"), (int64_t)count);
    assert_int_equal(json_text(json_get(call_at(json, 0), "path")).size, LEDGER_TEXT_MAX);
    json_free(json);
    ledger_free(ledger);
}

static void sum_up(void *arg, struct span text, int64_t count)
{
    (void)text;
    *(int64_t *)arg += count;
}

static void a_tally_counts_like_counting(void **state)
{
    (void)state;
    struct tally *tally = tally_new();
    int64_t counts[64] = { 0 };
    int64_t total = 0;
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        size_t which = random >> 26;
        char text[8];
        snprintf(text, sizeof text, "%zu", which);
        if ((random >> 10) % 3 && counts[which] > 0) {
            tally_remove(tally, span_of(text));
            counts[which]--;
            total--;
        } else {
            tally_add(tally, span_of(text));
            counts[which]++;
            total++;
        }
        assert_int_equal(tally_count(tally, span_of(text)), counts[which]);
    }
    size_t distinct = 0;
    for (size_t i = 0; i < 64; i++)
        distinct += counts[i] > 0;
    assert_int_equal(tally_distinct(tally), distinct);
    int64_t sum = 0;
    tally_each(tally, sum_up, &sum);
    assert_int_equal(sum, total);
    tally_free(tally);
    tally_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_told_in_full),
        cmocka_unit_test(a_call_is_open_then_answered_or_gone),
        cmocka_unit_test(pages_follow_each_other),
        cmocka_unit_test(filters_pick_by_key_and_path),
        cmocka_unit_test(the_oldest_make_room_and_are_counted),
        cmocka_unit_test(clearing_forgets_all_but_the_numbers),
        cmocka_unit_test(the_summary_counts_keys_and_paths),
        cmocka_unit_test(the_summary_says_how_many_paths_it_leaves_out),
        cmocka_unit_test(long_texts_are_cut_and_found_all_the_same),
        cmocka_unit_test(a_tally_counts_like_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
