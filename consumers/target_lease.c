/* See target_lease.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/target_lease.h"

/* What a worker asks for beyond what it can use at once, so that its next jobs need not wait for an
 * exchange: one call, and a part of those it makes. */
#define SPARE_PART 4
#define BURST_PART 10

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t target_lease_burst(const struct config_target *target)
{
    if (target->burst)
        return target->burst;
    return most(1, target->rate_count * 1000 / target->rate_period_ms / BURST_PART);
}

void target_lease_init(struct target_lease *lease, const struct config_target *target)
{
    *lease = (struct target_lease){
        .target = target,
        .unlimited = !target->breaker.enabled && !target->concurrency_max && !target->rate_count,
        .workers = 1,
        .again_ms = TARGET_LEASE_QUICK_MS,
        .known_at_ms = INT64_MIN,
    };
}

enum hold_reason target_lease_blocked(const struct target_lease *lease, int64_t now_ms)
{
    if (lease->unlimited)
        return HOLD_NONE;
    if (lease->state == BREAKER_OPEN && now_ms < lease->until_ms)
        return HOLD_OPEN;
    if (lease->state == BREAKER_OPEN || lease->known_at_ms == INT64_MIN ||
        now_ms - lease->known_at_ms > TARGET_LEASE_FRESH_MS)
        return HOLD_UNKNOWN;
    if (lease->state == BREAKER_HALF_OPEN && lease->probes <= 0)
        return HOLD_PROBING;
    if (lease->target->concurrency_max && lease->in_flight >= lease->ceiling)
        return HOLD_CONCURRENCY;
    if (lease->target->rate_count && lease->tokens <= 0)
        return HOLD_RATE;
    return HOLD_NONE;
}

struct target_ticket target_lease_take(struct target_lease *lease)
{
    lease->in_flight++;
    lease->used++;
    if (lease->target->rate_count)
        lease->tokens--;
    if (lease->state == BREAKER_HALF_OPEN)
        lease->probes--;
    return (struct target_ticket){ .taken = true, .epoch = lease->epoch };
}

static void return_probe(struct target_lease *lease, struct target_ticket ticket)
{
    if (lease->state == BREAKER_HALF_OPEN && ticket.epoch == lease->epoch)
        lease->probes++;
}

void target_lease_give_back(struct target_lease *lease, struct target_ticket ticket)
{
    if (!ticket.taken)
        return;
    lease->in_flight--;
    if (lease->used)
        lease->used--;
    if (lease->target->rate_count)
        lease->tokens++;
    return_probe(lease, ticket);
}

void target_lease_end(struct target_lease *lease, struct target_ticket ticket,
                      enum target_result result)
{
    if (!ticket.taken)
        return;
    lease->in_flight--;
    if (result == TARGET_SAID_NOTHING)
        return_probe(lease, ticket);
    else if (ticket.epoch == lease->epoch && result == TARGET_SUCCEEDED)
        lease->successes++;
    else if (ticket.epoch == lease->epoch)
        lease->failures++;
}

struct target_report target_lease_report(struct target_lease *lease, int64_t now_ms,
                                         int64_t waiting)
{
    const struct config_target *target = lease->target;
    struct target_report report = {
        .tokens_back = lease->tokens,
        .tokens_wanted = target->rate_count ? waiting + lease->used : 0,
        .probes_back = lease->probes,
        .probes_wanted = waiting,
        .successes = lease->successes,
        .failures = lease->failures,
        .known = { .state = lease->state,
                   .epoch = lease->epoch,
                   .until_ms = most(0, lease->until_ms - now_ms),
                   .wait_ms = lease->wait_ms },
    };
    if (target->concurrency_max) {
        bool busy = lease->in_flight + lease->used + waiting > 0;
        int64_t spare = busy ? 1 + lease->in_flight / SPARE_PART : 0;
        report.want = least(lease->in_flight + waiting + spare, target->in_flight_max);
        report.keep = most(lease->in_flight, least(lease->ceiling, report.want));
        report.want = most(report.want, report.keep);
        lease->ceiling = report.keep;
    }
    lease->tokens = lease->probes = 0;
    lease->used = lease->successes = lease->failures = 0;
    return report;
}

static void enter(struct target_lease *lease, int64_t now_ms, const struct target_grant *grant)
{
    if (grant->epoch != lease->epoch) /* what was counted meanwhile is of the epoch before */
        lease->successes = lease->failures = lease->probes = 0;
    lease->state = grant->state;
    lease->epoch = grant->epoch;
    lease->until_ms = now_ms + grant->left_ms;
    lease->wait_ms = grant->wait_ms;
    lease->ceiling = grant->ceiling;
    lease->tokens += grant->tokens; /* some may have been given back meanwhile */
    lease->probes += grant->probes; /* the same */
    lease->workers = grant->workers;
    lease->again_ms = grant->again_ms;
    lease->known_at_ms = now_ms;
}

void target_lease_apply(struct target_lease *lease, int64_t now_ms,
                        const struct target_grant *grant)
{
    enter(lease, now_ms, grant);
    lease->shared = true;
}

static int64_t tokens_alone(struct target_lease *lease, int64_t now_ms,
                            const struct target_report *report)
{
    const struct config_target *target = lease->target;
    if (!target->rate_count)
        return 0;
    double each = (double)lease->workers;
    double passed_ms = (double)(now_ms - lease->alone_at_ms);
    double burst = (double)most(1, target_lease_burst(target) / lease->workers);
    lease->alone_tokens +=
        passed_ms * (double)target->rate_count / (double)target->rate_period_ms / each +
        (double)report->tokens_back;
    if (lease->alone_tokens > burst)
        lease->alone_tokens = burst;
    int64_t tokens = least(report->tokens_wanted, (int64_t)lease->alone_tokens);
    lease->alone_tokens -= (double)tokens;
    return tokens;
}

void target_lease_alone(struct target_lease *lease, int64_t now_ms,
                        const struct target_report *report)
{
    const struct breaker_policy *policy = &lease->target->breaker;
    struct breaker *alone = &lease->alone;
    if (lease->shared) { /* goes on where the fleet stands */
        breaker_adopt(alone, &(struct breaker){ .state = lease->state,
                                                .epoch = lease->epoch,
                                                .until_ms = lease->until_ms,
                                                .wait_ms = lease->wait_ms });
        lease->alone_tokens = 0;
        lease->alone_at_ms = now_ms;
        lease->shared = false;
    }
    struct target_grant grant = { .workers = lease->workers, .again_ms = TARGET_LEASE_QUICK_MS };
    if (policy->enabled) {
        breaker_give_back(alone, report->known.epoch, report->probes_back);
        breaker_report(alone, policy, now_ms, report->known.epoch, report->successes,
                       report->failures);
        grant.probes = breaker_take(alone, policy, now_ms, report->probes_wanted);
        grant.state = alone->state;
        grant.epoch = alone->epoch;
        grant.left_ms = alone->state == BREAKER_OPEN ? alone->until_ms - now_ms : 0;
        grant.wait_ms = alone->wait_ms;
    }
    if (lease->target->concurrency_max)
        grant.ceiling = most(1, lease->target->concurrency_max / lease->workers);
    grant.tokens = tokens_alone(lease, now_ms, report);
    lease->alone_at_ms = now_ms;
    enter(lease, now_ms, &grant);
}

int64_t target_lease_next_ms(const struct target_lease *lease, int64_t asked_at_ms, int64_t waiting,
                             bool blocked)
{
    bool used = lease->in_flight || lease->used || lease->successes || lease->failures || waiting ||
                lease->ceiling || lease->tokens || lease->probes || lease->state != BREAKER_CLOSED;
    if (lease->unlimited || !used)
        return -1;
    int64_t gap_ms = TARGET_LEASE_CALM_MS;
    if (blocked)
        gap_ms = least(gap_ms, most(lease->again_ms, TARGET_LEASE_QUICK_MS));
    if (lease->failures)
        gap_ms = least(gap_ms, TARGET_LEASE_FAILED_MS);
    if (lease->state == BREAKER_HALF_OPEN && lease->successes + lease->failures)
        gap_ms = TARGET_LEASE_QUICK_MS;
    return asked_at_ms + gap_ms;
}
