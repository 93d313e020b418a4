/* See hostile_server.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hostile_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BACKLOG = 1024, REQUEST_MAX = 8192, DRIP_MS = 10 };

struct hostile_peer {
    struct hostile_server *server;
    int fd;
    struct loop_fd *watch;
    struct loop_timer *drip;
    char request[REQUEST_MAX];
    size_t size;
    const char *flood; /* sent again and again */
    struct hostile_peer *next;
};

static void say(struct hostile_peer *peer, const char *text)
{
    ssize_t sent = send(peer->fd, text, strlen(text), MSG_NOSIGNAL);
    (void)sent; /* what does not arrive is the client's to notice */
}

static void hang_up(struct hostile_peer *peer)
{
    if (peer->fd < 0)
        return;
    loop_fd_free(peer->watch);
    loop_timer_stop(peer->drip);
    close(peer->fd);
    peer->fd = -1;
}

static void reset(struct hostile_peer *peer)
{
    struct linger now = { .l_onoff = 1 };
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(peer);
}

static void on_drip(void *arg)
{
    say(arg, "x");
}

static void echo(struct hostile_peer *peer)
{
    char head[128];
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
             peer->size);
    say(peer, head);
    if (strncmp(peer->request, "HEAD", 4) != 0)
        say(peer, peer->request);
}

static void flood(struct hostile_peer *peer, const char *head, const char *again)
{
    say(peer, head);
    peer->flood = again;
    loop_fd_watch(peer->watch, LOOP_WRITE);
}

/* "/to?303?URL": to that URL with that status. */
static void redirect(struct hostile_peer *peer, const char *how)
{
    char head[512];
    peer->server->requests++;
    const char *url = how + 4;
    snprintf(head, sizeof head,
             "HTTP/1.1 %.3s Moved\r\nLocation: %.*s\r\nContent-Length: 0\r\n\r\n", how,
             (int)strcspn(url, " "), url);
    say(peer, head);
}

/* Does what the request's path says. */
static void answer(struct hostile_peer *peer)
{
    static const struct {
        const char *path, *text;
    } fixed[] = {
        { "/ok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" },
        { "/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort" },
        { "/declared", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" },
        { "/garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
        { "/status", "HTTP/1.1 zero OK\r\n\r\n" },
        { "/busy-seconds", "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy" },
        { "/busy-date", "HTTP/1.1 503 Busy\r\nRetry-After: Thu, 01 Jan 2099 00:00:00 GMT\r\n"
                        "Content-Length: 0\r\n\r\n" },
        { "/busy-nonsense", "HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n" },
        { "/moved", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n" },
    };
    const char *path = strchr(peer->request, ' ') + 1;
    if (strncmp(path, "/to?", 4) == 0) {
        redirect(peer, path + 4);
        peer->size = 0;
        return;
    }
    size_t size = strcspn(path, " ?");
    peer->server->requests++;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (strlen(fixed[i].path) == size && strncmp(path, fixed[i].path, size) == 0)
            say(peer, fixed[i].text);
    }
    if (strncmp(path, "/short", size) == 0 || strncmp(path, "/garbage", size) == 0)
        hang_up(peer);
    else if (strncmp(path, "/echo", size) == 0)
        echo(peer);
    else if (strncmp(path, "/reset", size) == 0)
        reset(peer);
    else if (strncmp(path, "/chunks", size) == 0)
        flood(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nabcd\r\n");
    else if (strncmp(path, "/headers", size) == 0)
        flood(peer, "HTTP/1.1 200 OK\r\n", "X-Filler: abcdefghijklmnopqrstuvwxyz\r\n");
    else if (strncmp(path, "/drip", size) == 0) {
        say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        loop_timer_start(peer->drip, 0, DRIP_MS);
    }
    peer->size = 0;
}

static bool is_whole(const struct hostile_peer *peer)
{
    const char *end = strstr(peer->request, "\r\n\r\n");
    const char *length = strcasestr(peer->request, "\r\nContent-Length:");
    if (!end)
        return false;
    size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    return peer->size >= (size_t)(end + 4 - peer->request) + body;
}

static void on_peer(void *arg, int fd, unsigned events)
{
    struct hostile_peer *peer = arg;
    if (peer->flood) {
        while (send(fd, peer->flood, strlen(peer->flood), MSG_NOSIGNAL) > 0)
            continue;
        char byte;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
            hang_up(peer);
        return;
    }
    if (!(events & LOOP_READ))
        return;
    ssize_t got = recv(fd, peer->request + peer->size, REQUEST_MAX - 1 - peer->size, 0);
    if (got <= 0) {
        hang_up(peer);
        return;
    }
    peer->size += (size_t)got;
    peer->request[peer->size] = '\0';
    if (is_whole(peer))
        answer(peer);
}

static void on_accept(void *arg, int fd, unsigned events)
{
    struct hostile_server *server = arg;
    (void)events;
    int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return;
    server->accepted++;
    struct hostile_peer *peer = calloc(1, sizeof *peer);
    peer->server = server;
    peer->fd = accepted;
    peer->watch = loop_fd_new(server->loop, accepted, on_peer, peer);
    peer->drip = loop_timer_new(server->loop, on_drip, peer);
    loop_fd_watch(peer->watch, LOOP_READ);
    peer->next = server->peers;
    server->peers = peer;
}

void hostile_server_open(struct hostile_server *server, struct loop *loop)
{
    *server = (struct hostile_server){ .loop = loop };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(server->fd, BACKLOG), 0);
    server->port = ntohs(address.sin_port);
    server->listener = loop_fd_new(loop, server->fd, on_accept, server);
    loop_fd_watch(server->listener, LOOP_READ);
}

void hostile_server_stop_listening(struct hostile_server *server)
{
    if (server->fd < 0)
        return;
    loop_fd_free(server->listener);
    close(server->fd);
    server->fd = -1;
}

void hostile_server_close(struct hostile_server *server)
{
    hostile_server_stop_listening(server);
    while (server->peers) {
        struct hostile_peer *peer = server->peers;
        server->peers = peer->next;
        hang_up(peer);
        loop_timer_free(peer->drip);
        free(peer);
    }
}
