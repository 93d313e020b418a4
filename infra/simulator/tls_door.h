/* The simulator's second door, over TLS. What comes through it goes to the first one, so that every
 * question and every misbehaviour is there too; of its own it has the certificates, most of them
 * wrong (tls_certificates.h). A client that turns a wrong one away is never heard of behind the
 * door: the ledger has no call of it.
 * THREADS: the loop's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_TLS_DOOR_H
#define INFRA_SIMULATOR_TLS_DOOR_H

#include "infra/loop.h"
#include "schemas/buf.h"
#include "schemas/err.h"

struct tls_door;
/* Listens at `listen_at` ("127.0.0.1:0": any free port) and passes on to `to` ("127.0.0.1:43121").
 * ERR_CONFIG, ERR_IO: it cannot listen there; ERR_INTERNAL: no certificates. At most
 * connections_max connections; one more is closed. */
enum err_code tls_door_new(struct loop *loop, const char *listen_at, const char *to,
                           size_t connections_max, struct tls_door **ret,
                           struct err *err) MUST_CHECK;
/* Closes what is open. Accepts NULL. */
void tls_door_free(struct tls_door *door);
/* Where it listens; the door's. */
const char *tls_door_address(const struct tls_door *door);
/* The certificate of the authority that vouches for the right certificate, PEM. */
void tls_door_authority(const struct tls_door *door, struct buf *out);

#endif
