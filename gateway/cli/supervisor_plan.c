/* What a stack consists of: which processes, on which addresses, with which arguments and files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"
#include "gateway/cli/redis_server.h"
#include "gateway/cli/supervisor_internal.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARGUMENT_BYTES_MAX ((size_t)2 * STACK_PATH_SIZE)

struct plan {
    struct supervisor *supervisor;
    struct stack_state
        *before; /* of the last time: its addresses are kept where they are still free */
    struct err *err;
    enum err_code code;
    struct port_holds *holds;
};

void plan_argv_add(struct plan_argv *argv, const char *format, ...)
{
    char text[ARGUMENT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert(argv->count < SUPERVISOR_ARGV_MAX);
    argv->words[argv->count++] = mem_dup_text(text);
}

void plan_argv_clear(struct plan_argv *argv)
{
    for (size_t i = 0; i < argv->count; i++)
        free(argv->words[i]);
    *argv = (struct plan_argv){ 0 };
}

static const char *address_before(struct plan *plan, const char *name)
{
    const struct stack_process *process = stack_state_find(plan->before, name);
    return process ? process->address : "";
}

static struct child *add_child(struct plan *plan, enum child_kind kind, const char *name)
{
    struct supervisor *supervisor = plan->supervisor;
    struct stack_state *state = &supervisor->state;
    assert(supervisor->child_count < STACK_PROCESSES_MAX);
    struct child *child = &supervisor->children[supervisor->child_count++];
    *child = (struct child){
        .supervisor = supervisor, .kind = kind, .index = state->process_count, .listen_fd = -1
    };
    struct stack_process *shown = &state->processes[state->process_count++];
    *shown = (struct stack_process){ 0 };
    (void)snprintf(shown->name, sizeof shown->name, "%s", name);
    (void)snprintf(child->why, sizeof child->why, "it has not been started");
    return child;
}

static void choose_address(struct plan *plan, struct child *child)
{
    struct stack_process *shown = child_shown(child);
    char address[STACK_ADDRESS_SIZE];
    if (plan->code == ERR_OK)
        plan->code =
            port_choose(plan->holds, address_before(plan, shown->name), address, plan->err);
    if (plan->code == ERR_OK)
        (void)snprintf(shown->address, sizeof shown->address, "%s", address);
}

static void add_apache(struct plan *plan, int count)
{
    for (int i = 1; i <= count; i++) {
        char name[STACK_NAME_SIZE];
        (void)snprintf(name, sizeof name, count > 1 ? "broker-%d" : "broker", i);
        struct child *child = add_child(plan, CHILD_BROKER, name);
        child->node = i;
        choose_address(plan, child);
    }
}

static void add_broker(struct plan *plan)
{
    const char *broker = plan->supervisor->state.options.broker;
    struct child *child = add_child(plan, CHILD_BROKER, "broker");
    struct stack_process *shown = child_shown(child);
    if (strcmp(broker, STACK_BROKER_EMBEDDED) != 0) {
        child->external = true;
        (void)snprintf(shown->address, sizeof shown->address, "%s", broker);
    }
}

static void add_redis(struct plan *plan)
{
    const char *redis = plan->supervisor->state.options.redis;
    struct child *child = add_child(plan, CHILD_REDIS, "redis");
    child->external = *redis;
    if (child->external)
        (void)snprintf(child_shown(child)->address, STACK_BROKERS_SIZE, "%s", redis);
    else
        choose_address(plan, child);
}

static void add_daemon(struct plan *plan, enum child_kind kind, const char *name,
                       const struct config_http *http)
{
    struct child *child = add_child(plan, kind, name);
    size_t length = strlen(http->listen);
    bool any_port = length >= 2 && strcmp(http->listen + length - 2, ":0") == 0;
    const char *preferred = any_port ? address_before(plan, name) : "";
    char address[STACK_ADDRESS_SIZE];
    if (plan->code == ERR_OK)
        plan->code = port_listen(http->listen, preferred, &child->listen_fd, address, plan->err);
    if (plan->code == ERR_OK)
        (void)snprintf(child_shown(child)->address, STACK_BROKERS_SIZE, "%s", address);
}

enum err_code plan_children(struct supervisor *supervisor, struct port_holds *holds,
                            struct err *err)
{
    const struct config *config = supervisor->config;
    struct stack_state before = supervisor->state;
    struct plan plan = { .supervisor = supervisor, .before = &before, .err = err, .holds = holds };
    supervisor->state.process_count = 0;
    int apache = stack_apache_brokers(&supervisor->state.options);
    if (apache)
        add_apache(&plan, apache);
    else
        add_broker(&plan);
    add_redis(&plan);
    add_daemon(&plan, CHILD_SIMULATOR, "simulator", &config->simulator.http);
    add_daemon(&plan, CHILD_RECORDER, "recorder-1", &config->recorder.http);
    add_daemon(&plan, CHILD_DELAYER, "delayer-1", &config->delayer.http);
    for (int64_t i = 1; i <= supervisor->state.options.workers; i++) {
        char name[STACK_NAME_SIZE];
        (void)snprintf(name, sizeof name, "worker-%lld", (long long)i);
        add_daemon(&plan, CHILD_WORKER, name, &config->worker.http);
    }
    add_daemon(&plan, CHILD_GATEWAY, "gateway-1", &config->gateway.http);
    return plan.code;
}

static enum err_code configure_apache(struct supervisor *supervisor, int count,
                                      struct port_holds *holds, struct err *err)
{
    const char *addresses[APACHE_NODES_MAX] = { 0 };
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        if (child->kind == CHILD_BROKER)
            addresses[child->node - 1] = child_shown(child)->address;
    }
    return apache_configure(supervisor->folder, addresses, count, holds, err);
}

enum err_code plan_configure(struct supervisor *supervisor, struct port_holds *holds,
                             struct err *err)
{
    const struct stack_options *options = &supervisor->state.options;
    const struct stack_process *redis = stack_state_find(&supervisor->state, "redis");
    enum err_code code = ERR_OK;
    int apache = stack_apache_brokers(options);
    if (apache)
        code = configure_apache(supervisor, apache, holds, err);
    if (code == ERR_OK && !*options->redis)
        code = redis_server_configure(supervisor->folder, redis->address, err);
    return code;
}

static void broker_argv(struct child *child, struct plan_argv *argv)
{
    const struct supervisor *supervisor = child->supervisor;
    if (!child_is_embedded_broker(child)) {
        struct apache_node node = { .number = child->node,
                                    .count = stack_apache_brokers(&supervisor->state.options) };
        apache_run_argv(supervisor->folder, node, NULL, argv);
        return;
    }
    plan_argv_add(argv, "%s/errand-devbroker", supervisor->bin_folder);
    plan_argv_add(argv, "--config");
    plan_argv_add(argv, "%s/errand.yaml", supervisor->folder);
    plan_argv_add(argv, "--address-file");
    plan_argv_add(argv, "%s/kafka/address", supervisor->folder);
}

static void daemon_argv(const struct child *child, const char *program, struct plan_argv *argv)
{
    plan_argv_add(argv, "%s/%s", child->supervisor->bin_folder, program);
    plan_argv_add(argv, "--config");
    plan_argv_add(argv, "%s/errand.yaml", child->supervisor->folder);
}

void plan_argv_of(struct child *child, struct plan_argv *ret_argv)
{
    switch (child->kind) {
    case CHILD_BROKER:
        broker_argv(child, ret_argv);
        break;
    case CHILD_REDIS:
        plan_argv_add(ret_argv, REDIS_SERVER_PROGRAM);
        plan_argv_add(ret_argv, "%s/" REDIS_SERVER_CONFIG, child->supervisor->folder);
        break;
    case CHILD_SIMULATOR:
        daemon_argv(child, "errand-simulator", ret_argv);
        break;
    case CHILD_RECORDER:
        daemon_argv(child, "errand-recorder", ret_argv);
        break;
    case CHILD_DELAYER:
        daemon_argv(child, "errand-delayer", ret_argv);
        break;
    case CHILD_WORKER:
        daemon_argv(child, "errand-worker", ret_argv);
        break;
    case CHILD_GATEWAY:
        daemon_argv(child, "errand-gateway", ret_argv);
        break;
    }
}

void plan_forget_address(const struct child *child)
{
    char *path = stack_path(child->supervisor->folder, "kafka/address");
    (void)unlink(path);
    free(path);
}

bool plan_learn_address(struct child *child)
{
    struct stack_process *shown = child_shown(child);
    struct buf text = BUF_INIT(STACK_ADDRESS_SIZE);
    struct err err = { 0 };
    char *path = stack_path(child->supervisor->folder, "kafka/address");
    bool learnt = stack_read_file(path, STACK_ADDRESS_SIZE, &text, &err) == ERR_OK && text.size > 0;
    size_t length = learnt ? strcspn(text.data, "\r\n") : 0;
    if (learnt && (strncmp(shown->address, text.data, length) != 0 || shown->address[length])) {
        (void)snprintf(shown->address, sizeof shown->address, "%.*s", (int)length, text.data);
        supervisor_save(child->supervisor);
    }
    buf_free(&text);
    free(path);
    return learnt;
}
