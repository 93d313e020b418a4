/* Lines are valid JSON whatever is in them; files rotate; a reader that is too slow costs lines,
 * never time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/log.h"
#include "schemas/buf.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_MAX ((size_t)4 * 1024 * 1024)

static char folder[] = "/tmp/errand-log-XXXXXX";
static char path[128];
static char rotated[160];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/test.log", folder);
    snprintf(rotated, sizeof rotated, "%s.1", path);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    unlink(path);
    unlink(rotated);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static struct log *open_log(size_t rotate_bytes, size_t buffer_bytes)
{
    struct log *log = NULL;
    struct err err = { 0 };
    const struct log_options options = {
        .process = "test-1",
        .path = path,
        .level = LOG_INFO,
        .rotate_bytes = rotate_bytes,
        .buffer_bytes = buffer_bytes,
    };
    if (log_open(&options, &log, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return log;
}

static char *read_file(const char *file)
{
    char *text = mem_zalloc(TEXT_MAX, 1);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t size = 0;
    ssize_t got;
    while ((got = read(fd, text + size, TEXT_MAX - 1 - size)) > 0)
        size += (size_t)got;
    close(fd);
    return text;
}

static struct json *parse(struct span line)
{
    static const struct json_limits limits = { .depth_max = 4, .tokens_max = 100 };
    struct json *json = NULL;
    struct err err = { 0 };
    if (json_parse(line, &limits, &json, &err) != ERR_OK)
        fail_msg("%s in %.*s", err.text, SPAN_ARG(line));
    return json;
}

static bool member_is(const struct json *json, const char *name, const char *text)
{
    const struct json *member = json_get(json, name);
    return member && span_is(json_text(member), text);
}

/* Every line is an object with a time, a level and a message; returns how many there are. */
static size_t check_lines(const char *text)
{
    size_t count = 0;
    for (const char *line = text; *line; count++) {
        size_t size = strcspn(line, "\n");
        assert_int_equal(line[size], '\n');
        assert_true(size < 8192);
        struct json *json = parse((struct span){ line, size });
        assert_int_equal(json_text(json_get(json, "ts")).size, 24);
        assert_true(json_text(json_get(json, "level")).size > 0);
        assert_non_null(json_get(json, "msg"));
        json_free(json);
        line += size + 1;
    }
    return count;
}

static void test_members(void **state)
{
    (void)state;
    struct log *log = open_log(0, 0);
    struct err err = { 0 };
    (void)err_field(&err, ERR_KAFKA, "kafka.brokers", "no \"answer\"");
    const struct log_about about = {
        .job_id = SPAN_LIT("job"),
        .trace_id = SPAN_LIT("trace"),
        .request_id = SPAN_LIT("request"),
        .err = &err,
    };
    log_write(log, LOG_DEBUG, "kafka", NULL, "not written");
    log_write(log, LOG_ERROR, "kafka", &about, "could not %s %d", "do", 7);
    log_close(log);
    char *text = read_file(path);
    assert_int_equal(check_lines(text), 1);
    struct json *json = parse((struct span){ text, strcspn(text, "\n") });
    assert_true(member_is(json, "level", "error"));
    assert_true(member_is(json, "process", "test-1"));
    assert_true(member_is(json, "component", "kafka"));
    assert_true(member_is(json, "msg", "could not do 7"));
    assert_true(member_is(json, "job_id", "job"));
    assert_true(member_is(json, "trace_id", "trace"));
    assert_true(member_is(json, "request_id", "request"));
    assert_true(member_is(json, "error", "kafka"));
    assert_true(member_is(json, "error_field", "kafka.brokers"));
    assert_true(member_is(json, "error_text", "no \"answer\""));
    json_free(json);
    free(text);
}

static void test_hostile_text(void **state)
{
    (void)state;
    struct log *log = open_log(0, 0);
    char every[256];
    for (size_t i = 0; i < 255; i++)
        every[i] = (char)(i + 1);
    every[255] = '\0';
    char *controls = mem_zalloc(10000, 1);
    memset(controls, '\1', 9999);
    char *wide = mem_zalloc(10000, 1);
    for (size_t i = 0; i < 9998; i++)
        wide[i] = i % 2 ? '\xa4' : '\xc3';
    const struct log_about about = { .job_id = { controls, 9999 }, .request_id = { every, 255 } };
    log_write(log, LOG_INFO, "a\nb", &about, "%s", every);
    log_write(log, LOG_INFO, "test", NULL, "\"}\n{\"level\":\"forged\"}");
    log_write(log, LOG_INFO, "test", NULL, "%s", controls);
    log_write(log, LOG_INFO, "test", NULL, "%s", wide);
    log_write(log, LOG_INFO, "", NULL, "%s", "");
    log_write(NULL, LOG_INFO, "test", NULL, "nowhere");
    assert_int_equal(log_dropped(NULL), 0);
    log_close(log);
    char *text = read_file(path);
    assert_int_equal(check_lines(text), 5);
    assert_null(strstr(text, "\"level\":\"forged\""));
    assert_non_null(strstr(text, "\"truncated\":true"));
    assert_non_null(strstr(text, "\xc3\xa4\",\"truncated\":true")); /* no character is cut in two */
    free(text);
    free(wide);
    free(controls);
}

static void test_rotation(void **state)
{
    (void)state;
    struct log *log = open_log(4096, (size_t)1024 * 1024);
    for (int i = 0; i < 400; i++)
        log_write(log, LOG_INFO, "test", NULL, "line %d", i);
    log_close(log);
    char *text = read_file(path);
    char *old = read_file(rotated);
    assert_true(check_lines(text) > 0 && strlen(text) <= 4096);
    assert_true(check_lines(old) > 10 && strlen(old) <= 4096);
    assert_non_null(strstr(text, "line 399"));
    free(text);
    free(old);
    /* What is there is kept, and counts. */
    log = open_log(4096, 0);
    log_write(log, LOG_INFO, "test", NULL, "again");
    log_close(log);
    text = read_file(path);
    assert_non_null(strstr(text, "again"));
    free(text);
}

static void test_rotation_waits_for_size(void **state)
{
    (void)state;
    struct log *log = open_log((size_t)1024 * 1024, 0);
    for (int i = 0; i < 10; i++)
        log_write(log, LOG_INFO, "test", NULL, "line %d", i);
    log_close(log);
    char *text = read_file(path);
    assert_int_equal(check_lines(text), 10);
    assert_int_equal(access(rotated, F_OK), -1);
    free(text);
}

/* Reads what comes within a moment. */
static void read_some(int fd, struct buf *out)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    if (poll(&ready, 1, 20) <= 0)
        return;
    assert_true(buf_reserve(out, 65536));
    ssize_t size = read(fd, out->data + out->size, 65536);
    if (size > 0)
        buf_grow(out, (size_t)size);
}

/* Sums the "dropped N lines" of the text. */
static long long count_told(const char *text, size_t *ret_notices)
{
    static const char label[] = "\"msg\":\"dropped ";
    long long told = 0;
    *ret_notices = 0;
    for (const char *at = strstr(text, label); at; at = strstr(at + 1, label)) {
        told += strtoll(at + strlen(label), NULL, 10);
        ++*ret_notices;
    }
    return told;
}

static void test_slow_reader_costs_lines(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    struct log *log = open_log(1024, 32768);
    size_t written = 5000;
    int64_t began_ms = clock_monotonic_ms();
    for (size_t i = 0; i < written; i++)
        log_write(log, LOG_INFO, "test", NULL, "line %zu", i);
    assert_true(clock_monotonic_ms() - began_ms < 5000);
    assert_true(log_dropped(log) > 1000 && log_dropped(log) < 5000);
    struct buf text = BUF_INIT(TEXT_MAX);
    int64_t deadline_ms = clock_monotonic_ms() + 10000;
    for (; clock_monotonic_ms() < deadline_ms && !(text.data && strstr(text.data, "all read"));
         written++) {
        log_write(log, LOG_INFO, "test", NULL, "all read");
        read_some(fd, &text);
    }
    /* Now there is room, so this line comes, after a word on those before it. */
    log_write(log, LOG_INFO, "test", NULL, "the end");
    while (clock_monotonic_ms() < deadline_ms && !strstr(text.data, "the end"))
        read_some(fd, &text);
    assert_non_null(strstr(text.data, "the end"));
    size_t notices;
    assert_true(count_told(text.data, &notices) == log_dropped(log));
    assert_int_equal(check_lines(text.data), written + 1 + notices - (size_t)log_dropped(log));
    log_close(log);
    buf_free(&text);
    close(fd);
}

static void test_close_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    struct log *log = open_log(0, (size_t)256 * 1024);
    for (int i = 0; i < 3000; i++)
        log_write(log, LOG_INFO, "test", NULL, "line %d", i);
    int64_t began_ms = clock_monotonic_ms();
    log_close(log);
    int64_t took_ms = clock_monotonic_ms() - began_ms;
    assert_true(took_ms >= 500 && took_ms < 5000);
    close(fd);
}

/* The lines that a file did not take are counted and told of. */
static void test_lost_lines_are_counted(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    struct log *log = open_log(0, 0);
    close(fd);
    log_write(log, LOG_INFO, "test", NULL, "lost");
    int64_t deadline_ms = clock_monotonic_ms() + 10000;
    while (log_dropped(log) == 0 && clock_monotonic_ms() < deadline_ms)
        sched_yield();
    assert_int_equal(log_dropped(log), 1);
    log_close(log);
}

static void test_unusable_paths(void **state)
{
    (void)state;
    struct log *log = NULL;
    struct err err = { 0 };
    struct log_options options = { .process = "test", .path = "/nonexistent/x.log" };
    assert_int_equal(log_open(&options, &log, &err), ERR_IO);
    assert_string_equal(err.field, "log.path");
    assert_string_equal(
        err.text, "/nonexistent/x.log cannot be opened for writing: No such file or directory");
    assert_null(log);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody reads it: no waiting */
    options.path = path;
    assert_int_equal(log_open(&options, &log, NULL), ERR_IO);
    log_close(NULL);
}

#define THREADS 4
#define LINES   500

struct writer {
    pthread_t thread;
    struct log *log;
    int number;
};

static void *write_many(void *arg)
{
    const struct writer *writer = arg;
    for (int i = 0; i < LINES; i++)
        log_write(writer->log, LOG_INFO, "test", NULL, "writer %d line %d end", writer->number, i);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct log *log = open_log(0, (size_t)1024 * 1024);
    struct writer writers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){ .log = log, .number = i };
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(writers[i].thread, NULL);
    assert_int_equal(log_dropped(log), 0);
    log_close(log);
    char *text = read_file(path);
    assert_int_equal(check_lines(text), THREADS * LINES);
    /* Each thread's lines are all there and in order. */
    for (int i = 0; i < THREADS; i++) {
        const char *at = text;
        for (int j = 0; j < LINES; j++) {
            char expected[64];
            snprintf(expected, sizeof expected, "writer %d line %d end", i, j);
            at = strstr(at, expected);
            assert_non_null(at);
        }
    }
    free(text);
}

static void test_levels(void **state)
{
    (void)state;
    enum log_level level;
    assert_true(log_level_parse(span_of("debug"), &level) && level == LOG_DEBUG);
    assert_true(log_level_parse(span_of("error"), &level) && level == LOG_ERROR);
    assert_false(log_level_parse(span_of("Error"), &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_members, forget),
        cmocka_unit_test_teardown(test_hostile_text, forget),
        cmocka_unit_test_teardown(test_rotation, forget),
        cmocka_unit_test_teardown(test_rotation_waits_for_size, forget),
        cmocka_unit_test_teardown(test_slow_reader_costs_lines, forget),
        cmocka_unit_test_teardown(test_close_is_bounded, forget),
        cmocka_unit_test_teardown(test_lost_lines_are_counted, forget),
        cmocka_unit_test_teardown(test_unusable_paths, forget),
        cmocka_unit_test_teardown(test_threads, forget),
        cmocka_unit_test_teardown(test_levels, forget),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
