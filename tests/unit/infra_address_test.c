/* Which addresses are special, in every spelling that a resolver understands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

/* A host as it can stand in a URL, the address that it means, and what that is. */
static const struct spelling {
    const char *host, *means, *what;
} spellings[] = {
    { "127.0.0.1", "127.0.0.1", "loopback" },
    { "127.1", "127.0.0.1", "loopback" },
    { "127.0.1", "127.0.0.1", "loopback" },
    { "0x7f.1", "127.0.0.1", "loopback" },
    { "0x7f000001", "127.0.0.1", "loopback" },
    { "0X7F.0x0.0x0.0x1", "127.0.0.1", "loopback" },
    { "0177.1", "127.0.0.1", "loopback" },
    { "017700000001", "127.0.0.1", "loopback" },
    { "2130706433", "127.0.0.1", "loopback" },
    { "127.255.255.254", "127.255.255.254", "loopback" },
    { "0", "0.0.0.0", "unspecified" },
    { "0.0.0.0", "0.0.0.0", "unspecified" },
    { "0x0", "0.0.0.0", "unspecified" },
    { "10.0.0.1", "10.0.0.1", "private" },
    { "10.1", "10.0.0.1", "private" },
    { "0xa.0x0.0x0.0x1", "10.0.0.1", "private" },
    { "167772161", "10.0.0.1", "private" },
    { "172.16.0.1", "172.16.0.1", "private" },
    { "172.31.255.255", "172.31.255.255", "private" },
    { "192.168.1.1", "192.168.1.1", "private" },
    { "3232235777", "192.168.1.1", "private" },
    { "169.254.169.254", "169.254.169.254", "link-local" },
    { "0xa9fea9fe", "169.254.169.254", "link-local" },
    { "169.16689662", "169.254.169.254", "link-local" },
    { "100.64.0.1", "100.64.0.1", "shared" },
    { "192.0.0.8", "192.0.0.8", "reserved" },
    { "192.0.2.1", "192.0.2.1", "documentation" },
    { "198.51.100.1", "198.51.100.1", "documentation" },
    { "203.0.113.1", "203.0.113.1", "documentation" },
    { "192.88.99.1", "192.88.99.1", "6to4" },
    { "198.19.255.255", "198.19.255.255", "benchmark" },
    { "224.0.0.1", "224.0.0.1", "multicast" },
    { "240.0.0.1", "240.0.0.1", "reserved" },
    { "255.255.255.255", "255.255.255.255", "reserved" },
    { "[::1]", "::1", "loopback" },
    { "[0:0:0:0:0:0:0:1]", "::1", "loopback" },
    { "[::]", "::", "unspecified" },
    { "[::ffff:127.0.0.1]", "::ffff:127.0.0.1", "IPv4-mapped" },
    { "[::ffff:7f00:1]", "::ffff:127.0.0.1", "IPv4-mapped" },
    { "[::ffff:8.8.8.8]", "::ffff:8.8.8.8", "IPv4-mapped" },
    { "[::127.0.0.1]", "::127.0.0.1", "reserved" },
    { "[64:ff9b::a9fe:a9fe]", "64:ff9b::169.254.169.254", "NAT64" },
    { "[64:ff9b:1::1]", "64:ff9b:1::1", "NAT64" },
    { "[2002:7f00:1::]", "2002:7f00:1::", "6to4" },
    { "[2001::1]", "2001::1", "Teredo" },
    { "[2001:2::1]", "2001:2::1", "reserved" },
    { "[2001:db8::1]", "2001:db8::1", "documentation" },
    { "[3fff::1]", "3fff::1", "documentation" },
    { "[100::1]", "100::1", "reserved" },
    { "[fc00::1]", "fc00::1", "private" },
    { "[fd12:3456::1]", "fd12:3456::1", "private" },
    { "[fe80::1]", "fe80::1", "link-local" },
    { "[fec0::1]", "fec0::1", "private" },
    { "[ff02::1]", "ff02::1", "multicast" },
    { "[4000::1]", "4000::1", "reserved" },
    /* their neighbours are anybody's */
    { "9.255.255.255", "9.255.255.255", NULL },
    { "11.0.0.0", "11.0.0.0", NULL },
    { "100.63.255.255", "100.63.255.255", NULL },
    { "100.128.0.0", "100.128.0.0", NULL },
    { "126.255.255.255", "126.255.255.255", NULL },
    { "128.0.0.0", "128.0.0.0", NULL },
    { "169.253.255.255", "169.253.255.255", NULL },
    { "169.255.0.0", "169.255.0.0", NULL },
    { "172.15.255.255", "172.15.255.255", NULL },
    { "172.32.0.0", "172.32.0.0", NULL },
    { "198.17.255.255", "198.17.255.255", NULL },
    { "198.20.0.0", "198.20.0.0", NULL },
    { "223.255.255.255", "223.255.255.255", NULL },
    { "134744072", "8.8.8.8", NULL },
    { "[2001:200::1]", "2001:200::1", NULL },
    { "[2606:4700::1111]", "2606:4700::1111", NULL },
    { "[3ffe:ffff::1]", "3ffe:ffff::1", NULL },
};

static void expect(const char *host, const char *got, const char *wanted)
{
    if (got != wanted && (!got || !wanted || strcmp(got, wanted) != 0))
        fail_msg("%s: %s, not %s", host, got ? got : "public", wanted ? wanted : "public");
}

/* The oracle: the resolver that curl asks says what a spelling means. */
static void test_spellings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        const struct spelling *spelling = &spellings[i];
        char bare[64];
        size_t size = strlen(spelling->host);
        bool bracketed = spelling->host[0] == '[';
        memcpy(bare, spelling->host + bracketed, size + 1 - bracketed);
        bare[bracketed ? size - 2 : size] = '\0';
        const struct addrinfo stream = { .ai_socktype = SOCK_STREAM };
        struct addrinfo *found = NULL;
        assert_int_equal(getaddrinfo(bare, "80", &stream, &found), 0);
        char text[INET6_ADDRSTRLEN];
        assert_int_equal(getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
                                     NI_NUMERICHOST),
                         0);
        uint8_t meant[16] = { 0 };
        uint8_t got[16] = { 0 };
        assert_int_equal(inet_pton(found->ai_family, spelling->means, meant), 1);
        assert_int_equal(inet_pton(found->ai_family, text, got), 1);
        assert_memory_equal(meant, got, sizeof meant);
        expect(spelling->host, address_special(found->ai_addr), spelling->what);
        expect(spelling->host, address_special_host(spelling->host), spelling->what);
        expect(spelling->host, address_special_text(spelling->means), spelling->what);
        freeaddrinfo(found);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const char *const local[] = { "localhost", "LOCALHOST", "localhost.", "a.localhost",
                                         "a.b.localhost." };
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        expect(local[i], address_special_host(local[i]), "loopback");
    static const char *const others[] = { "example.com", "notlocalhost",    "localhost.example", "",
                                          ".",           "127.0.0.1.nip.io" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect(others[i], address_special_host(others[i]), NULL);
    char endless[400];
    memset(endless, '1', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    expect("1...", address_special_host(endless), NULL);
}

static void test_what_is_no_address_is_special(void **state)
{
    (void)state;
    const struct sockaddr path = { .sa_family = AF_UNIX };
    expect("unix", address_special(&path), "not of the Internet");
    expect("name", address_special_text("example.com"), "unknown");
    expect("none", address_special_text(""), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_is_no_address_is_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
