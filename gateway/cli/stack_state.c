/* state.json: what the supervisor knows of its stack, for every other command. A member that a
 * newer version adds is ignored by an older one; to change the meaning of one, raise
 * STACK_SCHEMA.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/stack.h"

#include "schemas/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATE_BYTES_MAX  ((size_t)256 * 1024)
#define STATE_DEPTH_MAX  8
#define STATE_TOKENS_MAX 16384

static const char *const phases[] = {
    [STACK_NEW] = "new",           [STACK_STARTING] = "starting", [STACK_READY] = "ready",
    [STACK_STOPPING] = "stopping", [STACK_STOPPED] = "stopped",   [STACK_FAILED] = "failed",
};

const char *stack_phase_text(enum stack_phase phase)
{
    return phases[phase];
}

struct stack_process *stack_state_find(struct stack_state *state, const char *name)
{
    for (size_t i = 0; i < state->process_count; i++) {
        if (strcmp(state->processes[i].name, name) == 0)
            return &state->processes[i];
    }
    return NULL;
}

/* --- writing --- */

static void add_text(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\":", name);
    buf_add_json_string(out, span_of(value));
}

static void add_bool(struct buf *out, const char *name, bool value)
{
    buf_printf(out, "\"%s\":%s", name, value ? "true" : "false");
}

static void add_pid(struct buf *out, struct stack_pid id)
{
    buf_printf(out, "\"pid\":%lld,\"start_time\":%lld", (long long)id.pid,
               (long long)id.start_time);
}

static void add_process(struct buf *out, const struct stack_process *process)
{
    buf_add_char(out, '{');
    add_text(out, "name", process->name);
    buf_add_char(out, ',');
    add_text(out, "address", process->address);
    buf_add_char(out, ',');
    add_pid(out, process->id);
    buf_add_char(out, ',');
    add_bool(out, "ready", process->ready);
    buf_printf(out, ",\"restarts\":%lld}", (long long)process->restarts);
}

static void add_options(struct buf *out, const struct stack_options *options)
{
    buf_add_text(out, "\"options\":{");
    add_text(out, "broker", options->broker);
    buf_add_char(out, ',');
    add_text(out, "redis", options->redis);
    buf_add_char(out, ',');
    add_bool(out, "redis_password", options->redis_password);
    buf_add_char(out, ',');
    add_bool(out, "restart", options->restart);
    buf_printf(out, ",\"workers\":%lld}", (long long)options->workers);
}

void stack_state_render(const struct stack_state *state, struct buf *out)
{
    buf_add_char(out, '{');
    add_text(out, "schema", STACK_SCHEMA);
    buf_add_char(out, ',');
    add_text(out, "phase", phases[state->phase]);
    buf_add_text(out, ",\"supervisor\":{");
    add_pid(out, state->supervisor);
    buf_add_text(out, "},");
    add_options(out, &state->options);
    if (state->phase == STACK_FAILED) {
        buf_add_text(out, ",\"failure\":{");
        add_text(out, "process", state->failure.process);
        buf_add_char(out, ',');
        add_text(out, "why", state->failure.why);
        buf_add_char(out, ',');
        add_text(out, "try", state->failure.remedy);
        buf_add_char(out, '}');
    }
    if (*state->stranger) {
        buf_add_char(out, ',');
        add_text(out, "stranger", state->stranger);
    }
    buf_add_text(out, ",\"processes\":[");
    for (size_t i = 0; i < state->process_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_process(out, &state->processes[i]);
    }
    buf_add_text(out, "]}\n");
}

enum err_code stack_state_save(const char *folder, const struct stack_state *state, struct err *err)
{
    struct buf text = BUF_INIT(STATE_BYTES_MAX);
    stack_state_render(state, &text);
    char *path = stack_path(folder, "state.json");
    enum err_code code = stack_write_file(path, buf_span(&text), err);
    free(path);
    buf_free(&text);
    return code;
}

/* --- reading: a member that is missing or odd leaves what was there --- */

static void read_text(const struct json *object, const char *name, char *ret_text, size_t size)
{
    struct span text = json_text(json_get(object, name));
    if (text.data && text.size < size)
        (void)snprintf(ret_text, size, "%.*s", SPAN_ARG(text));
}

static void read_integer(const struct json *object, const char *name, int64_t *ret_value)
{
    int64_t value = 0;
    if (json_integer_of(json_get(object, name), &value) && value >= 0)
        *ret_value = value;
}

static void read_bool(const struct json *object, const char *name, bool *ret_value)
{
    const struct json *member = json_get(object, name);
    bool value = false;
    if (json_bool_of(member, &value))
        *ret_value = value;
}

static struct stack_pid read_pid(const struct json *object)
{
    struct stack_pid id = { 0 };
    read_integer(object, "pid", &id.pid);
    read_integer(object, "start_time", &id.start_time);
    return id;
}

static void read_process(const struct json *object, struct stack_process *ret_process)
{
    struct stack_process process = { .id = read_pid(object) };
    read_text(object, "name", process.name, sizeof process.name);
    read_text(object, "address", process.address, sizeof process.address);
    read_bool(object, "ready", &process.ready);
    read_integer(object, "restarts", &process.restarts);
    *ret_process = process;
}

static void read_options(const struct json *object, struct stack_options *ret_options)
{
    struct stack_options options = { .restart = true, .workers = 1 };
    read_text(object, "broker", options.broker, sizeof options.broker);
    read_text(object, "redis", options.redis, sizeof options.redis);
    read_bool(object, "redis_password", &options.redis_password);
    read_bool(object, "restart", &options.restart);
    read_integer(object, "workers", &options.workers);
    if (options.workers < 1 || options.workers > STACK_WORKERS_MAX)
        options.workers = 1;
    *ret_options = options;
}

static enum stack_phase read_phase(const struct json *root)
{
    struct span text = json_text(json_get(root, "phase"));
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        if (span_is(text, phases[i]))
            return (enum stack_phase)i;
    }
    return STACK_NEW;
}

static void read_state(const struct json *root, struct stack_state *ret_state)
{
    struct stack_state *state = ret_state;
    *state = (struct stack_state){ .phase = read_phase(root),
                                   .supervisor = read_pid(json_get(root, "supervisor")) };
    read_options(json_get(root, "options"), &state->options);
    read_text(root, "stranger", state->stranger, sizeof state->stranger);
    const struct json *failure = json_get(root, "failure");
    read_text(failure, "process", state->failure.process, sizeof state->failure.process);
    read_text(failure, "why", state->failure.why, sizeof state->failure.why);
    read_text(failure, "try", state->failure.remedy, sizeof state->failure.remedy);
    const struct json *processes = json_get(root, "processes");
    for (size_t i = 0; i < json_count(processes) && state->process_count < STACK_PROCESSES_MAX; i++)
        read_process(json_at(processes, i), &state->processes[state->process_count++]);
}

enum err_code stack_state_parse(struct span json, struct stack_state *ret_state, struct err *err)
{
    const struct json_limits limits = { .depth_max = STATE_DEPTH_MAX,
                                        .tokens_max = STATE_TOKENS_MAX };
    struct json *root = NULL;
    enum err_code code = json_parse(json, &limits, &root, err);
    if (code != ERR_OK)
        return code;
    if (span_is(json_text(json_get(root, "schema")), STACK_SCHEMA))
        read_state(root, ret_state);
    else
        code = err_set(err, ERR_CONFIG,
                       "it is of another version of errand: its schema is not " STACK_SCHEMA);
    json_free(root);
    return code;
}

enum err_code stack_state_load(const char *folder, struct stack_state *ret_state, struct err *err)
{
    char *path = stack_path(folder, "state.json");
    struct buf text = BUF_INIT(STATE_BYTES_MAX);
    enum err_code code =
        access(path, F_OK) == 0 ? stack_read_file(path, STATE_BYTES_MAX, &text, err) : ERR_OK;
    if (code == ERR_OK && text.size > 0)
        code = stack_state_parse(buf_span(&text), ret_state, err);
    else if (code == ERR_OK)
        *ret_state = (struct stack_state){ .phase = STACK_NEW };
    buf_free(&text);
    free(path);
    return code;
}
