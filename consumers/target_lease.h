/* What one worker may do at one target: its part of the fleet's limits, and what the fleet's
 * breaker says. Workers trade reports for grants (target_exchange.h) every half second while they
 * use the target, and at once when they have jobs that may not start; so a job costs a comparison
 * and a counter, never a round trip. Pure: time is passed in, monotonic milliseconds.
 *
 * What is granted is the worker's until its next report says otherwise. With a report it gives
 * everything back that it does not use: tokens and probes wholly, its ceiling down to what it
 * needs. A grant that does not arrive is lost: the fleet calls less then, never more.
 *
 * While Redis is away the worker goes on by itself: with the limits divided by the last known
 * number of workers, and a breaker of its own, begun where the fleet's stood. thread: the worker's
 * loop SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_TARGET_LEASE_H
#define CONSUMERS_TARGET_LEASE_H

#include "infra/config.h"
#include "schemas/breaker.h"
#include "schemas/hold.h"

#include <stddef.h>

/* Exchanges while nothing presses; and the least time between two when something does. */
#define TARGET_LEASE_CALM_MS   500
#define TARGET_LEASE_QUICK_MS  20
#define TARGET_LEASE_FAILED_MS 100 /* failures are told so soon */
/* What was granted longer ago is asked for again before a call starts: the breaker may have opened.
 */
#define TARGET_LEASE_FRESH_MS 1000

/* What a worker says. */
struct target_report {
    int64_t keep; /* its ceiling from now on */
    int64_t want; /* the ceiling that it could use */
    int64_t tokens_back, tokens_wanted;
    int64_t probes_back, probes_wanted;
    int64_t successes, failures; /* of calls of the epoch `known.epoch` */
    struct breaker known;        /* until_ms: what is left of it */
};

/* What it gets. */
struct target_grant {
    enum breaker_state state;
    int64_t epoch, left_ms, wait_ms; /* left_ms: until OPEN is over */
    int64_t ceiling, tokens, probes;
    int64_t workers;
    int64_t again_ms; /* if that was not enough: when to ask again */
};

/* A call that was begun, as its end is told. Zeroed: none. */
struct target_ticket {
    bool taken;
    int64_t epoch;
};

struct target_lease {
    const struct config_target *target;
    bool unlimited; /* nothing is configured: every call may start */
    /* as of the last grant */
    enum breaker_state state;
    int64_t epoch, until_ms, wait_ms;
    int64_t ceiling, tokens, probes;
    int64_t workers, again_ms;
    int64_t known_at_ms; /* INT64_MIN: never */
    bool shared;         /* the fleet's; false: its own */
    /* since the last report */
    int64_t in_flight; /* goes on */
    int64_t used, successes, failures;
    /* for when Redis is away */
    struct breaker alone;
    double alone_tokens;
    int64_t alone_at_ms;
};

/* Borrows the target. */
void target_lease_init(struct target_lease *lease, const struct config_target *target);
/* Tokens that a pause may collect. */
int64_t target_lease_burst(const struct config_target *target);

/* Why no call may start now; HOLD_NONE: one may. HOLD_UNKNOWN: an exchange will tell. */
enum hold_reason target_lease_blocked(const struct target_lease *lease, int64_t now_ms);
/* Starts a call that is not blocked. */
struct target_ticket target_lease_take(struct target_lease *lease);
/* A call that was taken and not made. */
void target_lease_give_back(struct target_lease *lease, struct target_ticket ticket);

enum target_result { TARGET_SUCCEEDED, TARGET_FAILED, TARGET_SAID_NOTHING };
void target_lease_end(struct target_lease *lease, struct target_ticket ticket,
                      enum target_result result);

/* --- exchanges --- */

/* What there is to say with `waiting` jobs; gives back what the report says. */
struct target_report target_lease_report(struct target_lease *lease, int64_t now_ms,
                                         int64_t waiting);
void target_lease_apply(struct target_lease *lease, int64_t now_ms,
                        const struct target_grant *grant);
/* The report got no answer: grants to itself. */
void target_lease_alone(struct target_lease *lease, int64_t now_ms,
                        const struct target_report *report);
/* When the next exchange is due after one at `asked_at_ms`; -1: none, the target is not used. */
int64_t target_lease_next_ms(const struct target_lease *lease, int64_t asked_at_ms, int64_t waiting,
                             bool blocked);

#endif
