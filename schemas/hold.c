/* See hold.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/hold.h"

#define FIRST_MS  1000
#define DOUBLINGS 20
/* How much longer than the breaker itself its jobs wait at most, as a part of what it waits. */
#define SPREAD_PART 8

static const char *const reasons[HOLD_REASON_COUNT] = {
    [HOLD_NONE] = "none",       [HOLD_UNKNOWN] = "unknown", [HOLD_OPEN] = "open",
    [HOLD_PROBING] = "probing", [HOLD_RATE] = "rate",       [HOLD_CONCURRENCY] = "concurrency",
    [HOLD_OUTCOME] = "outcome",
};

const char *hold_reason_text(enum hold_reason reason)
{
    return reasons[reason];
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

/* Between half of `wait_ms` and all of it. */
static int64_t jittered(int64_t wait_ms, uint64_t random)
{
    int64_t half = wait_ms / 2;
    return wait_ms - half + (int64_t)(random % (uint64_t)(half + 1));
}

int64_t hold_due_ms(const struct hold_case *of)
{
    int64_t wait_ms = (int64_t)FIRST_MS << (of->holds < DOUBLINGS ? of->holds : DOUBLINGS);
    wait_ms = at_most(wait_ms, of->wait_ms_max);
    int64_t due_ms;
    if (of->reason == HOLD_OPEN) {
        int64_t left_ms = of->until_ms > of->now_ms ? of->until_ms - of->now_ms : 0;
        int64_t most = left_ms / SPREAD_PART > of->open_ms ? left_ms / SPREAD_PART : of->open_ms;
        uint64_t spread = (uint64_t)at_most(wait_ms, most) + 1;
        due_ms = of->now_ms + left_ms + (int64_t)(of->random % spread);
    } else {
        if (of->reason == HOLD_PROBING)
            wait_ms = at_most(wait_ms, of->open_ms);
        due_ms = of->now_ms + jittered(wait_ms, of->random);
    }
    if (due_ms <= of->now_ms)
        due_ms = of->now_ms + 1;
    if (of->not_after_ms && due_ms > of->not_after_ms)
        due_ms = of->not_after_ms + 1;
    return due_ms;
}
