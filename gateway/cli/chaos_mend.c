/* Mending for a run that was killed: a child that is told of each fault that lasts before it is
 * begun, and undoes what is left of them when the run's end of the line closes, however that came.
 * A run that ends by itself has left nothing. The child is in a session of its own, and heeds no
 * signal that can be heeded: whatever ends the run does not end it.
 *
 * What it is told, a line each:
 *   folder PATH               it is to be removed
 *   stop PID START-TIME       it will be stopped
 *   cont PID START-TIME       it goes on
 *   rule URL WORDS            the simulator at URL will be told something else than WORDS
 *   well                      it was told WORDS again
 *
 * See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/api.h"
#include "gateway/cli/chaos_internal.h"
#include "gateway/cli/verbs.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF               "/proc/self/exe"
#define CONTROL_TIMEOUT_MS 5000
#define CONTROL_BYTES_MAX  1024
#define LINE_BYTES_MAX     8192
#define TRY_MS             15000 /* so long the third party may be away */
#define TRY_EVERY_MS       200
#define STOPPED_MAX        STACK_PROCESSES_MAX

bool chaos_control(const char *url, const char *method, const char *words,
                   struct api_answer *ret_answer)
{
    struct api *api = api_open_at(url);
    struct buf body = BUF_INIT(CONTROL_BYTES_MAX);
    if (words) {
        buf_add_text(&body, "{\"simulate\":");
        buf_add_json_string(&body, span_of(words));
        buf_add_char(&body, '}');
    }
    const struct api_request request = {
        .method = method,
        .path = "/control",
        .body = words ? buf_span(&body) : (struct span){ 0 },
        .timeout_ms = CONTROL_TIMEOUT_MS,
    };
    bool done = api && api_try(api, &request, ret_answer) && ret_answer->status < 300;
    buf_free(&body);
    api_close(api);
    return done;
}

void chaos_folder_remove(const char *folder)
{
    DIR *entries = opendir(folder);
    const struct dirent *entry = NULL;
    while (entries && (entry = readdir(entries))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        if (*entry->d_name != '.')
            (void)unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries)
        (void)closedir(entries);
    (void)rmdir(folder);
}

/* --- the run's side --- */

struct chaos_mend {
    pid_t pid;
    int line;
};

static bool spawn(struct chaos_mend *mend, int its_end)
{
    char *const argv[] = { (char[]){ SELF }, (char[]){ "mend-child" }, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, its_end, STDIN_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    int failed = posix_spawn(&mend->pid, SELF, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return !failed;
}

static bool tell(const struct chaos_mend *mend, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool tell(const struct chaos_mend *mend, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    /* Short lines, and always room. */
    return size > 0 && (size_t)size < sizeof line &&
           send(mend->line, line, (size_t)size, MSG_NOSIGNAL) == size;
}

struct chaos_mend *chaos_mend_open(const char *folder)
{
    int ends[2];
    struct chaos_mend *mend = MEM_NEW(*mend);
    /* No other child may have the run's end: it would stay open. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        free(mend);
        return NULL;
    }
    mend->line = ends[0];
    bool spawned = spawn(mend, ends[1]);
    (void)close(ends[1]);
    if (spawned && tell(mend, "folder %s\n", folder))
        return mend;
    (void)close(mend->line);
    free(mend);
    return NULL;
}

void chaos_mend_close(struct chaos_mend *mend)
{
    int status = 0;
    if (!mend)
        return;
    (void)close(mend->line);
    while (waitpid(mend->pid, &status, 0) < 0 && errno == EINTR)
        ;
    free(mend);
}

bool chaos_mend_stops(const struct chaos_mend *mend, struct stack_pid id)
{
    return MUTANT(chaos_stopped_for_good) ||
           tell(mend, "stop %" PRId64 " %" PRId64 "\n", id.pid, id.start_time);
}

void chaos_mend_goes_on(const struct chaos_mend *mend, struct stack_pid id)
{
    (void)tell(mend, "cont %" PRId64 " %" PRId64 "\n", id.pid, id.start_time);
}

bool chaos_mend_breaks(const struct chaos_mend *mend, const char *url, const char *words)
{
    return MUTANT(chaos_stopped_for_good) || tell(mend, "rule %s %s\n", url, words);
}

void chaos_mend_is_well(const struct chaos_mend *mend)
{
    (void)tell(mend, "well\n");
}

/* --- the child's side --- */

struct left {
    struct stack_pid stopped[STOPPED_MAX]; /* pid 0: none */
    char folder[LINE_BYTES_MAX];
    char url[STACK_BROKERS_SIZE]; /* "": the third party is well */
    char words[CONTROL_BYTES_MAX];
};

static void take_pid(struct left *left, const char *text, bool stops)
{
    char *rest = NULL;
    struct stack_pid id = { .pid = strtoll(text, &rest, 10) };
    id.start_time = strtoll(rest, NULL, 10);
    for (size_t i = 0; i < STOPPED_MAX; i++) {
        struct stack_pid *held = &left->stopped[i];
        bool same = held->pid == id.pid && held->start_time == id.start_time;
        if (stops ? held->pid != 0 : !same)
            continue;
        *held = stops ? id : (struct stack_pid){ 0 };
        return;
    }
}

static void take_rule(struct left *left, const char *text)
{
    const char *words = strchr(text, ' ');
    if (!words)
        return;
    (void)snprintf(left->url, sizeof left->url, "%.*s", (int)(words - text), text);
    (void)snprintf(left->words, sizeof left->words, "%s", words + 1);
}

static void take_line(struct left *left, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "folder ", 7) == 0)
        (void)snprintf(left->folder, sizeof left->folder, "%s", line + 7);
    else if (strncmp(line, "stop ", 5) == 0)
        take_pid(left, line + 5, true);
    else if (strncmp(line, "cont ", 5) == 0)
        take_pid(left, line + 5, false);
    else if (strncmp(line, "rule ", 5) == 0)
        take_rule(left, line + 5);
    else if (strcmp(line, "well") == 0)
        left->url[0] = '\0';
}

static void mend_all(const struct left *left)
{
    int64_t until_ms = clock_monotonic_ms() + TRY_MS;
    for (size_t i = 0; i < STOPPED_MAX; i++) {
        if (left->stopped[i].pid)
            (void)stack_pid_signal(left->stopped[i], SIGCONT);
    }
    bool done = !left->url[0];
    while (!done && clock_monotonic_ms() < until_ms) {
        struct api_answer answer = { 0 };
        done = chaos_control(left->url, "PUT", left->words, &answer);
        api_answer_clear(&answer);
        if (!done)
            (void)poll(NULL, 0, TRY_EVERY_MS);
    }
}

int mend_child_run(const struct args *args)
{
    struct left *left = MEM_NEW(*left);
    char line[LINE_BYTES_MAX + 1];
    (void)args;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (fgets(line, sizeof line, stdin))
        take_line(left, line);
    mend_all(left);
    chaos_folder_remove(left->folder);
    free(left);
    return CLI_OK;
}
