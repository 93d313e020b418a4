/* Processes, told apart by pid and start time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/stack.h"
#include "infra/clock.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define LOOK_EVERY_MS 20
/* In /proc/PID/stat, counted from the state, which is the first field after the name in brackets
 * (proc(5)). */
#define FIELDS_TO_START_TIME 19

/* State letter and start time; false when there is no such process. */
static bool read_stat(int64_t pid, char *ret_state, int64_t *ret_start_time)
{
    char path[64];
    char line[1024] = { 0 };
    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    const char *at = read ? strrchr(line, ')') : NULL;
    if (!at || at[1] != ' ')
        return false;
    at += 2;
    *ret_state = *at;
    for (int field = 0; field < FIELDS_TO_START_TIME && at; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return false;
    *ret_start_time = strtoll(at, NULL, 10);
    return true;
}

struct stack_pid stack_pid_of(int64_t pid)
{
    char state = 0;
    struct stack_pid id = { .pid = pid };
    return pid > 0 && read_stat(pid, &state, &id.start_time) ? id : (struct stack_pid){ 0 };
}

bool stack_pid_is_alive(struct stack_pid id)
{
    char state = 0;
    int64_t start_time = 0;
    return id.pid > 0 && read_stat(id.pid, &state, &start_time) && start_time == id.start_time &&
           state != 'Z' && state != 'X';
}

bool stack_pid_signal(struct stack_pid id, int signal_number)
{
    return stack_pid_is_alive(id) && kill((pid_t)id.pid, signal_number) == 0;
}

bool stack_pid_wait(struct stack_pid id, int64_t timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    while (stack_pid_is_alive(id)) {
        if (clock_monotonic_ms() >= deadline_ms)
            return false;
        (void)poll(NULL, 0, LOOK_EVERY_MS);
    }
    return true;
}

void stack_end_leftovers(const struct stack_state *state, int64_t grace_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + grace_ms;
    for (size_t i = 0; i < state->process_count; i++)
        (void)stack_pid_signal(state->processes[i].id, SIGTERM);
    for (size_t i = 0; i < state->process_count; i++) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (stack_pid_wait(state->processes[i].id, left_ms > 0 ? left_ms : 0))
            continue;
        (void)stack_pid_signal(state->processes[i].id, SIGKILL);
        (void)stack_pid_wait(state->processes[i].id, grace_ms);
    }
}
