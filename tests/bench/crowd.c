/* Many connections, each with one GET that is not answered at once, as waiting clients have them.
 * Prints "asked" when all have asked, and when all are answered one line of JSON with the moments
 * of the first and the last answer, in nanoseconds of the machine's monotonic clock.
 * Usage: crowd PORT CONNECTIONS EXPECTED   (the paths as lines on standard input; with fewer lines
 * the last one is for all that follow). EXPECTED is what each answer must have in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 50000,
    PER_ADDRESS = 500, /* connections from one address of this machine */
    ANSWER_BYTES = 4096,
    PATH_BYTES = 256,
    EVENTS = 512,
    WAIT_S = 60,
};

#define FIRST_ADDRESS 0x7f000301 /* 127.0.3.1 */

static int connected(in_port_t port, long number)
{
    struct sockaddr_in from = { .sin_family = AF_INET,
                                .sin_addr.s_addr =
                                    htonl((uint32_t)(FIRST_ADDRESS + number / PER_ADDRESS)) };
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) ||
        connect(fd, (struct sockaddr *)&to, sizeof to))
        fail("connect", strerrorname_np(errno));
    return fd;
}

static void ask(int fd, const char *path)
{
    char request[PATH_BYTES + 64];
    int size =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n", path);
    if (send(fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        fail("send", "it does not take a whole request");
}

/* Reads the next path; keeps the last one at the end. */
static void next_path(char *path)
{
    char line[PATH_BYTES];
    if (!fgets(line, sizeof line, stdin))
        return;
    line[strcspn(line, "\n")] = '\0';
    memcpy(path, line, sizeof line);
}

/* Whether all of an answer has come; what has come stays where it is until then. */
static bool is_answered(int fd, const char *expected)
{
    char answer[ANSWER_BYTES + 1];
    ssize_t size = recv(fd, answer, ANSWER_BYTES, MSG_PEEK);
    if (size <= 0)
        fail("recv", size ? strerrorname_np(errno) : "the connection was closed");
    answer[size] = '\0';
    return strstr(answer, expected);
}

static void await_answers(int epoll_fd, long left, const char *expected)
{
    int64_t first_ns = 0, last_ns = now_ns(), deadline_ns = last_ns + (int64_t)WAIT_S * NS_PER_S;
    while (left > 0) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll_fd, events, EVENTS, WAIT_S * 1000);
        if (ready <= 0 || last_ns > deadline_ns)
            fail("epoll_wait", "not all are answered as expected");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (!is_answered(fd, expected))
                continue;
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
            left--;
        }
        last_ns = now_ns();
        first_ns = first_ns ? first_ns : last_ns;
    }
    printf("{\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64 "}\n", first_ns, last_ns);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage", "crowd PORT CONNECTIONS EXPECTED");
    in_port_t port = (in_port_t)strtoul(argv[1], NULL, 10);
    long count = (long)number_of(argv[2], CONNECTIONS_MAX, "CONNECTIONS");
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    char path[PATH_BYTES] = "/";
    for (long i = 0; i < count; i++) {
        int fd = connected(port, i);
        next_path(path);
        ask(fd, path);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
            fail("epoll_ctl", strerrorname_np(errno));
    }
    printf("asked\n");
    (void)fflush(stdout);
    await_answers(epoll_fd, count, argv[3]);
    return 0;
}
