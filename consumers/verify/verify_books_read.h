/* The books, from the topics and the view, with what was read: everything a certificate says.
 * thread: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_BOOKS_READ_H
#define CONSUMERS_VERIFY_VERIFY_BOOKS_READ_H

#include "consumers/verify/verify_books.h"
#include "consumers/verify/verify_notes.h"
#include "infra/kafka_admin.h"

#include <stdatomic.h>

struct verify_books_use {
    struct kafka_admin *admin;
    const struct config *config;
    int64_t from_ms, to_ms; /* the window; INT64_MIN and INT64_MAX: open */
    size_t bytes_max;
    uint64_t records_max;    /* as in verify_scan.h */
    int64_t until_ms;        /* monotonic; 0: no limit */
    const atomic_bool *stop; /* may be NULL */
    bool view;               /* compare it, too */
};

struct verify_books_certificate {
    struct verify_books *books;
    struct verify_notes notes; /* what was not looked at, and why */
    char cluster_id[64];
    char namespace_[64];
    int64_t began_ms, ended_ms; /* wall clock */
    bool view;
};
/* Free with verify_books_certificate_clear. ERR_KAFKA, ERR_REDIS, ERR_REDIS_GONE when they do not
 * answer, ERR_NOT_FOUND when there are no topics, ERR_LIMIT beyond a limit of `use`, ERR_CANCELLED.
 */
enum err_code verify_books_read(const struct verify_books_use *use,
                                struct verify_books_certificate *ret_certificate,
                                struct err *err) MUST_CHECK;
void verify_books_certificate_clear(struct verify_books_certificate *certificate);

#endif
