/* Metrics in Prometheus text format 0.0.4: counters, gauges, histograms with fixed label sets.
 * A metric is looked up once and kept; updating is a relaxed atomic add. A name may be registered
 * again with other labels (same kind and help): its series are printed together. Names follow
 * Prometheus practice: prefix errand_, base units, _total, _seconds, _bytes. Labels never hold ids.
 * THREADS: registering and rendering take a lock; metric_add/set/observe are lock-free from any
 * thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_METRICS_H
#define INFRA_METRICS_H

#include "schemas/buf.h"

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* `labels` is the inside of the braces, already valid: "queue=\"default\",result=\"ok\""; NULL or
 * "" for none. Use metrics_label to build it from text that is not a literal. The same name and
 * labels give the same metric. */
struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                             const char *labels);
/* `bounds`: upper bounds of the buckets, rising, borrowed for ever (a static array), +Inf is
 * implied. */
struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
                                 const char *labels, const double *bounds, size_t bound_count);
/* Bounds fit for latencies in seconds: 0.5 ms to 60 s. */
extern const double metrics_latency_bounds[];
extern const size_t metrics_latency_bound_count;

/* Appends name="value" to a label set, with a comma where one is needed, escaped. */
void metrics_label(struct buf *labels, const char *name, struct span value);

void metric_add(struct metric *metric, int64_t by);
void metric_set(struct metric *metric, double value);
/* A gauge whose value is not known is left out of the output rather than shown as 0. */
void metric_unset(struct metric *metric);
void metric_observe(struct metric *metric, double value);
/* The value as it would be printed (a counter or gauge), for tests and decisions. */
double metric_value(const struct metric *metric);

/* Everything, as text. Process basics (resident bytes, open fds, CPU seconds, start time) are
 * included. */
void metrics_render(struct metrics *metrics, struct buf *out);

#endif
