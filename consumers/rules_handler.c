/* The `rules` handler: runs a C function of rules.h on the job's payload. Quick rules run on the
 * loop; a rule marked blocking runs on the thread pool, at most rule_threads_max at a time (more
 * wait as `overloaded`, which is tried again). A rule is short and has no way to be interrupted: it
 * can be cancelled until it begins, then it ends by itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/handler.h"
#include "consumers/rules.h"
#include "infra/clock.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

#define JSON_DEPTH_MAX  64
#define JSON_TOKENS_MAX 100000

struct rules {
    struct handler handler;
    const struct handler_tools *tools;
    const struct config_type *type;
    const struct rule *rule;
    size_t running;
};

enum phase { PHASE_WAITING, PHASE_BEGUN, PHASE_CANCELLED };

struct handler_run {
    struct rules *rules;
    const struct job_command *command;
    outcome_fn fn;
    void *arg;
    struct loop_task task;
    struct buf result;
    struct err err;
    enum err_code code;
    atomic_int phase; /* the pool begins, the loop cancels: who comes first */
};

/* Moves the run out of PHASE_WAITING; false: it was moved before. thread: any */
static bool leave_waiting(struct handler_run *run, enum phase phase)
{
    int waiting = PHASE_WAITING;
    return atomic_compare_exchange_strong(&run->phase, &waiting, (int)phase);
}

/* thread: the loop, or the pool for a blocking rule */
static void run_rule(void *arg)
{
    struct handler_run *run = arg;
    struct json_limits limits = { .depth_max = JSON_DEPTH_MAX, .tokens_max = JSON_TOKENS_MAX };
    struct json *payload = NULL;
    if (!leave_waiting(run, PHASE_BEGUN)) {
        run->code = err_set(&run->err, ERR_CANCELLED, "called off before it began");
        return;
    }
    run->code = json_parse(run->command->payload, &limits, &payload, &run->err);
    if (run->code == ERR_OK) {
        char id[ID_TEXT_SIZE];
        id_text(&run->command->facts.id, id);
        struct rule_input input = {
            .payload = payload,
            .payload_bytes = run->command->payload,
            .now_ms = clock_wall_ms(),
            .job_id = id,
            .drills = run->rules->tools->config->worker.drill_rules,
        };
        run->code = run->rules->rule->run(&input, &run->result, &run->err);
        if (run->code == ERR_OK && run->result.overflow)
            run->code = err_set(&run->err, ERR_RESULT_TOO_LARGE,
                                "the result is larger than %zu bytes", run->result.max);
    }
    json_free(payload);
}

static void on_done(void *arg)
{
    struct handler_run *run = arg;
    struct outcome outcome = { .retry_after_ms = -1 };
    if (run->code == ERR_OK)
        outcome.result = buf_span(&run->result);
    else
        outcome_fail(&outcome, &run->err);
    run->fn(run->arg, &outcome);
    buf_free(&run->result);
    free(run);
}

static void on_pool_done(void *arg)
{
    struct handler_run *run = arg;
    run->rules->running--;
    on_done(run);
}

static void on_task(void *arg)
{
    struct handler_run *run = arg;
    if (run->code == ERR_OK)
        run_rule(run);
    on_done(run);
}

static struct handler_run *rules_start(struct handler *handler, const struct job_command *command,
                                       outcome_fn fn, void *arg)
{
    struct rules *rules = (struct rules *)handler;
    struct handler_run *run = MEM_NEW(*run);
    *run = (struct handler_run){ .rules = rules, .command = command, .fn = fn, .arg = arg };
    run->result.max = (size_t)rules->type->result_bytes_max;
    if (rules->rule->blocking && rules->running < rules->tools->rule_threads_max) {
        rules->running++;
        loop_work(rules->tools->loop, run_rule, on_pool_done, run);
        return run;
    }
    if (rules->rule->blocking)
        run->code = err_set(&run->err, ERR_OVERLOADED, "all %zu threads for rules are busy",
                            rules->tools->rule_threads_max);
    run->task = (struct loop_task){ .fn = on_task, .arg = run };
    loop_defer(rules->tools->loop, &run->task);
    return run;
}

static void rules_cancel(struct handler_run *run)
{
    (void)!leave_waiting(run, PHASE_CANCELLED);
}

static void rules_free(struct handler *handler)
{
    free(handler);
}

enum err_code rules_handler_new(const struct handler_tools *tools, const struct config_type *type,
                                struct handler **ret_handler, struct err *err)
{
    const struct rule *rule = rule_find(span_of(type->rule));
    if (!rule)
        return err_field(err, ERR_CONFIG, type->name, "types.%s.rule: there is no rule \"%s\"",
                         type->name, type->rule);
    struct rules *rules = MEM_NEW(*rules);
    rules->handler =
        (struct handler){ .start = rules_start, .cancel = rules_cancel, .free = rules_free };
    rules->tools = tools;
    rules->type = type;
    rules->rule = rule;
    *ret_handler = &rules->handler;
    return ERR_OK;
}
