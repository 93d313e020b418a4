/* Reading records by address and writing one, for the command line and for start-up; see
 * kafka_admin.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/buf.h"
#include "schemas/topic.h"

#include <inttypes.h>

#define SLICE_MS 500

static enum err_code assign_one(struct kafka_admin *admin, const char *topic, int32_t partition,
                                int64_t offset, struct err *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_resp_err_t e = rd_kafka_assign(admin->client->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return e ? err_set(err, ERR_KAFKA, "reading %s/%d: %s", topic, partition, rd_kafka_err2str(e))
             : ERR_OK;
}

/* The next record; NULL with ERR_OK at the end of the log. Passing troubles (a leader that moves)
 * are waited out. */
static enum err_code next_message(struct kafka_admin *admin, int64_t until_ms,
                                  rd_kafka_message_t **ret_message, struct err *err)
{
    rd_kafka_resp_err_t last = RD_KAFKA_RESP_ERR__TIMED_OUT;
    while (clock_monotonic_ms() < until_ms) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(admin->client->rk, SLICE_MS);
        if (!message)
            continue;
        if (!message->err) {
            *ret_message = message;
            return ERR_OK;
        }
        last = message->err;
        rd_kafka_message_destroy(message);
        if (last == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            *ret_message = NULL;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_KAFKA, "reading from Kafka: %s", rd_kafka_err2str(last));
}

struct stretch { /* [from, end) of a partition */
    int64_t from, end;
    int64_t until_ms;
};

/* locks: reading */
static enum err_code visit_assigned(struct kafka_admin *admin, const struct kafka_scan *scan,
                                    const struct stretch *stretch, struct err *err)
{
    int64_t next = stretch->from;
    while (next < stretch->end) {
        rd_kafka_message_t *message = NULL;
        enum err_code code = next_message(admin, stretch->until_ms, &message, err);
        if (code)
            return code;
        if (!message)
            return ERR_OK; /* the rest was compacted away, or is no record */
        next = message->offset + 1;
        bool more = message->offset < stretch->end &&
                    scan->fn(scan->arg, (struct span){ message->key, message->key_len },
                             (struct span){ message->payload, message->len }, message->offset);
        rd_kafka_message_destroy(message);
        if (!more)
            return ERR_OK;
    }
    return ERR_OK;
}

static enum err_code visit(struct kafka_admin *admin, const struct kafka_scan *scan,
                           const struct stretch *stretch, struct err *err)
{
    pthread_mutex_lock(&admin->reading);
    enum err_code code = assign_one(admin, scan->topic, scan->partition, stretch->from, err);
    if (!code)
        code = visit_assigned(admin, scan, stretch, err);
    rd_kafka_assign(admin->client->rk, NULL);
    pthread_mutex_unlock(&admin->reading);
    return code;
}

enum err_code kafka_scan_sync(struct kafka_admin *admin, const struct kafka_scan *scan,
                              int64_t timeout_ms, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct kafka_range range = { .topic = scan->topic, .partition = scan->partition };
    enum err_code code = kafka_ranges_sync(admin, &range, 1, timeout_ms, err);
    if (code)
        return code;
    int64_t from = scan->from > range.start ? scan->from : range.start;
    struct stretch stretch = { from, range.end, until_ms };
    return visit(admin, scan, &stretch, err);
}

struct wanted {
    int64_t offset;
    struct buf *value;
    bool found;
};

static bool take_first(void *arg, struct span key, struct span value, int64_t offset)
{
    (void)key;
    struct wanted *wanted = arg;
    wanted->found = offset == wanted->offset;
    if (wanted->found)
        buf_add_span(wanted->value, value);
    return false;
}

enum err_code kafka_read_sync(struct kafka_admin *admin, const struct kafka_offset *address,
                              int64_t timeout_ms, struct buf *ret_value, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct kafka_range range = { .topic = address->topic, .partition = address->partition };
    struct wanted wanted = { .offset = address->offset, .value = ret_value };
    enum err_code code = kafka_ranges_sync(admin, &range, 1, timeout_ms, err);
    if (!code && wanted.offset >= range.start && wanted.offset < range.end) {
        struct kafka_scan scan = { .topic = address->topic,
                                   .partition = address->partition,
                                   .fn = take_first,
                                   .arg = &wanted };
        struct stretch stretch = { wanted.offset, wanted.offset + 1, until_ms };
        code = visit(admin, &scan, &stretch, err);
    }
    if (code)
        return code;
    if (!wanted.found)
        return err_set(err, ERR_NOT_FOUND,
                       "%s/%d has no record at offset %" PRId64 ", its log goes from %" PRId64
                       " to %" PRId64,
                       address->topic, address->partition, wanted.offset, range.start, range.end);
    if (ret_value->overflow)
        return err_set(err, ERR_LIMIT, "the record is larger than %zu bytes", ret_value->max);
    return ERR_OK;
}

/* --- many by their addresses --- */

#define NEAR 256 /* records between two that are passed over rather than sought */

struct wanted_many {
    struct kafka_fetch *next, *end;
};

static bool take_wanted(void *arg, struct span key, struct span value, int64_t offset)
{
    (void)key;
    struct wanted_many *wanted = arg;
    while (wanted->next < wanted->end && wanted->next->offset < offset)
        wanted->next++; /* compacted away */
    if (wanted->next < wanted->end && wanted->next->offset == offset) {
        wanted->next->found = true;
        buf_add_span(&wanted->next->value, value);
        wanted->next++;
    }
    return wanted->next < wanted->end;
}

static size_t count_near(const struct kafka_fetch *fetches, size_t count)
{
    size_t near = 1;
    while (near < count && fetches[near].partition == fetches[0].partition &&
           strcmp(fetches[near].topic, fetches[0].topic) == 0 &&
           fetches[near].offset - fetches[near - 1].offset <= NEAR)
        near++;
    return near;
}

enum err_code kafka_fetch_sync(struct kafka_admin *admin, struct kafka_fetch *fetches, size_t count,
                               int64_t timeout_ms, struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    for (size_t i = 0, near; i < count; i += near) {
        near = count_near(fetches + i, count - i);
        struct wanted_many wanted = { fetches + i, fetches + i + near };
        struct kafka_scan scan = { .topic = fetches[i].topic,
                                   .partition = fetches[i].partition,
                                   .fn = take_wanted,
                                   .arg = &wanted,
                                   .from = fetches[i].offset };
        enum err_code code = kafka_scan_sync(admin, &scan, until_ms - clock_monotonic_ms(), err);
        if (code)
            return code;
    }
    return ERR_OK;
}

/* --- writing --- */

struct delivery {
    bool reported;
    rd_kafka_resp_err_t e;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    struct delivery *delivery = message->_private;
    delivery->reported = true;
    delivery->e = message->err;
}

static rd_kafka_resp_err_t produce_and_wait(rd_kafka_t *rk, const char *topic, struct span key,
                                            struct span value, int64_t timeout_ms)
{
    struct delivery delivery = { .e = RD_KAFKA_RESP_ERR__TIMED_OUT };
    rd_kafka_resp_err_t e = rd_kafka_producev(
        rk, RD_KAFKA_VTYPE_TOPIC, topic, RD_KAFKA_VTYPE_KEY, key.data, key.size,
        RD_KAFKA_VTYPE_VALUE, value.data, value.size, RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY,
        RD_KAFKA_VTYPE_OPAQUE, &delivery, RD_KAFKA_VTYPE_END);
    if (e)
        return e;
    int64_t until_ms = clock_monotonic_ms() + timeout_ms + SLICE_MS;
    /* Reports come inside rd_kafka_poll only: none can find this stack gone. */
    while (!delivery.reported && clock_monotonic_ms() < until_ms)
        rd_kafka_poll(rk, SLICE_MS);
    return delivery.e;
}

enum err_code kafka_write_sync(struct kafka_admin *admin, const char *topic, struct span key,
                               struct span value, int64_t timeout_ms, struct err *err)
{
    static const struct kafka_property properties[] = {
        { "enable.idempotence", "true" },
        { "acks", "all" },
        { "linger.ms", "0" },
        { "partitioner", "murmur2_random" },
    };
    rd_kafka_conf_t *conf;
    enum err_code code = kafka_conf_new(admin->config, admin->client_id, properties,
                                        sizeof properties / sizeof *properties, &conf, err);
    if (code)
        return code;
    kafka_conf_set_int(conf, "message.max.bytes", TOPIC_RECORD_BYTES_MAX);
    kafka_conf_set_int(conf, "message.timeout.ms", timeout_ms);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    struct kafka_client *client;
    code = kafka_client_new(RD_KAFKA_PRODUCER, conf, NULL, NULL, &client, err);
    if (code)
        return code;
    rd_kafka_resp_err_t e = produce_and_wait(client->rk, topic, key, value, timeout_ms);
    kafka_client_leave(client, SLICE_MS);
    return e ? err_set(err, ERR_KAFKA, "writing to %s: %s", topic, rd_kafka_err2str(e)) : ERR_OK;
}
