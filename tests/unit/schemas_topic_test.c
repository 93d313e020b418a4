/* Topic and group names: there and back, and what is no topic of ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schemas/topic.h"

static void expect_round_trip(enum topic_kind kind, const char *suffix, const char *expected)
{
    struct buf name = BUF_INIT(TOPIC_NAME_MAX - 1);
    topic_name(&name, "errand", kind, suffix);
    assert_string_equal(name.data, expected);

    enum topic_kind parsed = TOPIC_KIND_COUNT;
    struct span rest = { 0 };
    assert_true(topic_parse(buf_span(&name), "errand", &parsed, &rest));
    assert_int_equal(parsed, kind);
    assert_true(span_is(rest, suffix));
    buf_free(&name);
}

static void test_names_go_there_and_back(void **state)
{
    (void)state;
    expect_round_trip(TOPIC_COMMANDS, "default", "errand.commands.default");
    expect_round_trip(TOPIC_REPLIES, "a.b", "errand.replies.a.b");
    expect_round_trip(TOPIC_DEAD, "default", "errand.dead.default");
    expect_round_trip(TOPIC_CONTROL, "", "errand.control");
    expect_round_trip(TOPIC_AUDIT, NULL, "errand.audit");
    expect_round_trip(TOPIC_DELAY, "30s", "errand.delay.30s");
}

static void test_foreign_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "errand",
        "errand.",
        "errand.commands",
        "errand.commands.",
        "errand.commandsdefault",
        "errand.controls",
        "errand.control.x",
        "errand.delay.",
        "errand.unknown.x",
        "errand-drill.commands.default",
        "other.commands.default",
        "__consumer_offsets",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum topic_kind kind = TOPIC_KIND_COUNT;
        struct span suffix = { 0 };
        assert_false(topic_parse(span_of(names[i]), "errand", &kind, &suffix));
        assert_int_equal(kind, TOPIC_KIND_COUNT);
    }
}

static const struct topic_tier tiers[] = { { "1s", 1000 }, { "3s", 3000 }, { "10s", 10000 } };

static const char *tier_for(int64_t left_ms)
{
    const struct topic_tier *tier = topic_tier_for(tiers, 3, left_ms);
    return tier ? tier->name : "worker";
}

static void test_a_tier_leaves_a_moments_notice(void **state)
{
    (void)state;
    assert_string_equal(tier_for(-5), "worker");
    assert_string_equal(tier_for(1999), "worker");
    assert_string_equal(tier_for(2000), "1s");
    assert_string_equal(tier_for(3999), "1s");
    assert_string_equal(tier_for(4000), "3s");
    assert_string_equal(tier_for(10999), "3s");
    assert_string_equal(tier_for(11000), "10s");
    assert_string_equal(tier_for(INT64_C(7) * 86400 * 1000), "10s");
    assert_null(topic_tier_for(tiers, 0, 100000));
}

/* Whatever the delay, walking down the tiers ends in the worker, before the time has come. */
static void test_a_delay_walks_down_and_is_never_early(void **state)
{
    (void)state;
    for (int64_t due_ms = 0; due_ms < 60000; due_ms += 37) {
        int64_t left_ms = due_ms;
        const struct topic_tier *tier;
        while ((tier = topic_tier_for(tiers, 3, left_ms)))
            left_ms -= tier->delay_ms;
        assert_true(left_ms >= 0 && left_ms < 2000);
    }
}

static void test_traits_follow_the_design(void **state)
{
    (void)state;
    assert_int_equal(topic_traits_of(TOPIC_COMMANDS)->key, TOPIC_KEY_ORDERING);
    assert_int_equal(topic_traits_of(TOPIC_CONTROL)->retention, TOPIC_RETENTION_COMPACT);
    for (unsigned kind = 0; kind < TOPIC_KIND_COUNT; kind++) {
        const struct topic_traits *traits = topic_traits_of((enum topic_kind)kind);
        assert_int_equal(traits->log_append_time, kind == TOPIC_DELAY);
        assert_int_equal(traits->partitions == 0, kind == TOPIC_COMMANDS || kind == TOPIC_REPLIES);
    }
}

static void test_groups(void **state)
{
    (void)state;
    struct buf names = BUF_INIT(256);
    topic_group_worker(&names, "errand", "default");
    buf_add_char(&names, ' ');
    topic_group_recorder(&names, "errand");
    buf_add_char(&names, ' ');
    topic_group_recorder_commands(&names, "errand");
    buf_add_char(&names, ' ');
    topic_group_delayer(&names, "errand");
    assert_string_equal(
        names.data,
        "errand.worker.default errand.recorder errand.recorder.commands errand.delayer");
    buf_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_go_there_and_back),
        cmocka_unit_test(test_foreign_names_are_refused),
        cmocka_unit_test(test_a_tier_leaves_a_moments_notice),
        cmocka_unit_test(test_a_delay_walks_down_and_is_never_early),
        cmocka_unit_test(test_traits_follow_the_design),
        cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
