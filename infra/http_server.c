/* The daemon and its glue to the loop. libmicrohttpd keeps an epoll set of its own; our loop
 * watches that set's descriptor and lets libmicrohttpd run when it is ready, after a resume, and
 * once a second for its time-outs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server.h"

#include "infra/http_server_internal.h"
#include "infra/listen.h"
#include "schemas/mem.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    LOG_LINE_MAX = 256,
    RUNS_AT_CLOSE_MAX = 16, /* how often libmicrohttpd may run to get its last answers out */
    /* Folded header lines are read in two ways: 1.0 joins them unless it is strict, 0.9.75 refuses
     * them anyhow. */
    STRICTNESS = MHD_VERSION >= 0x01000000 ? 1 : 0,
};

/* --- letting libmicrohttpd run --- */

static void run(void *arg)
{
    struct http_server *server = arg;
    (void)MHD_run(server->daemon);
    /* 0: it stopped with work left, which its epoll set does not tell of. All other time-outs are
     * the tick's: they are seconds, and re-arming a timer at each run would cost more than it is
     * worth. */
    MHD_UNSIGNED_LONG_LONG wait_ms = 1;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES && wait_ms == 0)
        loop_defer(server->loop, &server->run);
}

static void on_ready(void *arg, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    run(arg);
}

void http_server_wake(struct http_server *server)
{
    loop_defer(server->loop, &server->run);
}

/* libmicrohttpd's own formats, never a client's. */
__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *format,
                                                         va_list args)
{
    const struct http_server *server = cls;
    char line[LOG_LINE_MAX];
    int size = vsnprintf(line, sizeof line, format, args);
    size_t end = size < 0 ? 0 : strnlen(line, sizeof line);
    while (end > 0 && line[end - 1] == '\n')
        line[--end] = '\0';
    /* Clients cause nearly all of it (a reset connection, a malformed line). */
    log_write(server->log, LOG_DEBUG, "http", NULL, "%s", line);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    fprintf(stderr, "libmicrohttpd cannot go on: %s (%s:%u)\n", reason ? reason : "", file, line);
    abort();
}

/* --- connections --- */

static void open_connection(struct http_server *server, struct MHD_Connection *mhd, void **context)
{
    struct http_connection *connection = MEM_NEW(*connection);
    connection->server = server;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->link = &server->connections;
    connection->next = server->connections;
    if (connection->next)
        connection->next->link = &connection->next;
    server->connections = connection;
    http_surplus_open(connection);
    http_slow_idle(connection, true);
    metric_add(server->open_gauge, 1);
    *context = connection;
}

static void close_connection(struct http_server *server, void **context)
{
    struct http_connection *connection = *context;
    http_surplus_close(connection);
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    free(connection);
    metric_add(server->open_gauge, -1);
    *context = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        open_connection(cls, mhd, context);
    else
        close_connection(cls, context);
}

/* --- parked requests --- */

static void link_request(struct http_request **list, struct http_request *req)
{
    req->link = list;
    req->next = *list;
    if (req->next)
        req->next->link = &req->next;
    *list = req;
}

static void unlink_request(struct http_request *req)
{
    *req->link = req->next;
    if (req->next)
        req->next->link = req->link;
    req->next = NULL;
    req->link = NULL;
}

void http_server_park(struct http_request *req)
{
    struct http_server *server = req->server;
    req->state = HTTP_STATE_PARKED;
    req->route->parks = true;
    link_request(&server->parked, req);
    server->parked_count++;
    metric_add(server->parked_gauge, 1);
    MHD_suspend_connection(req->mhd);
}

static void leave_parked(struct http_request *req, enum http_state state)
{
    struct http_server *server = req->server;
    assert(req->state == HTTP_STATE_PARKED);
    unlink_request(req);
    server->parked_count--;
    metric_add(server->parked_gauge, -1);
    req->state = state;
}

void http_server_unpark(struct http_request *req, enum http_state state)
{
    leave_parked(req, state);
    MHD_resume_connection(req->mhd);
    http_server_wake(req->server);
}

static void tell_closed(struct http_request *req)
{
    void (*on_close)(struct http_request *, void *) = req->on_close;
    req->on_close = NULL;
    if (on_close)
        on_close(req, req->context);
}

struct pollfd *http_server_polls(struct http_server *server, size_t count)
{
    if (server->polls_capacity < count) {
        server->polls_capacity = count * 2;
        server->polls = mem_resize(server->polls, server->polls_capacity, sizeof *server->polls);
    }
    return server->polls;
}

/* Moves those whose clients have gone from `parked` to `gone`. libmicrohttpd does not look at
 * suspended connections. */
static void find_gone(struct http_server *server)
{
    struct pollfd *polls = http_server_polls(server, server->parked_count);
    nfds_t count = 0;
    for (const struct http_request *req = server->parked; req; req = req->next)
        polls[count++] = (struct pollfd){ .fd = req->connection->fd, .events = POLLRDHUP };
    if (poll(polls, count, 0) <= 0)
        return;
    nfds_t i = 0;
    for (struct http_request *req = server->parked, *next; req; req = next) {
        next = req->next;
        if (!(polls[i++].revents & (POLLRDHUP | POLLHUP | POLLERR)))
            continue;
        leave_parked(req, HTTP_STATE_GONE);
        link_request(&server->gone, req);
    }
}

static void end_gone(struct http_server *server)
{
    if (!server->parked)
        return;
    find_gone(server);
    while (server->gone) {
        struct http_request *req = server->gone;
        unlink_request(req);
        tell_closed(req);
        MHD_resume_connection(req->mhd);
        http_server_wake(server);
    }
}

static void on_tick(void *arg)
{
    struct http_server *server = arg;
    end_gone(server);
    http_slow_end(server);
    http_server_wake(server);
}

/* --- opening and closing --- */

static struct MHD_Daemon *start_daemon(struct http_server *server, int listen_fd)
{
    const struct config_http *config = server->config;
    int64_t idle_timeout_s = (config->idle_timeout_ms + 999) / 1000;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        http_request_continue, server,              /* the handler */
        MHD_OPTION_EXTERNAL_LOGGER, on_log, server, /* first, so that it hears of the others */
        MHD_OPTION_LISTEN_SOCKET, listen_fd,        /* */
        MHD_OPTION_URI_LOG_CALLBACK, http_request_begin, server, /* */
        MHD_OPTION_NOTIFY_COMPLETED, http_request_end, server,   /* */
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,     /* */
        MHD_OPTION_STRICT_FOR_CLIENT, STRICTNESS,                /* */
        /* Never reached: those it is closing at our wish are in it for a little while yet. */
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->connections_max + 2 * HTTP_SURPLUS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_per_address,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)config->connection_pool_bytes, MHD_OPTION_END);
}

static void make_gauges(struct http_server *server, struct metrics *metrics)
{
    server->open_gauge = metrics_gauge(metrics, "errand_http_open_connections",
                                       "Connections that clients hold open.", NULL);
    server->parked_gauge =
        metrics_gauge(metrics, "errand_http_parked", "Requests that wait for their answer.", NULL);
    server->surplus_total =
        metrics_counter(metrics, "errand_http_surplus_connections_total",
                        "Connections beyond connections_max, told 503 or closed.", NULL);
    /* Other threads' servers count in the same gauges. */
    metric_add(server->open_gauge, 0);
    metric_add(server->parked_gauge, 0);
}

enum err_code http_server_open(struct loop *loop, const struct http_server_options *options,
                               struct http_server **ret_server, struct err *err)
{
    int listen_fd = -1;
    char *address = NULL;
    enum err_code code =
        listen_open(options->config->listen, options->listen_fd, &listen_fd, &address, err);
    if (code)
        return code;
    struct http_server *server = MEM_NEW(*server);
    server->loop = loop;
    server->config = options->config;
    server->log = options->log;
    server->arg = options->arg;
    server->vital_count = options->vital_count;
    server->connections_max = http_surplus_connections_max(options->config);
    if ((int64_t)server->connections_max < server->config->connections_max)
        log_write(server->log, LOG_WARN, "http", NULL,
                  "%zu connections at most, not %lld: the process may open no more files",
                  server->connections_max, (long long)server->config->connections_max);
    server->produces_under = options->produces_under;
    server->produces = options->produces;
    server->address = address;
    server->run = (struct loop_task){ .fn = run, .arg = server };
    uint64_t seed = 0;
    (void)!getrandom(&seed, sizeof seed, 0);
    seeded_init(&server->ids, seed);
    http_routes_init(&server->routes, options->routes, options->route_count, options->metrics);
    make_gauges(server, options->metrics);

    MHD_set_panic_func(on_panic, NULL);
    server->daemon = start_daemon(server, listen_fd);
    if (!server->daemon) {
        code = err_set(err, ERR_IO, "The HTTP server on %s cannot be started.", address);
        close(listen_fd);
        http_server_close(server);
        return code;
    }
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    server->ready = loop_fd_new(loop, epoll_fd, on_ready, server);
    loop_fd_watch(server->ready, LOOP_READ);
    server->tick = loop_timer_new(loop, on_tick, server);
    loop_timer_start(server->tick, TICK_MS, TICK_MS);
    *ret_server = server;
    return ERR_OK;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

void http_server_quiesce(struct http_server *server)
{
    if (server->quiesced)
        return;
    (void)MHD_run(server->daemon); /* takes in who has connected already */
    server->quiesced = true;
    int listen_fd = MHD_quiesce_daemon(server->daemon);
    if (listen_fd >= 0)
        close(listen_fd);
    http_server_wake(server);
}

size_t http_server_active(const struct http_server *server)
{
    return server->active;
}

static void end_parked(struct http_server *server)
{
    struct err err;
    (void)err_set(&err, ERR_DRAINING, "This process is shutting down.");
    while (server->parked) {
        struct http_request *req = server->parked;
        tell_closed(req);
        if (req->state == HTTP_STATE_PARKED && req->stream.read)
            http_server_unpark(req, HTTP_STATE_GONE);
        else if (req->state == HTTP_STATE_PARKED)
            http_reply_problem(req, &err, 1, NULL);
    }
}

static void stop_daemon(struct http_server *server)
{
    server->quiesced = true; /* last answers close their connections */
    server->closing = true;
    end_parked(server);
    for (int i = 0; i < RUNS_AT_CLOSE_MAX && server->active > 0; i++)
        (void)MHD_run(server->daemon);
    end_parked(server); /* those that came in meanwhile */
    loop_undefer(server->loop, &server->run);
    loop_fd_free(server->ready);
    loop_timer_free(server->tick);
    MHD_stop_daemon(server->daemon);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        stop_daemon(server);
    http_routes_clear(&server->routes);
    free(server->polls);
    free(server->address);
    free(server);
}
