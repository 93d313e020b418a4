/* A log-linear histogram.
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/histogram.h"

#include <math.h>

#define VALUE_MAX ((INT64_C(1) << HISTOGRAM_BITS) - 1)

/* The first HISTOGRAM_STEPS values have a bucket each; from there on a power of two is cut into
 * as many steps. */
static size_t bucket_of(int64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    int shift = 63 - __builtin_clzll((unsigned long long)value) - HISTOGRAM_STEPS_LOG2;
    return (size_t)shift * HISTOGRAM_STEPS + (size_t)(value >> shift);
}

/* The largest value that falls into the bucket. */
static int64_t top_of(size_t bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return (int64_t)bucket;
    int shift = (int)(bucket / HISTOGRAM_STEPS) - 1;
    int64_t step = (int64_t)(bucket % HISTOGRAM_STEPS) + HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, int64_t value)
{
    if (value < 0)
        value = 0;
    if (value > VALUE_MAX)
        value = VALUE_MAX;
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
    histogram->sum += (double)value;
    if (value > histogram->max)
        histogram->max = value;
}

int64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    if (histogram->total == 0)
        return 0;
    double share = ceil((double)histogram->total * percent / 100.0);
    uint64_t wanted = share < 1 ? 1 : (uint64_t)share;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted)
            return top_of(i) < histogram->max ? top_of(i) : histogram->max;
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->total ? histogram->sum / (double)histogram->total : 0;
}
