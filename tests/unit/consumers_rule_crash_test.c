/* The rule that kills its process: the signal that was asked for, and only where drills are
 * allowed. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static enum err_code run(const char *payload, bool drills, struct buf *ret_result, struct err *err)
{
    struct json_limits limits = { .depth_max = 8, .tokens_max = 100 };
    struct json *json = NULL;
    assert_int_equal(json_parse(span_of(payload), &limits, &json, NULL), ERR_OK);
    struct rule_input input = { .payload = json,
                                .payload_bytes = span_of(payload),
                                .now_ms = 1000,
                                .job_id = "",
                                .drills = drills };
    enum err_code code = rule_crash_run(&input, ret_result, err);
    json_free(json);
    return code;
}

/* What ends a process that runs the rule; 0: nothing. */
static int signal_of(const char *payload)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct buf result = BUF_INIT(1024);
        struct err err;
        (void)!run(payload, true, &result, &err);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void the_process_dies_of_the_signal(void **state)
{
    (void)state;
    assert_int_equal(signal_of("{\"signal\":\"ABRT\"}"), SIGABRT);
    assert_int_equal(signal_of("{\"signal\":\"SEGV\"}"), SIGSEGV);
    assert_int_equal(signal_of("{\"signal\":\"KILL\"}"), SIGKILL);
    assert_int_equal(signal_of("{\"signal\":\"BUS\",\"until_ms\":1001}"), SIGBUS);
}

static void after_its_time_it_lives(void **state)
{
    (void)state;
    struct buf result = BUF_INIT(1024);
    struct err err;
    assert_int_equal(run("{\"signal\":\"ABRT\",\"until_ms\":1000}", true, &result, &err), ERR_OK);
    assert_string_equal(result.data, "{\"crashed\":false}");
    buf_free(&result);
}

static void refuse(const char *payload, bool drills, const char *part)
{
    struct buf result = BUF_INIT(1024);
    struct err err = { 0 };
    assert_int_equal(run(payload, drills, &result, &err), ERR_PAYLOAD_INVALID);
    assert_non_null(strstr(err.text, part));
    buf_free(&result);
}

/* proves P-38h */
static void it_is_refused_where_drills_are_not_allowed(void **state)
{
    (void)state;
    refuse("{\"signal\":\"ABRT\"}", false, "worker.drill_rules");
    refuse("{\"signal\":\"ABRT\",\"until_ms\":1}", false, "worker.drill_rules");
}

static void other_payloads_are_refused(void **state)
{
    (void)state;
    refuse("{}", true, "signal");
    refuse("{\"signal\":\"TERM\"}", true, "ABRT, BUS");
    refuse("{\"signal\":\"ABRT\",\"until\":1}", true, "until");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_dies_of_the_signal),
        cmocka_unit_test(after_its_time_it_lives),
        cmocka_unit_test(it_is_refused_where_drills_are_not_allowed),
        cmocka_unit_test(other_payloads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
