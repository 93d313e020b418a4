/* Which Internet addresses are somebody's own: loopback, private networks, link-local ones (where
 * cloud machines find their credentials), and all that stand for another address or for none. Who
 * calls third parties has no business there. After the registries of RFC 6890 (IANA special-purpose
 * addresses).
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_ADDRESS_H
#define INFRA_ADDRESS_H

#include <sys/socket.h>

/* What is special about it ("loopback", "private", "link-local", ...), a literal; NULL for an
 * ordinary public address. An address that stands for another one (IPv4-mapped, NAT64, 6to4) is
 * special whatever it stands for. */
const char *address_special(const struct sockaddr *address);
/* The same for an address in text without brackets, as curl names the peer of a connection; what is
 * no address is special, too. */
const char *address_special_text(const char *text);
/* The same for the host of a URL, brackets allowed, in any spelling that a resolver takes for an
 * address ("127.1", "0x7f000001", "2130706433"), and for "localhost" (RFC 6761). NULL for any other
 * name: what that stands for is known when it is resolved. Asks no name server. */
const char *address_special_host(const char *host);

#endif
