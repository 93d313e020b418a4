/* A circuit breaker: when most calls of a third party fail it opens, and nothing calls for a while;
 * then a few calls try (half-open: one, then two, four, ... ), and when most went well it closes.
 * Pure: time is passed in, in milliseconds of any clock that does not go back.
 *
 *   CLOSED     calls_min calls within the window, failures_percent of them failed -> OPEN
 *   OPEN       until its time is over -> HALF_OPEN, one probe
 *   HALF_OPEN  failures_percent of a round failed -> OPEN, twice as long as before (at most
 *              open_ms_max); else, when it is over, a round of twice as many; after the largest
 *              -> CLOSED
 *
 * Each change of state raises the epoch. A call belongs to the epoch it began in, and counts only
 * while that lasts: what a call that began before the target went down says later is no news.
 *
 * Workers share a breaker through Redis: target_exchange.c has the same machine in Lua, held
 * against this one by a test; this one serves while Redis is away.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_BREAKER_H
#define SCHEMAS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN }; /* as the metric says it */
const char *breaker_state_text(enum breaker_state state);

struct breaker_policy {
    bool enabled;
    int64_t failures_percent; /* 1 to 100 */
    int64_t calls_min;
    int64_t window_ms;
    int64_t open_ms, open_ms_max;
    int64_t probes;        /* of the last round */
    int64_t probe_wait_ms; /* a probe of which nothing is heard for so long is granted again */
};

/* Zeroed is closed. */
struct breaker {
    enum breaker_state state;
    int64_t epoch;
    int64_t until_ms; /* OPEN */
    int64_t wait_ms;  /* how long it was opened last, since it was closed; 0 not */
    /* CLOSED: what was told in this half of the window and in the one before */
    int64_t half_at_ms, calls, failures, calls_before, failures_before;
    /* HALF_OPEN */
    int64_t round, granted, ended, failed, granted_at_ms; /* ended: failed ones too */
};

/* Goes on from what is known elsewhere: state, epoch, until_ms, wait_ms; counts begin anew. */
void breaker_adopt(struct breaker *breaker, const struct breaker *known);
/* What time alone changes. */
void breaker_advance(struct breaker *breaker, int64_t now_ms);
/* Calls of `epoch` that ended. */
void breaker_report(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms,
                    int64_t epoch, int64_t successes, int64_t failures);
/* Asks for probes: HALF_OPEN grants what is left of the round, the other states 0. */
int64_t breaker_take(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_ms,
                     int64_t wanted);
/* Probes of `epoch` that were granted and will not be made. */
void breaker_give_back(struct breaker *breaker, int64_t epoch, int64_t probes);

#endif
