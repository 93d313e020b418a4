/* What the worker tells of its work, beside the counts where they arise: waits, whole lives of
 * jobs, dead letters, the gate's absence. docs/OPERATIONS.md says what each is for. See
 * worker_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"

#define MS_PER_SECOND 1000
#define LABELS_MAX    512

/* Jobs wait for moments or for hours. */
static const double life_bounds[] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,    2.5,
                                      5,     10,   30,    60,   300, 1800, 7200, 43200 };

static struct metric *life_histogram(const struct worker *worker, const char *name,
                                     const char *help, const char *type)
{
    struct buf labels = BUF_INIT(LABELS_MAX);
    metrics_label(&labels, "type", span_of(type));
    struct metric *metric =
        metrics_histogram(service_metrics(worker->service), name, help, labels.data, life_bounds,
                          sizeof life_bounds / sizeof *life_bounds);
    buf_free(&labels);
    return metric;
}

void worker_metrics_open(struct worker *worker)
{
    struct metrics *metrics = service_metrics(worker->service);
    worker->counts.without_gate = metrics_counter(
        metrics, "errand_without_gate_seconds_total",
        "Time in which attempts went on, or would have, without asking the gate.", NULL);
    for (size_t i = 0; i < worker->type_count; i++) {
        struct worker_type *type = &worker->types[i];
        type->wait_seconds =
            life_histogram(worker, "errand_job_wait_seconds",
                           "From when an attempt could begin (accepted, or due) until it did.",
                           type->config->name);
        type->job_seconds = life_histogram(
            worker, "errand_job_seconds",
            "From acceptance (or run_at) until Kafka had the outcome.", type->config->name);
    }
}

/* When the job could begin at all. */
static int64_t begin_ms(const struct job_facts *facts)
{
    return facts->run_at_ms > facts->created_at_ms ? facts->run_at_ms : facts->created_at_ms;
}

static void observe(struct metric *seconds, int64_t ms)
{
    metric_observe(seconds, ms > 0 ? (double)ms / MS_PER_SECOND : 0);
}

void worker_metrics_began(const struct attempt *attempt)
{
    const struct job_command *command = attempt->command;
    int64_t due_ms = command->due_at_ms ? command->due_at_ms : begin_ms(&command->facts);
    observe(attempt->type->wait_seconds, attempt->started_at_ms - due_ms);
}

void worker_metrics_ended(const struct attempt *attempt)
{
    if (attempt->command && attempt->type && attempt->plan[0] == PUBLISH_EVENT)
        observe(attempt->type->job_seconds, clock_wall_ms() - begin_ms(&attempt->command->facts));
}

void worker_metrics_dead(const struct attempt *attempt)
{
    struct buf labels = BUF_INIT(LABELS_MAX);
    metrics_label(&labels, "queue", span_of(attempt->partition->queue->name));
    metrics_label(&labels, "reason", span_of(err_code_text(attempt->failure.code)));
    metric_add(metrics_counter(service_metrics(attempt->partition->worker->service),
                               "errand_dead_letters_total", "Commands given up on, by why.",
                               labels.data),
               1);
    buf_free(&labels);
}

void worker_metrics_tick(struct worker *worker)
{
    struct worker_counts *counts = &worker->counts;
    int64_t now_ms = clock_monotonic_ms();
    double unknown = metric_value(worker->gate_verdicts[GATE_UNKNOWN]);
    if (counts->ticked_at_ms && (!redis_ready(worker->redis) || unknown > counts->unknown))
        counts->without_gate_ms += now_ms - counts->ticked_at_ms;
    metric_add(counts->without_gate, counts->without_gate_ms / MS_PER_SECOND);
    counts->without_gate_ms %= MS_PER_SECOND;
    counts->unknown = unknown;
    counts->ticked_at_ms = now_ms;
}
