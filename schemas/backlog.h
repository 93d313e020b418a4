/* How long a queue's backlog takes to drain: what is waiting, over the best rate at which the queue
 * was lately seen to drain. A rate counts only where the queue was never short of work: what an
 * idle queue does says nothing of what it could do. Nor does a standstill: workers that are away
 * have no rate, and what they could do before they went holds for ten minutes. And what waits
 * counts once it has waited for as long as a rate takes to be measured, so that a burst is met with
 * the rate that it brings about, not with that of quieter times. Pure: time and numbers come with
 * the call. thread: the owner's SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_BACKLOG_H
#define SCHEMAS_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKLOG_MINUTES  10 /* for so long a rate counts */
#define BACKLOG_LOOKS    5  /* a rate is measured over so many looks or more */
#define BACKLOG_STANDING 10 /* looks after which what waits counts: two measurements */

struct backlog {
    int64_t look_ms;                /* from one look to the next; set by the owner */
    int64_t lag;                    /* records that wait; -1 unknown */
    int64_t lags[BACKLOG_STANDING]; /* at the last looks, from `look_count` backwards */
    size_t look_count;
    int64_t seen_ms;               /* of the last look; 0 none yet */
    int64_t committed;             /* then */
    bool measuring;                /* a window is open: */
    int64_t from_ms;               /* its begin */
    int64_t from;                  /* what was committed then */
    int64_t progress_ms;           /* when something was last committed in it */
    double rates[BACKLOG_MINUTES]; /* the best of each minute, in records a millisecond; 0 none */
    int64_t minutes[BACKLOG_MINUTES]; /* the minute that each is of */
};

/* A look at the queue: the sums of its log ends and of its committed offsets. `now_ms` is monotonic
 * and above 0. */
void backlog_look(struct backlog *backlog, int64_t now_ms, int64_t ends, int64_t committed);
/* A look that failed: nothing is known until the next one. */
void backlog_forget(struct backlog *backlog);
/* The best rate of the last ten minutes in records a second; 0 unknown. */
double backlog_rate(const struct backlog *backlog, int64_t now_ms);
/* Milliseconds until what has been waiting is done, at that rate; -1 unknown. */
int64_t backlog_drain_ms(const struct backlog *backlog, int64_t now_ms);

#endif
