/* `errand down`: stops a stack, and makes sure that nothing of it is left.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/drill.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "schemas/mem.h"

#include <signal.h>
#include <stdlib.h>

#define STOP_TIMEOUT_MS   75000 /* the supervisor gives each kind of process 10 s */
#define GRACE_MS          5000
#define LEFTOVER_GRACE_MS 10000

static bool has_leftovers(const struct stack_state *state)
{
    for (size_t i = 0; i < state->process_count; i++) {
        if (stack_pid_is_alive(state->processes[i].id))
            return true;
    }
    return false;
}

/* What was found there. */
enum found {
    FOUND_NOTHING,
    FOUND_STACK,
    FOUND_LEFTOVERS, /* of a supervisor that had gone */
};

static int print_json(const char *folder, enum found found)
{
    static const char *const words[] = { "nothing", "stack", "leftovers" };
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    buf_add_text(&text, "{\"dir\":");
    buf_add_json_string(&text, span_of(folder));
    buf_printf(&text, ",\"stopped\":\"%s\"}", words[found]);
    int code = output_json("errand.down/1", buf_span(&text));
    buf_free(&text);
    return code;
}

static int stop(const char *folder, struct stack_state *state)
{
    struct err err = { 0 };
    if (!stack_pid_signal(state->supervisor, SIGTERM) && stack_is_locked(folder)) {
        output_error("another `errand up` is just preparing %s", folder);
        output_try("errand down --dir %s", folder);
        return CLI_REFUSED;
    }
    if (!watch_until_stopped(folder, STOP_TIMEOUT_MS)) {
        output_note("the supervisor did not end in time: killed");
        (void)stack_pid_signal(state->supervisor, SIGKILL);
        (void)watch_until_stopped(folder, GRACE_MS);
        if (stack_state_load(folder, state, &err) == ERR_OK)
            stack_end_leftovers(state, GRACE_MS);
    }
    output_note("errand is stopped; its data stays in %s", folder);
    return CLI_OK;
}

static enum found stop_leftovers(const char *folder, const struct stack_state *state)
{
    if (has_leftovers(state)) {
        stack_end_leftovers(state, LEFTOVER_GRACE_MS);
        output_note("the supervisor was gone already; what it left behind is stopped");
        return FOUND_LEFTOVERS;
    }
    output_note("nothing is running in %s", folder);
    return FOUND_NOTHING;
}

int down_run(const struct args *args)
{
    struct err err = { 0 };
    char *folder = stack_folder(args, NULL);
    struct stack_state *state = MEM_NEW(*state);
    bool locked = stack_is_locked(folder);
    int code = CLI_FAILED;
    if (stack_state_load(folder, state, &err) != ERR_OK) {
        output_error("the stack's state cannot be read");
        output_why("%s", err.text);
    } else {
        drill_down_all(folder); /* they live on its broker */
        enum found found = FOUND_STACK;
        code = CLI_OK;
        if (locked)
            code = stop(folder, state);
        else
            found = stop_leftovers(folder, state);
        if (code == CLI_OK && output_is_json(args))
            code = print_json(folder, found);
    }
    free(state);
    free(folder);
    return code;
}
