/* See kafka_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_admin.h"
#include "infra/kafka_internal.h"

#include "infra/clock.h"
#include "infra/log.h"
#include "schemas/buf.h"
#include "schemas/mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* librdkafka's defaults suit batch loads. Ours: no Nagle, a dead broker noticed in seconds, and
 * leader changes followed at once. */
static const struct kafka_property defaults[] = {
    { "socket.nagle.disable", "true" },
    { "socket.keepalive.enable", "true" },
    { "socket.timeout.ms", "10000" },
    { "socket.connection.setup.timeout.ms", "5000" },
    { "reconnect.backoff.ms", "50" },
    { "reconnect.backoff.max.ms", "1000" },
    { "topic.metadata.refresh.fast.interval.ms", "100" },
    { "log.connection.close", "false" },
};

/* Errand's promises rest on these; they are not for the configuration to change. */
static const char *const fixed[] = {
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.max.bytes",
    "fetch.queue.backoff.ms",
    "group.id",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "log.queue",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "queue.buffering.max.ms",
    "queued.max.messages.kbytes",
    "request.required.acks",
    "session.timeout.ms",
    "transactional.id",
};

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    const struct kafka_client *client = rd_kafka_opaque(rk);
    struct log *log = client ? atomic_load(&client->log) : NULL;
    enum log_level ours = level <= 2   ? LOG_ERROR
                          : level <= 4 ? LOG_WARN
                          : level <= 6 ? LOG_INFO
                                       : LOG_DEBUG;
    log_write(log, ours, "kafka", NULL, "%s: %s", facility, text);
}

static enum err_code set_property(rd_kafka_conf_t *conf, const struct config_pair *pair,
                                  struct err *err)
{
    char field[96];
    snprintf(field, sizeof field, "kafka.properties.%s", pair->name);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (strcmp(pair->name, fixed[i]) == 0)
            return err_field(
                err, ERR_CONFIG, field,
                "%s is fixed by Errand, its promises rest on it; take it out of the configuration",
                field);
    }
    char text[256];
    switch (rd_kafka_conf_set(conf, pair->name, pair->value, text, sizeof text)) {
    case RD_KAFKA_CONF_UNKNOWN:
        return err_field(err, ERR_CONFIG, field, "%s: librdkafka %s has no such property", field,
                         rd_kafka_version_str());
    case RD_KAFKA_CONF_INVALID:
        /* librdkafka's text quotes the value, which may be a secret. */
        return err_field(err, ERR_CONFIG, field, "%s: %s", field,
                         pair->secret ? "the value is not valid" : text);
    case RD_KAFKA_CONF_OK:
        break;
    }
    return ERR_OK;
}

static void set_own(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);
    assert(result == RD_KAFKA_CONF_OK);
    (void)result;
}

static void set_all(rd_kafka_conf_t *conf, const struct kafka_property *properties, size_t count)
{
    for (size_t i = 0; i < count; i++)
        set_own(conf, properties[i].name, properties[i].value);
}

enum err_code kafka_conf_new(const struct config_kafka *config, const char *client_id,
                             const struct kafka_property *properties, size_t count,
                             rd_kafka_conf_t **ret_conf, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    set_own(conf, "bootstrap.servers", config->brokers);
    set_own(conf, "client.id", client_id);
    set_all(conf, defaults, sizeof defaults / sizeof *defaults);
    set_all(conf, properties, count);
    for (size_t i = 0; i < config->properties.count; i++) {
        enum err_code code = set_property(conf, &config->properties.items[i], err);
        if (code) {
            rd_kafka_conf_destroy(conf);
            return code;
        }
    }
    *ret_conf = conf;
    return ERR_OK;
}

enum err_code kafka_properties_check(const struct config_kafka *config, struct err *err)
{
    rd_kafka_conf_t *conf;
    enum err_code code = kafka_conf_new(config, "check", NULL, 0, &conf, err);
    if (code == ERR_OK)
        rd_kafka_conf_destroy(conf);
    return code;
}

void kafka_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    set_own(conf, name, text);
}

enum err_code kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct log *log,
                               void *owner, struct kafka_client **ret_client, struct err *err)
{
    struct kafka_client *client = MEM_NEW(*client);
    client->owner = owner;
    atomic_init(&client->log, log);
    atomic_init(&client->stopping, false);
    pthread_mutex_init(&client->lock, NULL);
    pthread_cond_init(&client->idle, NULL);
    rd_kafka_conf_set_opaque(conf, client);
    char text[256];
    client->rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!client->rk) {
        rd_kafka_conf_destroy(conf);
        pthread_cond_destroy(&client->idle);
        pthread_mutex_destroy(&client->lock);
        free(client);
        return err_set(err, ERR_CONFIG, "librdkafka refuses the configuration: %s", text);
    }
    *ret_client = client;
    return ERR_OK;
}

int64_t kafka_message_time(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t kind;
    int64_t time_ms = rd_kafka_message_timestamp(message, &kind);
    return kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms;
}

void kafka_client_begin(struct kafka_client *client)
{
    pthread_mutex_lock(&client->lock);
    client->questions++;
    pthread_mutex_unlock(&client->lock);
}

void kafka_client_end(struct kafka_client *client)
{
    pthread_mutex_lock(&client->lock);
    assert(client->questions > 0);
    if (--client->questions == 0)
        pthread_cond_signal(&client->idle);
    pthread_mutex_unlock(&client->lock);
}

size_t kafka_client_questions(struct kafka_client *client)
{
    pthread_mutex_lock(&client->lock);
    size_t questions = client->questions;
    pthread_mutex_unlock(&client->lock);
    return questions;
}

static void *destroy_client(void *arg)
{
    struct kafka_client *client = arg;
    pthread_mutex_lock(&client->lock);
    while (client->questions)
        pthread_cond_wait(&client->idle, &client->lock);
    pthread_mutex_unlock(&client->lock);
    rd_kafka_destroy(client->rk);
    if (client->on_gone)
        client->on_gone(client->gone_arg);
    pthread_cond_destroy(&client->idle);
    pthread_mutex_destroy(&client->lock);
    free(client);
    return NULL;
}

void kafka_client_leave(struct kafka_client *client, int64_t deadline_ms)
{
    atomic_store(&client->stopping, true);
    atomic_store(&client->log, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, destroy_client, client) != 0) {
        destroy_client(client);
        return;
    }
    /* By the wall clock: the thread sanitizer does not know the join by the monotonic one. */
    int64_t until_ms = clock_wall_ms() + deadline_ms;
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    if (deadline_ms <= 0 || pthread_timedjoin_np(thread, NULL, &until) != 0)
        pthread_detach(thread);
}

static void on_wake(void *arg, int fd, unsigned events)
{
    (void)events;
    struct kafka_wake *wake = arg;
    uint64_t count;
    /* Emptied before the queue is polled, or a signal that comes meanwhile would be lost. */
    if (read(fd, &count, sizeof count) == (ssize_t)sizeof count)
        wake->fn(wake->arg);
}

enum err_code kafka_wake_init(struct kafka_wake *wake, struct loop *loop, loop_fn fn, void *arg,
                              struct err *err)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return err_set(err, ERR_IO, "eventfd: %s", strerrordesc_np(errno));
    *wake = (struct kafka_wake){ .fn = fn, .arg = arg, .fd = fd };
    wake->watch = loop_fd_new(loop, fd, on_wake, wake);
    loop_fd_watch(wake->watch, LOOP_READ);
    return ERR_OK;
}

void kafka_wake_enable(const struct kafka_wake *wake, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, wake->fd, &one, sizeof one);
    /* A queue that is not empty now, such as one that already told of a missing broker, would never
     * be signalled: librdkafka does so only when the first event comes. */
    (void)!write(wake->fd, &one, sizeof one);
}

void kafka_wake_disable(rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void kafka_wake_clear(struct kafka_wake *wake)
{
    if (!wake->watch)
        return;
    loop_fd_free(wake->watch);
    close(wake->fd);
    *wake = (struct kafka_wake){ .fd = -1 };
}

static char *one_label(const char *name, const char *value)
{
    struct buf labels = BUF_INIT(512);
    if (name)
        metrics_label(&labels, name, span_of(value));
    return buf_take(&labels);
}

struct metric *kafka_counter(struct metrics *metrics, const char *name, const char *help,
                             const char *label, const char *value)
{
    if (!metrics)
        return NULL;
    char *labels = one_label(label, value);
    struct metric *metric = metrics_counter(metrics, name, help, labels);
    free(labels);
    return metric;
}

struct metric *kafka_gauge(struct metrics *metrics, const char *name, const char *help,
                           const char *label, const char *value)
{
    if (!metrics)
        return NULL;
    char *labels = one_label(label, value);
    struct metric *metric = metrics_gauge(metrics, name, help, labels);
    free(labels);
    return metric;
}
