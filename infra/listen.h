/* Listening sockets, and the way to them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_LISTEN_H
#define INFRA_LISTEN_H

#include "schemas/err.h"

#include <sys/socket.h>

/* A listening, non-blocking socket of our own, and what it listens on ("127.0.0.1:43121", free with
 * free()): bound to `listen_at`, or a duplicate of inherited_fd when that is not -1.
 * ERR_CONFIG: `listen_at` is no address; ERR_IO: the system says no. thread: any */
enum err_code listen_open(const char *listen_at, int inherited_fd, int *ret_fd, char **ret_address,
                          struct err *err) MUST_CHECK;
/* Where to connect to, to reach who listens at `address`. */
enum err_code listen_peer(const char *address, struct sockaddr_storage *ret, socklen_t *ret_size,
                          struct err *err) MUST_CHECK;

#endif
