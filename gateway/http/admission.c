/* See admission.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/admission.h"

#include "infra/clock.h"
#include "schemas/backlog.h"
#include "schemas/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define RETRY_AFTER_S_MAX 600
#define RETRY_AFTER_S     10 /* where no rate is known */

struct queue {
    const struct config_queue *config;
    struct backlog backlog;
    int64_t drain_ms; /* the same */
    struct metric *drain_gauge, *refused;
};

struct admission {
    const struct config *config;
    struct queue *queues;
    size_t *queue_of_type; /* by the type's place in the configuration */
};

/* --- looking --- */

static void tell(struct queue *queue)
{
    if (queue->drain_ms < 0)
        metric_unset(queue->drain_gauge);
    else
        metric_set(queue->drain_gauge, (double)queue->drain_ms / 1000);
}

static void forget(struct queue *queue)
{
    backlog_forget(&queue->backlog);
    queue->drain_ms = -1;
    tell(queue);
}

static void take(struct queue *queue, const struct lag_look *look, const struct lag_topic *topic)
{
    int64_t ends = 0;
    int64_t committed = 0;
    for (size_t i = 0; i < topic->count; i++) {
        const struct lag_partition *partition = &topic->partitions[i];
        if (partition->start < 0 || partition->end < 0 || partition->beyond) {
            forget(queue);
            return;
        }
        ends += partition->end;
        committed += lag_place(partition, true);
    }
    backlog_look(&queue->backlog, look->monotonic_ms, ends, committed);
    queue->drain_ms = backlog_drain_ms(&queue->backlog, look->monotonic_ms);
    tell(queue);
}

void admission_look(struct admission *admission, const struct lag_look *look)
{
    for (size_t i = 0; i < admission->config->queue_count; i++) {
        struct queue *queue = &admission->queues[i];
        if (look && look->groups[i].count)
            take(queue, look, &look->groups[i].topics[0]);
        else
            forget(queue);
    }
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
    if (queue->drain_ms > 0 && queue->backlog.lag > 0)
        refusal->retry_after_s =
            seconds_of((int64_t)((double)queue->drain_ms * (double)(queue->backlog.lag - max) /
                                 (double)queue->backlog.lag));
    return err_set(err, ERR_BACKLOG_FULL,
                   "%" PRId64 " commands wait in queue %s; queues.%s.backlog_max is %" PRId64 ".",
                   queue->backlog.lag, queue->config->name, queue->config->name, max);
}

static enum err_code refuse_age(const struct queue *queue, int64_t time_ms,
                                struct admission_refusal *refusal, struct err *err)
{
    refusal->quota =
        (int64_t)((double)queue->backlog.lag * (double)time_ms / (double)queue->drain_ms);
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
    size_t place = (size_t)(type - admission->config->types);
    const struct queue *queue = &admission->queues[admission->queue_of_type[place]];
    /* A tenth is left for the job itself. */
    int64_t time_ms = ahead_ms + type->max_age_ms - type->max_age_ms / 10;
    bool wall = queue->config->backlog_max && queue->backlog.lag >= queue->config->backlog_max;
    if (!wall && queue->drain_ms <= time_ms)
        return ERR_OK;
    metric_add(queue->refused, 1);
    return wall ? refuse_wall(queue, ret_refusal, err)
                : refuse_age(queue, time_ms, ret_refusal, err);
}

double admission_rate(const struct admission *admission, const struct config_queue *queue)
{
    size_t place = (size_t)(queue - admission->config->queues);
    return backlog_rate(&admission->queues[place].backlog, clock_monotonic_ms());
}

/* --- the start --- */

static void open_queue(struct queue *queue, const struct config *config, size_t index,
                       struct metrics *metrics)
{
    struct buf labels = BUF_INIT(512);
    queue->config = &config->queues[index];
    queue->backlog.look_ms = config->gateway.backlog_look_ms;
    metrics_label(&labels, "queue", span_of(queue->config->name));
    queue->drain_gauge = metrics_gauge(
        metrics, "errand_admission_drain_seconds",
        "How long what waits takes, at the best rate of the last ten minutes.", labels.data);
    queue->refused = metrics_counter(metrics, "errand_admission_refused_total",
                                     "Submissions answered backlog_full.", labels.data);
    buf_free(&labels);
    forget(queue);
}

struct admission *admission_new(const struct config *config, struct metrics *metrics)
{
    struct admission *admission = MEM_NEW(*admission);
    admission->config = config;
    admission->queues = mem_zalloc(config->queue_count, sizeof *admission->queues);
    admission->queue_of_type = mem_zalloc(config->type_count, sizeof *admission->queue_of_type);
    for (size_t i = 0; i < config->queue_count; i++)
        open_queue(&admission->queues[i], config, i, metrics);
    for (size_t i = 0; i < config->type_count; i++) {
        for (size_t k = 0; k < config->queue_count; k++) {
            if (strcmp(config->queues[k].name, config->types[i].queue) == 0)
                admission->queue_of_type[i] = k;
        }
    }
    return admission;
}

void admission_free(struct admission *admission)
{
    if (!admission)
        return;
    free(admission->queues);
    free(admission->queue_of_type);
    free(admission);
}
