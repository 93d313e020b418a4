/* What libmicrohttpd alone can do: a POST with a body becomes 202 with a small body, and nothing
 * happens in between. One thread, with an epoll set around libmicrohttpd's as in the gateway.
 * Prints its port and serves until SIGTERM. With a number, each GET is suspended, as a long poll
 * is; it prints "parked" when so many are, and answers them all at SIGUSR1.
 * Usage: raw_http [CONNECTIONS]
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* The gateway's defaults. */
    CONNECTIONS_MAX = 16384,
    POOL_BYTES = 24 * 1024,
    /* For libmicrohttpd's own time-outs. */
    TICK_MS = 1000,
};

/* As long as the gateway's answer and with an id, so that one load generator reads both. */
static char answer_body[] =
    "{\"id\":\"0193c0de-7000-7000-8000-000000000000\",\"type\":\"order.price\",\"queue\":\"rules\","
    "\"state\":\"queued\",\"attempt\":0,\"created_at\":\"2026-11-24T00:00:00.000Z\","
    "\"links\":{\"self\":\"/v1/jobs/0193c0de-7000-7000-8000-000000000000\"}}";

struct server {
    struct MHD_Response *accepted;
    struct MHD_Connection *parked[CONNECTIONS_MAX];
    size_t parked_count, parked_wanted; /* wanted: 0, it parks nobody */
};

static void park(struct server *server, struct MHD_Connection *connection)
{
    MHD_suspend_connection(connection);
    server->parked[server->parked_count++] = connection;
    if (server->parked_count == server->parked_wanted) {
        printf("parked\n");
        (void)fflush(stdout);
    }
}

static void wake_all(struct server *server)
{
    while (server->parked_count > 0)
        MHD_resume_connection(server->parked[--server->parked_count]);
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd decides on the parameters */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    (void)url;
    (void)version;
    (void)data;
    /* The first call comes when the headers are there; an answer then would close the connection.
     */
    static char begun, woken;
    if (!*context) {
        *context = &begun;
        return MHD_YES;
    }
    if (*size) {
        *size = 0;
        return MHD_YES;
    }
    struct server *server = cls;
    if (server->parked_wanted && *context == &begun && strcmp(method, "GET") == 0) {
        *context = &woken;
        park(server, connection);
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_ACCEPTED, server->accepted);
}

static int listening_socket(in_port_t *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, SOMAXCONN) ||
        getsockname(fd, (struct sockaddr *)&address, &size)) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int signal_descriptor(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL))
        return -1;
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool watch(int epoll_fd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* What a signal asks for; true: to stop. */
static bool is_told_to_stop(struct server *server, int signal_fd)
{
    struct signalfd_siginfo told;
    if (read(signal_fd, &told, sizeof told) != (ssize_t)sizeof told || told.ssi_signo != SIGUSR1)
        return true;
    wake_all(server);
    return false;
}

static bool serve(struct server *server, struct MHD_Daemon *daemon, int signal_fd)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || !watch(epoll_fd, signal_fd) ||
        !watch(epoll_fd, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd))
        return false;
    for (;;) {
        MHD_UNSIGNED_LONG_LONG wait_ms = TICK_MS;
        if (MHD_get_timeout(daemon, &wait_ms) != MHD_YES || wait_ms > TICK_MS)
            wait_ms = TICK_MS;
        struct epoll_event event = { .data.fd = -1 };
        int count = epoll_wait(epoll_fd, &event, 1, (int)wait_ms);
        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0 && event.data.fd == signal_fd && is_told_to_stop(server, signal_fd))
            return true;
        (void)MHD_run(daemon);
    }
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    static struct server server;
    server.parked_wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (server.parked_wanted > CONNECTIONS_MAX)
        return fail("so many connections");
    in_port_t port = 0;
    int listen_fd = listening_socket(&port);
    if (listen_fd < 0)
        return fail("listen");
    int signal_fd = signal_descriptor();
    if (signal_fd < 0)
        return fail("signalfd");
    server.accepted = MHD_create_response_from_buffer(sizeof answer_body - 1, answer_body,
                                                      MHD_RESPMEM_PERSISTENT);
    if (!server.accepted ||
        MHD_add_response_header(server.accepted, "Content-Type", "application/json") != MHD_YES)
        return fail("MHD_create_response_from_buffer");
    unsigned flags = MHD_USE_EPOLL | (server.parked_wanted ? MHD_ALLOW_SUSPEND_RESUME : 0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, &server, /* the handler */
                         MHD_OPTION_LISTEN_SOCKET, listen_fd,       /* */
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
    if (!daemon)
        return fail("MHD_start_daemon");
    printf("%d\n", port);
    (void)fflush(stdout);
    bool ok = serve(&server, daemon, signal_fd);
    wake_all(&server); /* libmicrohttpd wants nobody suspended when it stops */
    MHD_stop_daemon(daemon);
    MHD_destroy_response(server.accepted);
    return ok ? 0 : fail("epoll");
}
