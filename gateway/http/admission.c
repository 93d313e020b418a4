/* See admission.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/admission.h"

#include "infra/clock.h"
#include "schemas/backlog.h"
#include "schemas/mem.h"
#include "schemas/topic.h"

#include <inttypes.h>
#include <stdlib.h>

#define ANSWER_MS         5000 /* how long Kafka may take to tell */
#define RETRY_AFTER_S_MAX 600
#define RETRY_AFTER_S     10 /* where no rate is known */

struct queue {
    const struct config_queue *config;
    char *topic;
    char *group;
    struct kafka_range *ranges; /* of admission->ranges */
    struct backlog backlog;
    int64_t lag;      /* as of the last look; -1 unknown */
    int64_t drain_ms; /* the same */
    struct metric *lag_gauge, *drain_gauge, *refused;
};

struct admission {
    struct admission_options use;
    struct queue *queues;
    size_t *queue_of_type; /* by the type's place in the configuration */
    struct kafka_range *ranges;
    struct kafka_offset *offsets;
    size_t range_count;
    struct loop_timer *timer;
    size_t asked; /* the queue whose committed offsets are being asked for */
    bool asking;  /* the thread pool has a question of ours, which outlives admission_free */
    bool freed;
};

static void free_now(struct admission *admission)
{
    for (size_t i = 0; i < admission->use.config->queue_count; i++) {
        free(admission->queues[i].topic);
        free(admission->queues[i].group);
    }
    free(admission->queues);
    free(admission->queue_of_type);
    free(admission->ranges);
    free(admission->offsets);
    free(admission);
}

/* --- looking --- */

static void tell(struct queue *queue)
{
    if (queue->lag < 0)
        metric_unset(queue->lag_gauge);
    else
        metric_set(queue->lag_gauge, (double)queue->lag);
    if (queue->drain_ms < 0)
        metric_unset(queue->drain_gauge);
    else
        metric_set(queue->drain_gauge, (double)queue->drain_ms / 1000);
}

static void forget(struct queue *queue)
{
    backlog_forget(&queue->backlog);
    queue->lag = queue->drain_ms = -1;
    tell(queue);
}

/* A partition without a commit, or with one from before its log begins, is read from its begin. */
static void take(struct queue *queue, const struct kafka_offset *offsets)
{
    int64_t ends = 0;
    int64_t committed = 0;
    for (int64_t i = 0; i < queue->config->partitions; i++) {
        const struct kafka_range *range = &queue->ranges[i];
        ends += range->end;
        committed += offsets[i].offset > range->start ? offsets[i].offset : range->start;
    }
    int64_t now_ms = clock_monotonic_ms();
    backlog_look(&queue->backlog, now_ms, ends, committed);
    queue->lag = queue->backlog.lag;
    queue->drain_ms = backlog_drain_ms(&queue->backlog, now_ms);
    tell(queue);
}

static void rest(struct admission *admission)
{
    loop_timer_start(admission->timer, admission->use.config->gateway.backlog_look_ms, 0);
}

static void ask_committed(struct admission *admission);

static void on_committed(void *arg, enum err_code code)
{
    struct admission *admission = arg;
    admission->asking = false;
    if (admission->freed) {
        free_now(admission);
        return;
    }
    struct queue *queue = &admission->queues[admission->asked++];
    if (code)
        forget(queue);
    else
        take(queue, admission->offsets);
    if (admission->asked < admission->use.config->queue_count)
        ask_committed(admission);
    else
        rest(admission);
}

static void ask_committed(struct admission *admission)
{
    const struct queue *queue = &admission->queues[admission->asked];
    for (int32_t i = 0; i < queue->config->partitions; i++)
        admission->offsets[i] = (struct kafka_offset){ .topic = queue->topic, .partition = i };
    admission->asking = true;
    kafka_committed(
        admission->use.admin, queue->group, admission->offsets, (size_t)queue->config->partitions,
        &(struct kafka_reply){ admission->use.loop, ANSWER_MS, on_committed, admission });
}

static void on_ranges(void *arg, enum err_code code)
{
    struct admission *admission = arg;
    admission->asking = false;
    if (admission->freed) {
        free_now(admission);
    } else if (code) {
        for (size_t i = 0; i < admission->use.config->queue_count; i++)
            forget(&admission->queues[i]);
        rest(admission);
    } else {
        admission->asked = 0;
        ask_committed(admission);
    }
}

static void look(void *arg)
{
    struct admission *admission = arg;
    admission->asking = true;
    kafka_ranges(admission->use.admin, admission->ranges, admission->range_count,
                 &(struct kafka_reply){ admission->use.loop, ANSWER_MS, on_ranges, admission });
}

/* --- admitting --- */

static int seconds_of(int64_t ms)
{
    int64_t seconds = (ms + 999) / 1000;
    return seconds < 1 ? 1 : seconds > RETRY_AFTER_S_MAX ? RETRY_AFTER_S_MAX : (int)seconds;
}

static enum err_code refuse_wall(const struct queue *queue, struct admission_refusal *refusal,
                                 struct err *err)
{
    int64_t max = queue->config->backlog_max;
    refusal->quota = max;
    refusal->retry_after_s = RETRY_AFTER_S;
    if (queue->drain_ms > 0 && queue->lag > 0)
        refusal->retry_after_s = seconds_of(
            (int64_t)((double)queue->drain_ms * (double)(queue->lag - max) / (double)queue->lag));
    return err_set(err, ERR_BACKLOG_FULL,
                   "%" PRId64 " commands wait in queue %s; queues.%s.backlog_max is %" PRId64 ".",
                   queue->lag, queue->config->name, queue->config->name, max);
}

static enum err_code refuse_age(const struct queue *queue, int64_t time_ms,
                                struct admission_refusal *refusal, struct err *err)
{
    refusal->quota = (int64_t)((double)queue->lag * (double)time_ms / (double)queue->drain_ms);
    refusal->retry_after_s = seconds_of(queue->drain_ms - time_ms);
    return err_set(err, ERR_BACKLOG_FULL,
                   "What waits in queue %s takes about %" PRId64
                   " s; a job of this type would be too old by then.",
                   queue->config->name, queue->drain_ms / 1000);
}

enum err_code admission_check(const struct admission *admission, const struct config_type *type,
                              int64_t ahead_ms, struct admission_refusal *ret_refusal,
                              struct err *err)
{
    size_t place = (size_t)(type - admission->use.config->types);
    const struct queue *queue = &admission->queues[admission->queue_of_type[place]];
    /* A tenth is left for the job itself. */
    int64_t time_ms = ahead_ms + type->max_age_ms - type->max_age_ms / 10;
    bool wall = queue->config->backlog_max && queue->lag >= queue->config->backlog_max;
    if (!wall && queue->drain_ms <= time_ms)
        return ERR_OK;
    metric_add(queue->refused, 1);
    return wall ? refuse_wall(queue, ret_refusal, err)
                : refuse_age(queue, time_ms, ret_refusal, err);
}

/* --- the start --- */

static void open_metrics(struct admission *admission, struct queue *queue)
{
    struct metrics *metrics = admission->use.metrics;
    struct buf labels = BUF_INIT(512);
    metrics_label(&labels, "queue", span_of(queue->config->name));
    queue->lag_gauge = metrics_gauge(metrics, "errand_backlog_records",
                                     "Commands that wait in the queue.", labels.data);
    queue->drain_gauge = metrics_gauge(
        metrics, "errand_backlog_drain_seconds",
        "How long what waits takes, at the best rate of the last ten minutes.", labels.data);
    queue->refused = metrics_counter(metrics, "errand_backlog_refused_total",
                                     "Submissions answered backlog_full.", labels.data);
    buf_free(&labels);
}

static void open_queue(struct admission *admission, size_t index)
{
    const struct config *config = admission->use.config;
    struct queue *queue = &admission->queues[index];
    struct buf topic = BUF_INIT(TOPIC_NAME_MAX);
    struct buf group = BUF_INIT(TOPIC_NAME_MAX);
    queue->config = &config->queues[index];
    topic_name(&topic, config->namespace_, TOPIC_COMMANDS, queue->config->name);
    topic_group_worker(&group, config->namespace_, queue->config->name);
    queue->topic = buf_take(&topic);
    queue->group = buf_take(&group);
    queue->backlog.look_ms = config->gateway.backlog_look_ms;
    queue->ranges = &admission->ranges[admission->range_count];
    for (int32_t i = 0; i < queue->config->partitions; i++)
        admission->ranges[admission->range_count++] =
            (struct kafka_range){ .topic = queue->topic, .partition = i };
    open_metrics(admission, queue);
    forget(queue);
}

struct admission *admission_new(const struct admission_options *options)
{
    const struct config *config = options->config;
    struct admission *admission = MEM_NEW(*admission);
    admission->use = *options;
    admission->queues = mem_zalloc(config->queue_count, sizeof *admission->queues);
    admission->queue_of_type = mem_zalloc(config->type_count, sizeof *admission->queue_of_type);
    size_t widest = 0;
    size_t count = 0;
    for (size_t i = 0; i < config->queue_count; i++) {
        size_t partitions = (size_t)config->queues[i].partitions;
        widest = partitions > widest ? partitions : widest;
        count += partitions;
    }
    admission->ranges = mem_zalloc(count, sizeof *admission->ranges);
    admission->offsets = mem_zalloc(widest, sizeof *admission->offsets);
    for (size_t i = 0; i < config->queue_count; i++)
        open_queue(admission, i);
    for (size_t i = 0; i < config->type_count; i++) {
        for (size_t k = 0; k < config->queue_count; k++) {
            if (strcmp(config->queues[k].name, config->types[i].queue) == 0)
                admission->queue_of_type[i] = k;
        }
    }
    admission->timer = loop_timer_new(options->loop, look, admission);
    look(admission);
    return admission;
}

void admission_free(struct admission *admission)
{
    if (!admission)
        return;
    loop_timer_free(admission->timer);
    admission->freed = true;
    if (!admission->asking)
        free_now(admission);
}
