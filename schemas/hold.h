/* Until when a job is held whose target takes no more calls now. Pure; milliseconds of Unix time.
 *
 * The wait doubles with each hold in a row, from one second up to the limit, with jitter: so a job
 * never waits much longer than it had to. A breaker's own time comes first: nothing falls due
 * before it tries again, and everything soon after, since its probes and then its traffic are the
 * jobs that fall due. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_HOLD_H
#define SCHEMAS_HOLD_H

#include <stdint.h>

enum hold_reason {
    HOLD_NONE,
    HOLD_UNKNOWN,     /* not yet known: nothing is held for it */
    HOLD_OPEN,        /* the circuit is open */
    HOLD_PROBING,     /* it is half-open, and all probes are taken */
    HOLD_RATE,        /* as many calls as are allowed in a time have been made */
    HOLD_CONCURRENCY, /* as many calls as are allowed at once are being made */
    HOLD_OUTCOME,     /* the handler said so */
    HOLD_REASON_COUNT
};
/* "open", "probing", ...: for metrics. */
const char *hold_reason_text(enum hold_reason reason);

struct hold_case {
    enum hold_reason reason;
    uint32_t holds; /* in a row, before this one */
    int64_t now_ms;
    int64_t wait_ms_max;
    int64_t until_ms;     /* OPEN: when the breaker tries again */
    int64_t open_ms;      /* OPEN, PROBING: the breaker's shortest wait */
    int64_t not_after_ms; /* 0: none */
    uint64_t random;
};
/* When the job is looked at again; later than now. A hold that would outlast the job's last moment
 * ends right behind it. */
int64_t hold_due_ms(const struct hold_case *of);

#endif
