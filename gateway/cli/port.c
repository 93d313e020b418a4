/* Sockets and ports for the processes of a stack.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/port.h"

#include "schemas/digest.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG     4096
#define LOCAL_FREE  "127.0.0.1:0"
#define REASON_SIZE 128
/* Below the ports that the system gives to outgoing connections (from 32768 on unless it was told
 * otherwise): one of those could be gone again before the process that it is for listens. */
#define QUIET_LOW   15000
#define QUIET_HIGH  32000
#define QUIET_TRIES 64

bool port_split(struct span address, char ret_host[STACK_ADDRESS_SIZE], char ret_port[8])
{
    const char *text = address.data;
    size_t colon = address.size;
    while (colon > 0 && text[colon - 1] != ':')
        colon--;
    if (colon < 2 || colon == address.size || address.size - colon > 7)
        return false;
    struct span host = { .data = text, .size = colon - 1 };
    if (text[0] == '[' && text[colon - 2] == ']')
        host = (struct span){ .data = text + 1, .size = colon - 3 };
    if (host.size == 0 || host.size >= STACK_ADDRESS_SIZE)
        return false;
    (void)snprintf(ret_host, STACK_ADDRESS_SIZE, "%.*s", SPAN_ARG(host));
    (void)snprintf(ret_port, 8, "%.*s", (int)(address.size - colon), text + colon);
    return true;
}

static struct addrinfo *resolve(struct span address, int flags)
{
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    struct addrinfo *found = NULL;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
    if (!port_split(address, host, port) || getaddrinfo(host, port, &hints, &found) != 0)
        return NULL;
    return found;
}

/* The bound socket, or -1 with errno. */
static int bind_to(const char *address)
{
    struct addrinfo *found = resolve(span_of(address), AI_PASSIVE);
    int on = 1;
    int fd = -1;
    errno = EADDRNOTAVAIL;
    if (found)
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                    bind(fd, found->ai_addr, found->ai_addrlen) != 0)) {
        int reason = errno;
        (void)close(fd);
        errno = reason;
        fd = -1;
    }
    if (found)
        freeaddrinfo(found);
    return fd;
}

/* Two sockets that only bind may share an address: listening is what tells that it is free. */
static int listen_on(const char *address)
{
    int fd = bind_to(address);
    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        int reason = errno;
        (void)close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

static bool bound_address(int fd, char ret_address[STACK_ADDRESS_SIZE])
{
    struct sockaddr_storage bound = { 0 };
    socklen_t size = sizeof bound;
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
    } address = { .storage = &bound };
    char host[64];
    char port[8];
    if (getsockname(fd, address.any, &size) != 0 ||
        getnameinfo(address.any, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    bool v6 = bound.ss_family == AF_INET6;
    (void)snprintf(ret_address, STACK_ADDRESS_SIZE, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "",
                   port);
    return true;
}

static int listen_on_free(const char *address)
{
    char host[STACK_ADDRESS_SIZE];
    char port[8];
    char any[STACK_ADDRESS_SIZE + 4];
    if (!port_split(span_of(address), host, port))
        return -1;
    (void)snprintf(any, sizeof any, strchr(host, ':') ? "[%s]:0" : "%s:0", host);
    return listen_on(any);
}

enum err_code port_listen(const char *address, const char *preferred, int *ret_fd,
                          char ret_bound[STACK_ADDRESS_SIZE], struct err *err)
{
    int fd = *preferred ? listen_on(preferred) : -1;
    if (fd < 0)
        fd = listen_on(address);
    if (fd < 0 && errno == EADDRINUSE)
        fd = listen_on_free(address);
    if (fd >= 0 && bound_address(fd, ret_bound)) {
        *ret_fd = fd;
        return ERR_OK;
    }
    char reason[REASON_SIZE];
    const char *why = strerror_r(errno, reason, sizeof reason);
    if (fd >= 0)
        (void)close(fd);
    return err_set(err, ERR_IO, "cannot listen on %s: %s", address, why);
}

/* On a port that nobody else is given; -1 none was found. */
static int listen_quietly(void)
{
    char address[STACK_ADDRESS_SIZE];
    uint32_t chance = 0;
    int fd = -1;
    for (int i = 0; i < QUIET_TRIES && fd < 0 && digest_random(&chance, sizeof chance); i++) {
        (void)snprintf(address, sizeof address, "127.0.0.1:%" PRIu32,
                       QUIET_LOW + chance % (QUIET_HIGH - QUIET_LOW));
        fd = listen_on(address);
    }
    return fd;
}

enum err_code port_choose(struct port_holds *holds, const char *preferred,
                          char ret_address[STACK_ADDRESS_SIZE], struct err *err)
{
    enum err_code code = ERR_OK;
    assert(holds->count < PORT_HOLDS_MAX);
    int fd = *preferred ? listen_on(preferred) : -1;
    if (fd < 0)
        fd = listen_quietly();
    if (fd >= 0 && !bound_address(fd, ret_address)) {
        (void)close(fd);
        fd = -1;
    }
    if (fd < 0)
        code = port_listen(LOCAL_FREE, "", &fd, ret_address, err);
    if (fd >= 0)
        holds->fds[holds->count++] = fd;
    return code;
}

void port_holds_let_go(struct port_holds *holds)
{
    while (holds->count)
        (void)close(holds->fds[--holds->count]);
}

static bool connects(const struct addrinfo *to, int timeout_ms)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int failed = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    if (failed == EINPROGRESS && poll(&wait, 1, timeout_ms) == 1) {
        socklen_t size = sizeof failed;
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    }
    (void)close(fd);
    return failed == 0;
}

static bool one_answers(struct span address, int timeout_ms)
{
    struct addrinfo *found = resolve(address, 0);
    bool answered = false;
    for (const struct addrinfo *to = found; to && !answered; to = to->ai_next)
        answered = connects(to, timeout_ms);
    if (found)
        freeaddrinfo(found);
    return answered;
}

bool port_answers(const char *addresses, int timeout_ms)
{
    while (*addresses) {
        size_t length = strcspn(addresses, ",");
        if (one_answers((struct span){ .data = addresses, .size = length }, timeout_ms))
            return true;
        addresses += length + (addresses[length] == ',');
    }
    return false;
}
