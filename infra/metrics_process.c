/* See metrics_process.h; proc(5). SPDX-License-Identifier: Apache-2.0 */
#include "infra/metrics_process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Places of values in /proc/self/stat, counted after the name in brackets, which may hold anything.
 */
enum {
    STAT_USER_TICKS = 11,
    STAT_SYSTEM_TICKS = 12,
    STAT_THREADS = 17,
    STAT_START_TICKS = 19,
    STAT_VIRTUAL = 20,
    STAT_RESIDENT = 21,
    STAT_COUNT = 22
};

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t used = 0;
    ssize_t got;
    while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    close(fd);
    text[used] = '\0';
    return used > 0;
}

/* The values from the state on (index 0, a letter, read as 0). */
static bool read_stat(long long values[STAT_COUNT])
{
    char text[2048];
    if (!read_text("/proc/self/stat", text, sizeof text))
        return false;
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2])
        return false;
    at += 3;
    values[0] = 0;
    for (size_t i = 1; i < STAT_COUNT; i++) {
        char *end;
        values[i] = strtoll(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    return true;
}

/* Seconds since 1970 at which the machine started; 0 when unknown. */
static long long boot_time(void)
{
    static const char label[] = "\nbtime ";
    char *text = NULL;
    size_t size = 0;
    long long seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return 0;
    /* btime stands far down, after a line a CPU. */
    if (getdelim(&text, &size, '\0', file) > 0) {
        const char *at = strstr(text, label);
        seconds = at ? strtoll(at + strlen(label), NULL, 10) : 0;
    }
    free(text);
    fclose(file);
    return seconds;
}

static void add(struct buf *out, const char *name, const char *kind, const char *help, double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, kind, name, value);
}

static void add_files(struct buf *out)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder) {
        int count = -1; /* the one that lists the folder */
        while (
            readdir(folder)) /* NOLINT(concurrency-mt-unsafe): the stream is this function's own */
            count++;
        closedir(folder);
        add(out, "process_open_fds", "gauge", "Number of open file descriptors.", count - 2);
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
            (double)limit.rlim_cur);
}

void metrics_process_render(struct buf *out)
{
    long long values[STAT_COUNT];
    if (read_stat(values)) {
        double tick = (double)sysconf(_SC_CLK_TCK);
        long long boot = boot_time();
        add(out, "process_cpu_seconds_total", "counter",
            "Total user and system CPU time spent in seconds.",
            (double)(values[STAT_USER_TICKS] + values[STAT_SYSTEM_TICKS]) / tick);
        if (boot)
            add(out, "process_start_time_seconds", "gauge",
                "Start time of the process since unix epoch in seconds.",
                (double)boot + (double)values[STAT_START_TICKS] / tick);
        add(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
            (double)values[STAT_VIRTUAL]);
        add(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
            (double)values[STAT_RESIDENT] * (double)sysconf(_SC_PAGESIZE));
        add(out, "process_threads", "gauge", "Number of threads.", (double)values[STAT_THREADS]);
    }
    add_files(out);
}
