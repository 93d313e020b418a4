/* See tool.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

char answer_body[] =
    "{\"id\":\"0193c0de-7000-7000-8000-000000000000\",\"type\":\"order.price\",\"queue\":\"rules\","
    "\"state\":\"queued\",\"attempt\":0,\"created_at\":\"2026-11-24T00:00:00.000Z\","
    "\"links\":{\"self\":\"/v1/jobs/0193c0de-7000-7000-8000-000000000000\"}}";

void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1); /* NOLINT(concurrency-mt-unsafe): nothing is to be tidied up */
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)NS_PER_S + now.tv_nsec;
}

double cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return 1e6 * (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int64_t number_of(const char *text, int64_t most, const char *what)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (*end || value < 1 || value > most)
        fail(what, "not such a number");
    return value;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

void sort_ns(int64_t *values_ns, int64_t count)
{
    qsort(values_ns, (size_t)count, sizeof *values_ns, compare);
}

double percentile_ms(const int64_t *sorted_ns, int64_t count, double share)
{
    return count > 0 ? (double)sorted_ns[(int64_t)(share * (double)(count - 1))] / NS_PER_MS : 0;
}

int listen_anywhere(in_port_t *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, SOMAXCONN) ||
        getsockname(fd, (struct sockaddr *)&address, &size))
        fail("listen", strerrordesc_np(errno));
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int signals_fd(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    int fd = pthread_sigmask(SIG_BLOCK, &signals, NULL)
                 ? -1
                 : signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        fail("signalfd", strerrordesc_np(errno));
    return fd;
}

int watch_new(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        fail("epoll_create1", strerrordesc_np(errno));
    return epoll_fd;
}

void watch_add(int epoll_fd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl", strerrordesc_np(errno));
}
