/* Drill files: what they say, and what is said about mistakes in them. SPDX-License-Identifier:
 * Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/config_plan.h"
#include "infra/embed.h"

#include <stdio.h>
#include <stdlib.h>

static void assert_refused(const char *text, const char *said)
{
    struct drill_plan plan;
    char *report = NULL;
    struct err err = { 0 };
    assert_int_equal(drill_plan_parse("d.yaml", span_of(text), &plan, &report, &err), ERR_CONFIG);
    assert_non_null(report);
    if (!strstr(report, said))
        fail_msg("not '%s' but:\n%s", said, report);
    free(report);
}

static void test_a_file_becomes_a_plan(void **state)
{
    (void)state;
    struct drill_plan plan;
    char *report = NULL;
    struct err err = { 0 };
    static const char text[] =
        "name: mine\ndescription: what is shown\nseed: 7\n"
        "load:\n  rate: 90/m\n  duration: 30s\n  client: careful\n  jobs:\n"
        "    - {type: quote.fetch, payload: {author: any, n: 1}, share: 3, ends: failed}\n"
        "    - {type: ledger.post, payload: '{\"a\": 1}', key: 'k-{{n}}'}\n"
        "    - {type: a.text, payload: plain}\n"
        "faults:\n  - {at: 2s, every: 5s, do: stop, what: worker-2, hold: 1s, count: 2}\n"
        "  - {at: 3s, do: flush-redis}\n  - {at: 4s, do: third-party, what: hang}\n"
        "expect: {faults: 3, refused_percent: 0}\nlevels: {end_p99: 5s, silence: 500ms}\n";
    assert_int_equal(drill_plan_parse("d.yaml", span_of(text), &plan, &report, &err), ERR_OK);
    assert_string_equal(plan.name, "mine");
    assert_int_equal(plan.seed, 7);
    assert_int_equal(plan.rate, 1500);
    assert_int_equal(plan.duration_ms, 30000);
    assert_int_equal(plan.client, DRILL_CAREFUL);
    assert_int_equal(plan.job_count, 3);
    assert_string_equal(plan.jobs[2].payload, "\"plain\"");
    assert_string_equal(plan.jobs[0].payload, "{\"author\":\"any\",\"n\":1}");
    assert_int_equal(plan.jobs[0].ends, JOB_FAILED);
    assert_int_equal(plan.jobs[0].share, 3);
    assert_string_equal(plan.jobs[1].key, "k-{{n}}");
    assert_int_equal(plan.jobs[1].ends, JOB_SUCCEEDED);
    assert_int_equal(plan.fault_count, 3);
    assert_int_equal(plan.faults[0].act, DRILL_STOP);
    assert_string_equal(plan.faults[0].what, "worker-2");
    assert_int_equal(plan.faults[0].every_ms, 5000);
    assert_int_equal(plan.faults[0].hold_ms, 1000);
    assert_int_equal(plan.faults[0].count, 2);
    assert_int_equal(plan.faults[2].act, DRILL_THIRD_PARTY);
    assert_int_equal(plan.faults_min, 3);
    assert_int_equal(plan.refused_percent, 0);
    assert_int_equal(plan.levels[DRILL_END_P99], 5000);
    assert_int_equal(plan.levels[DRILL_SILENCE], 500);
    assert_int_equal(plan.levels[DRILL_ACCEPT_P99], 0);
    drill_plan_clear(&plan);
}

static void test_mistakes_are_named_with_their_lines(void **state)
{
    (void)state;
    assert_refused("", "d.yaml: is empty");
    assert_refused("name: x\n", "d.yaml:1: faults: is missing");
    assert_refused("faults:\n  - {at: 1s, do: kill, what: worker}\nlaod: {rate: 5/s}\n",
                   "d.yaml:3: laod: is no key of a drill file here (there are name, description, "
                   "seed, load, faults, expect, levels); did you mean load?");
    assert_refused(
        "faults:\n  - {at: 1s, do: kil, what: worker}\n",
        "d.yaml:2: faults[0].do: 'kil' is not allowed; must be one of kill, stop, restart, "
        "third-party, flush-redis; did you mean kill?");
    assert_refused("faults:\n  - {at: 1s, do: kill, what: wroker}\n",
                   "d.yaml:2: faults[0]: what is 'wroker'; allowed is worker, recorder");
    assert_refused("faults:\n  - {at: 1s, do: third-party, what: worker}\n",
                   "allowed is slow, down, flaky or hang");
    assert_refused("faults:\n  - {at: 1s, what: worker}\n", "d.yaml:2: faults[0]: do is missing");
    assert_refused("faults:\n  - {at: soon, do: kill, what: worker}\n",
                   "d.yaml:2: faults[0].at: 'soon' is not a duration; write it like 250ms");
    assert_refused("faults:\n  - {at: 90s, do: kill, what: worker}\n",
                   "entry 0 begins after the load has ended");
    assert_refused("load: {rate: 9000/s}\nfaults: [{at: 1s, do: kill, what: worker}]\n",
                   "d.yaml:1: load.rate: '9000/s' must be a rate such as 50/s, at most 5000/s");
    assert_refused("load: {jobs: [{payload: {}}]}\nfaults: [{at: 1s, do: flush-redis}]\n",
                   "d.yaml:1: load.jobs[0]: type is missing");
    assert_refused("levels: {end_p98: 1s}\nfaults: [{at: 1s, do: flush-redis}]\n",
                   "did you mean end_p99?");
    assert_refused("faults: {at: 1s}\n", "d.yaml:1: faults: must be a list of 1 to 200 entries");
    assert_refused("load: {rate: [1]}\nfaults: [{at: 1s, do: flush-redis}]\n",
                   "d.yaml:1: load.rate: it must be a rate such as 50/s");
    assert_refused("load: {jobs: [{type: ''}]}\nfaults: [{at: 1s, do: flush-redis}]\n",
                   "d.yaml:1: load.jobs[0].type: must not be empty");
    assert_refused("load: {jobs: [{type: a, share: 0}]}\nfaults: [{at: 1s, do: flush-redis}]\n",
                   "d.yaml:1: load.jobs[0].share: '0' is out of range; allowed is 1 to 1000");
}

static void test_what_errand_carries_can_be_used(void **state)
{
    (void)state;
    static const char *const names[] = { "worker-crash",   "broker-bounce", "redis-loss",
                                         "slow-target",    "poison",        "rebalance-storm",
                                         "rolling-restart" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        struct span text;
        struct drill_plan plan;
        char *report = NULL;
        struct err err = { 0 };
        (void)snprintf(path, sizeof path, "drills/%s.yaml", names[i]);
        assert_true(embed_find(path, &text));
        if (drill_plan_parse(path, text, &plan, &report, &err) != ERR_OK)
            fail_msg("%s", report);
        assert_string_equal(plan.name, names[i]);
        assert_true(*plan.description && plan.fault_count > 0);
        drill_plan_clear(&plan);
    }
}

static void test_what_may_be_broken_is_known(void **state)
{
    (void)state;
    assert_true(drill_what_is_known(DRILL_KILL, span_of("worker"), NULL));
    assert_true(drill_what_is_known(DRILL_KILL, span_of("broker-3"), NULL));
    assert_false(drill_what_is_known(DRILL_KILL, span_of("worker-"), NULL));
    assert_false(drill_what_is_known(DRILL_KILL, span_of("worker-x"), NULL));
    assert_false(drill_what_is_known(DRILL_KILL, span_of("simulator"), NULL));
    assert_false(drill_what_is_known(DRILL_KILL, span_of(""), NULL));
    assert_true(drill_what_is_known(DRILL_FLUSH_REDIS, span_of("redis"), NULL));
    assert_string_equal(drill_third_party_words("down"), "reset");
    assert_null(drill_third_party_words("up"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_becomes_a_plan),
        cmocka_unit_test(test_mistakes_are_named_with_their_lines),
        cmocka_unit_test(test_what_errand_carries_can_be_used),
        cmocka_unit_test(test_what_may_be_broken_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
