/* A server under test, with a few routes that show what a handler sees, and a client that sends
 * bytes as they are.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_WEB_H
#define TESTS_UNIT_WEB_H

#include "infra/http_server.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/types.h>

enum {
    WEB_WAIT_S = 10,            /* what a test waits for comes within so long, or it fails */
    WEB_BODY_MAX = 64,          /* of POST /echo */
    WEB_CONFIG_BODY_MAX = 1024, /* of POST /big */
    WEB_HEADERS_BYTES_MAX = 12288,
    WEB_HEADER_COUNT_MAX = 16,
    WEB_PARKED_MAX = 1,
    WEB_CONNECTIONS_MAX = 64,
    WEB_PER_ADDRESS_MAX = 16,
    WEB_IDLE_TIMEOUT_MS = 500,
    WEB_STREAM_PIECES = 5,
    WEB_STREAM_MS = 20,
};

#define HOST  "Host: test\r\n"
#define CLOSE "Connection: close\r\n"

struct web {
    struct loop *loop;
    struct metrics *metrics;
    struct http_server *server;
    struct config_http config;
    pthread_t thread;
    sem_t done;                   /* a call on the loop has returned */
    sem_t parked;                 /* GET /wait has been handled */
    sem_t closed;                 /* on_close has been called */
    struct http_request *waiting; /* of GET /wait */
    int closes;
    struct http_request *streaming; /* of GET /stream/... */
    size_t stream_pieces;           /* that have gone out */
    bool stream_due, stream_break;
    struct loop_timer *stream_timer;
    sem_t stream_ended;
};

/* Set-up and tear-down of a test: *state is a struct web. */
int web_set_up(void **state);
int web_set_up_ipv6(void **state);
int web_tear_down(void **state);

/* Runs fn on the loop's thread and waits for it. */
void web_on_loop(struct web *web, void (*fn)(struct web *web));
/* For web_on_loop. */
void web_open(struct web *web, int listen_fd);
void web_close(struct web *web);
/* Waits for one of the semaphores. */
void web_wait(sem_t *semaphore);

/* A connection, or -1 when it is refused. */
int web_connect(const struct web *web);
/* From another address of this machine ("127.0.0.2"). */
int web_connect_from(const struct web *web, const char *address);
void web_send(int fd, const char *text);
/* recv() that goes on after EINTR: a loop that closed before this one may have left the kernel work
 * (libuv's io_uring) that interrupts a wait with a time-out, without any signal. */
ssize_t web_receive(int fd, char *to, size_t size);
/* Reads until `end` has come. */
void web_read_until(int fd, const char *end);
/* All until the server closes the connection, which it has to; closes it here as well. free() it.
 */
char *web_read_to_end(int fd);
/* Sends a request on a connection of its own and gives all that comes. */
char *web_ask(const struct web *web, const char *request);
char *web_ask_bytes(const struct web *web, struct span request);

int web_count(const char *text, const char *word);
void web_expect_has(const char *answer, const char *wanted);
void web_expect_not(const char *answer, const char *unwanted);
/* The answer to `request` has this status and, somewhere, `wanted`. */
void web_expect(const struct web *web, const char *request, const char *status, const char *wanted);

#endif
