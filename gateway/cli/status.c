/* `errand status`: what the supervisor knows, held against what really runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/status.h"
#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/verbs.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define STATUS_SCHEMA "errand.status/1"

/* Without a supervisor nobody looks at readiness, and a pid may be someone else's by now. */
static void check_against_life(struct stack_state *state, bool supervised)
{
    for (size_t i = 0; i < state->process_count; i++) {
        struct stack_process *process = &state->processes[i];
        bool external = process->id.pid == 0 && process->ready;
        if (!external && !stack_pid_is_alive(process->id)) {
            process->id = (struct stack_pid){ 0 };
            process->ready = false;
        }
        process->ready = process->ready && supervised;
    }
}

int status_print_json(const char *folder, const struct stack_state *state, const char *phase)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    buf_printf(&text, "{\"phase\":\"%s\",\"dir\":", phase);
    buf_add_json_string(&text, span_of(folder));
    buf_add_text(&text, ",\"processes\":[");
    for (size_t i = 0; i < state->process_count; i++) {
        const struct stack_process *process = &state->processes[i];
        buf_printf(&text, "%s{\"name\":\"%s\",\"pid\":", i ? "," : "", process->name);
        if (process->id.pid)
            buf_add_int(&text, process->id.pid);
        else
            buf_add_text(&text, "null");
        buf_add_text(&text, ",\"address\":");
        buf_add_json_string(&text, span_of(process->address));
        buf_printf(&text, ",\"ready\":%s,\"restarts\":%lld}", process->ready ? "true" : "false",
                   (long long)process->restarts);
    }
    buf_add_text(&text, "]}");
    int code = output_json(STATUS_SCHEMA, buf_span(&text));
    buf_free(&text);
    return code;
}

static int print_table(const struct stack_state *state)
{
    static const char *const headings[] = { "NAME", "READY", "PID", "ADDRESS", "RESTARTS" };
    struct table *table = table_new(headings, 5);
    for (size_t i = 0; i < state->process_count; i++) {
        const struct stack_process *process = &state->processes[i];
        table_add_text(table, process->name);
        table_add_text(table, process->ready ? "yes" : "no");
        if (process->id.pid)
            table_add_int(table, process->id.pid);
        else
            table_add_text(table, "-");
        table_add_text(table, *process->address ? process->address : "-");
        table_add_int(table, process->restarts);
    }
    int code = output_table(table);
    table_free(table);
    return code;
}

static int exit_code_of(const struct stack_state *state, bool supervised, const char *folder)
{
    if (!supervised) {
        output_note("nothing is running in %s", folder);
        output_try("errand up");
        return CLI_UNREACHABLE;
    }
    for (size_t i = 0; i < state->process_count; i++) {
        if (!state->processes[i].ready)
            return CLI_FAILED;
    }
    return CLI_OK;
}

int status_run(const struct args *args)
{
    struct err err = { 0 };
    char *folder = stack_folder(args, NULL);
    struct stack_state *state = MEM_NEW(*state);
    int code = CLI_FAILED;
    if (stack_state_load(folder, state, &err) != ERR_OK) {
        output_error("the stack's state cannot be read");
        output_why("%s", err.text);
    } else {
        bool supervised = stack_is_locked(folder) && stack_pid_is_alive(state->supervisor);
        check_against_life(state, supervised);
        const char *phase = supervised ? stack_phase_text(state->phase) : "stopped";
        if (output_is_json(args))
            code = status_print_json(folder, state, phase);
        else
            code = supervised ? print_table(state) : CLI_OK;
        code = code == CLI_OK ? exit_code_of(state, supervised, folder) : code;
    }
    free(state);
    free(folder);
    return code;
}
