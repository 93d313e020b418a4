/* See lag_metrics.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/lag_metrics.h"

#include "schemas/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LABELS_MAX 1024

enum of_partition {
    RECORDS,
    SECONDS,
    GROUP_OFFSET,
    GROUP_LAG,
    GROUP_LAG_SECONDS,
    EARLIEST_OFFSET,
    LATEST_OFFSET,
    OF_PARTITION_COUNT,
};
enum of_queue {
    LOST,
    IN_RATE,
    OUT_RATE,
    DRAIN,
    CERTAINTY,
    WORKERS,
    TOPIC_SUM_LAG,
    SUM_LAG,
    MAX_LAG,
    MAX_LAG_SECONDS,
    OF_QUEUE_COUNT,
};
/* Which labels a metric has. */
enum labels { BY_QUEUE, BY_PLACE, BY_GROUP, BY_GROUP_TOPIC, BY_GROUP_PLACE };

struct description {
    const char *name;
    enum labels labels;
    const char *help;
};

static const struct description of_partition[OF_PARTITION_COUNT] = {
    [RECORDS] = { "errand_lag_records", BY_QUEUE, "Commands without an outcome, by partition." },
    [SECONDS] = { "errand_lag_seconds", BY_QUEUE,
                  "Age of the oldest command without an outcome, by partition." },
    [GROUP_OFFSET] = { "kafka_consumergroup_group_offset", BY_GROUP_PLACE,
                       "Offset that the group has committed." },
    [GROUP_LAG] = { "kafka_consumergroup_group_lag", BY_GROUP_PLACE,
                    "Records that the group has not done." },
    [GROUP_LAG_SECONDS] = { "kafka_consumergroup_group_lag_seconds", BY_GROUP_PLACE,
                            "Age of the oldest record that the group has not done." },
    [EARLIEST_OFFSET] = { "kafka_partition_earliest_offset", BY_PLACE, "Where the log starts." },
    [LATEST_OFFSET] = { "kafka_partition_latest_offset", BY_PLACE, "Where the log ends." },
};
static const struct description of_queue[OF_QUEUE_COUNT] = {
    [LOST] = { "errand_lag_lost_records", BY_QUEUE,
               "Commands that retention took before they were read." },
    [IN_RATE] = { "errand_lag_in_per_second", BY_QUEUE, "Commands that come in, a second." },
    [OUT_RATE] = { "errand_lag_out_per_second", BY_QUEUE, "Commands that are done, a second." },
    [DRAIN] = { "errand_lag_drain_seconds", BY_QUEUE,
                "How long until nothing waits, at the present rates." },
    [CERTAINTY] = { "errand_lag_certainty", BY_QUEUE,
                    "How the lag is known: 2 exact, 1 at least what is told, 0 not." },
    [WORKERS] = { "errand_lag_workers_wanted", BY_QUEUE,
                  "Workers that keep up with the queue and drain it in a minute." },
    [TOPIC_SUM_LAG] = { "kafka_consumergroup_group_topic_sum_lag", BY_GROUP_TOPIC,
                        "Records of the topic that the group has not done." },
    [SUM_LAG] = { "kafka_consumergroup_group_sum_lag", BY_GROUP,
                  "Records that the group has not done." },
    [MAX_LAG] = { "kafka_consumergroup_group_max_lag", BY_GROUP,
                  "The most that the group has not done of a partition." },
    [MAX_LAG_SECONDS] = { "kafka_consumergroup_group_max_lag_seconds", BY_GROUP,
                          "Age of the oldest record that the group has not done." },
};

struct queue {
    struct metric *whole[OF_QUEUE_COUNT];
    struct metric *(*partitions)[OF_PARTITION_COUNT];
    size_t count;
};
struct lag_metrics {
    struct queue *queues;
    size_t count;
};

/* --- making them --- */

struct place {
    const struct config *config;
    const struct lag_question_group *group;
    int partition; /* -1: of the whole queue */
};

static void add_labels(struct buf *labels, enum labels kind, const struct place *place)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%d", place->partition);
    if (kind == BY_QUEUE)
        metrics_label(labels, "queue", span_of(place->group->queue));
    else
        metrics_label(labels, "cluster_name", span_of(place->config->namespace_));
    if (kind == BY_GROUP || kind == BY_GROUP_TOPIC || kind == BY_GROUP_PLACE)
        metrics_label(labels, "group", span_of(place->group->name));
    if (kind == BY_PLACE || kind == BY_GROUP_TOPIC || kind == BY_GROUP_PLACE)
        metrics_label(labels, "topic", span_of(place->group->topics->name));
    if (place->partition >= 0)
        metrics_label(labels, "partition", span_of(number));
}

static struct metric *make(struct metrics *metrics, const struct description *description,
                           const struct place *place)
{
    struct buf labels = BUF_INIT(LABELS_MAX);
    add_labels(&labels, description->labels, place);
    struct metric *metric =
        metrics_gauge(metrics, description->name, description->help, labels.data);
    metric_unset(metric);
    buf_free(&labels);
    return metric;
}

static void open_queue(struct metrics *metrics, struct queue *queue, struct place place)
{
    for (size_t k = 0; k < OF_QUEUE_COUNT; k++)
        queue->whole[k] = make(metrics, &of_queue[k], &place);
    queue->count = (size_t)place.group->topics->partitions;
    queue->partitions = mem_zalloc(queue->count, sizeof *queue->partitions);
    for (size_t i = 0; i < queue->count; i++) {
        place.partition = (int)i;
        for (size_t k = 0; k < OF_PARTITION_COUNT; k++)
            queue->partitions[i][k] = make(metrics, &of_partition[k], &place);
    }
}

struct lag_metrics *lag_metrics_new(struct metrics *metrics, const struct config *config,
                                    const struct lag_question_group *groups)
{
    struct lag_metrics *lag = MEM_NEW(*lag);
    lag->count = config->queue_count;
    lag->queues = mem_zalloc(lag->count, sizeof *lag->queues);
    for (size_t i = 0; i < lag->count; i++)
        open_queue(metrics, &lag->queues[i], (struct place){ config, &groups[i], -1 });
    return lag;
}

void lag_metrics_free(struct lag_metrics *lag)
{
    for (size_t i = 0; lag && i < lag->count; i++)
        free(lag->queues[i].partitions);
    if (lag)
        free(lag->queues);
    free(lag);
}

/* --- telling --- */

static void set(struct metric *metric, double value)
{
    if (value < 0)
        metric_unset(metric);
    else
        metric_set(metric, value);
}

static double seconds(int64_t ms)
{
    return ms < 0 ? -1 : (double)ms / 1000;
}

static void forget(struct queue *queue)
{
    for (size_t k = 0; k < OF_QUEUE_COUNT; k++)
        metric_unset(queue->whole[k]);
    for (size_t i = 0; i < queue->count; i++) {
        for (size_t k = 0; k < OF_PARTITION_COUNT; k++)
            metric_unset(queue->partitions[i][k]);
    }
}

static void set_partition(struct metric *const *metrics, const struct lag_partition *partition)
{
    const struct lag_figures *figures = &partition->figures;
    set(metrics[RECORDS], (double)figures->lag);
    set(metrics[SECONDS], seconds(figures->behind_ms));
    set(metrics[GROUP_OFFSET], (double)partition->committed);
    set(metrics[GROUP_LAG], (double)figures->lag);
    set(metrics[GROUP_LAG_SECONDS], seconds(figures->behind_ms));
    set(metrics[EARLIEST_OFFSET], (double)partition->start);
    set(metrics[LATEST_OFFSET], (double)partition->end);
}

void lag_metrics_set(struct lag_metrics *lag, size_t i, const struct lag_group *group,
                     int64_t workers)
{
    struct queue *queue = &lag->queues[i];
    if (!group) {
        forget(queue);
        return;
    }
    const struct lag_figures *figures = &group->figures;
    int64_t most = -1;
    const struct lag_topic *topic = &group->topics[0];
    for (size_t k = 0; k < topic->count; k++) {
        set_partition(queue->partitions[k], &topic->partitions[k]);
        most = topic->partitions[k].figures.lag > most ? topic->partitions[k].figures.lag : most;
    }
    set(queue->whole[LOST], (double)figures->lost);
    set(queue->whole[IN_RATE], figures->in_rate);
    set(queue->whole[OUT_RATE], figures->out_rate);
    set(queue->whole[DRAIN], figures->drain_s);
    set(queue->whole[CERTAINTY], figures->how);
    set(queue->whole[WORKERS], (double)workers);
    set(queue->whole[TOPIC_SUM_LAG], (double)topic->figures.lag);
    set(queue->whole[SUM_LAG], (double)figures->lag);
    set(queue->whole[MAX_LAG], (double)most);
    set(queue->whole[MAX_LAG_SECONDS], seconds(figures->behind_ms));
}
