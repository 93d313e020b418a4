/* The rules handler: quick rules on the loop, blocking ones on the thread pool and no more of them
 * than allowed. The table of rules is this file's own. Also run with the thread sanitizer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/handler.h"
#include "consumers/rules.h"
#include "schemas/json.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, RUNS = 32, RULE_THREADS = 8, RESULT_MAX = 64 };

static pthread_t loop_thread;
static sem_t gate;  /* the rule "waits" passes one a post */
static sem_t begun; /* and posts this one before */

static void add_answer(const struct rule_input *input, struct buf *out)
{
    int64_t n = -1;
    (void)json_integer_of(json_get(input->payload, "n"), &n);
    buf_add_int(out, 2 * n);
}

static enum err_code run_quick(const struct rule_input *input, struct buf *out, struct err *err)
{
    if (!pthread_equal(pthread_self(), loop_thread))
        return err_set(err, ERR_INTERNAL, "not on the loop");
    add_answer(input, out);
    return ERR_OK;
}

static enum err_code run_blocking(const struct rule_input *input, struct buf *out, struct err *err)
{
    if (pthread_equal(pthread_self(), loop_thread))
        return err_set(err, ERR_INTERNAL, "on the loop");
    add_answer(input, out);
    return ERR_OK;
}

static bool wait_for(sem_t *semaphore)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_MS / 1000;
    return sem_timedwait(semaphore, &until) == 0;
}

static enum err_code run_waits(const struct rule_input *input, struct buf *out, struct err *err)
{
    sem_post(&begun);
    if (!wait_for(&gate))
        return err_set(err, ERR_INTERNAL, "nobody opened the gate");
    if (*(const char *)input->payload_bytes.data != '{' || input->job_id[0] == '\0')
        return err_set(err, ERR_INTERNAL, "its input has changed");
    return run_blocking(input, out, err);
}

static const struct rule rules[] = {
    { "quick", false, run_quick },
    { "blocking", true, run_blocking },
    { "waits", true, run_waits },
};

/* In place of the product's table. */
const struct rule *rule_find(struct span name)
{
    for (size_t i = 0; rule_at(i); i++) {
        if (span_is(name, rules[i].name))
            return &rules[i];
    }
    return NULL;
}

const struct rule *rule_at(size_t i)
{
    return i < sizeof rules / sizeof *rules ? &rules[i] : NULL;
}

struct scene {
    struct loop *loop;
    struct loop_timer *deadline;
    struct handler_tools tools;
    struct config_type type;
    struct handler *handler;
    size_t left, refused;
    bool inside;   /* of start() */
    bool looks_up; /* something else asks for a thread, when all jobs have begun */
};

struct job {
    struct scene *scene;
    struct job_command command;
    char payload[32];
    int64_t n;
    enum err_code code;
};

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("the rules did not end in time");
}

static void open_scene(struct scene *scene, const char *rule, size_t threads_max)
{
    static char name[] = "a.type";
    static const struct config config; /* no drills */
    *scene = (struct scene){ .loop = loop_new(RUNS) };
    scene->tools = (struct handler_tools){ .loop = scene->loop,
                                           .config = &config,
                                           .rule_threads_max = threads_max };
    scene->type =
        (struct config_type){ .name = name, .rule = strdup(rule), .result_bytes_max = RESULT_MAX };
    assert_int_equal(rules_handler_new(&scene->tools, &scene->type, &scene->handler, NULL), ERR_OK);
    scene->deadline = loop_timer_new(scene->loop, on_deadline, NULL);
    loop_timer_start(scene->deadline, DEADLINE_MS, 0);
    loop_thread = pthread_self();
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(sem_init(&begun, 0, 0), 0);
}

static void close_scene(struct scene *scene)
{
    scene->handler->free(scene->handler);
    assert_int_equal(scene->left, 0); /* and their commands, their arguments have gone */
    sem_post(&gate);                  /* whoever waits there outlasts the handler */
    loop_free(scene->loop);
    free(scene->type.rule);
    sem_destroy(&gate);
    sem_destroy(&begun);
}

static void on_outcome(void *arg, const struct outcome *outcome)
{
    struct job *job = arg;
    struct scene *scene = job->scene;
    char wanted[RESULT_MAX];
    assert_false(scene->inside);
    assert_true(pthread_equal(pthread_self(), loop_thread));
    job->code = outcome->code;
    if (outcome->code == ERR_OK) {
        snprintf(wanted, sizeof wanted, "%" PRId64, 2 * job->n);
        assert_true(span_is(outcome->result, wanted));
    } else {
        assert_int_equal(outcome->code, ERR_OVERLOADED);
        assert_int_equal(outcome->class_, ERR_CLASS_RETRY);
        scene->refused++;
        sem_post(&gate);
    }
    if (--scene->left == 0)
        loop_stop(scene->loop);
}

static void on_look_up(void *arg)
{
    (void)arg;
}

static void on_looked_up(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < RULE_THREADS; i++)
        sem_post(&gate);
}

static void run_jobs(struct scene *scene, struct job *jobs, size_t count)
{
    scene->left = count;
    scene->inside = true;
    for (size_t i = 0; i < count; i++) {
        struct job *job = &jobs[i];
        *job = (struct job){ .scene = scene, .n = (int64_t)i };
        snprintf(job->payload, sizeof job->payload, "{\"n\":%zu}", i);
        job->command.payload = span_of(job->payload);
        assert_non_null(scene->handler->start(scene->handler, &job->command, on_outcome, job));
    }
    scene->inside = false;
    if (scene->looks_up)
        loop_work(scene->loop, on_look_up, on_looked_up, NULL);
    loop_run(scene->loop);
}

static void quick_rules_run_on_the_loop(void **state)
{
    (void)state;
    struct scene scene;
    struct job jobs[RUNS];
    open_scene(&scene, "quick", 0);
    run_jobs(&scene, jobs, RUNS);
    assert_int_equal(scene.refused, 0);
    close_scene(&scene);
}

static void blocking_rules_run_elsewhere_and_each_has_its_own_result(void **state)
{
    (void)state;
    struct scene scene;
    struct job jobs[RUNS];
    open_scene(&scene, "blocking", RUNS);
    run_jobs(&scene, jobs, RUNS);
    assert_int_equal(scene.refused, 0);
    close_scene(&scene);
}

static void more_blocking_rules_than_allowed_are_tried_again_later(void **state)
{
    (void)state;
    struct scene scene;
    struct job jobs[3];
    open_scene(&scene, "waits",
               2); /* the two wait until the third has been refused, and once more */
    sem_post(&gate);
    run_jobs(&scene, jobs, 3);
    assert_int_equal(scene.refused, 1);
    assert_int_equal(jobs[2].code, ERR_OVERLOADED);
    close_scene(&scene);
}

/* The rules end only when the look-up behind them has been served. */
static void rules_that_fill_their_threads_hold_up_no_look_up(void **state)
{
    (void)state;
    struct scene scene;
    struct job jobs[RULE_THREADS];
    open_scene(&scene, "waits", RULE_THREADS);
    scene.looks_up = true;
    run_jobs(&scene, jobs, RULE_THREADS);
    for (size_t i = 0; i < RULE_THREADS; i++)
        assert_int_equal(jobs[i].code, ERR_OK);
    close_scene(&scene);
}

/* --- the end of a worker: the handler goes first, the loop last --- */

static void on_end(void *arg, const struct outcome *outcome)
{
    struct job *job = arg;
    assert_int_equal(outcome->code, ERR_CANCELLED);
    assert_non_null(job->scene);
    job->scene->left--;
    free(job);
}

static void start_to_be_ended(struct scene *scene)
{
    struct job *job = calloc(1, sizeof *job);
    job->scene = scene;
    snprintf(job->payload, sizeof job->payload, "{\"n\":1}");
    job->command.payload = span_of(job->payload);
    scene->left++;
    assert_non_null(scene->handler->start(scene->handler, &job->command, on_end, job));
}

static void a_blocking_rule_may_outlast_its_handler(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, "waits", 1);
    start_to_be_ended(&scene);
    assert_true(wait_for(&begun));
    start_to_be_ended(&scene); /* to be refused, which nobody has heard yet */
    close_scene(&scene);
}

static void what_has_not_begun_does_not_begin_when_its_handler_has_gone(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene, "quick", 0);
    start_to_be_ended(&scene);
    start_to_be_ended(&scene);
    close_scene(&scene);
}

static void a_rule_that_is_not_there_is_a_mistake_of_the_configuration(void **state)
{
    (void)state;
    char name[] = "a.type";
    char rule[] = "none";
    struct config_type type = { .name = name, .rule = rule };
    struct handler *handler = NULL;
    struct err err;
    assert_int_equal(rules_handler_new(&(struct handler_tools){ 0 }, &type, &handler, &err),
                     ERR_CONFIG);
    assert_non_null(strstr(err.text, "none"));
    assert_null(handler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_rules_run_on_the_loop),
        cmocka_unit_test(blocking_rules_run_elsewhere_and_each_has_its_own_result),
        cmocka_unit_test(more_blocking_rules_than_allowed_are_tried_again_later),
        cmocka_unit_test(rules_that_fill_their_threads_hold_up_no_look_up),
        cmocka_unit_test(a_blocking_rule_may_outlast_its_handler),
        cmocka_unit_test(what_has_not_begun_does_not_begin_when_its_handler_has_gone),
        cmocka_unit_test(a_rule_that_is_not_there_is_a_mistake_of_the_configuration),
    };
    loop_pool_more(RULE_THREADS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
