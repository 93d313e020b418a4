/* How far the view trails behind the topics, and how long it was not whole. See
 * recorder_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/recorder_internal.h"
#include "infra/clock.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define LOOK_MS   2000
#define ANSWER_MS 5000

struct recorder_lag {
    struct recorder *recorder; /* NULL once it has closed */
    struct kafka_range *ranges;
    char **topics; /* of the ranges, owned: a partition may go while its end is asked for */
    size_t count;
    bool asking; /* the thread pool has a question of ours, which outlives the recorder */
    struct loop_timer *timer;
    struct metric *records[2]; /* events, commands */
    struct metric *seconds;
    struct metric *uncertified;
    int64_t uncertified_ms; /* not counted yet */
    int64_t ticked_at_ms;
};

static void forget_ranges(struct recorder_lag *lag)
{
    for (size_t i = 0; i < lag->count; i++)
        free(lag->topics[i]);
    free(lag->topics);
    free(lag->ranges);
    lag->topics = NULL;
    lag->ranges = NULL;
    lag->count = 0;
}

static void free_now(struct recorder_lag *lag)
{
    forget_ranges(lag);
    free(lag);
}

static const struct kafka_range *range_of(const struct recorder_lag *lag,
                                          const struct recorder_partition *partition)
{
    for (size_t i = 0; i < lag->count; i++) {
        if (lag->ranges[i].partition == partition->number &&
            strcmp(lag->topics[i], partition->topic) == 0)
            return &lag->ranges[i];
    }
    return NULL;
}

static int64_t end_of(const struct recorder_lag *lag, const struct recorder_partition *partition)
{
    const struct kafka_range *range = range_of(lag, partition);
    return range ? range->end : -1;
}

/* What retention deletes leaves the index of dead letters, with the next batch. */
static void note_starts(const struct recorder_lag *lag)
{
    for (struct recorder_partition *p = lag->recorder->partitions; p; p = p->next) {
        const struct kafka_range *range = p->dead && p->handle ? range_of(lag, p) : NULL;
        if (range && range->start > p->log_start)
            p->log_start = range->start;
    }
}

/* Of the partitions that are ours; unknown while any of them is not being folded. */
static void tell(const struct recorder_lag *lag, bool commands)
{
    int64_t records = 0;
    for (const struct recorder_partition *p = lag->recorder->partitions; p; p = p->next) {
        if (!p->handle || p->dead || p->commands != commands)
            continue;
        int64_t end = p->state == RECORDER_FOLDING ? end_of(lag, p) : -1;
        if (end < 0) {
            metric_unset(lag->records[commands]);
            return;
        }
        records += end > p->applied ? end - p->applied : 0;
    }
    metric_set(lag->records[commands], (double)records);
}

static void on_ranges(void *arg, enum err_code code)
{
    struct recorder_lag *lag = arg;
    lag->asking = false;
    if (!lag->recorder) {
        free_now(lag);
        return;
    }
    if (code)
        forget_ranges(lag);
    tell(lag, false);
    tell(lag, true);
    note_starts(lag);
    forget_ranges(lag);
    loop_timer_start(lag->timer, LOOK_MS, 0);
}

static void look(void *arg)
{
    struct recorder_lag *lag = arg;
    const struct recorder *recorder = lag->recorder;
    size_t count = 0;
    for (const struct recorder_partition *p = recorder->partitions; p; p = p->next)
        count += p->handle != NULL;
    if (count == 0) {
        metric_unset(lag->records[0]);
        metric_unset(lag->records[1]);
        loop_timer_start(lag->timer, LOOK_MS, 0);
        return;
    }
    lag->ranges = mem_zalloc(count, sizeof *lag->ranges);
    lag->topics = mem_zalloc(count, sizeof *lag->topics);
    for (const struct recorder_partition *p = recorder->partitions; p; p = p->next) {
        if (!p->handle)
            continue;
        lag->topics[lag->count] = mem_dup_text(p->topic);
        lag->ranges[lag->count] =
            (struct kafka_range){ .topic = lag->topics[lag->count], .partition = p->number };
        lag->count++;
    }
    lag->asking = true;
    kafka_ranges(recorder->admin, lag->ranges, lag->count,
                 &(struct kafka_reply){ recorder->loop, ANSWER_MS, on_ranges, lag });
}

void recorder_metrics_open(struct recorder *recorder)
{
    static const char records[] = "Records on the topics that are not in the view yet.";
    struct metrics *metrics = service_metrics(recorder->service);
    struct recorder_lag *lag = MEM_NEW(*lag);
    lag->recorder = recorder;
    lag->records[0] = metrics_gauge(metrics, "errand_view_lag_records", records, "kind=\"event\"");
    lag->records[1] =
        metrics_gauge(metrics, "errand_view_lag_records", records, "kind=\"command\"");
    lag->seconds =
        metrics_histogram(metrics, "errand_view_lag_seconds",
                          "From when Kafka had a batch's oldest event until it was in the view.",
                          NULL, metrics_latency_bounds, metrics_latency_bound_count);
    lag->uncertified =
        metrics_counter(metrics, "errand_view_uncertified_seconds_total",
                        "Time in which the view was not whole, while Redis was there.", NULL);
    lag->timer = loop_timer_new(recorder->loop, look, lag);
    loop_timer_start(lag->timer, LOOK_MS, 0);
    recorder->lag = lag;
}

void recorder_metrics_close(struct recorder *recorder)
{
    struct recorder_lag *lag = recorder->lag;
    if (!lag)
        return;
    recorder->lag = NULL;
    lag->recorder = NULL;
    loop_timer_free(lag->timer);
    if (!lag->asking)
        free_now(lag);
}

/* Of a view that is being rebuilt the age of what is folded says nothing. */
void recorder_metrics_applied(const struct recorder *recorder, int64_t oldest_ms)
{
    if (recorder->certified && oldest_ms > 0) {
        int64_t age_ms = clock_wall_ms() - oldest_ms;
        metric_observe(recorder->lag->seconds, age_ms > 0 ? (double)age_ms / 1000 : 0);
    }
}

void recorder_metrics_tick(const struct recorder *recorder)
{
    struct recorder_lag *lag = recorder->lag;
    int64_t now_ms = clock_monotonic_ms();
    if (lag->ticked_at_ms && redis_ready(recorder->redis) && !recorder->certified)
        lag->uncertified_ms += now_ms - lag->ticked_at_ms;
    metric_add(lag->uncertified, lag->uncertified_ms / 1000);
    lag->uncertified_ms %= 1000;
    lag->ticked_at_ms = now_ms;
}
