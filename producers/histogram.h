/* Latencies counted in buckets whose width grows with the value: each power of two has
 * HISTOGRAM_STEPS of them, so that any percentile is known to better than 1 % in constant
 * memory.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_HISTOGRAM_H
#define PRODUCERS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_STEPS_LOG2 7
#define HISTOGRAM_STEPS      (1 << HISTOGRAM_STEPS_LOG2)
#define HISTOGRAM_BITS       42 /* larger values count as the largest: in us, 50 days */
#define HISTOGRAM_BUCKETS    ((size_t)(HISTOGRAM_BITS - HISTOGRAM_STEPS_LOG2 + 1) * HISTOGRAM_STEPS)

/* Zeroed: empty. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    int64_t max;
    double sum;
};

/* A negative value counts as 0. */
void histogram_record(struct histogram *histogram, int64_t value);
/* The smallest value that `percent` (0 to 100) of all recorded ones do not exceed; 0 when
 * nothing was recorded. */
int64_t histogram_percentile(const struct histogram *histogram, double percent);
double histogram_mean(const struct histogram *histogram);

#endif
