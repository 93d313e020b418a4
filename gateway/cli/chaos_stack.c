/* Which stack may be broken, and with which jobs. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack_settings.h"
#include "gateway/cli/watch.h"
#include "infra/config.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/process_name.h"

#include <stdlib.h>

/* What every stack has whose configuration began as the one that errand carries. */
static const struct {
    const char *type, *payload, *key;
    int64_t share;
    enum job_state ends;
} canaries[] = {
    { .type = "quote.fetch",
      .payload = "{\"author\":\"any\",\"topic\":\"truth\"}",
      .share = 50,
      .ends = JOB_SUCCEEDED },
    { .type = "sentence.make",
      .payload = "{\"subject\":\"the night porter\",\"seed\":7}",
      .share = 30,
      .ends = JOB_SUCCEEDED },
    { .type = "quote.fetch",
      .payload = "{\"author\":\"twain\",\"simulate\":\"fail=1\"}",
      .share = 8,
      .ends = JOB_SUCCEEDED },
    { .type = "ledger.post",
      .payload = "{\"account\":\"17\",\"cents\":250}",
      .key = "canary-{{n}}",
      .share = 10,
      .ends = JOB_SUCCEEDED },
    { .type = "quote.fetch",
      .payload = "{\"author\":\"austen\",\"simulate\":\"status=400\"}",
      .share = 2,
      .ends = JOB_FAILED },
};

static const struct config_target *target_of(const struct config *config, const char *type)
{
    const struct config_type *found = config_find_type(config, span_of(type));
    if (!found || found->handler != CONFIG_HANDLER_CALL)
        return NULL;
    return config_find_target(config, span_of(found->call.target));
}

bool chaos_stack_calls(const struct chaos_stack *stack, const char *type)
{
    return target_of(stack->config, type) != NULL;
}

static int refuse(const char *why, const char *name)
{
    output_error("this stack is not one to be broken");
    output_why("%s%s%s", why, *name ? ": " : "", name);
    output_try("errand up --dir DIR, and --dir DIR here; or `drillable: true` in its errand.yaml");
    return CLI_REFUSED;
}

/* Somebody else's broker, Redis or third party would feel it. */
static int check_ours(const struct chaos_stack *stack)
{
    const struct stack_options *options = &stack->state.options;
    const struct config *config = stack->config;
    if (config->drillable || MUTANT(chaos_stranger_broken))
        return CLI_OK;
    if (strcmp(options->broker, STACK_BROKER_EMBEDDED) != 0 && !stack_apache_brokers(options))
        return refuse("its broker was not started by `errand up`", options->broker);
    if (*options->redis)
        return refuse("its Redis was not started by `errand up`", options->redis);
    /* As it was started, and as it would be now. */
    const char *stranger = stack_stranger(config);
    if (*stack->state.stranger && !MUTANT(chaos_started_unasked))
        stranger = stack->state.stranger;
    if (stranger)
        return refuse("it calls a third party that is not the simulator", stranger);
    return CLI_OK;
}

static bool kills_broker(const struct drill_plan *plan)
{
    for (size_t i = 0; i < plan->fault_count; i++) {
        const struct drill_fault *fault = &plan->faults[i];
        if ((fault->act == DRILL_KILL || fault->act == DRILL_RESTART) &&
            strncmp(fault->what, "broker", strlen("broker")) == 0)
            return true;
    }
    return false;
}

static bool is_here(const struct chaos_stack *stack, const char *what)
{
    for (size_t i = 0; i < stack->state.process_count; i++) {
        const struct stack_process *process = &stack->state.processes[i];
        if (process->id.pid > 0 && process_name_is_of(span_of(process->name), what))
            return true;
    }
    return false;
}

static int check_faults(const struct chaos_stack *stack, const struct drill_plan *plan)
{
    for (size_t i = 0; i < plan->fault_count; i++) {
        const struct drill_fault *fault = &plan->faults[i];
        bool process = fault->act != DRILL_THIRD_PARTY && fault->act != DRILL_FLUSH_REDIS;
        if (!process || is_here(stack, fault->what) || MUTANT(chaos_absent_broken))
            continue;
        output_error("this stack started no %s", fault->what);
        output_why("what runs elsewhere is not broken from here");
        output_try("errand status");
        return CLI_REFUSED;
    }
    return CLI_OK;
}

static int check_plan(const struct chaos_stack *stack, const struct drill_plan *plan)
{
    if (!stack->state.options.restart && !MUTANT(chaos_unrestarted_broken)) {
        output_error("what dies here is not started again");
        output_why("the stack was started with --no-restart");
        output_try("errand down && errand up");
        return CLI_REFUSED;
    }
    if (kills_broker(plan) && strcmp(stack->state.options.broker, STACK_BROKER_EMBEDDED) == 0 &&
        !MUTANT(chaos_memory_lost)) {
        output_error("the embedded broker loses all jobs when it dies");
        output_why("it keeps its topics in memory only");
        output_try("errand up --broker apache");
        return CLI_REFUSED;
    }
    return check_faults(stack, plan);
}

static int load_stack(struct chaos_stack *stack)
{
    struct err err = { 0 };
    char *report = NULL;
    int code = CLI_OK;
    if (!stack_is_locked(stack->folder)) {
        output_error("errand is not running in %s", stack->folder);
        output_try("errand up");
        return CLI_UNREACHABLE;
    }
    if (stack_state_load(stack->folder, &stack->state, &err) != ERR_OK ||
        stack->state.phase != STACK_READY) {
        output_error("the stack in %s is not ready", stack->folder);
        output_why("%s", err.text[0] ? err.text : stack_phase_text(stack->state.phase));
        return CLI_UNREACHABLE;
    }
    if (stack_settings_load(stack->folder, &stack->state, &stack->config, &report, &err) !=
        ERR_OK) {
        output_error("the stack's configuration cannot be used");
        watch_print_lines(report ? report : err.text);
        code = CLI_USAGE;
    }
    free(report);
    return code;
}

int chaos_stack_open(const struct args *args, const struct drill_plan *plan,
                     struct chaos_stack *ret_stack)
{
    *ret_stack = (struct chaos_stack){ .folder = stack_folder(args, NULL) };
    int code = load_stack(ret_stack);
    if (code == CLI_OK)
        code = check_ours(ret_stack);
    if (code == CLI_OK)
        code = check_plan(ret_stack, plan);
    if (code != CLI_OK)
        chaos_stack_close(ret_stack);
    return code;
}

void chaos_stack_close(struct chaos_stack *stack)
{
    config_free(stack->config);
    free(stack->folder);
    *stack = (struct chaos_stack){ 0 };
}

void chaos_stack_look(struct chaos_stack *stack)
{
    struct err err = { 0 };
    struct stack_state *state = MEM_NEW(*state);
    if (stack_state_load(stack->folder, state, &err) == ERR_OK)
        stack->state = *state;
    free(state);
}

char *chaos_stack_url(const struct chaos_stack *stack, const char *process)
{
    struct buf url = BUF_INIT(STACK_BROKERS_SIZE + 16);
    for (size_t i = 0; i < stack->state.process_count; i++) {
        const struct stack_process *shown = &stack->state.processes[i];
        if (strcmp(shown->name, process) != 0 || !*shown->address)
            continue;
        buf_printf(&url, "http://%s", shown->address);
        return buf_take(&url);
    }
    return NULL;
}

/* A canary calls the simulator or nobody. */
static int check_jobs(const struct chaos_stack *stack, const struct drill_plan *plan)
{
    for (size_t i = 0; i < plan->job_count; i++) {
        const char *type = plan->jobs[i].type;
        const struct config_target *target = target_of(stack->config, type);
        if (!config_find_type(stack->config, span_of(type))) {
            output_error("there is no job type '%s' in this stack", type);
            output_try("errand types");
            return CLI_NOT_FOUND;
        }
        if (target && !config_is_simulator(target) && !MUTANT(chaos_stranger_called)) {
            output_error("jobs of type %s would call %s", type, target->base_url);
            output_why("a drill calls nobody but the simulator");
            return CLI_REFUSED;
        }
    }
    return CLI_OK;
}

int chaos_stack_canaries(const struct chaos_stack *stack, struct drill_plan *plan)
{
    if (plan->job_count)
        return check_jobs(stack, plan);
    for (size_t i = 0; i < sizeof canaries / sizeof canaries[0]; i++) {
        const struct config_target *target = target_of(stack->config, canaries[i].type);
        const struct config_type *type = config_find_type(stack->config, span_of(canaries[i].type));
        const struct config_queue *queue =
            type ? config_find_queue(stack->config, span_of(type->queue)) : NULL;
        if (queue && (!target || config_is_simulator(target)) &&
            (!canaries[i].key || queue->ordered))
            drill_plan_add_jobs(plan, canaries[i].type, canaries[i].payload, canaries[i].key,
                                canaries[i].share, canaries[i].ends);
    }
    if (plan->job_count)
        return CLI_OK;
    output_error("this stack has none of the job types that are submitted here");
    output_why("quote.fetch, sentence.make or ledger.post, calling the simulator");
    output_try("errand drill run FILE, which names `load.jobs` of its own");
    return CLI_NOT_FOUND;
}
