/* The text format as a scraper reads it, and updates from many threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT_MAX ((size_t)1024 * 1024)

/* Everything before the process's own metrics, which differ from run to run. */
static char *own_text(struct metrics *metrics)
{
    struct buf out = BUF_INIT(TEXT_MAX);
    metrics_render(metrics, &out);
    assert_false(out.overflow);
    char *process = strstr(out.data, "# HELP process_");
    assert_non_null(process);
    *process = '\0';
    return buf_take(&out);
}

static void test_counters_and_gauges(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *ok = metrics_counter(metrics, "errand_jobs_total", "Jobs.", "result=\"ok\"");
    struct metric *lag =
        metrics_gauge(metrics, "errand_lag_seconds", "Lag.\nIn \"seconds\", \\.", NULL);
    struct metric *failed =
        metrics_counter(metrics, "errand_jobs_total", "Jobs.", "result=\"failed\"");
    assert_ptr_equal(metrics_counter(metrics, "errand_jobs_total", "Jobs.", "result=\"ok\""), ok);
    metric_add(ok, 2);
    metric_add(ok, 3);
    metric_add(failed, 1);
    metric_set(lag, 0.1);
    char *text = own_text(metrics);
    assert_string_equal(text, "# HELP errand_jobs_total Jobs.\n"
                              "# TYPE errand_jobs_total counter\n"
                              "errand_jobs_total{result=\"ok\"} 5\n"
                              "errand_jobs_total{result=\"failed\"} 1\n"
                              "# HELP errand_lag_seconds Lag.\\nIn \"seconds\", \\\\.\n"
                              "# TYPE errand_lag_seconds gauge\n"
                              "errand_lag_seconds 0.1\n");
    free(text);
    assert_true(metric_value(ok) == 5);
    assert_true(metric_value(lag) == 0.1);
    metrics_free(metrics);
}

static void test_unknown_is_left_out(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *gauge = metrics_gauge(metrics, "errand_lag_messages", "Lag.", "");
    const char *head = "# HELP errand_lag_messages Lag.\n# TYPE errand_lag_messages gauge\n";
    char *text = own_text(metrics);
    assert_string_equal(text, head);
    free(text);
    assert_true(isnan(metric_value(gauge)));
    metric_add(gauge, 3);
    metric_add(gauge, -1);
    assert_true(metric_value(gauge) == 2);
    metric_unset(gauge);
    text = own_text(metrics);
    assert_string_equal(text, head);
    free(text);
    metrics_free(metrics);
}

static void test_histogram(void **state)
{
    (void)state;
    static const double bounds[] = { 0.1, 1 };
    struct metrics *metrics = metrics_new();
    struct metric *plain =
        metrics_histogram(metrics, "errand_wait_seconds", "Wait.", NULL, bounds, 2);
    metrics_histogram(metrics, "errand_wait_seconds", "Wait.", "queue=\"q\"", bounds, 2);
    metric_observe(plain, 0.1);
    metric_observe(plain, 0.5);
    metric_observe(plain, 7);
    char *text = own_text(metrics);
    assert_string_equal(text, "# HELP errand_wait_seconds Wait.\n"
                              "# TYPE errand_wait_seconds histogram\n"
                              "errand_wait_seconds_bucket{le=\"0.1\"} 1\n"
                              "errand_wait_seconds_bucket{le=\"1\"} 2\n"
                              "errand_wait_seconds_bucket{le=\"+Inf\"} 3\n"
                              "errand_wait_seconds_sum 7.6\n"
                              "errand_wait_seconds_count 3\n"
                              "errand_wait_seconds_bucket{queue=\"q\",le=\"0.1\"} 0\n"
                              "errand_wait_seconds_bucket{queue=\"q\",le=\"1\"} 0\n"
                              "errand_wait_seconds_bucket{queue=\"q\",le=\"+Inf\"} 0\n"
                              "errand_wait_seconds_sum{queue=\"q\"} 0\n"
                              "errand_wait_seconds_count{queue=\"q\"} 0\n");
    free(text);
    for (size_t i = 1; i < metrics_latency_bound_count; i++)
        assert_true(metrics_latency_bounds[i - 1] < metrics_latency_bounds[i]);
    metrics_free(metrics);
}

static void test_labels_are_escaped(void **state)
{
    (void)state;
    struct buf labels = BUF_INIT(256);
    metrics_label(&labels, "queue", span_of("a\"b\\c\nd"));
    metrics_label(&labels, "result", span_of("ok"));
    assert_string_equal(labels.data, "queue=\"a\\\"b\\\\c\\nd\",result=\"ok\"");
    buf_free(&labels);
}

static void test_numbers_read_back(void **state)
{
    (void)state;
    static const double values[] = { 0, -1, 0.1, 1.0 / 3, 1e300, 5e-324, 9007199254740993.0 };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct metrics *metrics = metrics_new();
        metric_set(metrics_gauge(metrics, "g", "G.", NULL), values[i]);
        char *text = own_text(metrics);
        assert_true(strtod(strstr(text, "\ng ") + 3, NULL) == values[i]);
        free(text);
        metrics_free(metrics);
    }
    struct metrics *metrics = metrics_new();
    metric_set(metrics_gauge(metrics, "g", "G.", NULL), -(double)INFINITY);
    char *text = own_text(metrics);
    assert_non_null(strstr(text, "\ng -Inf\n"));
    free(text);
    metrics_free(metrics);
}

static double process_value(const char *text, const char *name)
{
    char line[128];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(text, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

static void test_process_metrics(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct buf out = BUF_INIT(TEXT_MAX);
    metrics_render(metrics, &out);
    assert_true(process_value(out.data, "process_resident_memory_bytes") > 100000);
    assert_true(process_value(out.data, "process_virtual_memory_bytes") > 100000);
    assert_true(process_value(out.data, "process_start_time_seconds") > 1.6e9);
    assert_true(process_value(out.data, "process_cpu_seconds_total") >= 0);
    assert_true(process_value(out.data, "process_threads") >= 1);
    double fds = process_value(out.data, "process_open_fds");
    assert_true(fds >= 3 && fds < process_value(out.data, "process_max_fds"));
    buf_free(&out);
    metrics_free(metrics);
}

#define THREADS 4
#define ROUNDS  20000

struct shared {
    struct metrics *metrics;
    struct metric *counter, *gauge, *histogram;
};

static void *update(void *arg)
{
    const struct shared *shared = arg;
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(shared->counter, 1);
        metric_add(shared->gauge, i % 2 ? -1 : 2);
        metric_observe(shared->histogram, 0.5);
    }
    metrics_counter(shared->metrics, "errand_late_total", "Registered while others update.", NULL);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct shared shared = { .metrics = metrics_new() };
    shared.counter = metrics_counter(shared.metrics, "c_total", "C.", NULL);
    shared.gauge = metrics_gauge(shared.metrics, "g", "G.", NULL);
    shared.histogram = metrics_histogram(shared.metrics, "h_seconds", "H.", NULL,
                                         metrics_latency_bounds, metrics_latency_bound_count);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update, &shared), 0);
    free(own_text(shared.metrics));
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(metric_value(shared.counter) == THREADS * ROUNDS);
    assert_true(metric_value(shared.gauge) == (double)THREADS * ROUNDS / 2);
    char *text = own_text(shared.metrics);
    char expected[64];
    snprintf(expected, sizeof expected, "\nh_seconds_sum %d\n", THREADS * ROUNDS / 2);
    assert_non_null(strstr(text, expected));
    snprintf(expected, sizeof expected, "\nh_seconds_count %d\n", THREADS * ROUNDS);
    assert_non_null(strstr(text, expected));
    free(text);
    metrics_free(shared.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_and_gauges),
        cmocka_unit_test(test_unknown_is_left_out),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_numbers_read_back),
        cmocka_unit_test(test_process_metrics),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
