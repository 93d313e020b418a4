/* Where a Redis is: "host:port", "[v6]:port" or "unix:/path", and the numeric hosts behind a name.
 * Names are looked up on the thread pool: getaddrinfo blocks, and hiredis would call it on the
 * loop.
 * THREADS: the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_ADDRESS_H
#define INFRA_REDIS_ADDRESS_H

#include "infra/loop.h"

struct redis_address {
    char host[256]; /* a path when port is 0 */
    int port;
};
/* False when `text` is none of the three forms. */
bool redis_address_parse(const char *text, struct redis_address *ret_address);
/* The host is an IPv4 or IPv6 address. */
bool redis_address_is_numeric(const struct redis_address *address);

enum { REDIS_HOSTS_MAX = 8 };
struct redis_hosts {
    char names[REDIS_HOSTS_MAX][256]; /* numeric, or a socket's path */
    size_t count;
    size_t index; /* the next one to try */
    int port;     /* 0: a socket's path */
};

/* A look-up under way. */
struct redis_lookup;
/* hosts->count is 0 and `text` says why when there is no such name. */
typedef void (*redis_lookup_fn)(void *arg, const struct redis_hosts *hosts, const char *text);
struct redis_lookup *redis_lookup_start(struct loop *loop, const struct redis_address *address,
                                        redis_lookup_fn fn, void *arg);
/* The callback will not come any more. Accepts NULL. */
void redis_lookup_abandon(struct redis_lookup *lookup);

#endif
