/* A connection of the load generator.
 * SPDX-License-Identifier: Apache-2.0 */
#include "producers/load_connection.h"

#include "schemas/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ANSWER_BYTES_MAX  ((size_t)64 * 1024 * 1024)
#define READ_BYTES        16384

struct load_connection {
    struct loop *loop;
    const struct sockaddr *address;
    socklen_t address_size;
    struct load_connection_events events;
    int fd;
    struct loop_fd *watch;
    unsigned watched; /* changing it costs a system call */
    bool connecting;
    bool busy;
    bool reused; /* it has answered */
    struct buf request;
    size_t sent;
    struct buf answer;
    struct loop_task failing; /* a failure found while sending is told from the loop */
};

static void fail(void *arg)
{
    struct load_connection *connection = arg;
    enum load_failure failure = connection->busy ? LOAD_FAILED_ASKED : LOAD_FAILED_IDLE;
    if (connection->busy && connection->reused && connection->answer.size == 0)
        failure = LOAD_FAILED_REUSED;
    load_connection_reset(connection);
    connection->events.on_failed(connection->events.arg, failure);
}

struct load_connection *load_connection_new(struct loop *loop, const struct sockaddr *address,
                                            socklen_t address_size,
                                            const struct load_connection_events *events)
{
    struct load_connection *connection = MEM_NEW(*connection);
    *connection = (struct load_connection){
        .loop = loop,
        .address = address,
        .address_size = address_size,
        .events = *events,
        .fd = -1,
        .request = BUF_INIT(REQUEST_BYTES_MAX),
        .answer = BUF_INIT(ANSWER_BYTES_MAX),
        .failing = { .fn = fail, .arg = connection },
    };
    return connection;
}

void load_connection_reset(struct load_connection *connection)
{
    loop_undefer(connection->loop, &connection->failing);
    if (connection->watch)
        loop_fd_free(connection->watch);
    if (connection->fd >= 0)
        (void)close(connection->fd);
    connection->watch = NULL;
    connection->watched = 0;
    connection->fd = -1;
    connection->connecting = false;
    connection->busy = false;
    connection->reused = false;
    connection->sent = 0;
    buf_reset(&connection->answer);
}

void load_connection_free(struct load_connection *connection)
{
    if (!connection)
        return;
    load_connection_reset(connection);
    buf_free(&connection->request);
    buf_free(&connection->answer);
    free(connection);
}

struct buf *load_connection_request(struct load_connection *connection)
{
    buf_reset(&connection->request);
    return &connection->request;
}

bool load_connection_is_busy(const struct load_connection *connection)
{
    return connection->busy;
}

/* False when the connection broke. */
static bool write_more(struct load_connection *connection)
{
    while (connection->sent < connection->request.size) {
        ssize_t written = send(connection->fd, connection->request.data + connection->sent,
                               connection->request.size - connection->sent, MSG_NOSIGNAL);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno == EAGAIN;
        connection->sent += (size_t)written;
    }
    return true;
}

static void watch(struct load_connection *connection)
{
    bool unsent = connection->busy && connection->sent < connection->request.size;
    unsigned events = LOOP_READ;
    if (connection->connecting || unsent)
        events |= LOOP_WRITE;
    if (events != connection->watched)
        loop_fd_watch(connection->watch, events);
    connection->watched = events;
}

static void finish(struct load_connection *connection, const struct load_response *response)
{
    struct buf answer = connection->answer; /* the event may send the next request, or close */
    connection->answer = (struct buf)BUF_INIT(ANSWER_BYTES_MAX);
    connection->busy = false;
    connection->reused = true;
    if (response->close)
        load_connection_reset(connection);
    connection->events.on_answer(connection->events.arg, response);
    if (connection->answer.data) {
        buf_free(&answer);
        return;
    }
    buf_reset(&answer);
    connection->answer = answer;
}

static void read_some(struct load_connection *connection)
{
    struct load_response response;
    if (!buf_reserve(&connection->answer, READ_BYTES)) {
        fail(connection);
        return;
    }
    ssize_t got =
        recv(connection->fd, connection->answer.data + connection->answer.size, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || !connection->busy) {
        fail(connection);
        return;
    }
    buf_grow(&connection->answer, (size_t)got);
    switch (load_response_parse(buf_span(&connection->answer), &response)) {
    case LOAD_PARSE_MORE:
        break;
    case LOAD_PARSE_BAD:
        fail(connection);
        break;
    case LOAD_PARSE_DONE:
        finish(connection, &response);
        break;
    }
}

static bool check_connected(struct load_connection *connection)
{
    int failed = 0;
    socklen_t size = sizeof failed;
    connection->connecting = false;
    return getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 && failed == 0;
}

static void on_event(void *arg, int fd, unsigned events)
{
    struct load_connection *connection = arg;
    (void)fd;
    if (connection->connecting && (events & LOOP_WRITE) && !check_connected(connection)) {
        fail(connection);
        return;
    }
    if (connection->connecting)
        return;
    if ((events & LOOP_WRITE) && connection->busy) {
        if (!write_more(connection)) {
            fail(connection);
            return;
        }
        watch(connection);
    }
    if (events & LOOP_READ)
        read_some(connection);
}

static bool connect_now(struct load_connection *connection)
{
    int on = 1;
    connection->fd =
        socket(connection->address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return false;
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->connecting =
        connect(connection->fd, connection->address, connection->address_size) != 0;
    if (connection->connecting && errno != EINPROGRESS)
        return false;
    connection->watch = loop_fd_new(connection->loop, connection->fd, on_event, connection);
    return true;
}

void load_connection_send(struct load_connection *connection)
{
    connection->sent = 0;
    connection->busy = true;
    bool works = connection->fd >= 0 || connect_now(connection);
    if (works && !connection->connecting)
        works = write_more(connection);
    if (works)
        watch(connection);
    else
        loop_defer(connection->loop, &connection->failing);
}
