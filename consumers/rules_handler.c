/* The `rules` handler: runs a C function of rules.h on the job's payload. Quick rules run on the
 * loop; a rule marked blocking runs on the thread pool, at most rule_threads_max at a time (more
 * wait as `overloaded`, which is tried again). A rule is short and has no way to be interrupted: it
 * can be cancelled until it begins, then it ends by itself. One that outlasts its handler ends
 * unheard: the pool reads nothing but what the run owns.
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
    struct handler_run *runs; /* all whose outcome has not been told */
    size_t running;           /* of these, on the pool */
};

enum phase { PHASE_WAITING, PHASE_BEGUN, PHASE_CANCELLED };

struct handler_run {
    struct handler_run *next, *previous; /* in rules->runs */
    struct rules *rules;                 /* NULL: it has gone, and nobody hears the outcome */
    outcome_fn fn;
    void *arg;
    struct loop_task task;
    /* The pool's while a blocking rule runs. */
    rule_fn rule;
    bool drills;
    char id[ID_TEXT_SIZE];
    struct span payload; /* the command's; of a blocking rule that runs: `copy` */
    char *copy;
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
    run->code = json_parse(run->payload, &limits, &payload, &run->err);
    if (run->code == ERR_OK) {
        struct rule_input input = {
            .payload = payload,
            .payload_bytes = run->payload,
            .now_ms = clock_wall_ms(),
            .job_id = run->id,
            .drills = run->drills,
        };
        run->code = run->rule(&input, &run->result, &run->err);
        if (run->code == ERR_OK && run->result.overflow)
            run->code = err_set(&run->err, ERR_RESULT_TOO_LARGE,
                                "the result is larger than %zu bytes", run->result.max);
    }
    json_free(payload);
}

static void link_run(struct rules *rules, struct handler_run *run)
{
    run->rules = rules;
    run->next = rules->runs;
    if (rules->runs)
        rules->runs->previous = run;
    rules->runs = run;
}

static void unlink_run(struct handler_run *run)
{
    if (run->previous)
        run->previous->next = run->next;
    else
        run->rules->runs = run->next;
    if (run->next)
        run->next->previous = run->previous;
    run->rules = NULL;
}

static void run_free(struct handler_run *run)
{
    buf_free(&run->result);
    free(run->copy);
    free(run);
}

static void on_done(struct handler_run *run)
{
    struct outcome outcome = { .retry_after_ms = -1 };
    if (run->code == ERR_OK)
        outcome.result = buf_span(&run->result);
    else
        outcome_fail(&outcome, &run->err);
    unlink_run(run);
    run->fn(run->arg, &outcome);
    run_free(run);
}

static void on_pool_done(void *arg)
{
    struct handler_run *run = arg;
    if (!run->rules) {
        run_free(run);
        return;
    }
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
    *run = (struct handler_run){
        .fn = fn,
        .arg = arg,
        .rule = rules->rule->run,
        .drills = rules->tools->config->worker.drill_rules,
        .payload = command->payload,
        .result = BUF_INIT((size_t)rules->type->result_bytes_max),
    };
    id_text(&command->facts.id, run->id);
    link_run(rules, run);
    if (rules->rule->blocking && rules->running < rules->tools->rule_threads_max) {
        run->copy = mem_dup(run->payload);
        run->payload.data = run->copy;
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

/* Its handler goes. One that the pool has is freed when the pool is done with it. */
static void call_off(struct handler_run *run)
{
    bool pooled = run->copy;
    outcome_fn fn = run->fn;
    void *arg = run->arg;
    loop_undefer(run->rules->tools->loop, &run->task);
    run->rules = NULL;
    rules_cancel(run);
    if (!pooled)
        run_free(run);
    struct outcome outcome;
    outcome_fail_code(&outcome, ERR_CANCELLED);
    fn(arg, &outcome);
}

static void rules_free(struct handler *handler)
{
    struct rules *rules = (struct rules *)handler;
    for (struct handler_run *run = rules->runs, *next; run; run = next) {
        next = run->next;
        call_off(run);
    }
    free(rules);
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
