/* See redis_address.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_address.h"

#include "schemas/digits.h"
#include "schemas/mem.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

enum { PORT_MAX = 65535, PORT_DIGITS_MAX = 5 };

struct redis_lookup {
    struct redis_address address;
    struct redis_hosts hosts;
    const char *text;
    redis_lookup_fn fn; /* NULL: abandoned */
    void *arg;
};

static bool parse_port(const char *text, int *ret_port)
{
    int64_t port = 0;
    if (!digits_parse(span_of(text), PORT_DIGITS_MAX, &port) || port == 0 || port > PORT_MAX)
        return false;
    *ret_port = (int)port;
    return true;
}

static bool parse_path(const char *path, struct redis_address *ret_address)
{
    size_t size = strlen(path);
    if (path[0] != '/' || size >= sizeof((struct sockaddr_un *)0)->sun_path)
        return false;
    snprintf(ret_address->host, sizeof ret_address->host, "%s", path);
    ret_address->port = 0;
    return true;
}

bool redis_address_parse(const char *text, struct redis_address *ret_address)
{
    if (strncmp(text, "unix:", 5) == 0)
        return parse_path(text + 5, ret_address);
    const char *colon = strrchr(text, ':');
    int port = 0;
    if (!colon || !parse_port(colon + 1, &port))
        return false;
    struct span host = { .data = text, .size = (size_t)(colon - text) };
    if (host.size >= 2 && text[0] == '[' && text[host.size - 1] == ']')
        host = (struct span){ .data = text + 1, .size = host.size - 2 };
    if (host.size == 0 || host.size >= sizeof ret_address->host)
        return false;
    snprintf(ret_address->host, sizeof ret_address->host, "%.*s", SPAN_ARG(host));
    ret_address->port = port;
    return true;
}

bool redis_address_is_numeric(const struct redis_address *address)
{
    unsigned char binary[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, address->host, binary) == 1 ||
           inet_pton(AF_INET6, address->host, binary) == 1;
}

/* On a pool thread; nobody else touches the look-up until look_up_done. */
static void look_up(void *arg)
{
    struct redis_lookup *lookup = arg;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    int problem = getaddrinfo(lookup->address.host, NULL, &hints, &list);
    if (problem != 0) {
        lookup->text = gai_strerror(problem);
        return;
    }
    struct redis_hosts *hosts = &lookup->hosts;
    for (struct addrinfo *i = list; i && hosts->count < REDIS_HOSTS_MAX; i = i->ai_next) {
        char *name = hosts->names[hosts->count];
        if (getnameinfo(i->ai_addr, i->ai_addrlen, name, sizeof hosts->names[0], NULL, 0,
                        NI_NUMERICHOST) == 0)
            hosts->count++;
    }
    freeaddrinfo(list);
    lookup->text = hosts->count ? "" : "the name has no address";
}

static void look_up_done(void *arg)
{
    struct redis_lookup *lookup = arg;
    if (lookup->fn)
        lookup->fn(lookup->arg, &lookup->hosts, lookup->text);
    free(lookup);
}

struct redis_lookup *redis_lookup_start(struct loop *loop, const struct redis_address *address,
                                        redis_lookup_fn fn, void *arg)
{
    struct redis_lookup *lookup = MEM_NEW(*lookup);
    lookup->address = *address;
    lookup->hosts.port = address->port;
    lookup->fn = fn;
    lookup->arg = arg;
    loop_work(loop, look_up, look_up_done, lookup);
    return lookup;
}

void redis_lookup_abandon(struct redis_lookup *lookup)
{
    if (lookup)
        lookup->fn = NULL;
}
