/* See kafka_delete.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_delete.h"

#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdlib.h>

static enum err_code topics_answer(rd_kafka_event_t *event, struct err *err)
{
    size_t count = 0;
    enum err_code code = ERR_OK;
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    for (size_t i = 0; i < count && !code; i++) {
        rd_kafka_resp_err_t e = rd_kafka_topic_result_error(results[i]);
        if (e && e != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            code = err_set(err, ERR_KAFKA, "topic %s cannot be deleted: %s",
                           rd_kafka_topic_result_name(results[i]), rd_kafka_err2str(e));
    }
    return code;
}

enum err_code kafka_topics_delete_sync(struct kafka_admin *admin, const char *const *names,
                                       size_t count, int64_t timeout_ms, struct err *err)
{
    if (count == 0)
        return ERR_OK;
    rd_kafka_DeleteTopic_t **questions = mem_zalloc(count, sizeof(rd_kafka_DeleteTopic_t *));
    for (size_t i = 0; i < count; i++)
        questions[i] = rd_kafka_DeleteTopic_new(names[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->client->rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DELETETOPICS, timeout_ms);
    rd_kafka_DeleteTopics(admin->client->rk, questions, count, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "deletion of topics", err);
    enum err_code code = event ? topics_answer(event, err) : ERR_KAFKA;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(questions, count);
    free(questions);
    return code;
}

static enum err_code groups_answer(rd_kafka_event_t *event, struct err *err)
{
    size_t count = 0;
    enum err_code code = ERR_OK;
    const rd_kafka_group_result_t **results =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    for (size_t i = 0; i < count && !code; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(results[i]);
        if (error && rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
            code = err_set(err, ERR_KAFKA, "group %s cannot be deleted: %s",
                           rd_kafka_group_result_name(results[i]), rd_kafka_error_string(error));
    }
    return code;
}

enum err_code kafka_groups_delete_sync(struct kafka_admin *admin, const char *const *names,
                                       size_t count, int64_t timeout_ms, struct err *err)
{
    if (count == 0)
        return ERR_OK;
    rd_kafka_DeleteGroup_t **questions = mem_zalloc(count, sizeof(rd_kafka_DeleteGroup_t *));
    for (size_t i = 0; i < count; i++)
        questions[i] = rd_kafka_DeleteGroup_new(names[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->client->rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DELETEGROUPS, timeout_ms);
    rd_kafka_DeleteGroups(admin->client->rk, questions, count, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "deletion of groups", err);
    enum err_code code = event ? groups_answer(event, err) : ERR_KAFKA;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteGroup_destroy_array(questions, count);
    free(questions);
    return code;
}
