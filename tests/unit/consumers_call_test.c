/* The handler for calls: what it makes of a third party's answer. The third party is a server on
 * the test's own loop. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/handler.h"
#include "infra/http_server.h"
#include "schemas/mem.h"
#include "tests/unit/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEADLINE_MS 20000
#define MIB         ((size_t)1024 * 1024)

struct scene {
    struct loop *loop;
    struct loop_timer *deadline;
    struct metrics *metrics;
    struct config *config;
    struct http_server *server;
    struct http_client *client;
    struct handler_tools tools;
    struct handler *handler;
    size_t text_size; /* of the answer's member "text" */
    enum err_code code;
    enum err_class class_;
    size_t result_size; /* of a success */
    char result_last;
};

static void on_deadline(void *arg)
{
    (void)arg;
    fail_msg("no outcome in time");
}

/* {"text":"xx...x"} */
static void on_request(struct http_request *req, void *arg)
{
    const struct scene *scene = arg;
    struct buf body = BUF_INIT(8 * MIB);
    buf_add_text(&body, "{\"text\":\"");
    for (size_t i = 0; i < scene->text_size; i++)
        buf_add_char(&body, 'x');
    buf_add_text(&body, "\"}");
    assert_false(body.overflow);
    http_reply(req, &(struct http_answer){ .status = 200,
                                           .content_type = "application/json",
                                           .body = buf_span(&body) });
    buf_free(&body);
}

static const struct http_route routes[] = { { "GET", "/", on_request, 0 } };

static int set_up(void **state)
{
    static struct scene scene;
    scene = (struct scene){ .loop = loop_new(16), .metrics = metrics_new() };
    scene.config = config_fixture_load(
        FIXTURE_SECRETS
        "simulator: {listen: \"127.0.0.1:0\"}\n"
        "targets: {own: {base_url: \"simulator:/\", response_max: 4MiB}}\n"
        "types: {part: {handler: call, call: {target: own, path: /, result: pointer,\n"
        "                                     pointer: /text}}}\n",
        config_fixture_no_variables);
    struct http_server_options server = { .config = &scene.config->simulator.http,
                                          .listen_fd = -1,
                                          .routes = routes,
                                          .route_count = 1,
                                          .arg = &scene,
                                          .metrics = scene.metrics };
    struct err err;
    assert_int_equal(http_server_open(scene.loop, &server, &scene.server, &err), ERR_OK);
    free(scene.config->simulator.http.listen);
    scene.config->simulator.http.listen = mem_dup_text(http_server_address(scene.server));
    struct http_client_options client = { .shards = 1, .connections_max = 1 };
    assert_int_equal(http_client_open(scene.loop, &client, &scene.client, &err), ERR_OK);
    scene.tools =
        (struct handler_tools){ .loop = scene.loop, .http = scene.client, .config = scene.config };
    assert_int_equal(call_new(&scene.tools, &scene.config->types[0], &scene.handler, &err), ERR_OK);
    scene.deadline = loop_timer_new(scene.loop, on_deadline, NULL);
    loop_timer_start(scene.deadline, DEADLINE_MS, 0);
    *state = &scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    http_client_close(scene->client);
    scene->handler->free(scene->handler);
    http_server_close(scene->server);
    loop_free(scene->loop);
    config_free(scene->config);
    metrics_free(scene->metrics);
    return 0;
}

static void on_outcome(void *arg, const struct outcome *outcome)
{
    struct scene *scene = arg;
    scene->code = outcome->code;
    scene->class_ = outcome->class_;
    if (outcome->code == ERR_OK) {
        scene->result_size = outcome->result.size;
        scene->result_last = ((const char *)outcome->result.data)[outcome->result.size - 1];
    }
    loop_stop(scene->loop);
}

static void call(struct scene *scene, size_t text_size)
{
    struct job_command command = { .facts.type = SPAN_LIT("part"), .payload = SPAN_LIT("{}") };
    scene->text_size = text_size;
    (void)scene->handler->start(scene->handler, &command, on_outcome, scene);
    loop_run(scene->loop);
}

static void a_part_of_the_answer_is_the_result(void **state)
{
    struct scene *scene = *state;
    call(scene, MIB - 2);
    assert_int_equal(scene->code, ERR_OK);
    assert_int_equal(scene->result_size, MIB);
    assert_int_equal(scene->result_last, '"');
}

static void a_part_that_is_too_large_is_no_result(void **state)
{
    struct scene *scene = *state;
    const size_t sizes[] = { MIB - 1, MIB + 1, 2 * MIB };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        call(scene, sizes[i]);
        assert_int_equal(scene->code, ERR_RESULT_TOO_LARGE);
        assert_int_equal(scene->class_, ERR_CLASS_REJECT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_part_of_the_answer_is_the_result, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_part_that_is_too_large_is_no_result, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, config_fixture_set_up, config_fixture_tear_down);
}
