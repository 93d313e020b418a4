/* Taking topics and consumer groups away from a cluster, for what was made to be thrown away.
 * THREADS: any; it blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_DELETE_H
#define INFRA_KAFKA_DELETE_H

#include "infra/kafka_admin.h"

/* What does not exist is deleted. The rest is deleted even when one of them cannot be. */
enum err_code kafka_topics_delete_sync(struct kafka_admin *admin, const char *const *names,
                                       size_t count, int64_t timeout_ms,
                                       struct err *err) MUST_CHECK;
/* The same; a group that has members cannot be. */
enum err_code kafka_groups_delete_sync(struct kafka_admin *admin, const char *const *names,
                                       size_t count, int64_t timeout_ms,
                                       struct err *err) MUST_CHECK;

#endif
