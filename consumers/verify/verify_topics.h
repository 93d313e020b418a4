/* The namespace's topics (verify_scan.h), read into the judge.
 * thread: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_TOPICS_H
#define CONSUMERS_VERIFY_VERIFY_TOPICS_H

#include "consumers/verify/verify_judge.h"
#include "consumers/verify/verify_scan.h"

struct json;

struct verify_topics {
    struct kafka_admin *admin;
    const struct config *config;
    const struct json *since; /* as verify_scan_mark writes it; NULL: from the beginning */
    struct verify_notes *notes;
    void *arg;
    /* The event that ended a job, borrowed. May be NULL. */
    void (*on_end)(void *arg, const struct verify_place *place, const struct job_event *event);
};
/* ERR_KAFKA when the topics cannot be read to their ends. */
enum err_code verify_topics_read(struct verify_judge *judge, const struct verify_topics *topics,
                                 struct err *err) MUST_CHECK;

#endif
