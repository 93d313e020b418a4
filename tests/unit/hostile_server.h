/* A third party on the test's own loop that does what the path says, most of it not nice.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_HOSTILE_SERVER_H
#define TESTS_UNIT_HOSTILE_SERVER_H

#include "infra/loop.h"

struct hostile_peer;
struct hostile_server {
    struct loop *loop;
    int fd, port;
    struct loop_fd *listener;
    struct hostile_peer *peers;
    int accepted, requests;
};

/* Listens on a free port of 127.0.0.1. */
void hostile_server_open(struct hostile_server *server, struct loop *loop);
/* Takes no more connections; those that there are stay. */
void hostile_server_stop_listening(struct hostile_server *server);
void hostile_server_close(struct hostile_server *server);

#endif
