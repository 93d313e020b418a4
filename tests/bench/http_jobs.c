/* One load for Errand and for what it is compared with: jobs are submitted by a POST and followed
 * by a GET that is answered when the job is over. Either so many connections, each with one job at
 * a time (connections=), or so many jobs a second, on as many connections as that takes (rate=); a
 * latency then counts from the moment at which the job was to be submitted.
 * Usage: http_jobs NAME=VALUE... <BODY; the names are in the table below. Prints one line of JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 8192,
    ANSWER_BYTES = 16 * 1024,
    BODY_BYTES = 8 * 1024,
    REQUEST_BYTES = BODY_BYTES + 1024,
    ID_BYTES = 128,
    JOBS_MAX = 8000000,
    EVENTS = 256,
    DRAIN_S = 30,
    STATUS_AT = 9, /* "HTTP/1.1 " */
    STATUS_OK = 200,
    STATUS_REDIRECTED = 300,
};

#define LOOK_NS INT64_C(20000000) /* whether all is over */

/* What is asked for; `result` with {id} in it, or empty: a job is over once it is accepted. */
static struct {
    const char *port, *submit, *id, *result, *expect, *keys, *connections, *rate, *seconds;
} options = { .submit = "/v1/jobs", .id = "id", .result = "", .expect = "", .seconds = "10" };

static const struct {
    const char *name, **value;
} names[] = {
    { "port", &options.port },
    { "submit", &options.submit },
    { "id", &options.id },         /* the member of the answer that names the job */
    { "result", &options.result }, /* where the result is */
    { "expect", &options.expect }, /* what a good result has in it */
    { "keys", &options.keys },     /* any value: each submission has an idempotency key */
    { "connections", &options.connections },
    { "rate", &options.rate },
    { "seconds", &options.seconds },
};

enum state { IDLE, SUBMITTING, WAITING };

struct connection {
    int fd; /* -1: it is opened when it is needed */
    enum state state;
    int64_t due_ns;
    size_t size;
    char answer[ANSWER_BYTES + 1];
};

static struct {
    char body[BODY_BYTES];
    size_t body_size;
    int epoll_fd;
    in_port_t port;
    struct connection *connections[CONNECTIONS_MAX];
    struct connection *idle[CONNECTIONS_MAX];
    size_t connection_count, idle_count;
    int64_t began_ns, end_ns, last_ns;
    int64_t begun, accepted, finished, refused, failed, broken;
    int64_t *accepted_ns, *finished_ns;
} run;

/* --- connections --- */

static void open_connection(struct connection *connection)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(run.port) };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
        fail("connect", strerrorname_np(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    if (epoll_ctl(run.epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl", strerrorname_np(errno));
    connection->fd = fd;
}

static struct connection *take_connection(void)
{
    if (run.idle_count > 0)
        return run.idle[--run.idle_count];
    if (run.connection_count == CONNECTIONS_MAX)
        return NULL;
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        fail("calloc", "no memory");
    connection->fd = -1;
    run.connections[run.connection_count++] = connection;
    return connection;
}

static void send_request(struct connection *connection, const char *request, int size)
{
    if (size < 0 || size >= REQUEST_BYTES)
        fail("request", "it is too long");
    if (connection->fd < 0)
        open_connection(connection);
    connection->size = 0;
    if (send(connection->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        fail("send", "it does not take a whole request");
}

/* --- a job --- */

static void begin(struct connection *connection, int64_t due_ns)
{
    char request[REQUEST_BYTES], key[64] = "";
    if (options.keys)
        snprintf(key, sizeof key, "Idempotency-Key: bench-%" PRIx64 "-%" PRIx64 "\r\n",
                 (uint64_t)run.began_ns, (uint64_t)run.begun);
    int size = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                        "%sContent-Length: %zu\r\n\r\n%.*s",
                        options.submit, key, run.body_size, (int)run.body_size, run.body);
    run.begun++;
    connection->due_ns = due_ns;
    connection->state = SUBMITTING;
    send_request(connection, request, size);
}

/* The next job of this connection, or none. */
static void go_on(struct connection *connection)
{
    int64_t now = now_ns();
    run.last_ns = now;
    connection->state = IDLE;
    if (options.connections && now < run.end_ns)
        begin(connection, now);
    else
        run.idle[run.idle_count++] = connection;
}

static void follow(struct connection *connection)
{
    char quoted[ID_BYTES], request[REQUEST_BYTES];
    snprintf(quoted, sizeof quoted, "\"%s\":\"", options.id);
    const char *id = strstr(connection->answer, quoted);
    if (!id)
        fail("no id in", connection->answer);
    id += strlen(quoted);
    const char *place = strstr(options.result, "{id}");
    if (!place)
        fail("result", "it does not say where the id goes");
    int size =
        snprintf(request, sizeof request, "GET %.*s%.*s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                 (int)(place - options.result), options.result, (int)strcspn(id, "\""), id,
                 place + strlen("{id}"));
    connection->state = WAITING;
    send_request(connection, request, size);
}

static void finish(struct connection *connection)
{
    run.finished_ns[run.finished++] = now_ns() - connection->due_ns;
    go_on(connection);
}

static void on_answer(struct connection *connection, const char *body)
{
    long status = strtol(connection->answer + STATUS_AT, NULL, 10);
    bool good = status >= STATUS_OK && status < STATUS_REDIRECTED;
    if (connection->state == SUBMITTING && good) {
        run.accepted_ns[run.accepted++] = now_ns() - connection->due_ns;
        if (run.accepted == JOBS_MAX)
            fail("jobs", "too many for one run");
        if (*options.result)
            follow(connection);
        else
            finish(connection);
    } else if (connection->state == WAITING && good && strstr(body, options.expect)) {
        finish(connection);
    } else {
        (*(connection->state == SUBMITTING ? &run.refused : &run.failed))++;
        go_on(connection);
    }
}

/* --- answers --- */

/* The body of a whole answer, or NULL. */
static const char *body_of(const struct connection *connection)
{
    const char *answer = connection->answer, *end = strstr(answer, "\r\n\r\n");
    if (!end)
        return NULL;
    const char *body = end + 4, *length = strcasestr(answer, "\r\ncontent-length:");
    size_t size = connection->size - (size_t)(body - answer);
    if (length && length < end)
        return size >= strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) ? body : NULL;
    return strstr(body, "0\r\n\r\n"); /* in chunks: its last one */
}

static void on_closed(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    if (connection->state == IDLE)
        return; /* it waits for a job as it is */
    run.broken++;
    go_on(connection);
}

static void on_readable(struct connection *connection)
{
    size_t left = ANSWER_BYTES - connection->size;
    ssize_t size = recv(connection->fd, connection->answer + connection->size, left, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        on_closed(connection);
        return;
    }
    connection->size += (size_t)size;
    connection->answer[connection->size] = '\0';
    const char *body = body_of(connection);
    if (body)
        on_answer(connection, strstr(connection->answer, "\r\n\r\n"));
    else if (connection->size == ANSWER_BYTES)
        fail("answer", "it is too long");
}

/* --- the load --- */

/* Begins what is due, of so many a second; returns how long the next one has. */
static int64_t begin_due(int64_t rate)
{
    int64_t now = now_ns(), due_ns = run.began_ns + run.begun * NS_PER_S / rate;
    while (due_ns <= now && due_ns < run.end_ns) {
        struct connection *connection = take_connection();
        if (!connection)
            return NS_PER_MS; /* all are busy; they are late, and their latency says so */
        begin(connection, due_ns);
        due_ns = run.began_ns + run.begun * NS_PER_S / rate;
    }
    return due_ns < run.end_ns && due_ns - now < LOOK_NS ? due_ns - now : LOOK_NS;
}

static bool is_over(int64_t rate)
{
    int64_t now = now_ns(), over = run.finished + run.refused + run.failed + run.broken;
    if (now > run.end_ns + (int64_t)DRAIN_S * NS_PER_S)
        fail("drain", "not every job is finished");
    bool all_begun = !rate || run.begun >= rate * (run.end_ns - run.began_ns) / NS_PER_S;
    return now >= run.end_ns && over == run.begun && all_begun;
}

static void load(int64_t rate, int64_t connections)
{
    run.began_ns = now_ns();
    run.end_ns = run.began_ns + strtol(options.seconds, NULL, 10) * NS_PER_S;
    for (int64_t i = 0; i < connections; i++)
        begin(take_connection(), now_ns());
    while (!is_over(rate)) {
        struct epoll_event events[EVENTS];
        struct timespec wait = { .tv_nsec = rate ? begin_due(rate) : LOOK_NS };
        int count = epoll_pwait2(run.epoll_fd, events, EVENTS, &wait, NULL);
        for (int i = 0; i < count; i++)
            on_readable(events[i].data.ptr);
    }
}

/* --- the whole --- */

static void print_latencies(const char *name, int64_t *took_ns, int64_t count)
{
    sort_ns(took_ns, count);
    printf(",\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name,
           percentile_ms(took_ns, count, 0.5), percentile_ms(took_ns, count, 0.99),
           percentile_ms(took_ns, count, 1));
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t known = 0, size = value ? (size_t)(value - argv[i]) : 0;
        while (
            known < sizeof names / sizeof *names &&
            (strlen(names[known].name) != size || strncmp(names[known].name, argv[i], size) != 0))
            known++;
        if (!value || known == sizeof names / sizeof *names)
            fail(argv[i], "no such option");
        *names[known].value = value + 1;
    }
    if (!options.port || !options.connections == !options.rate)
        fail("options", "port, and either connections or rate");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    int64_t rate = options.rate ? strtol(options.rate, NULL, 10) : 0;
    int64_t connections = options.connections ? strtol(options.connections, NULL, 10) : 0;
    if (connections > CONNECTIONS_MAX || rate < 0 || connections < 0 || rate + connections < 1)
        fail("options", "not such numbers");
    run.port = (in_port_t)strtoul(options.port, NULL, 10);
    run.body_size = fread(run.body, 1, sizeof run.body, stdin);
    run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    run.accepted_ns = calloc(JOBS_MAX, sizeof *run.accepted_ns);
    run.finished_ns = calloc(JOBS_MAX, sizeof *run.finished_ns);
    if (run.epoll_fd < 0 || !run.accepted_ns || !run.finished_ns)
        fail("set-up", "it does not work");
    load(rate, connections);
    printf("{\"accepted\":%" PRId64 ",\"finished\":%" PRId64 ",\"refused\":%" PRId64
           ",\"failed\":%" PRId64 ",\"broken\":%" PRId64 ",\"connections\":%zu,\"seconds\":%.3f",
           run.accepted, run.finished, run.refused, run.failed, run.broken, run.connection_count,
           (double)(run.last_ns - run.began_ns) / NS_PER_S);
    print_latencies("accepted_ms", run.accepted_ns, run.accepted);
    print_latencies("finished_ms", run.finished_ns, run.finished);
    printf("}\n");
    return 0;
}
