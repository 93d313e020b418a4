/* The view's records out of Redis, for the books: waits until the view has applied what was read,
 * then gives every job's records, and looks through all keys for records of no job.
 * thread: the caller's; blocks, with a loop of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_BOOKS_REDIS_H
#define CONSUMERS_VERIFY_VERIFY_BOOKS_REDIS_H

#include "consumers/verify/verify_books_read.h"

/* After verify_books_finish. ERR_REDIS_GONE or ERR_REDIS when Redis does not answer, ERR_CANCELLED
 * when it was called off, ERR_LIMIT when the time was over. */
enum err_code verify_books_view(struct verify_books *books, const struct verify_books_use *use,
                                const char *cluster_id, struct err *err) MUST_CHECK;

#endif
