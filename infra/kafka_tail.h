/* Records of all partitions of a topic as they come, for a person who looks on: in the order in
 * which they arrive here, which is that of each partition only.
 * THREADS: any; it blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_TAIL_H
#define INFRA_KAFKA_TAIL_H

#include "infra/kafka_admin.h"

struct kafka_tail_record { /* borrowed for the callback */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* -1 none */
    struct span key, value;
    const void *_message;
};
/* The i-th header; false past the last one. */
bool kafka_tail_header(const struct kafka_tail_record *record, size_t i, const char **ret_name,
                       struct span *ret_value);

struct kafka_tail {
    const struct kafka_offset *from; /* where each partition begins */
    const int64_t *ends;             /* where each ends; NULL: goes on until `fn` says false */
    size_t count;
    /* False ends it. `record` is NULL when a moment passed without one. */
    bool (*fn)(void *arg, const struct kafka_tail_record *record);
    void *arg;
};
/* ERR_KAFKA when nothing came for timeout_ms although there is something. */
enum err_code kafka_tail_sync(struct kafka_admin *admin, const struct kafka_tail *tail,
                              int64_t timeout_ms, struct err *err) MUST_CHECK;

#endif
