/* The view, held against the log: the record of each ended job is made again by the fold
 * (schemas/fold.h) and compared with what Redis has under r:, byte for byte and with its expiry.
 * Blocks; a loop of its own.
 * thread: the caller's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_VIEW_H
#define CONSUMERS_VERIFY_VERIFY_VIEW_H

#include "consumers/verify/verify_judge.h"
#include "infra/config.h"

struct verify_view;

/* Both are borrowed. ERR_REDIS_GONE when Redis does not answer. */
enum err_code verify_view_open(const struct config *config, struct verify_judge *judge,
                               struct verify_view **ret_view, struct err *err) MUST_CHECK;
/* Accepts NULL. */
void verify_view_close(struct verify_view *view);
/* For verify_topics' on_end; `arg` is the view. */
void verify_view_take(void *arg, const struct verify_place *place, const struct job_event *event);
/* Compares what is left, before the verdict; then how many were compared. */
enum err_code verify_view_finish(struct verify_view *view, uint64_t *ret_compared,
                                 struct err *err) MUST_CHECK;

#endif
