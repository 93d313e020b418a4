/* The first record of each of many partitions at or after an offset: one assignment and small
 * fetches for all of them. It is what is there that counts: transaction markers, holes of
 * compaction and what retention deleted are passed over, as a consumer would.
 * THREADS: any; it blocks, and one caller at a time reads (the others wait).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_FIRST_H
#define INFRA_KAFKA_FIRST_H

#include "infra/kafka_admin.h"

enum kafka_first_found {
    KAFKA_FIRST_UNKNOWN, /* no answer in time */
    KAFKA_FIRST_NONE,    /* [from, end) holds no record */
    KAFKA_FIRST_RECORD,
};
struct kafka_first {
    const char *topic; /* borrowed */
    int32_t partition;
    int64_t from, end; /* the stretch to look at; from < end */
    /* Filled: */
    enum kafka_first_found found;
    int64_t offset;
    int64_t timestamp_ms; /* as stored; -1 none */
};
/* Fills each of `items`. ERR_KAFKA when some stayed unknown until the deadline. `admin` was opened
 * with KAFKA_READ_FIRST or KAFKA_READ_FIRST_COMMITTED: whole logs would be fetched otherwise. */
enum err_code kafka_first_sync(struct kafka_admin *admin, struct kafka_first *items, size_t count,
                               int64_t timeout_ms, struct err *err) MUST_CHECK;

#endif
