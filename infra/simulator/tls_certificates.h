/* The certificates of the simulator's TLS door, made anew at each start: an authority of the
 * simulator's own, and what it vouches for, rightly or wrongly. No key is ever written down.
 * THREADS: made and used by one.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_TLS_CERTIFICATES_H
#define INFRA_SIMULATOR_TLS_CERTIFICATES_H

#include "schemas/buf.h"
#include "schemas/err.h"

struct ssl_ctx_st;
struct tls_certificates;

/* ERR_INTERNAL: libcrypto cannot make them. */
enum err_code tls_certificates_new(struct tls_certificates **ret, struct err *err) MUST_CHECK;
void tls_certificates_free(struct tls_certificates *certificates);

/* The authority's certificate in PEM (RFC 7468): whoever trusts it trusts the right one. */
void tls_certificates_authority(const struct tls_certificates *certificates, struct buf *out);

/* What a server does with them: it answers the name that the client asks for (SNI, RFC 6066 3).
 *   expired.*   ended yesterday
 *   other.*     is for other.example
 *   unknown.*   is vouched for by nobody
 *   any, none   is right: for localhost, right.localhost, 127.0.0.1 and ::1
 * Borrowed; lives as long as `certificates`. */
struct ssl_ctx_st *tls_certificates_settings(const struct tls_certificates *certificates);

#endif
