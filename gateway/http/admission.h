/* Whether a queue may be given another job: its backlog (schemas/backlog.h), as each look of
 * lag_watch.h finds it, against the type's max_age and the queue's backlog_max. Asking costs a
 * submission two comparisons. What waits in the delay topics is no part of it: it is not next in
 * the queue, a target that is down would close the queue to all its types, and each job there ends
 * at its own not_after anyway.
 * THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_ADMISSION_H
#define GATEWAY_HTTP_ADMISSION_H

#include "consumers/lag.h"
#include "infra/config.h"
#include "infra/metrics.h"

struct admission;

/* Both are borrowed for the admission's life. */
struct admission *admission_new(const struct config *config, struct metrics *metrics);
/* Accepts NULL. */
void admission_free(struct admission *admission);

/* Takes a look at the queues, whose groups are in the order of the configuration; NULL: Kafka did
 * not tell, and nothing is known until the next one. */
void admission_look(struct admission *admission, const struct lag_look *look);

/* What a refused client is told. */
struct admission_refusal {
    int retry_after_s;
    int64_t quota; /* records that may wait */
};
/* ERR_OK, or ERR_BACKLOG_FULL for a job of this type that may begin in `ahead_ms` (0: now). */
enum err_code admission_check(const struct admission *admission, const struct config_type *type,
                              int64_t ahead_ms, struct admission_refusal *ret_refusal,
                              struct err *err) MUST_CHECK;
/* The best rate at which the queue was lately seen to drain, in records a second; 0 unknown. */
double admission_rate(const struct admission *admission, const struct config_queue *queue);

#endif
