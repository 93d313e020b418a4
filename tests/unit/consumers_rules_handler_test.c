/* The handler for business rules: done, refused, called off. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/handler.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RESULT_BYTES_MAX 4096

struct scene {
    struct loop *loop;
    struct handler *handler;
    struct config_type type;
    struct config config;
    struct handler_tools tools;
    size_t told;
    enum err_code code;
    bool has_result;
};

static int open_scene(void **state)
{
    static struct scene scene;
    scene = (struct scene){ .loop = loop_new(10) };
    static char rule[] = "sentence.make";
    static char name[] = "probe";
    scene.type.name = name;
    scene.type.rule = rule;
    scene.type.result_bytes_max = RESULT_BYTES_MAX;
    scene.tools = (struct handler_tools){ .loop = scene.loop,
                                          .config = &scene.config,
                                          .rule_threads_max = 1 };
    assert_int_equal(rules_handler_new(&scene.tools, &scene.type, &scene.handler, NULL), ERR_OK);
    *state = &scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    scene->handler->free(scene->handler);
    loop_free(scene->loop);
    return 0;
}

static void on_outcome(void *arg, const struct outcome *outcome)
{
    struct scene *scene = arg;
    scene->told++;
    scene->code = outcome->code;
    scene->has_result = outcome->result.size > 0;
    loop_stop(scene->loop);
}

static struct handler_run *start(struct scene *scene, const struct job_command *command)
{
    struct handler_run *run = scene->handler->start(scene->handler, command, on_outcome, scene);
    assert_int_equal(scene->told, 0);
    return run;
}

static void a_rule_is_done_later_and_once(void **state)
{
    struct scene *scene = *state;
    struct job_command command = { .payload = SPAN_LIT("{\"subject\":\"a test\",\"seed\":1}") };
    (void)start(scene, &command);
    loop_run(scene->loop);
    assert_int_equal(scene->told, 1);
    assert_int_equal(scene->code, ERR_OK);
    assert_true(scene->has_result);
}

static void a_payload_that_does_not_fit_is_refused(void **state)
{
    struct scene *scene = *state;
    struct job_command command = { .payload = SPAN_LIT("{\"subject\":1}") };
    (void)start(scene, &command);
    loop_run(scene->loop);
    assert_int_equal(scene->code, ERR_PAYLOAD_INVALID);
}

/* proves P-22b */
static void a_rule_that_has_not_begun_can_be_called_off(void **state)
{
    struct scene *scene = *state;
    struct job_command command = { .payload = SPAN_LIT("{\"subject\":\"a test\",\"seed\":1}") };
    struct handler_run *run = start(scene, &command);
    scene->handler->cancel(run);
    scene->handler->cancel(run);
    assert_int_equal(scene->told, 0);
    loop_run(scene->loop);
    assert_int_equal(scene->told, 1);
    assert_int_equal(scene->code, ERR_CANCELLED);
    assert_false(scene->has_result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_rule_is_done_later_and_once, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(a_payload_that_does_not_fit_is_refused, open_scene,
                                        close_scene),
        cmocka_unit_test_setup_teardown(a_rule_that_has_not_begun_can_be_called_off, open_scene,
                                        close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
