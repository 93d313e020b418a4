/* A Redis server for a stack: its file of settings. And the address of someone else's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_REDIS_SERVER_H
#define GATEWAY_CLI_REDIS_SERVER_H

#include "gateway/cli/stack.h"

#define REDIS_SERVER_PROGRAM "redis-server"
#define REDIS_SERVER_CONFIG  "redis/redis.conf" /* in the stack's folder */

/* Writes the file (0600: it holds the password). */
enum err_code redis_server_configure(const char *folder, const char *address,
                                     struct err *err) MUST_CHECK;
/* "redis://[:PASSWORD@]HOST:PORT" or "HOST:PORT"; of a master and its replicas
 * "HOST:PORT,HOST:PORT". *ret_password borrows from `url`; it is empty when there is none. An error
 * never shows the URL, since it may hold the password. */
enum err_code redis_server_parse_url(const char *url, char ret_address[STACK_BROKERS_SIZE],
                                     struct span *ret_password, struct err *err) MUST_CHECK;

#endif
