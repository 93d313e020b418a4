/* What a process is to its machine: limits, systemd. SPDX-License-Identifier: Apache-2.0 */
#include "infra/service_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { OPEN_FILES_MAX = 65536, LISTEN_FD = 3, DECIMAL = 10 };

void service_process_limit(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < OPEN_FILES_MAX ? files.rlim_max : OPEN_FILES_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (SANITIZED)
        return; /* the leak checker attaches to the process */
    /* Secrets stay out of core files and out of the reach of the same user's other processes. */
    struct rlimit no_core = { 0 };
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/* NOLINTBEGIN(concurrency-mt-unsafe): nothing in the process sets variables once threads run */

int service_process_listener(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    if (!pid || !count || strtol(pid, NULL, DECIMAL) != getpid() ||
        strtol(count, NULL, DECIMAL) < 1)
        return -1;
    (void)fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC); /* it is not for our children */
    return LISTEN_FD;
}

void service_process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract socket */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    /* Nobody there is systemd's loss: a daemon does not fail for it. */
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (struct sockaddr *)&address, size);
    close(fd);
}

/* NOLINTEND(concurrency-mt-unsafe) */
