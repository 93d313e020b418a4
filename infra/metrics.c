/* See metrics.h. A family is a name with its help and kind; its series differ in their labels.
 * Registering is rare and takes the registry's lock; a metric never moves and never goes before the
 * registry does.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/metrics.h"

#include "infra/metrics_process.h"
#include "schemas/mem.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct metric {
    struct metric *next;
    char *labels;
    enum kind kind;
    size_t bound_count;
    const double *bounds;
    _Atomic int64_t count;     /* a counter's value */
    _Atomic double value;      /* a gauge's value, NaN while unknown; a histogram's sum */
    _Atomic int64_t buckets[]; /* a histogram's, not cumulated; the last one is +Inf */
};

struct family {
    struct family *next;
    char *name;
    char *help;
    enum kind kind;
    struct metric *first;
    struct metric *last;
};

struct metrics {
    pthread_mutex_t mutex;
    struct family *first;
    struct family *last;
};

const double metrics_latency_bounds[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                          0.05,   0.1,   0.25,   0.5,   1,    2.5,
                                          5,      10,    20,     30,    60 };
const size_t metrics_latency_bound_count =
    sizeof metrics_latency_bounds / sizeof *metrics_latency_bounds;

struct metrics *metrics_new(void)
{
    struct metrics *metrics = MEM_NEW(*metrics);
    pthread_mutex_init(&metrics->mutex, NULL);
    return metrics;
}

static void free_family(struct family *family)
{
    for (struct metric *metric = family->first, *next; metric; metric = next) {
        next = metric->next;
        free(metric->labels);
        free(metric);
    }
    free(family->name);
    free(family->help);
    free(family);
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    for (struct family *family = metrics->first, *next; family; family = next) {
        next = family->next;
        free_family(family);
    }
    pthread_mutex_destroy(&metrics->mutex);
    free(metrics);
}

/* --- registering; under the mutex --- */

static bool is_name(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";
    return name[0] && !(name[0] >= '0' && name[0] <= '9') && name[strspn(name, letters)] == '\0';
}

static struct family *find_family(struct metrics *metrics, enum kind kind, const char *name,
                                  const char *help)
{
    for (struct family *family = metrics->first; family; family = family->next) {
        if (strcmp(family->name, name) == 0) {
            assert(family->kind == kind);
            return family;
        }
    }
    assert(is_name(name));
    struct family *family = MEM_NEW(*family);
    family->name = mem_dup_text(name);
    family->help = mem_dup_text(help);
    family->kind = kind;
    *(metrics->last ? &metrics->last->next : &metrics->first) = family;
    metrics->last = family;
    return family;
}

struct bounds {
    const double *values;
    size_t count;
};

static struct metric *find_metric(struct family *family, const char *labels, struct bounds bounds)
{
    for (struct metric *metric = family->first; metric; metric = metric->next) {
        if (strcmp(metric->labels, labels) == 0)
            return metric;
    }
    size_t bucket_count = family->kind == HISTOGRAM ? bounds.count + 1 : 0;
    struct metric *metric = mem_zalloc(1, sizeof *metric + bucket_count * sizeof *metric->buckets);
    metric->labels = mem_dup_text(labels);
    metric->kind = family->kind;
    metric->bounds = bounds.values;
    metric->bound_count = bounds.count;
    atomic_init(&metric->value, family->kind == GAUGE ? (double)NAN : 0.0);
    *(family->last ? &family->last->next : &family->first) = metric;
    family->last = metric;
    return metric;
}

static struct metric *add(struct metrics *metrics, enum kind kind, const char *name,
                          const char *help, const char *labels, struct bounds bounds)
{
    pthread_mutex_lock(&metrics->mutex);
    struct family *family = find_family(metrics, kind, name, help);
    struct metric *metric = find_metric(family, labels ? labels : "", bounds);
    pthread_mutex_unlock(&metrics->mutex);
    return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                               const char *labels)
{
    return add(metrics, COUNTER, name, help, labels, (struct bounds){ 0 });
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                             const char *labels)
{
    return add(metrics, GAUGE, name, help, labels, (struct bounds){ 0 });
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                 const char *labels, const double *bounds, size_t bound_count)
{
    return add(metrics, HISTOGRAM, name, help, labels, (struct bounds){ bounds, bound_count });
}

/* Escapes what the format gives a meaning to: a backslash, a line feed and, in labels, the quote.
 */
static void add_escaped(struct buf *out, struct span text, bool quote)
{
    const char *p = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (p[i] == '\n')
            buf_add_text(out, "\\n");
        else if (p[i] == '\\')
            buf_add_text(out, "\\\\");
        else if (p[i] == '"' && quote)
            buf_add_text(out, "\\\"");
        else
            buf_add_char(out, p[i]);
    }
}

void metrics_label(struct buf *labels, const char *name, struct span value)
{
    if (labels->size)
        buf_add_char(labels, ',');
    buf_printf(labels, "%s=\"", name);
    add_escaped(labels, value, true);
    buf_add_char(labels, '"');
}

/* --- updating --- */

/* Adds to a double; an unknown value counts from 0. */
static void add_double(_Atomic double *value, double by)
{
    double old = atomic_load_explicit(value, memory_order_relaxed);
    double new;
    do
        new = isnan(old) ? by : old + by;
    while (!atomic_compare_exchange_weak_explicit(value, &old, new, memory_order_relaxed,
                                                  memory_order_relaxed));
}

void metric_add(struct metric *metric, int64_t by)
{
    assert(metric->kind == GAUGE || (metric->kind == COUNTER && by >= 0));
    if (metric->kind == COUNTER)
        atomic_fetch_add_explicit(&metric->count, by, memory_order_relaxed);
    else
        add_double(&metric->value, (double)by);
}

void metric_set(struct metric *metric, double value)
{
    assert(metric->kind == GAUGE);
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_unset(struct metric *metric)
{
    metric_set(metric, (double)NAN);
}

void metric_observe(struct metric *metric, double value)
{
    assert(metric->kind == HISTOGRAM);
    size_t bucket = 0;
    while (bucket < metric->bound_count && value > metric->bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    add_double(&metric->value, value);
}

double metric_value(const struct metric *metric)
{
    assert(metric->kind != HISTOGRAM);
    if (metric->kind == COUNTER)
        return (double)atomic_load_explicit(&metric->count, memory_order_relaxed);
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* --- rendering --- */

/* The shortest of the forms that reads back as the same number. */
static void add_number(struct buf *out, double value)
{
    char text[32];
    if (isinf(value)) {
        buf_add_text(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    buf_add_text(out, text);
}

/* `suffix` and `extra`, a label of the format's own, may be "". */
static void add_series(struct buf *out, const struct family *family, const char *suffix,
                       const char *labels, const char *extra)
{
    buf_printf(out, "%s%s", family->name, suffix);
    if (labels[0] || extra[0])
        buf_printf(out, "{%s%s%s}", labels, labels[0] && extra[0] ? "," : "", extra);
    buf_add_char(out, ' ');
}

/* The count is the buckets' sum, so that a scrape in the midst of an update still adds up. */
static void add_histogram(struct buf *out, const struct family *family, const struct metric *metric)
{
    int64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        char text[32];
        struct buf bound = BUF_INIT(64);
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        add_number(&bound, i < metric->bound_count ? metric->bounds[i] : (double)INFINITY);
        snprintf(text, sizeof text, "le=\"%s\"", bound.data);
        buf_free(&bound);
        add_series(out, family, "_bucket", metric->labels, text);
        buf_add_int(out, count);
        buf_add_char(out, '\n');
    }
    add_series(out, family, "_sum", metric->labels, "");
    add_number(out, atomic_load_explicit(&metric->value, memory_order_relaxed));
    buf_add_char(out, '\n');
    add_series(out, family, "_count", metric->labels, "");
    buf_add_int(out, count);
    buf_add_char(out, '\n');
}

static void add_metric(struct buf *out, const struct family *family, const struct metric *metric)
{
    if (family->kind == HISTOGRAM) {
        add_histogram(out, family, metric);
        return;
    }
    double value = atomic_load_explicit(&metric->value, memory_order_relaxed);
    if (family->kind == GAUGE && isnan(value))
        return;
    add_series(out, family, "", metric->labels, "");
    if (family->kind == COUNTER)
        buf_add_int(out, atomic_load_explicit(&metric->count, memory_order_relaxed));
    else
        add_number(out, value);
    buf_add_char(out, '\n');
}

void metrics_render(struct metrics *metrics, struct buf *out)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    pthread_mutex_lock(&metrics->mutex);
    for (const struct family *family = metrics->first; family; family = family->next) {
        buf_printf(out, "# HELP %s ", family->name);
        add_escaped(out, span_of(family->help), false);
        buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
        for (const struct metric *metric = family->first; metric; metric = metric->next)
            add_metric(out, family, metric);
    }
    pthread_mutex_unlock(&metrics->mutex);
    metrics_process_render(out);
}
