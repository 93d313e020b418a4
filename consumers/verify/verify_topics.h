/* The namespace's topics, read from Kafka into the judge: commands and delays, then replies, then
 * dead letters, each partition from its start (or a given offset) to its end as of now. The groups'
 * committed offsets are read first: what lies below one of them has its outcome in what is read
 * afterwards, or it was committed unsafely.
 * thread: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_TOPICS_H
#define CONSUMERS_VERIFY_VERIFY_TOPICS_H

#include "consumers/verify/verify_judge.h"
#include "consumers/verify/verify_notes.h"
#include "infra/kafka_admin.h"

struct json;

struct verify_topics {
    struct kafka_admin *admin;
    const struct config *config;
    const struct json *since; /* as verify_topics_mark writes it; NULL: from the beginning */
    struct verify_notes *notes;
    void *arg;
    /* The event that ended a job, borrowed. May be NULL. */
    void (*on_end)(void *arg, const struct verify_place *place, const struct job_event *event);
};
/* ERR_KAFKA when the topics cannot be read to their ends. */
enum err_code verify_topics_read(struct verify_judge *judge, const struct verify_topics *topics,
                                 struct err *err) MUST_CHECK;
/* {"<topic>/<partition>": <end>, ...}: where a later run is to begin. */
enum err_code verify_topics_mark(struct kafka_admin *admin, const struct config *config,
                                 struct buf *out, struct err *err) MUST_CHECK;

#endif
