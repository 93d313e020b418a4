/* See tls_door.h. Each connection is two sockets and a buffer each way, moved on whenever one of
 * the sockets says that it can. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/tls_door.h"

#include "infra/listen.h"
#include "infra/simulator/tls_certificates.h"
#include "schemas/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER_SIZE = 16 * 1024 }; /* a TLS record */

/* Bytes on their way. */
struct flow {
    char bytes[BUFFER_SIZE];
    size_t begin, end;
};

struct passage {
    struct tls_door *door;
    struct passage *next;
    struct passage **link; /* what points here */
    SSL *session;
    int outer, inner;
    struct loop_fd *outer_watch, *inner_watch;
    struct flow in, out;          /* towards the simulator, towards the client */
    bool wants_write, wants_read; /* what TLS waits for before it can go on */
};

struct tls_door {
    struct loop *loop;
    struct tls_certificates *certificates;
    struct sockaddr_storage to;
    socklen_t to_size;
    char *address;
    int fd;
    struct loop_fd *watch;
    struct passage *passages;
    size_t count, count_max;
};

static void close_passage(struct passage *passage)
{
    *passage->link = passage->next;
    if (passage->next)
        passage->next->link = passage->link;
    passage->door->count--;
    loop_fd_free(passage->outer_watch);
    loop_fd_free(passage->inner_watch);
    SSL_free(passage->session);
    close(passage->outer);
    close(passage->inner);
    free(passage);
}

static size_t waiting(const struct flow *flow)
{
    return flow->end - flow->begin;
}

static void took(struct flow *flow, size_t size)
{
    flow->begin += size;
    if (flow->begin == flow->end)
        flow->begin = flow->end = 0;
}

/* What a call of TLS that moved nothing means: false is the end of it. */
static bool tls_goes_on(struct passage *passage, int result)
{
    int why = SSL_get_error(passage->session, result);
    passage->wants_read = why == SSL_ERROR_WANT_READ;
    passage->wants_write = why == SSL_ERROR_WANT_WRITE;
    return passage->wants_read || passage->wants_write;
}

static bool socket_goes_on(ssize_t size)
{
    return size < 0 && (errno == EAGAIN || errno == EINTR);
}

/* From the client to the simulator. False: the passage is at its end. */
static bool move_in(struct passage *passage, bool *ret_moved)
{
    struct flow *in = &passage->in;
    if (waiting(in) == 0) {
        int size = SSL_read(passage->session, in->bytes, BUFFER_SIZE);
        if (size > 0) {
            in->end = (size_t)size;
            *ret_moved = true;
        } else if (!tls_goes_on(passage, size)) {
            return false;
        }
    }
    if (waiting(in) == 0)
        return true;
    ssize_t size = send(passage->inner, in->bytes + in->begin, waiting(in), MSG_NOSIGNAL);
    if (size < 0)
        return socket_goes_on(size);
    took(in, (size_t)size);
    *ret_moved = true;
    return true;
}

/* From the simulator to the client. False: the passage is at its end. */
static bool move_out(struct passage *passage, bool *ret_moved)
{
    struct flow *out = &passage->out;
    if (waiting(out) == 0) {
        ssize_t size = recv(passage->inner, out->bytes, BUFFER_SIZE, 0);
        if (size <= 0)
            return socket_goes_on(size);
        out->end = (size_t)size;
        *ret_moved = true;
    }
    int size = SSL_write(passage->session, out->bytes + out->begin, (int)waiting(out));
    if (size <= 0)
        return tls_goes_on(passage, size);
    took(out, (size_t)size);
    *ret_moved = true;
    return true;
}

static bool move(struct passage *passage)
{
    ERR_clear_error();
    passage->wants_read = passage->wants_write = false;
    if (!SSL_is_init_finished(passage->session)) {
        int done = SSL_accept(passage->session);
        if (done != 1)
            return tls_goes_on(passage, done);
    }
    bool moved = true;
    while (moved) {
        moved = false;
        if (!move_in(passage, &moved) || !move_out(passage, &moved))
            return false;
    }
    return true;
}

static void watch(struct passage *passage)
{
    bool established = SSL_is_init_finished(passage->session);
    bool in_waits = waiting(&passage->in) > 0;
    bool out_waits = waiting(&passage->out) > 0;
    unsigned outer = passage->wants_write || out_waits ? LOOP_WRITE : 0;
    if (passage->wants_read || (established && !in_waits))
        outer |= LOOP_READ;
    unsigned inner = in_waits ? LOOP_WRITE : 0;
    if (established && !out_waits)
        inner |= LOOP_READ;
    loop_fd_watch(passage->outer_watch, outer);
    loop_fd_watch(passage->inner_watch, inner);
}

static void on_passage(void *arg, int fd, unsigned events)
{
    struct passage *passage = arg;
    (void)fd;
    (void)events;
    if (move(passage))
        watch(passage);
    else
        close_passage(passage);
}

/* A connection to the first door: it is our own, on this machine, so it does not block for long. */
static int connect_inner(const struct tls_door *door)
{
    int fd = socket(door->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&door->to, door->to_size) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

static bool open_passage(struct tls_door *door, int outer)
{
    int inner = door->count < door->count_max ? connect_inner(door) : -1;
    SSL *session = inner < 0 ? NULL : SSL_new(tls_certificates_settings(door->certificates));
    if (!session || SSL_set_fd(session, outer) != 1) {
        SSL_free(session);
        if (inner >= 0)
            close(inner);
        return false;
    }
    struct passage *passage = MEM_NEW(*passage);
    passage->door = door;
    passage->session = session;
    passage->outer = outer;
    passage->inner = inner;
    passage->outer_watch = loop_fd_new(door->loop, outer, on_passage, passage);
    passage->inner_watch = loop_fd_new(door->loop, inner, on_passage, passage);
    passage->link = &door->passages;
    passage->next = door->passages;
    if (passage->next)
        passage->next->link = &passage->next;
    door->passages = passage;
    door->count++;
    (void)SSL_set_mode(session,
                       SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_accept_state(session);
    watch(passage);
    loop_fd_watch(passage->outer_watch, LOOP_READ); /* the client speaks first */
    return true;
}

static void on_knock(void *arg, int fd, unsigned events)
{
    struct tls_door *door = arg;
    (void)events;
    int outer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (outer >= 0 && !open_passage(door, outer))
        close(outer);
}

enum err_code tls_door_new(struct loop *loop, const char *listen_at, const char *to,
                           size_t connections_max, struct tls_door **ret, struct err *err)
{
    struct tls_door *door = MEM_NEW(*door);
    door->loop = loop;
    door->fd = -1;
    door->count_max = connections_max;
    enum err_code code = listen_peer(to, &door->to, &door->to_size, err);
    if (code == ERR_OK)
        code = tls_certificates_new(&door->certificates, err);
    if (code == ERR_OK)
        code = listen_open(listen_at, -1, &door->fd, &door->address, err);
    if (code) {
        tls_door_free(door);
        return code;
    }
    door->watch = loop_fd_new(loop, door->fd, on_knock, door);
    loop_fd_watch(door->watch, LOOP_READ);
    *ret = door;
    return ERR_OK;
}

void tls_door_free(struct tls_door *door)
{
    if (!door)
        return;
    for (struct passage *passage = door->passages, *next; passage; passage = next) {
        next = passage->next;
        close_passage(passage);
    }
    loop_fd_free(door->watch);
    if (door->fd >= 0)
        close(door->fd);
    tls_certificates_free(door->certificates);
    free(door->address);
    free(door);
}

const char *tls_door_address(const struct tls_door *door)
{
    return door->address;
}

void tls_door_authority(const struct tls_door *door, struct buf *out)
{
    tls_certificates_authority(door->certificates, out);
}
