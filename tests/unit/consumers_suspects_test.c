/* Suspects in real child processes. The children are this very program: with --attempts it is what
 * a worker's child is, or, when TEST_CHILD says so, one that behaves badly; with --parent it is a
 * worker to be killed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/attempts.h"
#include "consumers/suspects.h"
#include "infra/clock.h"
#include "schemas/envelope_attempts.h"
#include "schemas/mem.h"
#include "tests/unit/config_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 30000
#define RUNS_MAX    64
/* Calls that never end keep children; on a busy machine they may be spread over several, and the
 * others must not wait for them. What a limit does is for consumers_suspect_split_test. */
#define CHILDREN_MAX 32
#define SENTENCE     "{\"subject\":\"a bystander\",\"seed\":1}"
#define CRASH        "{\"signal\":\"SEGV\"}"

struct told {
    struct scene *scene;
    bool over;
    enum err_code code;
    enum err_class class_;
    char detail[256];
    size_t result_size;
};

struct scene {
    struct loop *loop;
    struct loop_timer *deadline, *tick;
    struct log *log;
    struct metrics *metrics;
    struct suspects *suspects;
    struct told told[RUNS_MAX];
    struct job_command commands[RUNS_MAX];
    size_t begun, over;
    int silent_fd; /* a third party that takes calls and never answers */
    char config_path[128];
};

/* --- the scene --- */

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("not in time");
}

static void on_tick(void *arg)
{
    struct scene *scene = arg;
    loop_stop(scene->loop);
}

static int open_silent(struct scene *scene)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    scene->silent_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(scene->silent_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(scene->silent_fd, RUNS_MAX), 0);
    assert_int_equal(getsockname(scene->silent_fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static void write_config(struct scene *scene, int port)
{
    struct buf yaml = BUF_INIT(4096);
    buf_printf(
        &yaml,
        FIXTURE_SECRETS
        "worker: {drill_rules: true}\n"
        "targets: {silent: {base_url: \"http://127.0.0.1:%d\", private: true, timeout: 60s}}\n"
        "types:\n"
        "  good: {handler: rules, rule: sentence.make}\n"
        "  crash: {handler: rules, rule: drill.crash}\n"
        "  slow: {handler: call, call: {target: silent, path: /}}\n",
        port);
    config_fixture_write("errand.yaml", buf_span(&yaml), 0600);
    snprintf(scene->config_path, sizeof scene->config_path, "%s/errand.yaml",
             config_fixture_folder());
    buf_free(&yaml);
}

static void open_suspects(struct scene *scene)
{
    struct suspects_options options = { .loop = scene->loop,
                                        .log = scene->log,
                                        .metrics = scene->metrics,
                                        .config_path = scene->config_path,
                                        .children_max = CHILDREN_MAX };
    scene->suspects = suspects_new(&options);
}

static void open_loop(struct scene *scene)
{
    struct log_options log = { .process = "test", .level = LOG_ERROR, .buffer_bytes = 65536 };
    struct err err;
    assert_int_equal(log_open(&log, &scene->log, &err), ERR_OK);
    scene->metrics = metrics_new();
    scene->loop = loop_new(100);
    scene->deadline = loop_timer_new(scene->loop, on_deadline, NULL);
    scene->tick = loop_timer_new(scene->loop, on_tick, scene);
    open_suspects(scene);
}

/* What children are from now on; NULL: what a worker's are. No other thread looks at variables. */
static void children_behave(const char *way)
{
    if (way)
        (void)setenv("TEST_CHILD", way, 1); /* NOLINT(concurrency-mt-unsafe) */
    else
        (void)unsetenv("TEST_CHILD"); /* NOLINT(concurrency-mt-unsafe) */
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    *state = scene;
    children_behave(NULL);
    write_config(scene, open_silent(scene));
    open_loop(scene);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    suspects_stop(scene->suspects);
    suspects_free(scene->suspects);
    while (waitpid(-1, NULL, 0) > 0) { /* those that were killed at the end: no loop saw it */
    }
    loop_free(scene->loop);
    metrics_free(scene->metrics);
    log_close(scene->log);
    close(scene->silent_fd);
    free(scene);
    return 0;
}

static void on_outcome(void *arg, const struct outcome *outcome)
{
    struct told *told = arg;
    assert_false(told->over);
    told->over = true;
    told->code = outcome->code;
    told->class_ = outcome->class_;
    told->result_size = outcome->result.size;
    snprintf(told->detail, sizeof told->detail, "%s", outcome->detail);
    told->scene->over++;
}

static struct handler_run *begin(struct scene *scene, const char *type, const char *payload)
{
    size_t i = scene->begun++;
    struct job_command *command = &scene->commands[i];
    *command = (struct job_command){
        .facts = { .id = { .bytes = { 1, (uint8_t)i } },
                   .effect_id = { .bytes = { 1, (uint8_t)i } },
                   .type = span_of(type),
                   .queue = SPAN_LIT("default"),
                   .created_at_ms = 1000,
                   .forget_at_ms = 2000,
                   .origin_offset = -1 },
        .attempt = 1,
        .payload = span_of(payload),
    };
    scene->told[i].scene = scene;
    struct suspects_place place = { .topic = "errand.commands.default", .offset = (int64_t)i };
    return suspects_start(scene->suspects, command, &place, on_outcome, &scene->told[i]);
}

/* Runs the loop until the condition holds. */
static void run_until(struct scene *scene, bool (*condition)(struct scene *scene))
{
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_timer_start(scene->tick, 0, 5);
    while (!condition(scene))
        loop_run(scene->loop);
    loop_timer_stop(scene->deadline);
    loop_timer_stop(scene->tick);
}

static bool all_over(struct scene *scene)
{
    return scene->over == scene->begun;
}

static size_t children_of(pid_t pid, pid_t *ret_first)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    size_t count = 0;
    if (file && fgets(text, sizeof text, file)) {
        *ret_first = (pid_t)strtol(text, NULL, 10);
        for (const char *c = text; *c; c++)
            count += *c == ' ';
    }
    if (file)
        fclose(file);
    return count;
}

static bool no_children(struct scene *scene)
{
    (void)scene;
    pid_t first = 0;
    return children_of(getpid(), &first) == 0;
}

/* True also for one that only waits for somebody to look at its end. */
static bool has_ended(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return true;
    const char *name_end = fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    fclose(file);
    return !name_end || name_end[2] == 'Z' || name_end[2] == 'X';
}

static void wait_for_end(struct scene *scene, pid_t pid)
{
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_timer_start(scene->tick, 0, 5);
    while (!has_ended(pid))
        loop_run(scene->loop);
    loop_timer_stop(scene->deadline);
    loop_timer_stop(scene->tick);
}

/* Until a child that could not begin has come and gone. */
static void see_one_fail(struct scene *scene)
{
    pid_t first = 0;
    loop_timer_start(scene->tick, 0, 5);
    while (children_of(getpid(), &first) == 0)
        loop_run(scene->loop);
    run_until(scene, no_children);
}

static bool has_call(struct scene *scene)
{
    int fd = accept4(scene->silent_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd >= 0; /* open as long as the test: nobody answers */
}

static double count_of(const struct scene *scene, const char *name)
{
    return metric_value(metrics_counter(scene->metrics, name, "", NULL));
}

/* --- tests --- */

static void what_a_child_did_comes_back_and_the_child_ends(void **state)
{
    struct scene *scene = *state;
    (void)begin(scene, "good", SENTENCE);
    (void)begin(scene, "good", "{\"no\":\"such member\"}");
    (void)begin(scene, "unheard.of", "{}");
    run_until(scene, all_over);
    assert_int_equal(scene->told[0].code, ERR_OK);
    assert_true(scene->told[0].result_size > 10);
    assert_int_equal(scene->told[1].code, ERR_PAYLOAD_INVALID);
    assert_int_equal(scene->told[1].class_, ERR_CLASS_REJECT);
    assert_int_equal(scene->told[2].code, ERR_INTERNAL);
    run_until(scene, no_children);
    (void)begin(scene, "good", SENTENCE); /* in a child of its own */
    run_until(scene, all_over);
    assert_int_equal(scene->told[3].code, ERR_OK);
}

/* proves P-38d */
static void the_one_that_crashes_is_found_among_calls_that_run(void **state)
{
    struct scene *scene = *state;
    struct handler_run *calls[8];
    for (size_t i = 0; i < 8; i++)
        calls[i] = begin(scene, "slow", "{}");
    for (size_t i = 0; i < 8; i++)
        (void)begin(scene, i == 5 ? "crash" : "good", i == 5 ? CRASH : SENTENCE);
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_timer_start(scene->tick, 0, 5);
    while (scene->over < 8)
        loop_run(scene->loop);
    for (size_t i = 0; i < 8; i++) {
        assert_false(scene->told[i].over);
        suspects_cancel(calls[i]);
    }
    run_until(scene, all_over);
    for (size_t i = 0; i < scene->begun; i++)
        assert_int_equal(scene->told[i].code, i == 13 ? ERR_CRASHED
                                              : i < 8 ? ERR_CANCELLED
                                                      : ERR_OK);
    assert_int_equal(scene->told[13].class_, ERR_CLASS_REJECT);
    assert_non_null(strstr(scene->told[13].detail, "SIGSEGV"));
    assert_int_equal((int)count_of(scene, "errand_suspects_convicted_total"), 1);
    assert_int_equal((int)count_of(scene, "errand_suspects_total"), 16);
}

/* proves P-38e */
static void a_child_that_ends_by_itself_is_no_crash(void **state)
{
    static const char *const ways[] = { "exit", "babble" };
    struct scene *scene = *state;
    for (size_t i = 0; i < 2; i++) {
        children_behave(ways[i]);
        (void)begin(scene, "good", SENTENCE);
        run_until(scene, all_over);
        assert_int_equal(scene->told[i].code, ERR_INTERNAL);
        assert_int_equal(scene->told[i].class_, ERR_CLASS_RETRY);
    }
    assert_int_equal((int)count_of(scene, "errand_suspects_convicted_total"), 0);
}

static void a_child_that_cannot_begin_speaks_against_nobody(void **state)
{
    struct scene *scene = *state;
    children_behave("stillborn");
    (void)begin(scene, "good", SENTENCE);
    see_one_fail(scene);
    assert_int_equal(scene->over, 0);
    children_behave(NULL);
    run_until(scene, all_over);
    assert_int_equal(scene->told[0].code, ERR_OK);
}

static void a_call_is_called_off_wherever_it_is(void **state)
{
    struct scene *scene = *state;
    struct handler_run *call = begin(scene, "slow", "{}");
    run_until(scene, has_call);
    suspects_cancel(call);
    run_until(scene, all_over);
    assert_int_equal(scene->told[0].code, ERR_CANCELLED);
    suspects_cancel(begin(scene, "slow", "{}")); /* nobody has been told of it yet */
    run_until(scene, all_over);
    assert_int_equal(scene->told[1].code, ERR_CANCELLED);
}

static void what_no_child_has_is_called_off_at_once(void **state)
{
    struct scene *scene = *state;
    children_behave("stillborn");
    struct handler_run *run = begin(scene, "good", SENTENCE);
    see_one_fail(scene);
    suspects_cancel(run);
    assert_int_equal(scene->over, 0);
    run_until(scene, all_over);
    assert_int_equal(scene->told[0].code, ERR_CANCELLED);
    children_behave(NULL);
    (void)begin(scene, "good", SENTENCE);
    suspects_cancel(begin(scene, "good", SENTENCE));
    run_until(scene, all_over);
    assert_int_equal(scene->told[1].code, ERR_OK);
    assert_int_equal(scene->told[2].code, ERR_CANCELLED);
}

static void what_no_child_has_ends_at_its_last_moment(void **state)
{
    struct scene *scene = *state;
    children_behave("stillborn");
    (void)begin(scene, "good", SENTENCE);
    (void)begin(scene, "good", SENTENCE);
    scene->commands[0].facts.not_after_ms = clock_wall_ms() + 1500;
    scene->commands[1].facts.not_after_ms = clock_wall_ms() - 1;
    run_until(scene, all_over);
    assert_true(clock_wall_ms() > scene->commands[0].facts.not_after_ms);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(scene->told[i].code, ERR_EXPIRED);
        assert_int_equal(scene->told[i].class_, ERR_CLASS_REJECT);
    }
    run_until(scene, no_children);
}

static void what_a_child_has_may_outlast_its_last_moment(void **state)
{
    struct scene *scene = *state;
    struct handler_run *call = begin(scene, "slow", "{}");
    run_until(scene, has_call);
    scene->commands[0].facts.not_after_ms = clock_wall_ms() - 1;
    (void)begin(scene, "good", SENTENCE);
    scene->commands[1].facts.not_after_ms = clock_wall_ms() - 1;
    loop_timer_start(scene->tick, 0, 5);
    while (!scene->told[1].over)
        loop_run(scene->loop);
    assert_int_equal(scene->told[1].code, ERR_EXPIRED);
    assert_false(scene->told[0].over);
    suspects_cancel(call);
    run_until(scene, all_over);
    assert_int_equal(scene->told[0].code, ERR_CANCELLED);
}

static void the_end_kills_children_and_calls_off_what_runs_and_what_waits(void **state)
{
    struct scene *scene = *state;
    (void)begin(scene, "slow", "{}");
    run_until(scene, has_call);
    pid_t child = 0;
    assert_int_equal(children_of(getpid(), &child), 1);
    (void)begin(scene, "good", SENTENCE);
    suspects_stop(scene->suspects);
    assert_int_equal(scene->over, 2);
    assert_int_equal(scene->told[0].code, ERR_CANCELLED);
    assert_int_equal(scene->told[1].code, ERR_CANCELLED);
    wait_for_end(scene, child);
}

/* proves P-38c */
static void children_die_with_their_worker(void **state)
{
    struct scene *scene = *state;
    pid_t parent = fork();
    if (parent == 0) {
        execl("/proc/self/exe", "test", "--parent", scene->config_path, (char *)NULL);
        _exit(1);
    }
    run_until(scene, has_call);
    pid_t child = 0;
    assert_int_equal(children_of(parent, &child), 1);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    wait_for_end(scene, child);
}

static void whoever_ends_the_group_of_processes_speaks_against_nobody(void **state)
{
    struct scene *scene = *state;
    struct handler_run *call = begin(scene, "slow", "{}");
    run_until(scene, has_call);
    pid_t child = 0;
    assert_int_equal(children_of(getpid(), &child), 1);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(kill(child, SIGINT), 0);
    suspects_cancel(call);
    run_until(scene, all_over);
    assert_int_equal(scene->told[0].code, ERR_CANCELLED);
    pid_t same = 0;
    assert_int_equal(children_of(getpid(), &same), 1);
    assert_int_equal(same, child);
}

/* --- what this program is besides --- */

static void say_ready(void)
{
    struct attempt_outcome ready = { .retry_after_ms = -1 };
    struct buf bytes = BUF_INIT(64);
    if (attempt_encode_outcome(&ready, &bytes, NULL) == ERR_OK)
        (void)!write(STDOUT_FILENO, bytes.data, bytes.size);
    buf_free(&bytes);
}

static int child_main(const char *config_path)
{
    const char *way = getenv("TEST_CHILD"); /* NOLINT(concurrency-mt-unsafe) */
    char bytes[16];
    if (!way)
        return attempts_main(config_path);
    if (strcmp(way, "stillborn") == 0)
        return 2;
    say_ready();
    (void)!read(STDIN_FILENO, bytes, sizeof bytes); /* its attempt has come */
    if (strcmp(way, "exit") == 0)
        return 3;
    (void)!write(STDOUT_FILENO, "\xff\xff\xff\xff", 4);
    (void)pause();
    return 0;
}

static int parent_main(const char *config_path)
{
    static struct scene scene;
    snprintf(scene.config_path, sizeof scene.config_path, "%s", config_path);
    open_loop(&scene);
    (void)begin(&scene, "slow", "{}");
    loop_run(scene.loop);
    return 0;
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--attempts") == 0)
        return child_main(argc > 3 ? argv[3] : NULL);
    if (argc > 2 && strcmp(argv[1], "--parent") == 0)
        return parent_main(argv[2]);
    const struct CMUnitTest tests[] = {
        SCENE(what_a_child_did_comes_back_and_the_child_ends),
        SCENE(the_one_that_crashes_is_found_among_calls_that_run),
        SCENE(a_child_that_ends_by_itself_is_no_crash),
        SCENE(a_child_that_cannot_begin_speaks_against_nobody),
        SCENE(a_call_is_called_off_wherever_it_is),
        SCENE(what_no_child_has_is_called_off_at_once),
        SCENE(what_no_child_has_ends_at_its_last_moment),
        SCENE(what_a_child_has_may_outlast_its_last_moment),
        SCENE(the_end_kills_children_and_calls_off_what_runs_and_what_waits),
        SCENE(children_die_with_their_worker),
        SCENE(whoever_ends_the_group_of_processes_speaks_against_nobody),
    };
    return cmocka_run_group_tests(tests, config_fixture_set_up, config_fixture_tear_down);
}
