/* The load generator as a client that keeps a history (schemas/history.h), and that reads jobs
 * again which have ended. All functions take NULL for "nobody wants one" and then do nothing.
 * Times are Unix milliseconds that never go back.
 * thread: the generator's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_LOAD_HISTORY_H
#define PRODUCERS_LOAD_HISTORY_H

#include "producers/load_body.h"
#include "producers/load_response.h"

#define LOAD_HISTORY_WAIT_S 1 /* of a read: so that jobs are seen under way */

struct load_history;

/* NULL without options->on_history. */
struct load_history *load_history_new(const struct load_options *options);
void load_history_free(struct load_history *history);
int64_t load_history_now_ms(const struct load_history *history);
/* Job n is about to be submitted; returns the time. */
int64_t load_history_submit(struct load_history *history, const struct load_body *body, int64_t n);
void load_history_submitted(struct load_history *history, const struct load_body *body, int64_t n,
                            int64_t begin_ms, const struct load_response *response);
/* No answer came to job n. */
void load_history_unanswered(struct load_history *history, const struct load_body *body, int64_t n,
                             int64_t begin_ms);
void load_history_read(struct load_history *history, const char *id, int64_t begin_ms,
                       const struct load_response *response);
/* Remembers the id of a job that has ended, and replaces it by one that ended earlier; false when
 * there is none yet. */
bool load_history_swap(struct load_history *history, char *id, size_t size);

#endif
