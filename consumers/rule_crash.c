/* drill.crash: kills the process that runs it, as a bug would; for drills and tests.
 *
 *   {"signal":"ABRT"}                          the process dies of SIGABRT
 *   {"signal":"SEGV","until_ms":1700000000000} the same before that Unix time, then
 * {"crashed":false}
 *
 * Refused unless the configuration says `worker.drill_rules: true`.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rule_fields.h"
#include "consumers/rules.h"
#include "schemas/job.h"

#include <signal.h>
#include <stdlib.h>

static const struct {
    const char *name;
    int number;
} signals[] = {
    { "ABRT", SIGABRT }, { "BUS", SIGBUS },   { "FPE", SIGFPE },
    { "ILL", SIGILL },   { "KILL", SIGKILL }, { "SEGV", SIGSEGV },
};
#define SIGNAL_COUNT (sizeof signals / sizeof *signals)

/* By the signal itself, whatever a sanitizer or a debugger would make of it. */
static void crash(int number)
{
    struct sigaction standard = { .sa_handler = SIG_DFL };
    (void)sigaction(number, &standard, NULL); /* refused for SIGKILL, which needs it least */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(number);
    abort();
}

static enum err_code read_signal(const struct rule_fields *fields, int *ret_number)
{
    struct span name;
    enum err_code code = rule_fields_text(fields, "signal", 8, &name);
    if (code != ERR_OK)
        return code;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (span_is(name, signals[i].name)) {
            *ret_number = signals[i].number;
            return ERR_OK;
        }
    }
    return rule_fields_refuse(fields, "signal", "must be one of ABRT, BUS, FPE, ILL, KILL, SEGV");
}

enum err_code rule_crash_run(const struct rule_input *input, struct buf *ret_result,
                             struct err *err)
{
    static const char *const names[] = { "signal", "until_ms", NULL };
    struct rule_fields fields = { .place = "", .err = err };
    int number = 0;
    int64_t until_ms = INT64_MAX;
    enum err_code code = rule_fields_open(&fields, input->payload, names);
    if (code == ERR_OK)
        code = read_signal(&fields, &number);
    if (code == ERR_OK && rule_fields_has(&fields, "until_ms"))
        code = rule_fields_integer(&fields, "until_ms", 0, JOB_TIME_MS_MAX, &until_ms);
    if (code == ERR_OK && !input->drills)
        code = err_set(err, ERR_PAYLOAD_INVALID,
                       "drill.crash is for drills: it needs worker.drill_rules: true");
    if (code == ERR_OK && input->now_ms < until_ms)
        crash(number);
    if (code == ERR_OK)
        buf_add_text(ret_result, "{\"crashed\":false}");
    return code;
}
