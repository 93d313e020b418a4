/* A drill's folder and its processes. See drill.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/drill.h"

#include "gateway/cli/output.h"
#include "gateway/cli/stack.h"
#include "gateway/cli/watch.h"
#include "infra/config_drill.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define LOG_BYTES_MAX    ((size_t)1024 * 1024)
#define SECRET_BYTES_MAX 4096
#define STOP_TIMEOUT_MS  75000
#define ENVIRONMENT_MAX  16

bool drill_name_is_good(const char *name)
{
    size_t size = strlen(name);
    return size >= 1 && size <= DRILL_NAME_MAX && *name >= 'a' && *name <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

char *drill_folder(const char *folder, const char *name)
{
    struct buf path = BUF_INIT(STACK_PATH_SIZE);
    buf_printf(&path, "%s/drill/%s", folder, name);
    return buf_take(&path);
}

char *drill_namespace(const struct config *config, const char *name)
{
    struct buf text = BUF_INIT(TOPIC_NAME_MAX);
    buf_printf(&text, "%s-drill-%s", config->namespace_, name);
    return buf_take(&text);
}

bool drill_owns(const char *namespace_, const char *name)
{
    size_t size = strlen(namespace_);
    return strncmp(name, namespace_, size) == 0 && name[size] == '.';
}

static int complain(const char *name, const struct err *err)
{
    output_error("the drill %s cannot be prepared", name);
    output_why("%s", err->text);
    return CLI_FAILED;
}

/* --- the folder --- */

static enum err_code write_file(const char *folder, const char *name, struct span bytes,
                                struct err *err)
{
    char *path = stack_path(folder, name);
    enum err_code code = stack_write_file(path, bytes, err);
    free(path);
    return code;
}

static enum err_code write_secrets(const struct config *config, const char *folder, struct err *err)
{
    enum err_code code = ERR_OK;
    if (*config->redis.password)
        code = write_file(folder, "secrets/redis-external", span_of(config->redis.password), err);
    for (size_t i = 0; i < config->kafka.properties.count && !code; i++) {
        const struct config_pair *pair = &config->kafka.properties.items[i];
        char name[64];
        (void)snprintf(name, sizeof name, "secrets/kafka-%zu", i);
        if (pair->secret)
            code = write_file(folder, name, span_of(pair->value), err);
    }
    return code;
}

static enum err_code write_config(const struct config *config, const char *folder, const char *name,
                                  struct err *err)
{
    struct buf text = BUF_INIT(CONFIG_BYTES_MAX);
    char *namespace_ = drill_namespace(config, name);
    config_drill_write(config, namespace_, &text);
    enum err_code code = text.overflow
                             ? err_set(err, ERR_LIMIT, "its configuration is larger than %zu bytes",
                                       CONFIG_BYTES_MAX)
                             : write_file(folder, "errand.yaml", buf_span(&text), err);
    free(namespace_);
    buf_free(&text);
    return code;
}

/* What `errand up` of the drill takes for the choices of the last time. */
static enum err_code write_state(const struct config *config, const char *folder, struct err *err)
{
    struct stack_state *state = MEM_NEW(*state);
    struct stack_options *options = &state->options;
    struct buf redis = BUF_INIT(STACK_BROKERS_SIZE - 1);
    for (size_t i = 0; i < config->redis.addresses.count; i++)
        buf_printf(&redis, "%s%s", i ? "," : "", config->redis.addresses.items[i]);
    enum err_code code = ERR_OK;
    if (redis.overflow || strlen(config->kafka.brokers) >= sizeof options->broker)
        code = err_set(err, ERR_LIMIT, "the addresses of Kafka or Redis are longer than %d bytes",
                       STACK_BROKERS_SIZE);
    (void)snprintf(options->broker, sizeof options->broker, "%s", config->kafka.brokers);
    (void)snprintf(options->redis, sizeof options->redis, "%s", redis.data ? redis.data : "");
    options->redis_password = *config->redis.password;
    options->restart = true;
    options->workers = 1;
    state->phase = STACK_STOPPED;
    if (!code)
        code = stack_state_save(folder, state, err);
    buf_free(&redis);
    free(state);
    return code;
}

static enum err_code make_folders(const char *folder, const char *name, struct err *err)
{
    static const char *const parts[] = { "", "drill" };
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < 2 && !code; i++) {
        char *path = *parts[i] ? stack_path(folder, parts[i]) : mem_dup_text(folder);
        code = stack_create(path, err);
        free(path);
    }
    char *whole = drill_folder(folder, name);
    char *secrets = stack_path(whole, "secrets");
    if (!code)
        code = stack_create(whole, err);
    if (!code)
        code = stack_create(secrets, err);
    free(secrets);
    free(whole);
    return code;
}

static enum err_code prepare(const struct config *config, const char *folder, const char *name,
                             struct err *err)
{
    char *whole = drill_folder(folder, name);
    enum err_code code = make_folders(folder, name, err);
    if (!code)
        code = write_secrets(config, whole, err);
    if (!code)
        code = write_config(config, whole, name, err);
    if (!code)
        code = write_state(config, whole, err);
    if (!code)
        code = stack_prepare(whole, NULL, err);
    free(whole);
    return code;
}

/* --- the processes --- */

/* Of this process's environment what says where programs are and how people write; nothing of
 * Errand's own settings, and no secret that they may refer to. */
static void environment(char **ret_list)
{
    static const char *const names[] = {
        "PATH=",         "HOME=",         "LANG=",         "LC_ALL=",
        "TZ=",           "TMPDIR=",       "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
        "TSAN_OPTIONS=", "LSAN_OPTIONS=", "ERRAND_MUTANT="
    };
    size_t count = 0;
    for (char **at = environ; *at; at++) {
        bool taken = false;
        for (size_t i = 0; i < sizeof names / sizeof *names && !taken; i++)
            taken = strncmp(*at, names[i], strlen(names[i])) == 0;
        if (taken && count + 1 < ENVIRONMENT_MAX)
            ret_list[count++] = *at;
    }
    ret_list[count] = NULL;
}

/* Runs `errand up` of the folder, what it says into its log; true when it went well. */
static bool run_up(const char *folder, const char *log)
{
    char *list[ENVIRONMENT_MAX];
    char *program = realpath("/proc/self/exe", NULL);
    char *words[] = { mem_dup_text("errand"), mem_dup_text("up"), mem_dup_text("--dir"),
                      mem_dup_text(folder), NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = -1;
    environment(list);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    int failed = posix_spawn(&pid, program ? program : "errand", &actions, NULL, words,
                             MUTANT(drill_whole_environment) ? environ : list);
    while (!failed && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
    free(program);
    return !failed && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int start(const char *folder, const char *name)
{
    char *log = stack_path(folder, "log/up.log");
    struct buf text = BUF_INIT(LOG_BYTES_MAX);
    struct err err = { 0 };
    int code = CLI_OK;
    output_progress("starting the drill %s", name);
    bool started = run_up(folder, log);
    output_progress_end();
    if (!started) {
        output_error("the drill %s cannot be started", name);
        if (stack_read_file(log, LOG_BYTES_MAX, &text, &err) == ERR_OK && text.size)
            watch_print_lines(text.data);
        output_try("errand logs --dir %s", folder);
        code = CLI_FAILED;
    }
    buf_free(&text);
    free(log);
    return code;
}

int drill_up(const struct config *config, const char *folder, const char *name)
{
    struct err err = { 0 };
    if (config->kafka.kind == BROKER_EMBEDDED && !MUTANT(drill_in_memory)) {
        output_error("a drill needs a real Kafka");
        output_why("the embedded broker is for a first look, and keeps one deployment's topics");
        output_try("errand up --broker apache");
        return CLI_REFUSED;
    }
    char *whole = drill_folder(folder, name);
    int code = CLI_OK;
    if (!stack_is_locked(whole) && prepare(config, folder, name, &err) != ERR_OK)
        code = complain(name, &err);
    if (code == CLI_OK)
        code = start(whole, name); /* of one that runs it waits until it is ready */
    free(whole);
    return code;
}

int drill_down(const char *folder, const char *name)
{
    struct err err = { 0 };
    char *whole = drill_folder(folder, name);
    struct stack_state *state = MEM_NEW(*state);
    int code = CLI_OK;
    if (stack_state_load(whole, state, &err) != ERR_OK) {
        code = CLI_OK; /* it was never started */
    } else if (stack_is_locked(whole)) {
        (void)stack_pid_signal(state->supervisor, SIGTERM);
        if (!watch_until_stopped(whole, STOP_TIMEOUT_MS)) {
            output_error("the drill %s does not stop", name);
            output_try("errand down --dir %s", whole);
            code = CLI_FAILED;
        }
    } else {
        stack_end_leftovers(state, STOP_TIMEOUT_MS);
    }
    free(state);
    free(whole);
    return code;
}

void drill_down_all(const char *folder)
{
    char *all = stack_path(folder, "drill");
    DIR *entries = opendir(all);
    const struct dirent *entry = NULL;
    while (entries && (entry = readdir(entries))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        if (drill_name_is_good(entry->d_name))
            (void)drill_down(folder, entry->d_name);
    }
    if (entries)
        (void)closedir(entries);
    free(all);
}

int drill_minter(const char *folder, const char *name, struct id_minter **ret_minter)
{
    struct err err = { 0 };
    struct buf secret = BUF_INIT(SECRET_BYTES_MAX);
    char *whole = drill_folder(folder, name);
    char *path = stack_path(whole, "secrets/id");
    enum err_code code = stack_read_file(path, SECRET_BYTES_MAX, &secret, &err);
    while (!code && secret.size && secret.data[secret.size - 1] == '\n')
        secret.size--; /* as the configuration reads it */
    struct span span = buf_span(&secret);
    if (!code)
        *ret_minter = id_minter_new(&span, 1);
    if (secret.data)
        explicit_bzero(secret.data, secret.size);
    buf_free(&secret);
    free(path);
    free(whole);
    return code ? complain(name, &err) : CLI_OK;
}
