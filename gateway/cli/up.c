/* `errand up`: prepares the folder, starts the supervisor and waits until everything is ready.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/apache.h"
#include "gateway/cli/output.h"
#include "gateway/cli/port.h"
#include "gateway/cli/program.h"
#include "gateway/cli/redis_server.h"
#include "gateway/cli/stack_settings.h"
#include "gateway/cli/status.h"
#include "gateway/cli/verbs.h"
#include "gateway/cli/watch.h"
#include "infra/clock.h"
#include "infra/config.h"
#include "schemas/mem.h"
#include "schemas/suggest.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_FD       3 /* in the supervisor */
#define DYING_MS      5000
#define LOOK_EVERY_MS 20

struct up {
    const struct args *args;
    char *folder;
    bool named; /* the folder was given by --dir: what is suggested must say it too */
    int lock;
    struct stack_state state;
};

static int fail(const struct err *err, const char *what)
{
    output_error("%s", what);
    output_why("%s", err->text);
    return CLI_FAILED;
}

/* --- what was asked --- */

static bool is_address_list(const char *text)
{
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    while (*text) {
        size_t length = strcspn(text, ",");
        if (!port_split((struct span){ .data = text, .size = length }, host, port))
            return false;
        text += length + (text[length] == ',');
    }
    return true;
}

static int take_broker(const char *broker, struct stack_options *options)
{
    static const char *const kinds[] = { STACK_BROKER_EMBEDDED, STACK_BROKER_APACHE,
                                         STACK_BROKER_APACHE_3 };
    enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };
    /* Of ours in any case: "apache:5" is no host's name. */
    bool kind = strncmp(broker, STACK_BROKER_APACHE ":", sizeof STACK_BROKER_APACHE) == 0;
    bool known = false;
    for (size_t i = 0; i < KIND_COUNT; i++)
        known = known || strcmp(broker, kinds[i]) == 0;
    if (!*broker || strlen(broker) >= sizeof options->broker ||
        (!known && (kind || !is_address_list(broker)))) {
        const char *nearest = suggest_nearest(span_of(broker), kinds, KIND_COUNT);
        output_error("--broker '%s' is no broker", broker);
        output_why(
            "it is embedded, apache, apache:3, or HOST:PORT,... of brokers that run already");
        output_try("errand up --broker %s", nearest ? nearest : kinds[0]);
        return CLI_USAGE;
    }
    (void)snprintf(options->broker, sizeof options->broker, "%s", broker);
    return CLI_OK;
}

static int take_redis(struct up *up, const char *url)
{
    struct span password;
    struct err err = { 0 };
    struct stack_options *options = &up->state.options;
    if (redis_server_parse_url(url, options->redis, &password, &err) != ERR_OK) {
        output_error("%s", err.text);
        return CLI_USAGE;
    }
    options->redis_password = password.size > 0;
    if (!options->redis_password)
        return CLI_OK;
    char *path = stack_path(up->folder, "secrets/redis-external");
    enum err_code code = stack_write_file(path, password, &err);
    free(path);
    return code == ERR_OK ? CLI_OK : fail(&err, "the password of Redis cannot be kept");
}

/* What is not asked for stays as it was the last time. */
static int take_options(struct up *up)
{
    struct stack_options *options = &up->state.options;
    const char *broker = args_text(up->args, "broker");
    const char *redis = args_text(up->args, "redis");
    if (up->state.phase == STACK_NEW)
        *options = (struct stack_options){ .broker = STACK_BROKER_EMBEDDED, .workers = 1 };
    options->restart = !args_has(up->args, "no-restart");
    options->workers = args_number(up->args, "workers", options->workers);
    if (options->workers > STACK_WORKERS_MAX) {
        output_error("--workers is %lld; at most %d run here", (long long)options->workers,
                     STACK_WORKERS_MAX);
        return CLI_USAGE;
    }
    int code = broker ? take_broker(broker, options) : CLI_OK;
    return code == CLI_OK && redis ? take_redis(up, redis) : code;
}

/* --- the folder --- */

static int check_config(struct up *up)
{
    struct config *config = NULL;
    char *report = NULL;
    struct err err = { 0 };
    enum err_code code = stack_settings_load(up->folder, &up->state, &config, &report, &err);
    config_free(config);
    if (code != ERR_OK) {
        output_error("the configuration is wrong");
        watch_print_lines(report ? report : err.text);
        output_try("errand config check --dir %s", up->folder);
    }
    free(report);
    return code == ERR_OK ? CLI_OK : CLI_USAGE;
}

static int check_programs(const struct up *up)
{
    if (!*up->state.options.redis && !program_exists(REDIS_SERVER_PROGRAM)) {
        output_error(REDIS_SERVER_PROGRAM " is not installed");
        output_try("apt-get install redis-server");
        return CLI_FAILED;
    }
    bool apache = stack_apache_brokers(&up->state.options) > 0;
    return apache && !apache_prepare(up->folder) ? CLI_FAILED : CLI_OK;
}

static int prepare(struct up *up)
{
    struct err err = { 0 };
    const char *config = args_text(up->args, "config");
    if (stack_state_load(up->folder, &up->state, &err) != ERR_OK) {
        fail(&err, "the stack's state cannot be read");
        output_try("rm %s/state.json", up->folder);
        return CLI_FAILED;
    }
    if (stack_prepare(up->folder, config, &err) != ERR_OK)
        return fail(&err, "the stack's folder cannot be prepared");
    int code = take_options(up);
    if (code == CLI_OK)
        code = check_config(up);
    if (code == CLI_OK)
        code = check_programs(up);
    if (code != CLI_OK)
        return code;
    up->state.phase = STACK_STARTING;
    for (size_t i = 0; i < up->state.process_count; i++)
        up->state.processes[i].ready = false;
    return stack_state_save(up->folder, &up->state, &err) == ERR_OK
               ? CLI_OK
               : fail(&err, "the stack's state cannot be written");
}

/* --- the supervisor --- */

/* It outlives this terminal: a session of its own, nothing inherited but the lock. */
static int spawn(const char *program, const struct up *up, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char *log = stack_path(up->folder, "log/supervisor.log");
    char *words[] = {
        mem_dup_text("errand"), mem_dup_text("supervise"), mem_dup_text("--lock=3"),
        mem_dup_text("--dir"),  mem_dup_text(up->folder),  NULL,
    };
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log,
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, up->lock, LOCK_FD);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, LOCK_FD + 1);
    (void)posix_spawn_file_actions_addchdir_np(&actions, up->folder);
    int failed = posix_spawn(ret_pid, program, &actions, &attributes, words, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    free(log);
    return failed;
}

static int start_supervisor(const struct up *up, struct stack_pid *ret_supervisor)
{
    char reason[128];
    pid_t pid = 0;
    char *program = realpath("/proc/self/exe", NULL);
    int failed = spawn(program ? program : "errand", up, &pid);
    free(program);
    if (failed) {
        output_error("the supervisor cannot be started");
        output_why("%s", strerror_r(failed, reason, sizeof reason));
        return CLI_FAILED;
    }
    *ret_supervisor = stack_pid_of(pid);
    return CLI_OK;
}

/* --- what to say --- */

static int print_addresses(const struct up *up, struct stack_state *state)
{
    if (output_is_json(up->args))
        return status_print_json(up->folder, state, stack_phase_text(state->phase));
    static const char *const headings[] = { "PROCESS", "ADDRESS" };
    struct table *table = table_new(headings, 2);
    for (size_t i = 0; i < state->process_count; i++) {
        const struct stack_process *process = &state->processes[i];
        bool http = strncmp(process->name, "broker", strlen("broker")) != 0 &&
                    strcmp(process->name, "redis") != 0;
        struct buf address = BUF_INIT(STACK_BROKERS_SIZE + 8);
        buf_printf(&address, "%s%s", http ? "http://" : "", process->address);
        table_add_text(table, process->name);
        table_add(table, buf_span(&address));
        buf_free(&address);
    }
    int code = output_table(table);
    table_free(table);
    const char *option = up->named ? " --dir " : "";
    const char *folder = up->named ? up->folder : "";
    if (strcmp(state->options.broker, STACK_BROKER_EMBEDDED) == 0)
        output_note("The embedded broker keeps jobs in memory only: `errand down` forgets them.");
    output_note("Try:");
    output_note("  errand submit quote.fetch -d '{\"author\":\"any\"}' --wait%s%s", option, folder);
    output_note("  errand types%s%s", option, folder);
    output_note("  errand status%s%s", option, folder);
    output_note("  errand down%s%s", option, folder);
    return code;
}

/* Another `errand up` was here first. */
static int join(struct up *up)
{
    struct err err = { 0 };
    if (stack_state_load(up->folder, &up->state, &err) != ERR_OK)
        return fail(&err, "something runs here, but its state cannot be read");
    int code = watch_until_ready(up->folder, (struct stack_pid){ 0 }, &up->state);
    if (code != CLI_OK)
        return code;
    output_note("errand is already running in %s", up->folder);
    if (args_has(up->args, "broker") || args_has(up->args, "redis") ||
        args_has(up->args, "workers") || args_has(up->args, "config"))
        output_note("What you asked for is not applied to it: first `errand down`, then `errand "
                    "up` again.");
    return print_addresses(up, &up->state);
}

static int start(struct up *up)
{
    struct stack_pid supervisor = { 0 };
    int code = prepare(up);
    if (code == CLI_OK)
        code = start_supervisor(up, &supervisor);
    if (code == CLI_OK)
        code = watch_until_ready(up->folder, supervisor, &up->state);
    if (code != CLI_OK)
        return code;
    output_note("errand is running in %s", up->folder);
    return print_addresses(up, &up->state);
}

static bool holder_lives(const struct up *up)
{
    struct stack_state *state = MEM_NEW(*state);
    struct err err = { 0 };
    bool lives = stack_state_load(up->folder, state, &err) == ERR_OK &&
                 stack_pid_is_alive(state->supervisor);
    free(state);
    return lives;
}

/* A supervisor that was killed holds its lock until the last of its threads has ended: that is
 * waited for, or its stack, of which nothing runs any more, would be told to run. */
static bool take_lock(struct up *up)
{
    int64_t deadline_ms = clock_monotonic_ms() + DYING_MS;
    bool taken = stack_lock(up->folder, &up->lock);
    while (!taken && stack_is_locked(up->folder) && !holder_lives(up) &&
           clock_monotonic_ms() < deadline_ms) {
        (void)poll(NULL, 0, LOOK_EVERY_MS);
        taken = stack_lock(up->folder, &up->lock);
    }
    return taken || stack_lock(up->folder, &up->lock);
}

int up_run(const struct args *args)
{
    struct err err = { 0 };
    struct up *up = MEM_NEW(*up);
    int code = CLI_OK;
    up->args = args;
    up->lock = -1;
    up->folder = stack_folder(args, &up->named);
    if (stack_create(up->folder, &err) != ERR_OK)
        code = fail(&err, "there is no place for the stack");
    else if (take_lock(up))
        code = start(up);
    else if (stack_is_locked(up->folder))
        code = join(up);
    else {
        output_error("the folder %s cannot be used", up->folder);
        output_why("its lock cannot be written");
        code = CLI_FAILED;
    }
    if (up->lock >= 0)
        (void)close(up->lock);
    free(up->folder);
    free(up);
    return code;
}
