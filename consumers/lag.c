/* See lag.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/lag.h"

#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <stdlib.h>

#define IDLE_RATE 0.001 /* a queue into which less comes is one into which nothing comes */

const char *lag_how_text(enum lag_how how)
{
    static const char *const texts[] = { "unknown", "bounded", "exact" };
    return texts[how];
}

void lag_look_free(struct lag_look *look)
{
    for (size_t i = 0; look && i < look->count; i++) {
        struct lag_group *group = &look->groups[i];
        for (size_t k = 0; k < group->count; k++) {
            for (size_t n = 0; n < group->topics[k].count; n++)
                free(group->topics[k].partitions[n].owner);
            free(group->topics[k].partitions);
            free(group->topics[k].name);
        }
        free(group->topics);
        free(group->name);
        free(group->queue);
    }
    if (look)
        free(look->groups);
    free(look);
}

/* --- a partition --- */

int64_t lag_place(const struct lag_partition *partition, bool from_start)
{
    if (partition->committed < 0)
        return from_start ? partition->start : -1;
    if (partition->committed < partition->start && !MUTANT(lag_unclamped))
        return partition->start;
    return partition->committed;
}

static int64_t between(int64_t from, int64_t to)
{
    return to > from || MUTANT(lag_negative) ? to - from : 0;
}

static struct lag_figures unknown(void)
{
    return (struct lag_figures){ .lag = -1,
                                 .behind_ms = -1,
                                 .lost = -1,
                                 .margin = -1,
                                 .in_rate = -1,
                                 .out_rate = -1,
                                 .drain_s = -1 };
}

/* `oldest` is known, or the lag is 0. */
static void judge_age(struct lag_figures *figures, const struct lag_partition *partition,
                      int64_t now_ms)
{
    if (figures->lag == 0 || (partition->oldest == LAG_OLDEST_NONE && !MUTANT(markers_are_lag))) {
        figures->lag = 0;
        figures->behind_ms = 0;
        figures->how = LAG_EXACT;
    } else if (partition->oldest == LAG_OLDEST_RECORD && partition->oldest_ms >= 0) {
        figures->behind_ms = MUTANT(age_ignored) ? 0 : between(partition->oldest_ms, now_ms);
        bool bounded = figures->lost > 0 || partition->oldest_ms > now_ms;
        figures->how = bounded && !MUTANT(bounded_is_exact) ? LAG_BOUNDED : LAG_EXACT;
    }
}

static struct lag_figures judge(const struct lag_partition *partition, bool from_start,
                                int64_t now_ms)
{
    struct lag_figures figures = unknown();
    if (partition->start < 0 || partition->end < 0 ||
        (partition->beyond && !MUTANT(beyond_is_exact)))
        return figures;
    bool empty = partition->start >= partition->end;
    int64_t place = lag_place(partition, from_start);
    if (partition->start == 0)
        figures.lost = 0; /* nothing was ever deleted */
    if (place < 0 && !empty)
        return figures;
    if (partition->committed >= 0) {
        figures.lost = between(partition->committed, partition->start);
        figures.margin = between(partition->start, partition->committed);
    }
    figures.lag = empty && !MUTANT(lag_unclamped) ? 0 : between(place, partition->end);
    judge_age(&figures, partition, now_ms);
    return figures;
}

static double rate(int64_t from, int64_t to, int64_t elapsed_ms)
{
    if (from < 0 || to < from || elapsed_ms <= 0)
        return -1;
    return (double)(to - from) * 1000 / (double)elapsed_ms;
}

static double drain_of(const struct lag_figures *figures)
{
    if (figures->lag == 0)
        return 0;
    double shrinks = figures->out_rate - (MUTANT(drain_without_inflow) ? 0 : figures->in_rate);
    if (figures->lag < 0 || figures->in_rate < 0 || figures->out_rate < 0 || shrinks <= 0)
        return -1;
    return (double)figures->lag / shrinks;
}

/* --- sums --- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What is known of both. */
static int64_t sum_known(int64_t a, int64_t b)
{
    return a < 0 || b < 0 ? larger(a, b) : a + b;
}

/* What is known to be lost is told, also where there may be more; "none" only where all is known.
 */
static int64_t sum_lost(int64_t a, int64_t b)
{
    int64_t known = sum_known(a, b);
    bool whole = (a >= 0 && b >= 0) || MUTANT(lost_unknown_is_none);
    return whole || known > 0 ? known : -1;
}

static double sum_rates(double a, double b)
{
    return a < 0 || b < 0 ? -1 : a + b;
}

struct sum {
    struct lag_figures figures;
    size_t parts, unknown;
};

static void add(struct sum *sum, const struct lag_figures *part)
{
    struct lag_figures *all = &sum->figures;
    if (sum->parts++ == 0) {
        *all = *part;
        sum->unknown = part->how == LAG_UNKNOWN;
        return;
    }
    sum->unknown += part->how == LAG_UNKNOWN;
    all->lag = sum_known(all->lag, part->lag);
    all->behind_ms = larger(all->behind_ms, part->behind_ms);
    all->lost = sum_lost(all->lost, part->lost);
    if (part->margin >= 0 && (all->margin < 0 || part->margin < all->margin))
        all->margin = part->margin;
    all->in_rate = sum_rates(all->in_rate, part->in_rate);
    all->out_rate = sum_rates(all->out_rate, part->out_rate);
    if (part->how < all->how)
        all->how = part->how;
}

static struct lag_figures total(struct sum *sum)
{
    if (sum->parts == 0)
        return unknown();
    if (sum->unknown == sum->parts)
        sum->figures.how = LAG_UNKNOWN;
    else if (sum->unknown && !MUTANT(sum_of_known_is_exact))
        sum->figures.how = LAG_BOUNDED; /* what is known of it */
    if (sum->figures.how == LAG_UNKNOWN)
        sum->figures.behind_ms = -1;
    sum->figures.drain_s = sum->unknown ? -1 : drain_of(&sum->figures);
    return sum->figures;
}

/* --- a look --- */

static const struct lag_topic *find_topic(const struct lag_look *look, const char *group,
                                          const char *topic)
{
    for (size_t i = 0; look && i < look->count; i++) {
        if (strcmp(look->groups[i].name, group) != 0)
            continue;
        for (size_t k = 0; k < look->groups[i].count; k++) {
            if (strcmp(look->groups[i].topics[k].name, topic) == 0)
                return &look->groups[i].topics[k];
        }
    }
    return NULL;
}

static const struct lag_partition *partition_of(const struct lag_topic *topic, int32_t number)
{
    size_t low = 0;
    size_t high = topic ? topic->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (topic->partitions[middle].partition < number)
            low = middle + 1;
        else
            high = middle;
    }
    return topic && low < topic->count && topic->partitions[low].partition == number
               ? &topic->partitions[low]
               : NULL;
}

const struct lag_partition *lag_find(const struct lag_look *look, const char *group,
                                     const char *topic, int32_t partition)
{
    return partition_of(find_topic(look, group, topic), partition);
}

static void judge_topic(struct lag_topic *topic, const struct lag_topic *before, bool from_start,
                        int64_t now_ms, int64_t elapsed_ms)
{
    struct sum sum = { 0 };
    for (size_t i = 0; i < topic->count; i++) {
        struct lag_partition *partition = &topic->partitions[i];
        const struct lag_partition *earlier = partition_of(before, partition->partition);
        partition->figures = judge(partition, from_start, now_ms);
        if (earlier) {
            partition->figures.in_rate = rate(earlier->end, partition->end, elapsed_ms);
            if (partition->figures.lost <= 0) /* what retention takes is not done */
                partition->figures.out_rate = rate(lag_place(earlier, from_start),
                                                   lag_place(partition, from_start), elapsed_ms);
        }
        partition->figures.drain_s = drain_of(&partition->figures);
        add(&sum, &partition->figures);
    }
    topic->figures = total(&sum);
}

void lag_judge(struct lag_look *look, const struct lag_look *before)
{
    int64_t elapsed_ms = before ? look->monotonic_ms - before->monotonic_ms : 0;
    for (size_t i = 0; i < look->count; i++) {
        struct lag_group *group = &look->groups[i];
        struct sum sum = { 0 };
        for (size_t k = 0; k < group->count; k++) {
            struct lag_topic *topic = &group->topics[k];
            judge_topic(topic, find_topic(before, group->name, topic->name), group->from_start,
                        look->at_ms, elapsed_ms);
            add(&sum, &topic->figures);
        }
        group->figures = total(&sum);
    }
}

/* --- verdicts --- */

const char *lag_state_text(enum lag_state state)
{
    static const char *const texts[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };
    return texts[state];
}

enum lag_state lag_worse(enum lag_state a, enum lag_state b)
{
    static const int badness[] = { 0, 1, 3, 2 };
    return badness[a] > badness[b] ? a : b;
}

enum lag_state lag_check(const struct lag_group *group, const struct lag_limits *limits)
{
    const struct lag_figures *figures = &group->figures;
    enum lag_state state = LAG_OK;
    if (figures->behind_ms >= limits->crit_ms)
        return LAG_CRITICAL;
    if (figures->behind_ms >= limits->warn_ms || figures->lost > 0)
        state = LAG_WARNING;
    bool whole = figures->how != LAG_UNKNOWN;
    for (size_t i = 0; i < group->count && whole; i++) {
        for (size_t k = 0; k < group->topics[i].count && whole; k++)
            whole = group->topics[i].partitions[k].figures.how != LAG_UNKNOWN;
    }
    return whole || MUTANT(unknown_is_ok) ? state : lag_worse(state, LAG_STATE_UNKNOWN);
}

int64_t lag_workers_wanted(const struct lag_group *group, double worker_rate, double drain_s)
{
    const struct lag_figures *figures = &group->figures;
    if ((figures->lag < 0 || figures->how == LAG_UNKNOWN) && !MUTANT(unknown_wants_none))
        return -1;
    int64_t partitions = 0;
    for (size_t i = 0; i < group->count; i++)
        partitions += (int64_t)group->topics[i].count;
    double in_rate = figures->in_rate > IDLE_RATE ? figures->in_rate : 0;
    if (figures->lag == 0 && in_rate == 0)
        return 0;
    if (worker_rate <= 0)
        return group->members > 0 ? group->members : 1;
    double wanted = (in_rate + (double)figures->lag / drain_s) / worker_rate;
    if (wanted >= (double)partitions)
        return partitions;
    int64_t whole = (int64_t)wanted;
    return whole + ((double)whole < wanted);
}
