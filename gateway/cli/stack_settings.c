/* The settings of a stack on top of its configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/stack_settings.h"

#include "infra/config.h"
#include "schemas/mem.h"

#include <stdlib.h>

/* A broker of our own lets a group notice a dead member sooner than Kafka's defaults do. */
#define SESSION_TIMEOUT "4s"

static const char *address_of(const struct stack_state *state, const char *name)
{
    for (size_t i = 0; i < state->process_count; i++) {
        if (strcmp(state->processes[i].name, name) == 0)
            return state->processes[i].address;
    }
    return "";
}

/* "127.0.0.1:4711", of several brokers separated by commas; what is not known yet is left out. */
static void add_brokers(const struct stack_state *state, struct buf *out)
{
    static const char name[] = "broker";
    for (size_t i = 0; i < state->process_count; i++) {
        const struct stack_process *process = &state->processes[i];
        if (strncmp(process->name, name, sizeof name - 1) == 0 && *process->address)
            buf_printf(out, "%s%s", out->size ? "," : "", process->address);
    }
}

void stack_settings_each(const char *folder, const struct stack_state *state,
                         void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    const struct stack_options *options = &state->options;
    struct buf brokers = BUF_INIT(STACK_BROKERS_SIZE);
    const char *redis = address_of(state, "redis");
    const char *simulator = address_of(state, "simulator");
    bool embedded = strcmp(options->broker, STACK_BROKER_EMBEDDED) == 0;
    int apache = stack_apache_brokers(options);

    fn(arg, "ERRAND_DIR", folder);
    add_brokers(state, &brokers);
    if (brokers.size)
        fn(arg, "ERRAND_KAFKA_BROKERS", brokers.data);
    buf_free(&brokers);
    fn(arg, "ERRAND_KAFKA_KIND", embedded ? "embedded" : "kafka");
    if (embedded || apache) {
        fn(arg, "ERRAND_KAFKA_SESSION_TIMEOUT", SESSION_TIMEOUT);
        fn(arg, "ERRAND_KAFKA_REPLICATION", apache == 3 ? "3" : "1");
    }
    if (*redis)
        fn(arg, "ERRAND_REDIS_ADDRESSES", redis);
    if (!*options->redis)
        fn(arg, "ERRAND_REDIS_PASSWORD", "file:secrets/redis");
    else
        fn(arg, "ERRAND_REDIS_PASSWORD",
           options->redis_password ? "file:secrets/redis-external" : "");
    if (*simulator)
        fn(arg, "ERRAND_SIMULATOR_LISTEN", simulator);
}

static void set_here(void *arg, const char *name, const char *value)
{
    (void)arg;
    (void)setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe): before any thread is started */
}

enum err_code stack_settings_load(const char *folder, const struct stack_state *state,
                                  struct config **ret_config, char **ret_report, struct err *err)
{
    stack_settings_each(folder, state, set_here, NULL);
    char *path = stack_path(folder, "errand.yaml");
    enum err_code code = config_load(path, ret_config, ret_report, err);
    free(path);
    return code;
}

const char *stack_stranger(const struct config *config)
{
    for (size_t i = 0; i < config->target_count; i++) {
        if (!config_is_simulator(&config->targets[i]))
            return config->targets[i].name;
    }
    return NULL;
}
