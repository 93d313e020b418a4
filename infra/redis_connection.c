/* See redis_connection.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_connection.h"

#include "infra/redis_address.h"
#include "infra/redis_args.h"
#include "infra/redis_identify.h"
#include "infra/redis_pending.h"
#include "infra/redis_refusals.h"
#include "infra/redis_tls.h"
#include "schemas/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
    REST_FIRST_MS = 100,
    REST_MAX_MS = 1000,
    SILENCE_FACTOR = 3,    /* timeouts without a reply until the connection is given up */
    READ_SIZE = 16 * 1024, /* what hiredis reads at once */
    READS_MAX = 16,        /* in one turn, so that a flood of replies does not starve the loop */
};

enum step { RESTING, RESOLVING, CONNECTING, IDENTIFYING, UP, LEAVING, CLOSED };

struct question {
    struct redis_connection *connection;
    enum redis_question question;
};

struct redis_connection {
    struct redis_connection_options options;
    enum step step;
    unsigned
        depth; /* callbacks of the loop under way; the last one out frees a closed connection */
    bool was_up;

    redisContext *context;
    struct ssl_st *session; /* TLS; the context's */
    struct loop_fd *watch;
    struct loop_timer *step_timer; /* the end of a rest, or of the patience with a try */
    struct loop_task flush_task, leave_task, refuse_task;

    struct redis_pending pending;
    struct loop_timer *deadline_timer;
    int64_t deadline_armed_ms; /* INT64_MAX: not armed */
    struct redis_refusals refusals;

    size_t address_index; /* the next of config->addresses to try */
    struct redis_hosts hosts;
    struct redis_lookup *lookup;
    int64_t rest_ms;

    struct question questions[REDIS_ASK_COUNT];
    struct redis_identity identity;
    char error[320];
};

static void advance(struct redis_connection *connection);

/* --- lifetime --- */

static void free_now(struct redis_connection *connection)
{
    if (connection->options.on_freed)
        connection->options.on_freed(connection->options.arg);
    redis_refusals_clear(&connection->refusals);
    free(connection);
}

void redis_connection_hold(struct redis_connection *connection)
{
    connection->depth++;
}

void redis_connection_release(struct redis_connection *connection)
{
    if (--connection->depth == 0 && connection->step == CLOSED)
        free_now(connection);
}

static int64_t now_ms(const struct redis_connection *connection)
{
    return loop_now_ms(connection->options.loop);
}

/* The address being tried, as the configuration writes it; it has no secret. */
static const char *address_text(const struct redis_connection *connection)
{
    size_t index = connection->address_index;
    return connection->options.config->addresses.items[index > 0 ? index - 1 : 0];
}

static void set_error(struct redis_connection *connection, const char *text)
{
    snprintf(connection->error, sizeof connection->error, "Redis at %s: %s",
             address_text(connection), text);
}

/* Ends what there is of a connection, silently. */
static void hang_up(struct redis_connection *connection)
{
    loop_timer_stop(connection->step_timer);
    loop_timer_stop(connection->deadline_timer);
    connection->deadline_armed_ms = INT64_MAX;
    loop_undefer(connection->options.loop, &connection->flush_task);
    if (connection->watch)
        loop_fd_free(connection->watch);
    connection->watch = NULL;
    if (connection->context)
        redisFree(connection->context);
    connection->context = NULL;
    connection->session = NULL;
}

/* Tells everybody who waits for a reply that there will be none. In place: when a callback closes
 * the connection, that finds the rest here. */
static void fail_pending(struct redis_connection *connection)
{
    while (redis_pending_count(&connection->pending) > 0) {
        struct redis_wait wait = redis_pending_pop(&connection->pending);
        if (wait.fn)
            wait.fn(wait.arg, ERR_REDIS_GONE, NULL);
    }
    redis_pending_clear(&connection->pending);
}

void redis_connection_drop(struct redis_connection *connection, const char *reason)
{
    if (connection->step == LEAVING || connection->step == CLOSED)
        return;
    set_error(connection, reason);
    connection->step = LEAVING;
    loop_defer(connection->options.loop, &connection->leave_task);
}

static void tell_state(struct redis_connection *connection, bool ready)
{
    if (connection->step != CLOSED && connection->options.on_state)
        connection->options.on_state(connection->options.arg, ready);
}

/* The one way out of a connection or a try (see the header). */
static void leave_connection(void *arg)
{
    struct redis_connection *connection = arg;
    redis_connection_hold(connection);
    bool was_up = connection->was_up;
    connection->was_up = false;
    hang_up(connection);
    connection->identity.run_id[0] = '\0';
    fail_pending(connection);
    if (was_up)
        tell_state(connection, false);
    if (was_up) {
        connection->hosts.index = connection->hosts.count;
        connection->address_index = connection->options.config->addresses.count;
    }
    if (connection->step != CLOSED)
        advance(connection);
    redis_connection_release(connection);
}

/* --- commands out --- */

/* Reading or writing failed. */
static void lose(struct redis_connection *connection)
{
    const char *refusal = redis_tls_refusal(connection->session);
    redis_connection_drop(connection, refusal ? refusal : connection->context->errstr);
}

static void flush(void *arg)
{
    struct redis_connection *connection = arg;
    if (connection->step != IDENTIFYING && connection->step != UP)
        return;
    int done = 0;
    if (redisBufferWrite(connection->context, &done) != REDIS_OK) {
        lose(connection);
        return;
    }
    bool writes = !done && !redis_tls_waits(connection->session);
    loop_fd_watch(connection->watch, writes ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void arm_deadline(struct redis_connection *connection, int64_t at_ms)
{
    if (at_ms >= connection->deadline_armed_ms)
        return;
    connection->deadline_armed_ms = at_ms;
    int64_t delay_ms = at_ms - now_ms(connection);
    loop_timer_start(connection->deadline_timer, delay_ms > 0 ? delay_ms : 0, 0);
}

static void expect(struct redis_connection *connection, int64_t deadline_ms, redis_fn fn, void *arg)
{
    loop_defer(connection->options.loop, &connection->flush_task);
    if (connection->step == UP && connection->options.on_reply)
        return;
    redis_pending_push(&connection->pending, (struct redis_wait){
                                                 .fn = fn,
                                                 .arg = arg,
                                                 .asked_ms = now_ms(connection),
                                                 .deadline_ms = deadline_ms,
                                             });
    arm_deadline(connection, deadline_ms);
}

static void append(struct redis_connection *connection, struct redis_bytes bytes)
{
    if (redisAppendFormattedCommand(connection->context, bytes.data, bytes.size) != REDIS_OK)
        redis_connection_drop(connection, connection->context->errstr);
}

void redis_connection_send(struct redis_connection *connection, size_t argc,
                           const struct span *argv, redis_fn fn, void *arg)
{
    assert(connection->step == IDENTIFYING || connection->step == UP);
    struct redis_bytes bytes = redis_connection_format(argc, argv);
    append(connection, bytes);
    redis_connection_free_bytes(bytes);
    expect(connection, redis_connection_deadline(connection), fn, arg);
}

void redis_connection_send_bytes(struct redis_connection *connection, struct redis_bytes bytes,
                                 int64_t deadline_ms, redis_fn fn, void *arg)
{
    assert(connection->step == UP);
    append(connection, bytes);
    expect(connection, deadline_ms, fn, arg);
}

struct redis_bytes redis_connection_format(size_t argc, const struct span *argv)
{
    struct redis_bytes bytes;
    bytes.data = redis_args_format(argc, argv, &bytes.size);
    return bytes;
}

void redis_connection_free_bytes(struct redis_bytes bytes)
{
    free(bytes.data);
}

static void tell_refusals(void *arg)
{
    struct redis_connection *connection = arg;
    redis_connection_hold(connection);
    redis_refusals_tell(&connection->refusals);
    redis_connection_release(connection);
}

void redis_connection_refuse(struct redis_connection *connection, redis_fn fn, void *arg,
                             enum err_code code)
{
    if (!fn)
        return;
    redis_refusals_add(&connection->refusals,
                       (struct redis_refusal){ .fn = fn, .arg = arg, .code = code });
    loop_defer(connection->options.loop, &connection->refuse_task);
}

/* --- replies in --- */

static void take_reply(struct redis_connection *connection, const struct redis_reply *reply)
{
    if (connection->step == UP && connection->options.on_reply) {
        connection->options.on_reply(connection->options.arg, reply);
        return;
    }
    if (redis_pending_count(&connection->pending) == 0) {
        redis_connection_drop(connection, "sent a reply that nobody asked for");
        return;
    }
    struct redis_wait wait = redis_pending_pop(&connection->pending);
    if (connection->step == UP && redis_identify_farewell(reply))
        redis_connection_drop(connection, "stopped being a master that serves");
    if (wait.fn)
        wait.fn(wait.arg, redis_reply_type(reply) == REDIS_ERROR ? ERR_REDIS : ERR_OK, reply);
}

/* False when there is no connection any more. */
static bool take_replies(struct redis_connection *connection)
{
    while (connection->step == IDENTIFYING || connection->step == UP) {
        void *reply = NULL;
        if (redisGetReplyFromReader(connection->context, &reply) != REDIS_OK) {
            redis_connection_drop(connection, connection->context->errstr);
            return false;
        }
        if (!reply)
            return true;
        take_reply(connection, reply);
        freeReplyObject(reply);
    }
    return false;
}

static void receive(struct redis_connection *connection)
{
    for (int i = 0; i < READS_MAX; i++) {
        size_t before = connection->context->reader->len;
        bool shakes_hands = redis_tls_waits(connection->session);
        if (redisBufferRead(connection->context) != REDIS_OK) {
            lose(connection);
            return;
        }
        if (shakes_hands) /* what waited to be written, or the next part of the handshake */
            flush(connection);
        bool more = connection->context->reader->len >= before + READ_SIZE;
        if (!take_replies(connection) || !more)
            return;
    }
}

static void on_deadline(void *arg)
{
    struct redis_connection *connection = arg;
    redis_connection_hold(connection);
    connection->deadline_armed_ms = INT64_MAX;
    /* Replies may have come while the loop was busy: those are in time. */
    receive(connection);
    if (connection->step == UP)
        redis_pending_expire(&connection->pending, now_ms(connection));
    int64_t oldest_ms = redis_pending_oldest(&connection->pending);
    if (connection->step == UP && oldest_ms != INT64_MAX) {
        int64_t silent_ms = oldest_ms + SILENCE_FACTOR * connection->options.timeout_ms;
        int64_t next_ms = redis_pending_deadline(&connection->pending);
        if (silent_ms <= now_ms(connection))
            redis_connection_drop(connection, "does not answer");
        else
            arm_deadline(connection, next_ms < silent_ms ? next_ms : silent_ms);
    }
    redis_connection_release(connection);
}

/* --- identification --- */

static void on_answer(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct question *question = arg;
    struct redis_connection *connection = question->connection;
    if (connection->step != IDENTIFYING)
        return;
    if (code == ERR_REDIS_GONE)
        redis_connection_drop(connection, "did not answer in time");
    else if (!redis_identify_hear(question->question, reply, &connection->identity))
        redis_connection_drop(connection, connection->identity.text);
    if (connection->step != IDENTIFYING || redis_pending_count(&connection->pending) > 0)
        return;
    loop_timer_stop(connection->step_timer);
    connection->step = UP;
    connection->was_up = true;
    connection->rest_ms = 0;
    connection->error[0] = '\0';
    tell_state(connection, true);
}

static void identify(struct redis_connection *connection)
{
    connection->step = IDENTIFYING;
    for (enum redis_question i = 0; i < REDIS_ASK_COUNT; i++) {
        char number[24];
        struct span argv[REDIS_IDENTIFY_ARGS_MAX];
        size_t argc = redis_identify_ask(i, connection->options.config, number, argv);
        if (argc == 0)
            continue;
        connection->questions[i] = (struct question){ .connection = connection, .question = i };
        redis_connection_send(connection, argc, argv, on_answer, &connection->questions[i]);
    }
}

/* --- connecting --- */

/* Puts TLS on the connection, if it is to have it. */
static bool secure(struct redis_connection *connection)
{
    const struct config_redis *config = connection->options.config;
    struct err err;
    if (!config->tls || connection->hosts.port == 0 ||
        redis_tls_begin(connection->context, address_text(connection), config->ca_file,
                        &connection->session, &err) == ERR_OK)
        return true;
    redis_connection_drop(connection, err.text);
    return false;
}

/* The socket is connected or has failed; is writable; is readable. */
static void on_ready(void *arg, int fd, unsigned events)
{
    struct redis_connection *connection = arg;
    redis_connection_hold(connection);
    if (connection->step == CONNECTING) {
        int problem = 0;
        socklen_t size = sizeof problem;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
            problem = errno;
        if (problem != 0)
            redis_connection_drop(connection, strerrordesc_np(problem));
        else if (secure(connection))
            identify(connection);
        events = 0;
    }
    if (events & LOOP_WRITE)
        flush(connection);
    if (events & LOOP_READ && (connection->step == IDENTIFYING || connection->step == UP))
        receive(connection);
    redis_connection_release(connection);
}

static void on_step_timer(void *arg)
{
    struct redis_connection *connection = arg;
    redis_connection_hold(connection);
    if (connection->step == RESTING) {
        connection->address_index = 0;
        advance(connection);
    } else {
        redis_connection_drop(connection, connection->step == CONNECTING
                                              ? "cannot be connected to in time"
                                              : "did not answer in time");
    }
    redis_connection_release(connection);
}

static void rest(struct redis_connection *connection)
{
    connection->step = RESTING;
    int64_t rest_ms = connection->rest_ms ? connection->rest_ms * 2 : REST_FIRST_MS;
    connection->rest_ms = rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint32_t)now_ms(connection);
    int64_t half_ms = connection->rest_ms / 2;
    loop_timer_start(connection->step_timer, half_ms + random % half_ms, 0);
}

static void on_lookup(void *arg, const struct redis_hosts *hosts, const char *text)
{
    struct redis_connection *connection = arg;
    redis_connection_hold(connection);
    connection->lookup = NULL;
    connection->hosts = *hosts;
    if (hosts->count == 0)
        set_error(connection, text);
    advance(connection);
    redis_connection_release(connection);
}

/* Starts with the next configured address; true when that takes time. */
static bool load_address(struct redis_connection *connection)
{
    const char *text = connection->options.config->addresses.items[connection->address_index++];
    struct redis_address address = { 0 };
    if (!redis_address_parse(text, &address)) {
        set_error(connection, "redis.addresses takes host:port or unix:/path");
        return false;
    }
    if (address.port == 0 || redis_address_is_numeric(&address)) {
        connection->hosts = (struct redis_hosts){ .count = 1, .port = address.port };
        snprintf(connection->hosts.names[0], sizeof connection->hosts.names[0], "%s", address.host);
        return false;
    }
    connection->step = RESOLVING;
    connection->lookup =
        redis_lookup_start(connection->options.loop, &address, on_lookup, connection);
    return true;
}

/* Starts to connect to the next host of an address; false when that failed at once. */
static bool connect_host(struct redis_connection *connection)
{
    const char *name = connection->hosts.names[connection->hosts.index++];
    int port = connection->hosts.port;
    redisContext *context =
        port ? redisConnectNonBlock(name, port) : redisConnectUnixNonBlock(name);
    if (!context)
        abort(); /* out of memory: one policy, see schemas/mem.h */
    if (context->err) {
        set_error(connection, context->errstr);
        redisFree(context);
        return false;
    }
    (void)fcntl(context->fd, F_SETFD, FD_CLOEXEC); /* a child that held it would keep it open */
    if (port)
        redisEnableKeepAlive(context);
    connection->context = context;
    connection->step = CONNECTING;
    connection->watch = loop_fd_new(connection->options.loop, context->fd, on_ready, connection);
    loop_fd_watch(connection->watch, LOOP_WRITE);
    loop_timer_start(connection->step_timer, connection->options.timeout_ms, 0);
    return true;
}

/* Goes on with the next host or address, or rests. */
static void advance(struct redis_connection *connection)
{
    for (;;) {
        if (connection->hosts.index < connection->hosts.count) {
            if (connect_host(connection))
                return;
        } else if (connection->address_index < connection->options.config->addresses.count) {
            if (load_address(connection))
                return;
        } else {
            rest(connection);
            return;
        }
    }
}

/* --- the outside --- */

struct redis_connection *redis_connection_open(const struct redis_connection_options *options)
{
    assert(options->config->addresses.count > 0 && options->timeout_ms > 0);
    struct redis_connection *connection = MEM_NEW(*connection);
    connection->options = *options;
    connection->deadline_armed_ms = INT64_MAX;
    connection->flush_task = (struct loop_task){ .fn = flush, .arg = connection };
    connection->leave_task = (struct loop_task){ .fn = leave_connection, .arg = connection };
    connection->refuse_task = (struct loop_task){ .fn = tell_refusals, .arg = connection };
    connection->step_timer = loop_timer_new(options->loop, on_step_timer, connection);
    connection->deadline_timer = loop_timer_new(options->loop, on_deadline, connection);
    set_error(connection, "not connected yet");
    loop_timer_start(connection->step_timer, 0, 0); /* RESTING, for no time */
    return connection;
}

void redis_connection_close(struct redis_connection *connection)
{
    if (!connection || connection->step == CLOSED)
        return;
    redis_connection_hold(connection);
    connection->step = CLOSED;
    redis_lookup_abandon(connection->lookup);
    hang_up(connection);
    loop_undefer(connection->options.loop, &connection->leave_task);
    loop_undefer(connection->options.loop, &connection->refuse_task);
    loop_timer_free(connection->step_timer);
    loop_timer_free(connection->deadline_timer);
    fail_pending(connection);
    redis_refusals_tell(&connection->refusals);
    redis_connection_release(connection);
}

bool redis_connection_ready(const struct redis_connection *connection)
{
    return connection->step == UP;
}

const char *redis_connection_run_id(const struct redis_connection *connection)
{
    return connection->step == UP ? connection->identity.run_id : "";
}

const char *redis_connection_error(const struct redis_connection *connection)
{
    return connection->error;
}

size_t redis_connection_pending(const struct redis_connection *connection)
{
    return redis_pending_count(&connection->pending);
}

int64_t redis_connection_deadline(const struct redis_connection *connection)
{
    return now_ms(connection) + connection->options.timeout_ms;
}
