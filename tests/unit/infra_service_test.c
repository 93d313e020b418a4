/* The skeleton of a daemon, as a process: command line, readiness, draining, signals, systemd, the
 * watchdog. Each test runs service_main in a child and talks to it as an operator would.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infra/clock.h"
#include "infra/service.h"
#include "infra/version.h"
#include "infra/watchdog.h"
#include "tests/unit/config_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 20000, LOOK_MS = 10, TEXT_MAX = 1 << 20, LISTEN_FD = 3 };

/* --- the daemon, in the child --- */

/* How this one behaves; what it has to say goes to `told`, the writing end of a pipe. */
static struct {
    enum { DRAINS, HANGS_IN_DRAIN, FAILS_TO_START } manner;
    int told;
} daemon_plan;

static struct service_condition *kafka;

static const struct config_http *daemon_http(const struct config *config)
{
    return &config->recorder.http;
}

static enum err_code daemon_start(struct service *service, void **ret_state, struct err *err)
{
    if (daemon_plan.manner == FAILS_TO_START)
        return err_set(err, ERR_IO, "There is no daemon today.");
    service_condition_new(service, "redis");
    kafka = service_condition_new(service, "kafka");
    dprintf(daemon_plan.told, "%s %s %s\n", http_server_address(service_http(service)),
            service_name(service), service_incarnation(service));
    *ret_state = service;
    return ERR_OK;
}

static void daemon_drain(void *state)
{
    dprintf(daemon_plan.told, "drain\n");
    if (daemon_plan.manner == DRAINS)
        service_drained(state);
}

static void daemon_stop(void *state)
{
    (void)state;
    dprintf(daemon_plan.told, "stop\n");
}

static void reply_ok(struct http_request *req)
{
    http_reply(req, &(struct http_answer){ .status = 200, .body = SPAN_LIT("ok") });
}

/* POST /conditions/ready|away */
static void on_condition(struct http_request *req, void *arg)
{
    const struct service *service = arg;
    assert_ptr_equal(service_state(service), arg);
    service_condition_set(kafka, span_is(http_param(req, 0), "ready"), "broker \"b\" is away");
    reply_ok(req);
}

static void on_fail(struct http_request *req, void *arg)
{
    struct err err;
    (void)err_set(&err, ERR_KAFKA, "It is over.");
    reply_ok(req);
    service_fail(arg, &err);
}

static const struct http_route daemon_routes[] = {
    { "POST", "/conditions/{state}", on_condition, 0 },
    { "POST", "/fail", on_fail, 0 },
};

static const struct service_spec daemon_spec = {
    .program = "errand-tester",
    .description = "Is tested.",
    .http = daemon_http,
    .routes = daemon_routes,
    .route_count = sizeof daemon_routes / sizeof *daemon_routes,
    .start = daemon_start,
    .drain = daemon_drain,
    .stop = daemon_stop,
    .drain_ms = 50,
};

/* --- the operator --- */

struct child {
    pid_t pid;
    int told;   /* what the daemon says */
    int output; /* its stdout and stderr */
    char address[64];
    char name[64];
    char incarnation[64];
};

/* Runs the daemon with `arguments` (NULL-terminated). `before` prepares the child. */
static struct child run(const char *const *arguments, void (*before)(void))
{
    struct child child = { 0 };
    int told[2];
    int output[2];
    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(output), 0);
    fflush(NULL);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        daemon_plan.told = fcntl(told[1], F_DUPFD, 100);
        dup2(output[1], STDOUT_FILENO);
        dup2(output[1], STDERR_FILENO);
        if (before)
            before();
        char *argv[8] = { strdup("errand-tester") };
        int argc = 1;
        for (; arguments[argc - 1]; argc++)
            argv[argc] = strdup(arguments[argc - 1]);
        int code = service_main(&daemon_spec, argc, argv);
        fflush(NULL);
        _exit(code);
    }
    close(told[1]);
    close(output[1]);
    child.told = told[0];
    child.output = output[0];
    return child;
}

static void expect_readable(int fd)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
}

static void read_line(int fd, char *line, size_t size)
{
    size_t used = 0;
    while (used + 1 < size && (used == 0 || line[used - 1] != '\n')) {
        expect_readable(fd);
        if (read(fd, line + used, 1) != 1)
            break;
        used++;
    }
    line[used] = '\0';
}

static void expect_told(const struct child *child, const char *wanted)
{
    char line[128];
    read_line(child->told, line, sizeof line);
    assert_string_equal(line, wanted);
}

/* Runs it with the configuration of the fixture and waits until it has started. */
static struct child start_with(void (*before)(void))
{
    static const char yaml[] = "secrets: {id: [\"file:id\"]}\n"
                               "recorder: {listen: \"127.0.0.1:0\"}\n";
    config_fixture_write("errand.yaml", span_of(yaml), 0600);
    char path[256];
    snprintf(path, sizeof path, "%s/errand.yaml", config_fixture_folder());
    struct child child = run((const char *const[]){ "--config", path, NULL }, before);
    char line[256];
    read_line(child.told, line, sizeof line);
    char *rest = line;
    const char *address = strsep(&rest, " ");
    const char *name = strsep(&rest, " ");
    const char *incarnation = strsep(&rest, "\n");
    assert_non_null(incarnation);
    snprintf(child.address, sizeof child.address, "%s", address);
    snprintf(child.name, sizeof child.name, "%s", name);
    snprintf(child.incarnation, sizeof child.incarnation, "%s", incarnation);
    return child;
}

/* Its exit code, or 128 + the signal that ended it; what it printed is in `output` (NULL: not
 * wanted). */
static int wait_for_end(struct child *child, struct buf *output)
{
    struct buf unwanted = BUF_INIT(TEXT_MAX);
    struct buf *out = output ? output : &unwanted;
    char piece[4096];
    ssize_t got;
    do { /* its end is the end of what it says */
        expect_readable(child->output);
        got = read(child->output, piece, sizeof piece);
        if (got > 0)
            buf_add(out, piece, (size_t)got);
    } while (got > 0);
    int status = 0;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->told);
    close(child->output);
    buf_free(&unwanted);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The answer to one request; free() it. */
static char *ask(const struct child *child, const char *method, const char *path)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    to.sin_port = htons((uint16_t)strtol(strrchr(child->address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    dprintf(fd, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    struct buf answer = BUF_INIT(TEXT_MAX);
    char piece[4096];
    ssize_t got;
    do {
        expect_readable(fd);
        got = read(fd, piece, sizeof piece);
        if (got > 0)
            buf_add(&answer, piece, (size_t)got);
    } while (got > 0);
    close(fd);
    buf_add_text(&answer, "");
    return buf_take(&answer);
}

static void expect_answer(const struct child *child, const char *request, const char *status,
                          const char *wanted)
{
    char method[8];
    size_t size = strcspn(request, " ");
    snprintf(method, sizeof method, "%.*s", (int)size, request);
    char *answer = ask(child, method, request + size + 1);
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    if (strncmp(answer, line, strlen(line)) != 0 || !strstr(answer, wanted))
        fail_msg("wanted %s '%s' of %s, got: %s", status, wanted, request, answer);
    free(answer);
}

static void expect_printed(const struct buf *output, const char *wanted)
{
    if (!output->data || !strstr(output->data, wanted))
        fail_msg("no '%s' in: %s", wanted, output->data ? output->data : "");
}

/* --- tests --- */

static void expect_command(const char *argument, int exit_code, const char *wanted)
{
    struct child child = run((const char *const[]){ argument, NULL }, NULL);
    struct buf output = BUF_INIT(TEXT_MAX);
    assert_int_equal(wait_for_end(&child, &output), exit_code);
    expect_printed(&output, wanted);
    buf_free(&output);
}

static void test_the_command_line(void **state)
{
    (void)state;
    expect_command("--help", 0, "Usage: errand-tester [--config FILE]");
    expect_command("--version", 0, version_text());
    expect_command("--confg=x", 2, "did you mean --config?");
    expect_command("--config", 2, "--config wants a value");
    expect_command("-x", 2, "has no option -x");
    expect_command("word", 2, "takes no argument 'word'");
    expect_command("--config=/nonexistent.yaml", 2, "/nonexistent.yaml");
}

static void test_readiness_follows_the_conditions(void **state)
{
    (void)state;
    struct child child = start_with(NULL);
    assert_string_equal(child.name, "tester");
    assert_int_equal(strspn(child.incarnation, "0123456789abcdef"), 16);
    expect_answer(&child, "GET /livez", "200", "\"live\":true,\"process\":\"tester\"");
    expect_answer(&child, "GET /readyz", "503",
                  "\"conditions\":[{\"name\":\"redis\",\"ready\":false,\"why\":\"starting\"},"
                  "{\"name\":\"kafka\",\"ready\":false,\"why\":\"starting\"}]}");
    expect_answer(&child, "POST /conditions/away", "200", "ok");
    expect_answer(&child, "GET /readyz", "503", "\"why\":\"broker \\\"b\\\" is away\"");
    expect_answer(&child, "POST /conditions/ready", "200", "ok");
    expect_answer(&child, "GET /readyz", "503", "{\"name\":\"kafka\",\"ready\":true}");
    expect_answer(&child, "GET /metrics", "200", "errand_build_info{version=\"");
    expect_answer(&child, "GET /metrics", "200", "errand_log_dropped_lines_total 0\n");

    kill(child.pid, SIGHUP); /* nothing to us */
    expect_answer(&child, "GET /livez", "200", "\"live\":true");
    kill(child.pid, SIGTERM);
    expect_told(&child, "drain\n");
    expect_told(&child, "stop\n");
    assert_int_equal(wait_for_end(&child, NULL), 0);
}

static void hang_in_drain(void)
{
    daemon_plan.manner = HANGS_IN_DRAIN;
}

static void test_draining_is_not_ready_and_ends_at_its_limit(void **state)
{
    (void)state;
    struct child child = start_with(hang_in_drain);
    kill(child.pid, SIGINT);
    expect_told(&child, "drain\n");
    expect_answer(&child, "GET /readyz", "503", "{\"name\":\"draining\",\"ready\":false");
    struct buf output = BUF_INIT(TEXT_MAX);
    assert_int_equal(wait_for_end(&child, &output), 0);
    expect_printed(&output, "stopping anyway");
    expect_printed(&output, "stopped with work left: exit code 0");
    buf_free(&output);
}

static void test_a_second_signal_ends_it_at_once(void **state)
{
    (void)state;
    struct child child = start_with(hang_in_drain);
    kill(child.pid, SIGTERM);
    expect_told(&child, "drain\n");
    kill(child.pid, SIGTERM);
    assert_int_equal(wait_for_end(&child, NULL), 1);
}

static void test_a_failure_says_why_and_exits_with_1(void **state)
{
    (void)state;
    struct child child = start_with(NULL);
    expect_answer(&child, "POST /fail", "200", "ok");
    expect_told(&child, "stop\n");
    struct buf output = BUF_INIT(TEXT_MAX);
    assert_int_equal(wait_for_end(&child, &output), 1);
    expect_printed(&output, "It is over.");
    expect_printed(&output, "failed: exit code 1");
    buf_free(&output);
}

static void fail_to_start(void)
{
    daemon_plan.manner = FAILS_TO_START;
    dprintf(daemon_plan.told, "- - -\n");
}

static void test_a_failed_start_exits_with_1(void **state)
{
    (void)state;
    struct child child = start_with(fail_to_start);
    struct buf output = BUF_INIT(TEXT_MAX);
    assert_int_equal(wait_for_end(&child, &output), 1);
    expect_printed(&output, "error: errand-tester cannot start: There is no daemon today.");
    buf_free(&output);
}

/* --- systemd --- */

static int listener;
static struct sockaddr_un notify_address = { .sun_family = AF_UNIX };

static void inherit(void)
{
    dup2(listener, LISTEN_FD);
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    /* NOLINTBEGIN(concurrency-mt-unsafe): one thread */
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("NOTIFY_SOCKET", notify_address.sun_path, 1);
    setenv("ERRAND_PROCESS", "tester-7", 1);
    /* NOLINTEND(concurrency-mt-unsafe) */
}

static void expect_notice(int fd, const char *wanted)
{
    char notice[64] = { 0 };
    expect_readable(fd);
    assert_true(recv(fd, notice, sizeof notice - 1, 0) > 0);
    assert_string_equal(notice, wanted);
}

static void test_it_takes_a_socket_from_systemd_and_tells_it(void **state)
{
    (void)state;
    struct sockaddr_in any_port = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof any_port;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&any_port, sizeof any_port), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&any_port, &size), 0);

    snprintf(notify_address.sun_path, sizeof notify_address.sun_path, "%s/notify",
             config_fixture_folder());
    int notices = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(notices, (struct sockaddr *)&notify_address, sizeof notify_address), 0);

    struct child child = start_with(inherit);
    char expected[64];
    snprintf(expected, sizeof expected, "127.0.0.1:%d", ntohs(any_port.sin_port));
    assert_string_equal(child.address, expected);
    assert_string_equal(child.name, "tester-7");
    expect_notice(notices, "READY=1");
    expect_answer(&child, "GET /livez", "200", "\"process\":\"tester-7\"");
    kill(child.pid, SIGTERM);
    expect_notice(notices, "STOPPING=1");
    assert_int_equal(wait_for_end(&child, NULL), 0);
    close(notices);
    close(listener);
    unlink(notify_address.sun_path);
}

/* --- the watchdog --- */

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void hang(void *arg)
{
    (void)arg;
    for (;;)
        pause();
}

enum { STALL_MS = 100 };

/* A process whose loop hangs, or one that only idles for some stalls' time; gives its wait status.
 */
static int watch_loop(bool hangs)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct loop *loop = loop_new(1);
        struct watchdog *watchdog = watchdog_start(loop, STALL_MS);
        struct loop_timer *timer = loop_timer_new(loop, hangs ? hang : stop_loop, loop);
        loop_timer_start(timer, hangs ? 0 : 5 * STALL_MS, 0);
        close(STDERR_FILENO);
        loop_run(loop);
        watchdog_stop(watchdog);
        loop_free(loop);
        _exit(0);
    }
    int status = 0;
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_monotonic_ms() > until_ms) {
            kill(pid, SIGKILL);
            fail_msg("the watchdog did nothing");
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    return status;
}

static void test_a_loop_that_hangs_is_ended(void **state)
{
    (void)state;
    int status = watch_loop(true);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_an_idle_loop_is_left_alone(void **state)
{
    (void)state;
    int status = watch_loop(false);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_command_line),
        cmocka_unit_test(test_readiness_follows_the_conditions),
        cmocka_unit_test(test_draining_is_not_ready_and_ends_at_its_limit),
        cmocka_unit_test(test_a_second_signal_ends_it_at_once),
        cmocka_unit_test(test_a_failure_says_why_and_exits_with_1),
        cmocka_unit_test(test_a_failed_start_exits_with_1),
        cmocka_unit_test(test_it_takes_a_socket_from_systemd_and_tells_it),
        cmocka_unit_test(test_a_loop_that_hangs_is_ended),
        cmocka_unit_test(test_an_idle_loop_is_left_alone),
    };
    return cmocka_run_group_tests_name("infra/service", tests, config_fixture_set_up,
                                       config_fixture_tear_down);
}
