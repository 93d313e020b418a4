/* What libmicrohttpd alone can do: a POST with a body becomes 202 with a small body, and nothing
 * happens in between. One thread, with an epoll set around libmicrohttpd's as in the gateway.
 * Prints its port and serves until SIGTERM. With a number, each GET is suspended, as a long poll
 * is; it prints "parked" when so many are, and answers them all at SIGUSR1. With "pass" it is
 * suspended until the next turn.
 * Usage: raw_http [CONNECTIONS|pass]
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    /* The gateway's defaults. */
    CONNECTIONS_MAX = 16384,
    POOL_BYTES = 24 * 1024,
    /* For libmicrohttpd's own time-outs. */
    TICK_MS = 1000,
};

struct server {
    struct MHD_Response *accepted;
    struct MHD_Connection *parked[CONNECTIONS_MAX];
    size_t parked_count, parked_wanted; /* wanted: 0, nobody is told of */
    bool parks, passes;
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
    if (server->parks && *context == &begun && strcmp(method, "GET") == 0) {
        *context = &woken;
        park(server, connection);
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_ACCEPTED, server->accepted);
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
    int epoll_fd = watch_new();
    watch_add(epoll_fd, signal_fd);
    watch_add(epoll_fd, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
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
        if (server->passes && server->parked_count > 0) {
            wake_all(server);
            (void)MHD_run(daemon);
        }
    }
}

int main(int argc, char **argv)
{
    static struct server server;
    server.passes = argc > 1 && strcmp(argv[1], "pass") == 0;
    server.parks = argc > 1;
    if (server.parks && !server.passes)
        server.parked_wanted = (size_t)number_of(argv[1], CONNECTIONS_MAX, "CONNECTIONS");
    in_port_t port = 0;
    int listen_fd = listen_anywhere(&port);
    int signal_fd = signals_fd();
    server.accepted =
        MHD_create_response_from_buffer(strlen(answer_body), answer_body, MHD_RESPMEM_PERSISTENT);
    if (!server.accepted ||
        MHD_add_response_header(server.accepted, "Content-Type", "application/json") != MHD_YES)
        fail("MHD_create_response_from_buffer", "no response");
    unsigned flags = MHD_USE_EPOLL | (server.parks ? MHD_ALLOW_SUSPEND_RESUME : 0);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, &server, /* the handler */
                         MHD_OPTION_LISTEN_SOCKET, listen_fd,       /* */
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
    if (!daemon)
        fail("MHD_start_daemon", "no daemon");
    printf("%d\n", port);
    (void)fflush(stdout);
    bool ok = serve(&server, daemon, signal_fd);
    wake_all(&server); /* libmicrohttpd wants nobody suspended when it stops */
    MHD_stop_daemon(daemon);
    MHD_destroy_response(server.accepted);
    if (!ok)
        fail("epoll_wait", strerrordesc_np(errno));
    return 0;
}
