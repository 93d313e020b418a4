/* One keep-alive connection to a gateway, cheap enough that the generator is not what is
 * measured: a socket on the loop, one request at a time, no copy of an answer.
 * THREADS: all on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_LOAD_CONNECTION_H
#define PRODUCERS_LOAD_CONNECTION_H

#include "infra/loop.h"
#include "producers/load_response.h"
#include "schemas/buf.h"

#include <sys/socket.h>

struct load_connection;

enum load_failure {
    LOAD_FAILED_IDLE,   /* nothing had been asked */
    LOAD_FAILED_ASKED,  /* a request was under way, and its outcome is not known */
    LOAD_FAILED_REUSED, /* the same, on a connection that had answered before, and not a byte of the
                           answer came: its server may have closed it before it read the request */
};

struct load_connection_events {
    void *arg;
    /* The answer to what was sent, borrowed. The connection can be used again, unless the answer
     * says `close`: then it is closed. */
    void (*on_answer)(void *arg, const struct load_response *response);
    /* The connection cannot be made, or broke. */
    void (*on_failed)(void *arg, enum load_failure failure);
};

/* `address` is borrowed. */
struct load_connection *load_connection_new(struct loop *loop, const struct sockaddr *address,
                                            socklen_t address_size,
                                            const struct load_connection_events *events);
void load_connection_free(struct load_connection *connection);
/* The request to send next, to be filled; empty. */
struct buf *load_connection_request(struct load_connection *connection);
/* Sends it, connecting first where that is needed. No event comes from inside the call. */
void load_connection_send(struct load_connection *connection);
/* Closes it without an event. */
void load_connection_reset(struct load_connection *connection);
bool load_connection_is_busy(const struct load_connection *connection);

#endif
