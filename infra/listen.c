/* See listen.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/listen.h"

#include "schemas/buf.h"
#include "schemas/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096, ERROR_TEXT_MAX = 128 };

static const char *system_error(char text[ERROR_TEXT_MAX])
{
    return strerror_r(errno, text, ERROR_TEXT_MAX);
}

/* "host:port" or "[host]:port" into its parts; the strings are the caller's to free. */
static enum err_code split(const char *listen_at, char **ret_host, char **ret_port, struct err *err)
{
    const char *colon = strrchr(listen_at, ':');
    size_t host_size = colon ? (size_t)(colon - listen_at) : 0;
    if (host_size == 0 || colon[1] == '\0')
        return err_set(err, ERR_CONFIG, "'%s' is not an address to listen on; write HOST:PORT.",
                       listen_at);
    const char *host = listen_at;
    if (host[0] == '[' && host[host_size - 1] == ']') {
        host++;
        host_size -= 2;
    }
    *ret_host = mem_dup((struct span){ .data = host, .size = host_size });
    *ret_port = mem_dup_text(colon + 1);
    return ERR_OK;
}

static void set_options(int fd)
{
    int on = 1;
    /* REUSEADDR: a restart need not wait for old connections. NODELAY is inherited by the
     * connections. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* -1 and errno on failure. */
static int listen_on(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    info->ai_protocol);
    if (fd < 0)
        return -1;
    set_options(fd);
    int on = 1;
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* The addresses that `at` means; the caller's to free with freeaddrinfo. */
static enum err_code resolve(const char *at, struct addrinfo **ret_infos, struct err *err)
{
    char *host = NULL;
    char *port = NULL;
    enum err_code code = split(at, &host, &port, err);
    if (code)
        return code;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    int failed = getaddrinfo(host, port, &hints, ret_infos);
    if (failed)
        code = err_set(err, ERR_IO, "Cannot resolve %s: %s.", at, gai_strerror(failed));
    free(host);
    free(port);
    return code;
}

static enum err_code bind_to(const char *listen_at, int *ret_fd, struct err *err)
{
    struct addrinfo *infos = NULL;
    int fd = -1;
    enum err_code code = resolve(listen_at, &infos, err);
    if (code)
        return code;
    for (const struct addrinfo *info = infos; info && fd < 0; info = info->ai_next)
        fd = listen_on(info);
    if (fd < 0) {
        char text[ERROR_TEXT_MAX];
        code = err_set(err, ERR_IO, "Cannot listen on %s: %s.", listen_at, system_error(text));
    }
    *ret_fd = fd;
    freeaddrinfo(infos);
    return code;
}

/* A duplicate, which libmicrohttpd may close; whoever gave the descriptor keeps it, and so the
 * socket goes on listening. */
static enum err_code inherit(int inherited_fd, int *ret_fd, struct err *err)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(inherited_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
        return err_set(err, ERR_IO, "The inherited descriptor %d is not a listening socket.",
                       inherited_fd);
    int fd = fcntl(inherited_fd, F_DUPFD_CLOEXEC, 0);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        char text[ERROR_TEXT_MAX];
        enum err_code code =
            err_set(err, ERR_IO, "The inherited socket cannot be used: %s.", system_error(text));
        if (fd >= 0)
            close(fd);
        return code;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return ERR_OK;
}

/* "127.0.0.1:43121", "[::1]:43121" */
static char *address_of(int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    struct buf text = BUF_INIT(NI_MAXHOST + NI_MAXSERV + 3);
    if (getsockname(fd, (struct sockaddr *)&address, &size) ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return mem_dup_text("an unknown address");
    buf_printf(&text, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return buf_take(&text);
}

enum err_code listen_open(const char *listen_at, int inherited_fd, int *ret_fd, char **ret_address,
                          struct err *err)
{
    int fd = -1;
    enum err_code code =
        inherited_fd >= 0 ? inherit(inherited_fd, &fd, err) : bind_to(listen_at, &fd, err);
    if (code)
        return code;
    *ret_fd = fd;
    *ret_address = address_of(fd);
    return ERR_OK;
}

enum err_code listen_peer(const char *address, struct sockaddr_storage *ret, socklen_t *ret_size,
                          struct err *err)
{
    struct addrinfo *infos = NULL;
    enum err_code code = resolve(address, &infos, err);
    if (code)
        return code;
    *ret_size = infos->ai_addrlen;
    memcpy(ret, infos->ai_addr, infos->ai_addrlen);
    freeaddrinfo(infos);
    return ERR_OK;
}
