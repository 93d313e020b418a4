/* See backlog.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/backlog.h"

#define MINUTE_MS     INT64_C(60000)
#define STANDSTILL_MS MINUTE_MS /* so long without a commit: the workers are away */

static void open_window(struct backlog *backlog, int64_t now_ms, int64_t committed)
{
    backlog->measuring = true;
    backlog->from_ms = backlog->progress_ms = now_ms;
    backlog->from = committed;
}

/* The ring has a place for each of the last minutes: the place of one that is over is taken. */
static void keep_rate(struct backlog *backlog, int64_t now_ms, double rate)
{
    int64_t minute = now_ms / MINUTE_MS;
    int64_t place = minute % BACKLOG_MINUTES;
    if (backlog->minutes[place] != minute)
        backlog->rates[place] = 0;
    backlog->minutes[place] = minute;
    if (rate > backlog->rates[place])
        backlog->rates[place] = rate;
}

/* Both ends of a window are at commits, so that a slow queue is measured from one to another. */
static void measure(struct backlog *backlog, int64_t now_ms, int64_t committed)
{
    int64_t done = committed - backlog->committed;
    bool busy = done >= 0 && backlog->lag >= done; /* all of it waited before it was done */
    bool stood_still = backlog->measuring && now_ms - backlog->progress_ms > STANDSTILL_MS;
    if (!busy) {
        backlog->measuring = false;
        return;
    }
    if (done == 0)
        return;
    if (!backlog->measuring || stood_still) {
        open_window(backlog, now_ms, committed);
        return;
    }
    backlog->progress_ms = now_ms;
    int64_t took_ms = now_ms - backlog->from_ms;
    if (took_ms >= BACKLOG_LOOKS * backlog->look_ms && took_ms > 0) {
        keep_rate(backlog, now_ms, (double)(committed - backlog->from) / (double)took_ms);
        open_window(backlog, now_ms, committed);
    }
}

void backlog_look(struct backlog *backlog, int64_t now_ms, int64_t ends, int64_t committed)
{
    if (backlog->seen_ms > 0 && backlog->lag >= 0)
        measure(backlog, now_ms, committed);
    backlog->lag = ends > committed ? ends - committed : 0;
    backlog->lags[backlog->look_count++ % BACKLOG_STANDING] = backlog->lag;
    backlog->committed = committed;
    backlog->seen_ms = now_ms;
}

void backlog_forget(struct backlog *backlog)
{
    backlog->lag = -1;
    backlog->look_count = 0;
    backlog->measuring = false;
}

/* Records a millisecond. */
static double best_rate(const struct backlog *backlog, int64_t now_ms)
{
    double best = 0;
    for (int i = 0; i < BACKLOG_MINUTES; i++) {
        bool counts = now_ms / MINUTE_MS - backlog->minutes[i] < BACKLOG_MINUTES;
        if (counts && backlog->rates[i] > best)
            best = backlog->rates[i];
    }
    return best;
}

double backlog_rate(const struct backlog *backlog, int64_t now_ms)
{
    return 1000 * best_rate(backlog, now_ms);
}

/* What has been waiting all the time since the last looks; -1 unknown. */
static int64_t standing(const struct backlog *backlog)
{
    if (backlog->look_count < BACKLOG_STANDING)
        return -1;
    int64_t least = backlog->lags[0];
    for (int i = 1; i < BACKLOG_STANDING; i++) {
        if (backlog->lags[i] < least)
            least = backlog->lags[i];
    }
    return least;
}

int64_t backlog_drain_ms(const struct backlog *backlog, int64_t now_ms)
{
    int64_t lag = standing(backlog);
    double rate = best_rate(backlog, now_ms);
    if (lag <= 0)
        return lag;
    if (rate <= 0)
        return -1;
    double drain_ms = (double)lag / rate;
    return drain_ms < 9e15 ? (int64_t)drain_ms : INT64_C(9000000000000000);
}
