/* See address.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define HOST_MAX     255

static const struct block4 {
    uint32_t prefix;
    unsigned bits;
    const char *what;
} blocks4[] = {
    { 0x00000000, 8, "unspecified" },    /* 0/8: "this network"; Linux takes 0.0.0.0 for itself */
    { 0x0a000000, 8, "private" },        /* 10/8 */
    { 0x64400000, 10, "shared" },        /* 100.64/10: carriers' translators */
    { 0x7f000000, 8, "loopback" },       /* 127/8 */
    { 0xa9fe0000, 16, "link-local" },    /* 169.254/16 */
    { 0xac100000, 12, "private" },       /* 172.16/12 */
    { 0xc0000000, 24, "reserved" },      /* 192.0.0/24 */
    { 0xc0000200, 24, "documentation" }, /* 192.0.2/24 */
    { 0xc0586300, 24, "6to4" },          /* 192.88.99/24 */
    { 0xc0a80000, 16, "private" },       /* 192.168/16 */
    { 0xc6120000, 15, "benchmark" },     /* 198.18/15 */
    { 0xc6336400, 24, "documentation" }, /* 198.51.100/24 */
    { 0xcb007100, 24, "documentation" }, /* 203.0.113/24 */
    { 0xe0000000, 4, "multicast" },      /* 224/4 */
    { 0xf0000000, 4, "reserved" },       /* 240/4, broadcast with it */
};

/* The first that fits counts. */
static const struct block6 {
    uint8_t prefix[16];
    unsigned bits;
    const char *what;
} blocks6[] = {
    { { [15] = 1 }, 128, "loopback" },                       /* ::1 */
    { { 0 }, 128, "unspecified" },                           /* :: */
    { { [10] = 0xff, [11] = 0xff }, 96, "IPv4-mapped" },     /* ::ffff:0:0/96 */
    { { 0x00, 0x64, 0xff, 0x9b }, 96, "NAT64" },             /* 64:ff9b::/96 */
    { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, "NAT64" }, /* 64:ff9b:1::/48 */
    { { 0x20, 0x01, 0x00, 0x00 }, 32, "Teredo" },            /* 2001::/32 */
    { { 0x20, 0x01, 0x00 }, 23, "reserved" },                /* 2001::/23 */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "documentation" },     /* 2001:db8::/32 */
    { { 0x20, 0x02 }, 16, "6to4" },                          /* 2002::/16 */
    { { 0x3f, 0xff, 0x00 }, 20, "documentation" },           /* 3fff::/20 */
    { { 0xfc }, 7, "private" },                              /* fc00::/7 */
    { { 0xfe, 0x80 }, 10, "link-local" },                    /* fe80::/10 */
    { { 0xfe, 0xc0 }, 10, "private" },                       /* fec0::/10, the former site-local */
    { { 0xff }, 8, "multicast" },                            /* ff00::/8 */
};

static bool begins_with(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(address, prefix, whole) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

static const char *special4(struct in_addr address)
{
    uint32_t number = ntohl(address.s_addr);
    for (size_t i = 0; i < COUNT(blocks4); i++) {
        if ((number ^ blocks4[i].prefix) >> (32 - blocks4[i].bits) == 0)
            return blocks4[i].what;
    }
    return NULL;
}

static const char *special6(const struct in6_addr *address)
{
    static const uint8_t global[16] = { 0x20 }; /* 2000::/3: no other is given to anybody */
    for (size_t i = 0; i < COUNT(blocks6); i++) {
        if (begins_with(address->s6_addr, blocks6[i].prefix, blocks6[i].bits))
            return blocks6[i].what;
    }
    return begins_with(address->s6_addr, global, 3) ? NULL : "reserved";
}

const char *address_special(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return special4(in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return special6(&in6.sin6_addr);
    }
    return "not of the Internet";
}

const char *address_special_text(const char *text)
{
    struct in_addr in;
    struct in6_addr in6;
    if (inet_pton(AF_INET, text, &in) == 1)
        return special4(in);
    if (inet_pton(AF_INET6, text, &in6) == 1)
        return special6(&in6);
    return "unknown";
}

/* "localhost" and what ends with it, with or without the root's dot. */
static bool is_localhost(const char *name, size_t size)
{
    static const char local[] = "localhost";
    size_t tail = sizeof local - 1;
    if (size > 0 && name[size - 1] == '.')
        size--;
    return size >= tail && strncasecmp(name + size - tail, local, tail) == 0 &&
           (size == tail || name[size - tail - 1] == '.');
}

const char *address_special_host(const char *host)
{
    char name[HOST_MAX + 1];
    size_t size = strlen(host);
    bool bracketed = size > 2 && host[0] == '[' && host[size - 1] == ']';
    if (bracketed) {
        host++;
        size -= 2;
    }
    if (size > HOST_MAX)
        return NULL; /* no name, and no address */
    if (is_localhost(host, size))
        return "loopback";
    snprintf(name, sizeof name, "%.*s", (int)size, host);
    const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    if (getaddrinfo(name, NULL, &numeric, &found) != 0)
        return NULL;
    const char *what = address_special(found->ai_addr);
    freeaddrinfo(found);
    return what;
}
