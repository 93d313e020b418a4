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

/* A consumer client of this group, which it never joins. */
static enum err_code open_client(const struct config_kafka *config, const char *client_id,
                                 const char *group, enum kafka_reading reading,
                                 struct kafka_client **ret_client, struct err *err)
{
    bool first = reading == KAFKA_READ_FIRST || reading == KAFKA_READ_FIRST_COMMITTED;
    bool held = reading == KAFKA_READ_ON && config->kind != BROKER_EMBEDDED;
    bool committed = reading == KAFKA_READ_FIRST_COMMITTED;
    const struct kafka_property properties[] = {
        { "group.id", group },
        { "enable.auto.commit", "false" },
        { "enable.auto.offset.store", "false" },
        { "enable.partition.eof", "true" },
        { "isolation.level", committed ? "read_committed" : "read_uncommitted" },
        { "auto.offset.reset", "earliest" },
        /* A fetch that waits for more behind the end of a reading holds up the one after it, a
         * hundred partitions one after the other. */
        { "fetch.wait.max.ms", held ? "100" : "5" },
        /* A batch that is larger comes all the same: librdkafka then asks for twice as much. */
        { "fetch.message.max.bytes", first ? "8192" : "1048576" },
        { "queued.max.messages.kbytes", "16384" }, /* read ahead; its default is 64 MiB */
    };
    rd_kafka_conf_t *conf;
    enum err_code code = kafka_conf_new(config, client_id, properties,
                                        sizeof properties / sizeof *properties, &conf, err);
    if (!code) {
        kafka_refill_conf(conf);
        code = kafka_client_new(RD_KAFKA_CONSUMER, conf, NULL, NULL, ret_client, err);
    }
    if (!code)
        rd_kafka_poll_set_consumer((*ret_client)->rk);
    return code;
}

enum err_code kafka_admin_open(const struct config_kafka *config, const char *client_id,
                               struct kafka_admin **ret_admin, struct err *err)
{
    return kafka_admin_open_for(config, client_id, KAFKA_READ_LOGS, ret_admin, err);
}

enum err_code kafka_admin_open_for(const struct config_kafka *config, const char *client_id,
                                   enum kafka_reading reading, struct kafka_admin **ret_admin,
                                   struct err *err)
{
    struct kafka_client *client;
    enum err_code code = open_client(config, client_id, client_id, reading, &client, err);
    if (code)
        return code;
    struct kafka_admin *admin = MEM_NEW(*admin);
    *admin = (struct kafka_admin){
        .config = config,
        .client_id = mem_dup_text(client_id),
        .client = client,
    };
    pthread_mutex_init(&admin->reading, NULL);
    pthread_mutex_init(&admin->grouping, NULL);
    *ret_admin = admin;
    return ERR_OK;
}

void kafka_admin_begin(struct kafka_admin *admin)
{
    kafka_client_begin(admin->client);
}

void kafka_admin_end(struct kafka_admin *admin)
{
    kafka_client_end(admin->client);
}

size_t kafka_admin_asked(struct kafka_admin *admin)
{
    return kafka_client_questions(admin->client);
}

void kafka_admin_close(struct kafka_admin *admin)
{
    if (!admin)
        return;
    kafka_client_leave(admin->client, CLOSE_MS); /* ends the questions of the others, too */
    while (admin->groups) {
        struct kafka_group_client *group = admin->groups;
        admin->groups = group->next;
        kafka_client_leave(group->client, CLOSE_MS);
        free(group->name);
        free(group);
    }
    pthread_mutex_destroy(&admin->reading);
    pthread_mutex_destroy(&admin->grouping);
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
                                  struct err *err)
{
    if (group_count != 1)
        return err_set(err, ERR_KAFKA, "no answer about the offsets of a group");
    const char *group = rd_kafka_group_result_name(groups[0]);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error)
        return err_set(err, ERR_KAFKA, "offsets of group %s: %s", group,
                       rd_kafka_error_string(error));
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; list && i < list->cnt; i++) {
        if (list->elems[i].err)
            return err_set(err, ERR_KAFKA, "offset of group %s for %s/%d: %s", group,
                           list->elems[i].topic, list->elems[i].partition,
                           rd_kafka_err2str(list->elems[i].err));
    }
    return ERR_OK;
}

/* The client that asks for a group's offsets, from the first question on kept for the next ones. */
static enum err_code client_of_group(struct kafka_admin *admin, const char *name,
                                     struct kafka_client **ret_client, struct err *err)
{
    enum err_code code = ERR_OK;
    pthread_mutex_lock(&admin->grouping);
    struct kafka_group_client *group = admin->groups;
    while (group && strcmp(group->name, name) != 0)
        group = group->next;
    if (!group) {
        struct kafka_client *client;
        code = open_client(admin->config, admin->client_id, name, KAFKA_READ_LOGS, &client, err);
        if (!code) {
            group = MEM_NEW(*group);
            group->name = mem_dup_text(name);
            group->client = client;
            group->next = admin->groups;
            admin->groups = group;
        }
    }
    if (!code)
        *ret_client = group->client;
    pthread_mutex_unlock(&admin->grouping);
    return code;
}

/* Not ListConsumerGroupOffsets: when the broker goes away while it is under way, librdkafka aborts
 * the process (its issue 3663, open). */
enum err_code kafka_committed_sync(struct kafka_admin *admin, const char *group,
                                   struct kafka_offset *offsets, size_t count, int64_t timeout_ms,
                                   struct err *err)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct kafka_client *client;
    enum err_code code = client_of_group(admin, group, &client, err);
    if (code)
        return code;
    rd_kafka_topic_partition_list_t *list = list_of_offsets(offsets, count);
    code = kafka_offsets_committed(client->rk, list, until_ms, &admin->client->stopping, err);
    for (size_t i = 0; i < count && !code; i++)
        offsets[i].offset = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

enum err_code kafka_offsets_at_sync(struct kafka_admin *admin, int64_t time_ms,
                                    struct kafka_offset *offsets, size_t count, int64_t timeout_ms,
                                    struct err *err)
{
    if (admin->config->kind == BROKER_EMBEDDED)
        return err_set(err, ERR_KAFKA, "the embedded broker finds no records by their time");
    rd_kafka_topic_partition_list_t *list = list_of_offsets(offsets, count);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = time_ms;
    rd_kafka_resp_err_t e = rd_kafka_offsets_for_times(admin->client->rk, list, (int)timeout_ms);
    for (int i = 0; i < list->cnt && !e; i++)
        e = list->elems[i].err;
    for (size_t i = 0; i < count && !e; i++)
        offsets[i].offset = list->elems[i].offset < 0 ? -1 : list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return e ? err_set(err, ERR_KAFKA, "offsets by time: %s", rd_kafka_err2str(e)) : ERR_OK;
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
        size_t group_count = 0;
        const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(event), &group_count);
        code = group_answer(groups, group_count, err);
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
    struct kafka_fetch *fetches; /* or: */
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

/* thread: pool */
static void ask_fetch(void *arg)
{
    struct question *question = arg;
    question->code = kafka_fetch_sync(question->admin, question->fetches, question->count,
                                      question->reply.timeout_ms, NULL);
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

void kafka_fetch(struct kafka_admin *admin, struct kafka_fetch *fetches, size_t count,
                 const struct kafka_reply *reply)
{
    struct question *question = question_new(admin, count, reply);
    question->fetches = fetches;
    loop_work(reply->loop, ask_fetch, asked, question);
}
