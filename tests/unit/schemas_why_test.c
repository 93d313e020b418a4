/* Where a job is and why: each case in its words.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000) /* 2027-01-15T08:00:00Z */

static struct job_record record;

static struct why_facts of(enum job_state state)
{
    record = (struct job_record){
        .facts = { .queue = SPAN_LIT("probe"), .key = SPAN_LIT("account-17") },
        .state = state,
        .attempt = 2,
        .failure = { .code = SPAN_LIT("target_status"),
                     .detail = SPAN_LIT("The target answered 503.") },
    };
    return (struct why_facts){ .record = &record,
                               .now_ms = NOW,
                               .workers = WHY_UNKNOWN,
                               .before = WHY_UNKNOWN,
                               .key_before = WHY_UNKNOWN };
}

static void expect(const struct why_facts *facts, const char *code, const char *sentence)
{
    struct buf out = BUF_INIT(4096);
    why_sentence(facts, &out);
    assert_string_equal(why_code(facts), code);
    assert_string_equal(out.data, sentence);
    buf_free(&out);
}

static void test_before_it_begins(void **state)
{
    (void)state;
    struct why_facts facts = of(JOB_QUEUED);
    expect(&facts, "waiting", "It waits for a worker.");
    facts.before = 0;
    expect(&facts, "next",
           "It is the first of its partition that is not done, and begins as soon as the limits of "
           "its worker, type and target allow.");
    facts.before = 7;
    expect(&facts, "behind_others",
           "It waits for its turn: at most 7 records before it in its partition are not done, or a "
           "limit is reached.");
    facts.before = WHY_PASSED;
    expect(&facts, "passed",
           "A worker is done with its command; what became of it is on its way to the view.");
    facts.workers = 2;
    facts.key_before = 1;
    facts.key_first_state = JOB_RETRYING;
    facts.key_first.bytes[0] = 0xab;
    expect(&facts, "behind_key",
           "It waits behind 1 earlier job of its key 'account-17': "
           "ab000000-0000-0000-0000-000000000000 is retrying.");
    facts.key_before = 12;
    facts.key_more = true;
    expect(&facts, "behind_key",
           "It waits behind at least 12 earlier jobs of its key 'account-17': "
           "ab000000-0000-0000-0000-000000000000 is retrying.");
    facts.workers = 0;
    expect(&facts, "no_worker", "No worker serves its queue, 'probe'.");
    facts.claimed = true;
    expect(&facts, "worker_lost",
           "a worker had taken it and gives no sign of life; Kafka gives it to another one.");
    facts.worker_beats = true;
    facts.worker = span_of("worker-1");
    facts.cancel_marked = true;
    expect(&facts, "taken", "worker-1 has taken it and works on it; it is to be cancelled.");
    facts.record = NULL;
    expect(&facts, "accepted", "It was accepted a moment ago; the view does not show it yet.");
}

static void test_put_off(void **state)
{
    (void)state;
    struct why_facts facts = of(JOB_SCHEDULED);
    record.facts.run_at_ms = NOW + 90500;
    expect(&facts, "scheduled", "Its time comes in 1m30s, at 2027-01-15T08:01:30.500Z.");
    record.facts.run_at_ms = NOW;
    expect(&facts, "waiting", "It waits for a worker.");
    facts = of(JOB_RETRYING);
    record.next_at_ms = NOW + 1250;
    expect(&facts, "retrying",
           "The next attempt begins in 1.2s, at 2027-01-15T08:00:01.250Z; the last one failed: "
           "target_status (The target answered 503).");
    record.next_at_ms = NOW;
    expect(&facts, "waiting", "Its pause is over, and it waits for a worker.");
    facts.workers = 0;
    expect(&facts, "no_worker", "No worker serves its queue, 'probe'.");
    facts = of(JOB_HELD);
    record.next_at_ms = NOW + 1000;
    expect(&facts, "held",
           "It is held, and looked at again in 1s, at 2027-01-15T08:00:01.000Z: target_status (The "
           "target answered 503).");
}

static void test_running_and_ended(void **state)
{
    (void)state;
    struct why_facts facts = of(JOB_RUNNING);
    expect(&facts, "running", "Attempt 2 runs.");
    record.started_at_ms = NOW - 65000;
    facts.claimed = facts.worker_beats = true;
    facts.worker = span_of("worker-1");
    expect(&facts, "running", "Attempt 2 runs on worker-1, begun 1m5s ago.");
    facts.worker_beats = false;
    facts.worker = (struct span){ 0 };
    expect(&facts, "worker_lost",
           "a worker had taken it and gives no sign of life; Kafka gives it to another one.");
    facts = of(JOB_SUCCEEDED);
    record.finished_at_ms = NOW - 7200000;
    facts.cancel_marked = true;
    expect(&facts, "succeeded", "It succeeded 2h ago at attempt 2.");
    facts = of(JOB_FAILED);
    record.finished_at_ms = NOW;
    expect(&facts, "failed",
           "It failed 0s ago at attempt 2: target_status (The target answered 503).");
    facts = of(JOB_CANCELLED);
    record.finished_at_ms = NOW - 100;
    record.failure = (struct job_failure){ 0 };
    expect(&facts, "cancelled", "It was cancelled 100ms ago, before any attempt had begun.");
    facts = of(JOB_EXPIRED);
    record.finished_at_ms = NOW - 100;
    record.failure = (struct job_failure){ 0 };
    expect(&facts, "expired", "It expired 100ms ago: its last moment came before its turn.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_it_begins),
        cmocka_unit_test(test_put_off),
        cmocka_unit_test(test_running_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
