/* What libmicrohttpd and librdkafka alone can do together: a POST's body becomes a record, the
 * connection is suspended, and when the broker has acknowledged the record the answer is 202. No
 * JSON is read, nothing is checked, no header is written: no gateway that keeps a promise can be
 * faster on these libraries. One thread and librdkafka's, set up as the gateway's.
 * Prints its port and serves until SIGTERM.
 * Usage: raw_accept BROKERS TOPIC
 * The topic must exist.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 16384,
    POOL_BYTES = 24 * 1024,
    BODY_MAX = 4096,
    TICK_MS = 1000,
    FLUSH_MS = 10000,
    EVENTS_MAX = 3, /* what is watched */
};

struct server {
    struct MHD_Daemon *daemon;
    struct MHD_Response *accepted;
    rd_kafka_t *producer;
    rd_kafka_queue_t *reports;
    rd_kafka_topic_t *topic;
    uint64_t number;
    int wake[2]; /* librdkafka writes to [1] when there are reports */
};

struct request {
    struct MHD_Connection *connection;
    size_t size;
    bool acknowledged;
    char body[BODY_MAX];
};

static void send_record(struct server *server, struct request *request)
{
    char key[32];
    int key_size = snprintf(key, sizeof key, "%024" PRIu64, server->number++);
    rd_kafka_resp_err_t e = rd_kafka_producev(
        server->producer, RD_KAFKA_VTYPE_RKT, server->topic, RD_KAFKA_VTYPE_KEY, key,
        (size_t)key_size, RD_KAFKA_VTYPE_VALUE, request->body, request->size,
        RD_KAFKA_VTYPE_MSGFLAGS, 0, RD_KAFKA_VTYPE_OPAQUE, request, RD_KAFKA_VTYPE_END);
    if (e)
        fail("produce", rd_kafka_err2str(e));
    MHD_suspend_connection(request->connection);
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd decides on the parameters */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct server *server = cls;
    struct request *request = *context;
    (void)url;
    (void)method;
    (void)version;
    if (!request) {
        request = malloc(sizeof *request);
        if (!request)
            return MHD_NO;
        request->connection = connection;
        request->size = 0;
        request->acknowledged = false;
        *context = request;
        return MHD_YES;
    }
    if (*size) {
        if (request->size + *size > BODY_MAX)
            return MHD_NO;
        memcpy(request->body + request->size, data, *size);
        request->size += *size;
        *size = 0;
        return MHD_YES;
    }
    if (request->acknowledged)
        return MHD_queue_response(connection, MHD_HTTP_ACCEPTED, server->accepted);
    send_record(server, request);
    return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls;
    (void)connection;
    (void)code;
    free(*context);
    *context = NULL;
}

static void take_reports(struct server *server)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(server->reports, 0))) {
        const rd_kafka_message_t *message;
        while ((message = rd_kafka_event_message_next(event))) {
            if (message->err)
                fail("produce", rd_kafka_err2str(message->err));
            struct request *request = message->_private;
            request->acknowledged = true;
            MHD_resume_connection(request->connection);
        }
        rd_kafka_event_destroy(event);
    }
}

static void open_producer(struct server *server, const char *brokers, const char *topic)
{
    static const char *const settings[][2] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "linger.ms", "0" },
        { "partitioner", "murmur2_random" },
        { "socket.nagle.disable", "true" },
    };
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof text))
        fail("bootstrap.servers", text);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text))
            fail(settings[i][0], text);
    }
    server->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!server->producer)
        fail("rd_kafka_new", text);
    server->topic = rd_kafka_topic_new(server->producer, topic, NULL);
    server->reports = rd_kafka_queue_get_main(server->producer);
    if (pipe2(server->wake, O_NONBLOCK | O_CLOEXEC))
        fail("pipe2", strerrordesc_np(errno));
    rd_kafka_queue_io_event_enable(server->reports, server->wake[1], "1", 1);
}

static void serve(struct server *server, int signal_fd)
{
    int epoll_fd = watch_new();
    watch_add(epoll_fd, signal_fd);
    watch_add(epoll_fd, server->wake[0]);
    watch_add(epoll_fd, MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    for (;;) {
        MHD_UNSIGNED_LONG_LONG wait_ms = TICK_MS;
        if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES || wait_ms > TICK_MS)
            wait_ms = TICK_MS;
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, (int)wait_ms);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == signal_fd)
                return;
            char waste[64];
            if (events[i].data.fd == server->wake[0] &&
                read(server->wake[0], waste, sizeof waste) >= 0)
                take_reports(server);
        }
        (void)MHD_run(server->daemon);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage", "raw_accept BROKERS TOPIC");
    static struct server server;
    in_port_t port = 0;
    int listen_fd = listen_anywhere(&port);
    int signal_fd = signals_fd();
    open_producer(&server, argv[1], argv[2]);
    server.accepted =
        MHD_create_response_from_buffer(strlen(answer_body), answer_body, MHD_RESPMEM_PERSISTENT);
    if (!server.accepted ||
        MHD_add_response_header(server.accepted, "Content-Type", "application/json") != MHD_YES)
        fail("MHD_create_response_from_buffer", "no response");
    server.daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
                         &server,                                         /* the handler */
                         MHD_OPTION_LISTEN_SOCKET, listen_fd,             /* */
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, /* */
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
    if (!server.daemon)
        fail("MHD_start_daemon", "no daemon");
    printf("%d\n", port);
    (void)fflush(stdout);
    serve(&server, signal_fd);
    rd_kafka_flush(server.producer, FLUSH_MS);
    take_reports(&server); /* libmicrohttpd wants nobody suspended when it stops */
    MHD_stop_daemon(server.daemon);
    MHD_destroy_response(server.accepted);
    rd_kafka_queue_destroy(server.reports);
    rd_kafka_topic_destroy(server.topic);
    rd_kafka_destroy(server.producer);
    return 0;
}
