/* The namespace's topics as the configuration wants them, made and marked: what `errand topics
 * apply` does. The marks: committed offset 0 for the groups that read a new topic (so that a
 * missing offset is an alarm and not a new topic), and the namespace's generation, a random number
 * that tells it from any other life of the same name.
 * THREADS: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_TOPICS_H
#define INFRA_TOPICS_H

#include "infra/config.h"
#include "infra/kafka_admin.h"
#include "schemas/topic.h"

/* Every topic of the namespace with its settings; free with topics_free. ERR_CONFIG when a name is
 * too long for Kafka. */
enum err_code topics_of(const struct config *config, struct kafka_topic_spec **ret_specs,
                        size_t *ret_count, struct err *err) MUST_CHECK;
void topics_free(struct kafka_topic_spec *specs, size_t count);

/* Makes what is missing, and marks it; raises a retention that is shorter than configured. A topic
 * with another partition count is an ERR_CONFIG that names it. Repeating it changes nothing.
 * `report` gets one line for each thing done, and may be NULL. */
enum err_code topics_apply_sync(struct kafka_admin *admin, const struct config *config,
                                void (*report)(void *arg, const char *line), void *arg,
                                struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND when the namespace has none: `errand topics apply` has not been run. */
enum err_code topics_generation_sync(struct kafka_admin *admin, const struct config *config,
                                     char ret_generation[TOPIC_GENERATION_SIZE + 1],
                                     struct err *err) MUST_CHECK;

#endif
