/* See kafka_admin.h. One consumer client that never joins its group asks everything; only writing
 * needs a producer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_admin.h"

#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define CLOSE_MS 15000 /* longer than any one request */

enum err_code kafka_admin_open(const struct config_kafka *config, const char *client_id,
                               struct kafka_admin **ret_admin, struct err *err)
{
    const struct kafka_property properties[] = {
        { "group.id", client_id },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "enable.partition.eof", "true" },
        { "isolation.level", "read_uncommitted" },
        { "auto.offset.reset", "earliest" },
        { "fetch.wait.max.ms", config->kind == BROKER_EMBEDDED ? "5" : "100" },
    };
    rd_kafka_conf_t *conf;
    enum err_code code = kafka_conf_new(config, client_id, properties,
                                        sizeof properties / sizeof *properties, &conf, err);
    if (code)
        return code;
    struct kafka_client *client;
    code = kafka_client_new(RD_KAFKA_CONSUMER, conf, NULL, NULL, &client, err);
    if (code)
        return code;
    rd_kafka_poll_set_consumer(client->rk);
    struct kafka_admin *admin = MEM_NEW(*admin);
    *admin = (struct kafka_admin){
        .config = config,
        .client_id = mem_dup_text(client_id),
        .client = client,
    };
    pthread_mutex_init(&admin->reading, NULL);
    *ret_admin = admin;
    return ERR_OK;
}

void kafka_admin_close(struct kafka_admin *admin)
{
    if (!admin)
        return;
    kafka_client_leave(admin->client, CLOSE_MS);
    pthread_mutex_destroy(&admin->reading);
    free(admin->client_id);
    free(admin);
}

rd_kafka_AdminOptions_t *kafka_admin_options(const struct kafka_admin *admin,
                                             rd_kafka_admin_op_t op, int64_t timeout_ms)
{
    char text[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->client->rk, op);
    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms > 0 ? (int)timeout_ms : 1, text,
                                              sizeof text);
    return options;
}

rd_kafka_event_t *kafka_admin_answer(rd_kafka_queue_t *queue, int64_t timeout_ms, const char *what,
                                     struct err *err)
{
    /* The request has its own timeout; this one only guards against an answer that never comes. */
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)timeout_ms + 1000);
    if (!event) {
        err_set(err, ERR_KAFKA, "%s: no answer within %lld ms", what, (long long)timeout_ms);
        return NULL;
    }
    if (rd_kafka_event_error(event)) {
        err_set(err, ERR_KAFKA, "%s: %s", what, rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

enum err_code kafka_cluster_id_sync(struct kafka_admin *admin, int64_t timeout_ms, char ret_id[64],
                                    struct err *err)
{
    char *id = rd_kafka_clusterid(admin->client->rk, (int)timeout_ms);
    if (!id)
        return err_set(err, ERR_KAFKA, "no Kafka broker answers at %s (kafka.brokers)",
                       admin->config->brokers);
    snprintf(ret_id, 64, "%s", id);
    rd_kafka_mem_free(admin->client->rk, id);
    return ERR_OK;
}

/* --- log starts and ends --- */

static rd_kafka_topic_partition_list_t *list_of_ranges(const struct kafka_range *ranges,
                                                       size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, ranges[i].topic, ranges[i].partition);
    return list;
}

enum err_code kafka_ranges_sync(struct kafka_admin *admin, struct kafka_range *ranges, size_t count,
                                int64_t timeout_ms, struct err *err)
{
    struct kafka_client *client = admin->client;
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    rd_kafka_topic_partition_list_t *starts = list_of_ranges(ranges, count);
    rd_kafka_topic_partition_list_t *ends = list_of_ranges(ranges, count);
    enum err_code code = kafka_offsets_query(client->rk, starts, RD_KAFKA_OFFSET_BEGINNING,
                                             until_ms, &client->stopping, err);
    enum err_code ends_code = kafka_offsets_query(client->rk, ends, RD_KAFKA_OFFSET_END, until_ms,
                                                  &client->stopping, err);
    for (size_t i = 0; i < count; i++) {
        ranges[i].start = starts->elems[i].offset;
        ranges[i].end = ends->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(starts);
    rd_kafka_topic_partition_list_destroy(ends);
    return code ? code : ends_code;
}

/* --- committed offsets --- */

static rd_kafka_topic_partition_list_t *list_of_offsets(const struct kafka_offset *offsets,
                                                        size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
            offsets[i].offset;
    return list;
}

/* The group's answer is one list, with an error of its own and one for each partition. */
static enum err_code group_answer(const rd_kafka_group_result_t *const *groups, size_t group_count,
                                  const char *group,
                                  const rd_kafka_topic_partition_list_t **ret_list, struct err *err)
{
    if (group_count != 1)
        return err_set(err, ERR_KAFKA, "no answer about the offsets of group %s", group);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error)
        return err_set(err, ERR_KAFKA, "offsets of group %s: %s", group,
                       rd_kafka_error_string(error));
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err)
            return err_set(err, ERR_KAFKA, "offset of group %s for %s/%d: %s", group,
                           list->elems[i].topic, list->elems[i].partition,
                           rd_kafka_err2str(list->elems[i].err));
    }
    *ret_list = list;
    return ERR_OK;
}

static void take_committed(const rd_kafka_topic_partition_list_t *list,
                           struct kafka_offset *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        offsets[i].offset = -1;
        for (int k = 0; k < list->cnt; k++) {
            const rd_kafka_topic_partition_t *element = &list->elems[k];
            if (element->partition == offsets[i].partition && element->offset >= 0 &&
                strcmp(element->topic, offsets[i].topic) == 0)
                offsets[i].offset = element->offset;
        }
    }
}

enum err_code kafka_committed_sync(struct kafka_admin *admin, const char *group,
                                   struct kafka_offset *offsets, size_t count, int64_t timeout_ms,
                                   struct err *err)
{
    rd_kafka_t *rk = admin->client->rk;
    rd_kafka_topic_partition_list_t *list = list_of_offsets(offsets, count);
    rd_kafka_ListConsumerGroupOffsets_t *question =
        rd_kafka_ListConsumerGroupOffsets_new(group, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout_ms);
    enum err_code code = ERR_KAFKA;

    rd_kafka_ListConsumerGroupOffsets(rk, &question, 1, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "committed offsets", err);
    if (event) {
        const rd_kafka_topic_partition_list_t *answer = NULL;
        size_t group_count = 0;
        const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &group_count);
        code = group_answer(groups, group_count, group, &answer, err);
        if (!code && answer)
            take_committed(answer, offsets, count);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(question);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

enum err_code kafka_offsets_commit_sync(struct kafka_admin *admin, const char *group,
                                        const struct kafka_offset *offsets, size_t count,
                                        int64_t timeout_ms, struct err *err)
{
    rd_kafka_t *rk = admin->client->rk;
    rd_kafka_topic_partition_list_t *list = list_of_offsets(offsets, count);
    rd_kafka_AlterConsumerGroupOffsets_t *question =
        rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, timeout_ms);
    enum err_code code = ERR_KAFKA;

    rd_kafka_AlterConsumerGroupOffsets(rk, &question, 1, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "commit of offsets", err);
    if (event) {
        const rd_kafka_topic_partition_list_t *answer = NULL;
        size_t group_count = 0;
        const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(event), &group_count);
        code = group_answer(groups, group_count, group, &answer, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(question);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* --- on the thread pool --- */

struct question {
    struct kafka_admin *admin;
    struct kafka_client *client;
    struct kafka_reply reply;
    struct kafka_range *ranges; /* or: */
    const char *group;
    struct kafka_offset *offsets;
    size_t count;
    enum err_code code;
};

/* thread: pool */
static void ask_ranges(void *arg)
{
    struct question *question = arg;
    question->code = kafka_ranges_sync(question->admin, question->ranges, question->count,
                                       question->reply.timeout_ms, NULL);
    kafka_client_end(question->client);
}

/* thread: pool */
static void ask_committed(void *arg)
{
    struct question *question = arg;
    question->code = kafka_committed_sync(question->admin, question->group, question->offsets,
                                          question->count, question->reply.timeout_ms, NULL);
    kafka_client_end(question->client);
}

static void asked(void *arg)
{
    struct question *question = arg;
    question->reply.done(question->reply.arg, question->code);
    free(question);
}

static struct question *question_new(struct kafka_admin *admin, size_t count,
                                     const struct kafka_reply *reply)
{
    struct question *question = MEM_NEW(*question);
    question->admin = admin;
    question->client = admin->client;
    question->reply = *reply;
    question->count = count;
    kafka_client_begin(admin->client);
    return question;
}

void kafka_ranges(struct kafka_admin *admin, struct kafka_range *ranges, size_t count,
                  const struct kafka_reply *reply)
{
    struct question *question = question_new(admin, count, reply);
    question->ranges = ranges;
    loop_work(reply->loop, ask_ranges, asked, question);
}

void kafka_committed(struct kafka_admin *admin, const char *group, struct kafka_offset *offsets,
                     size_t count, const struct kafka_reply *reply)
{
    struct question *question = question_new(admin, count, reply);
    question->group = group;
    question->offsets = offsets;
    loop_work(reply->loop, ask_committed, asked, question);
}
