/* What the simulator was asked, in the order of arrival: how a test counts the calls that really
 * reached a third party. Holds at most `calls_max` calls; the oldest make room for new ones and
 * are counted as dropped. Sequence numbers begin at 1 and are never used twice, not after
 * ledger_clear either.
 * thread: the simulator's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_LEDGER_H
#define INFRA_SIMULATOR_LEDGER_H

#include "schemas/buf.h"

struct ledger;

/* A call as it arrives; all texts are copied, an absent header is an empty span. Longer texts are
 * cut. */
struct ledger_call {
    struct span method;
    struct span path; /* as received, without the query */
    struct span idempotency_key;
    struct span traceparent;
    struct span simulate; /* the behaviour that applied to it */
    int64_t attempt;      /* Errand-Attempt; 0 when absent */
    int64_t started_ms;   /* Unix time */
};
#define LEDGER_TEXT_MAX 512

struct ledger *ledger_new(size_t calls_max);
/* Accepts NULL. */
void ledger_free(struct ledger *ledger);
/* Returns the call's sequence number. */
int64_t ledger_add(struct ledger *ledger, const struct ledger_call *call);
/* The third party has done what the call asked for. A call no longer held is ignored. */
void ledger_execute(struct ledger *ledger, int64_t seq);
/* The call was answered; status 0 says that it ended without an answer: its client went away, or
 * was sent away. A call no longer held is
 * ignored. */
void ledger_finish(struct ledger *ledger, int64_t seq, int status, int64_t finished_ms);
/* Calls held that have this key or, when `key` is empty, this path and no key. */
int64_t ledger_count(const struct ledger *ledger, struct span key, struct span path);
/* Calls that made room since the ledger was new or cleared. */
int64_t ledger_dropped(const struct ledger *ledger);
/* Forgets all calls. */
void ledger_clear(struct ledger *ledger);

struct ledger_filter {
    int64_t since;    /* calls after this sequence number */
    struct span key;  /* only these; an empty one matches all */
    struct span path; /* likewise */
    size_t limit;
};
/* {"calls":[...],"next":SEQ,"dropped":N}; `next` is the `since` that continues. Ends early, with
 * the right `next`, where `out` would become too full for another call. */
void ledger_list(const struct ledger *ledger, const struct ledger_filter *filter, struct buf *out);
/* Totals, calls by path (the first LEDGER_PATHS_MAX, the others are counted) and how often a key
 * was called. */
void ledger_summary(const struct ledger *ledger, struct buf *out);
#define LEDGER_PATHS_MAX 1000

#endif
