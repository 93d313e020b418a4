/* See breaker.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/breaker.h"

#include "schemas/mutant.h"

const char *breaker_state_text(enum breaker_state state)
{
    switch (state) {
    case BREAKER_CLOSED:
        return "closed";
    case BREAKER_HALF_OPEN:
        return "half-open";
    case BREAKER_OPEN:
        break;
    }
    return "open";
}

/* The next state, with nothing counted in it yet. */
static void enter(struct breaker *breaker, enum breaker_state state)
{
    *breaker = (struct breaker){
        .state = state,
        .epoch = breaker->epoch + 1,
        .wait_ms = state == BREAKER_CLOSED ? 0 : breaker->wait_ms,
        .round = state == BREAKER_HALF_OPEN,
    };
}

static void open_for(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms)
{
    int64_t wait_ms = breaker->wait_ms ? 2 * breaker->wait_ms : policy->open_ms;
    if (wait_ms > policy->open_ms_max)
        wait_ms = policy->open_ms_max;
    enter(breaker, BREAKER_OPEN);
    breaker->wait_ms = wait_ms;
    breaker->until_ms = now_ms + wait_ms;
}

void breaker_adopt(struct breaker *breaker, const struct breaker *known)
{
    *breaker = (struct breaker){
        .state = known->state,
        .epoch = known->epoch,
        .until_ms = known->until_ms,
        .wait_ms = known->wait_ms,
        .round = known->state == BREAKER_HALF_OPEN,
    };
}

void breaker_advance(struct breaker *breaker, int64_t now_ms)
{
    if (breaker->state == BREAKER_OPEN && now_ms >= breaker->until_ms)
        enter(breaker, BREAKER_HALF_OPEN);
}

static void count(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms,
                  int64_t calls, int64_t failures)
{
    int64_t half_ms = policy->window_ms / 2;
    int64_t age_ms = now_ms - breaker->half_at_ms;
    if (age_ms >= half_ms) {
        breaker->calls_before = age_ms < 2 * half_ms ? breaker->calls : 0;
        breaker->failures_before = age_ms < 2 * half_ms ? breaker->failures : 0;
        breaker->calls = breaker->failures = 0;
        breaker->half_at_ms = now_ms;
    }
    breaker->calls += calls;
    breaker->failures += failures;
    int64_t all = breaker->calls + breaker->calls_before;
    int64_t failed = breaker->failures + breaker->failures_before;
    if (failures && all >= policy->calls_min && failed * 100 >= policy->failures_percent * all)
        open_for(breaker, policy, now_ms);
}

/* Some calls may fail for a reason of their own: a round counts as a closed circuit's calls do. */
static void probed(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms,
                   int64_t successes, int64_t failures)
{
    int64_t percent = MUTANT(probe_may_not_fail) ? 1 : policy->failures_percent;
    breaker->ended += successes + failures;
    breaker->failed += failures;
    if (breaker->failed * 100 >= percent * breaker->round && breaker->failed) {
        open_for(breaker, policy, now_ms);
        return;
    }
    if (breaker->ended < breaker->round)
        return;
    if (breaker->round >= policy->probes) {
        enter(breaker, BREAKER_CLOSED);
        return;
    }
    breaker->round = 2 * breaker->round < policy->probes ? 2 * breaker->round : policy->probes;
    breaker->granted = breaker->ended = breaker->failed = 0;
}

void breaker_report(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms,
                    int64_t epoch, int64_t successes, int64_t failures)
{
    breaker_advance(breaker, now_ms);
    if (epoch != breaker->epoch || successes + failures == 0)
        return;
    if (breaker->state == BREAKER_CLOSED)
        count(breaker, policy, now_ms, successes + failures, failures);
    else if (breaker->state == BREAKER_HALF_OPEN)
        probed(breaker, policy, now_ms, successes, failures);
}

int64_t breaker_take(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms,
                     int64_t wanted)
{
    breaker_advance(breaker, now_ms);
    if (breaker->state != BREAKER_HALF_OPEN || wanted <= 0)
        return 0;
    if (breaker->granted > breaker->ended &&
        now_ms - breaker->granted_at_ms >= policy->probe_wait_ms)
        breaker->granted = breaker->ended;
    int64_t left = breaker->round - breaker->granted;
    int64_t granted = wanted < left ? wanted : left;
    if (granted <= 0)
        return 0;
    breaker->granted += granted;
    breaker->granted_at_ms = now_ms;
    return granted;
}

void breaker_give_back(struct breaker *breaker, int64_t epoch, int64_t probes)
{
    if (breaker->state != BREAKER_HALF_OPEN || epoch != breaker->epoch)
        return;
    breaker->granted -= probes;
    if (breaker->granted < breaker->ended)
        breaker->granted = breaker->ended;
}
