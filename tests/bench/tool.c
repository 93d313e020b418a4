/* See tool.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1); /* NOLINT(concurrency-mt-unsafe): nothing is to be tidied up */
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)NS_PER_S + now.tv_nsec;
}

double cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return 1e6 * (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int64_t number_of(const char *text, int64_t most, const char *what)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (*end || value < 1 || value > most)
        fail(what, "not such a number");
    return value;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

void sort_ns(int64_t *values_ns, int64_t count)
{
    qsort(values_ns, (size_t)count, sizeof *values_ns, compare);
}

double percentile_ms(const int64_t *sorted_ns, int64_t count, double share)
{
    return count > 0 ? (double)sorted_ns[(int64_t)(share * (double)(count - 1))] / NS_PER_MS : 0;
}
