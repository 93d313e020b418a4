/* The admin's inside, shared by kafka_admin.c (questions), kafka_topics.c and
 * kafka_topics_retain.c (topics), kafka_groups.c (groups), kafka_scan.c and kafka_first.c
 * (records).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_ADMIN_INTERNAL_H
#define INFRA_KAFKA_ADMIN_INTERNAL_H

#include "infra/kafka_admin.h"
#include "infra/kafka_internal.h"

/* Whose committed offsets are asked for: librdkafka tells a client only those of its own group. */
struct kafka_group_client {
    struct kafka_group_client *next;
    char *name;
    struct kafka_client *client;
};

struct kafka_admin {
    const struct config_kafka *config;
    char *client_id;
    struct kafka_client *client;
    pthread_mutex_t reading; /* the client has one assignment: one reader at a time */
    pthread_mutex_t grouping;
    struct kafka_group_client *groups; /* locks: grouping */
};

/* Options for an admin request that is answered within timeout_ms; given away. */
rd_kafka_AdminOptions_t *kafka_admin_options(const struct kafka_admin *admin,
                                             rd_kafka_admin_op_t op, int64_t timeout_ms);
/* What the cluster has, for rd_kafka_metadata_destroy. All of it is always asked for: a question
 * about one topic would make that on the embedded broker. */
enum err_code kafka_admin_metadata(struct kafka_admin *admin, int64_t timeout_ms,
                                   const struct rd_kafka_metadata **ret_metadata,
                                   struct err *err) MUST_CHECK;
/* NULL when there is none of that name. */
const struct rd_kafka_metadata_topic *kafka_admin_topic(const struct rd_kafka_metadata *metadata,
                                                        const char *name);
/* The answer to a request, or NULL with `err` set; given away. */
rd_kafka_event_t *kafka_admin_answer(rd_kafka_queue_t *queue, int64_t timeout_ms, const char *what,
                                     struct err *err);

#endif
