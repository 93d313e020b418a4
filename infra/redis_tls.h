/* TLS for a connection to Redis, where hiredis has it (1.0 and newer, built with its TLS part;
 * Debian 12 has 0.14). The server's certificate is verified: its chain, and the name or address
 * that the configuration has. TLS 1.2 at least. Private to infra/redis*. thread: the connection's
 * loop SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_REDIS_TLS_H
#define INFRA_REDIS_TLS_H

#include "schemas/err.h"

struct redisContext;
struct ssl_st;

/* Whether this program can speak TLS to Redis. */
bool redis_tls_is_possible(void);
/* Puts TLS on a context that has just been connected; the handshake comes with the first bytes read
 * and written. `address` is the configured one (redis_address.h): its host is what the certificate
 * must be for; `ca_file` (PEM) is trusted in place of the system's when it is not empty.
 * *ret_session lives as long as the context. ERR_REDIS_GONE when it cannot begin. */
enum err_code redis_tls_begin(struct redisContext *context, const char *address,
                              const char *ca_file, struct ssl_st **ret_session,
                              struct err *err) MUST_CHECK;
/* The handshake waits for the server: there is nothing to write before it has spoken. */
bool redis_tls_waits(const struct ssl_st *session);
/* Why the certificate was not accepted; NULL when it was, or none has come. */
const char *redis_tls_refusal(const struct ssl_st *session);

#endif
