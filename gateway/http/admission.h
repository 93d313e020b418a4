/* Whether a queue may be given another job: its backlog (schemas/backlog.h), looked at every
 * gateway.backlog_look with questions to Kafka on the thread pool, against the type's max_age and
 * the queue's backlog_max. Asking costs a submission two comparisons.
 * THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_ADMISSION_H
#define GATEWAY_HTTP_ADMISSION_H

#include "infra/config.h"
#include "infra/kafka_admin.h"
#include "infra/loop.h"
#include "infra/metrics.h"

struct admission;

struct admission_options { /* all borrowed for the admission's life */
    struct loop *loop;
    const struct config *config;
    struct kafka_admin *admin;
    struct metrics *metrics;
};
struct admission *admission_new(const struct admission_options *options);
/* Accepts NULL. A question under way ends by itself. */
void admission_free(struct admission *admission);

/* What a refused client is told. */
struct admission_refusal {
    int retry_after_s;
    int64_t quota; /* records that may wait */
};
/* ERR_OK, or ERR_BACKLOG_FULL for a job of this type that may begin in `ahead_ms` (0: now). */
enum err_code admission_check(const struct admission *admission, const struct config_type *type,
                              int64_t ahead_ms, struct admission_refusal *ret_refusal,
                              struct err *err) MUST_CHECK;

#endif
