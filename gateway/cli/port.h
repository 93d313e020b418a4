/* Addresses "host:port" to listen on, for processes that are started with them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_PORT_H
#define GATEWAY_CLI_PORT_H

#include "gateway/cli/stack.h"

#define PORT_HOLDS_MAX 16

/* Splits "host:port" and "[::1]:port"; false when it is neither. */
bool port_split(struct span address, char ret_host[STACK_ADDRESS_SIZE], char ret_port[8]);
/* A listening socket (non-blocking, not inherited) on `preferred`, or when that is "" or taken,
 * on `address`, or when that is taken too, on a free port of its host. */
enum err_code port_listen(const char *address, const char *preferred, int *ret_fd,
                          char ret_bound[STACK_ADDRESS_SIZE], struct err *err) MUST_CHECK;

/* Ports that were chosen and are kept (listened on) while others are: none is given out twice. All
 * zero is none. Let go of before the processes that they are for are started. */
struct port_holds {
    int fds[PORT_HOLDS_MAX];
    size_t count;
};

/* An address of this machine that a child can listen on: `preferred` unless it is "" or taken. It
 * is held from then on. At most PORT_HOLDS_MAX. */
enum err_code port_choose(struct port_holds *holds, const char *preferred,
                          char ret_address[STACK_ADDRESS_SIZE], struct err *err) MUST_CHECK;
void port_holds_let_go(struct port_holds *holds);
/* Whether something accepts connections at one of the addresses ("host:port,..."). Blocks up to
 * `timeout_ms` each. */
bool port_answers(const char *addresses, int timeout_ms);

#endif
