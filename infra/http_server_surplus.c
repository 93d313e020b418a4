/* Connections beyond connections_max. libmicrohttpd would leave them in the kernel's queue until
 * others end, and with them whoever asks whether the process lives. So some more are taken in: what
 * they ask is answered when it is vital, else refused with 503, and each is closed after its
 * answer. Those who come and say nothing are in nobody's way either: the oldest makes room for the
 * next one. SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_server_internal.h"

#include <assert.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { OTHERS_PART = 8 }; /* of the files a process may open: Kafka's, Redis's, targets' */

size_t http_surplus_connections_max(const struct config_http *config)
{
    struct rlimit files;
    size_t wanted = (size_t)config->connections_max;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur == RLIM_INFINITY)
        return wanted;
    size_t room = (size_t)(files.rlim_cur - files.rlim_cur / OTHERS_PART);
    size_t surplus = (size_t)2 * HTTP_SURPLUS_MAX;
    room = room > surplus ? room - surplus : 1;
    return wanted < room ? wanted : room;
}

static void forget(struct http_server *server, size_t at)
{
    server->surplus_count--;
    for (; at < server->surplus_count; at++)
        server->surplus[at] = server->surplus[at + 1];
}

static size_t place_of(const struct http_server *server, const struct http_connection *connection)
{
    size_t at = 0;
    while (at < server->surplus_count && server->surplus[at] != connection)
        at++;
    return at;
}

void http_surplus_open(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->surplus = server->regular_count >= server->connections_max;
    if (!connection->surplus) {
        server->regular_count++;
        return;
    }
    metric_add(server->surplus_total, 1);
    if (server->surplus_count == HTTP_SURPLUS_MAX) {
        (void)shutdown(server->surplus[0]->fd, SHUT_RDWR); /* libmicrohttpd sees it and closes */
        forget(server, 0);
    }
    server->surplus[server->surplus_count++] = connection;
}

void http_surplus_close(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t at = place_of(server, connection);
    if (!connection->surplus)
        server->regular_count--;
    else if (at < server->surplus_count)
        forget(server, at);
}

bool http_surplus_is(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (!connection->surplus || server->regular_count >= server->connections_max)
        return connection->surplus;
    size_t at = place_of(server, connection);
    if (at == server->surplus_count)
        return true; /* it is being closed */
    forget(server, at);
    server->regular_count++;
    connection->surplus = false;
    return false;
}
