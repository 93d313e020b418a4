/* See kafka_mock.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_mock.h"

#include "schemas/mem.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <time.h>

#define API_PRODUCE 0 /* its key in the protocol */
#define BROKER_ID   1 /* the cluster counts from there */

struct kafka_mock {
    rd_kafka_t *rk; /* owns the cluster and its thread */
    rd_kafka_mock_cluster_t *cluster;
};

static void drop_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

/* On a busy machine the cluster's thread may miss an order that comes while it finishes the one
 * before, and sees it only when it looks again by itself, a second later. So it gets a moment. */
static void let_thread_rest(void)
{
    static const struct timespec moment = { .tv_nsec = 2000000 };
    (void)nanosleep(&moment, NULL);
}

static enum err_code make_topics(struct kafka_mock *mock, const struct kafka_mock_topic *topics,
                                 size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        let_thread_rest();
        rd_kafka_resp_err_t e =
            rd_kafka_mock_topic_create(mock->cluster, topics[i].name, topics[i].partitions, 1);
        if (e)
            return err_set(err, ERR_KAFKA, "the embedded broker cannot make topic %s: %s",
                           topics[i].name, rd_kafka_err2str(e));
    }
    return ERR_OK;
}

enum err_code kafka_mock_start(const struct kafka_mock_topic *topics, size_t count,
                               struct kafka_mock **ret_mock, struct err *err)
{
    struct kafka_mock *mock = MEM_NEW(*mock);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[256];
    enum err_code code;

    rd_kafka_conf_set_log_cb(conf, drop_log);
    /* The broker's sockets follow the owning client's setting; with Nagle an answer waits for the
     * next one. */
    if (rd_kafka_conf_set(conf, "socket.nagle.disable", "true", text, sizeof text) ||
        !(mock->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text))) {
        rd_kafka_conf_destroy(conf);
        code = err_set(err, ERR_KAFKA, "the embedded broker cannot start: %s", text);
        goto out;
    }
    mock->cluster = rd_kafka_mock_cluster_new(mock->rk, 1);
    if (!mock->cluster) {
        code = err_set(err, ERR_KAFKA, "the embedded broker cannot open its port");
        goto out;
    }
    code = make_topics(mock, topics, count, err);

out:
    if (code)
        kafka_mock_stop(mock);
    else
        *ret_mock = mock;
    return code;
}

const char *kafka_mock_address(const struct kafka_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

void kafka_mock_refuse_one(struct kafka_mock *mock, int rtt_ms)
{
    rd_kafka_mock_broker_set_rtt(mock->cluster, BROKER_ID, rtt_ms);
    rd_kafka_mock_push_request_errors(mock->cluster, API_PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
}

void kafka_mock_stop(struct kafka_mock *mock)
{
    if (!mock)
        return;
    if (mock->cluster)
        rd_kafka_mock_cluster_destroy(mock->cluster);
    if (mock->rk)
        rd_kafka_destroy(mock->rk);
    free(mock);
}
