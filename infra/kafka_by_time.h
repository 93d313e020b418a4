/* Offsets by time, of any broker: one that cannot look them up, or answers that there is none
 * although the log ends with a younger record, is helped by reading timestamps.
 * THREADS: any; it blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_BY_TIME_H
#define INFRA_KAFKA_BY_TIME_H

#include "infra/kafka_admin.h"

/* Sets each offset to that of the first record at or after a time; -1 where none is that young.
 * `logs` has the same partitions, with their starts and ends. Where timestamps have to be read
 * they are taken to rise, and a record without one to be older than any time. ERR_KAFKA when a
 * question is not answered within half a minute. */
enum err_code kafka_by_time_sync(struct kafka_admin *admin, int64_t time_ms,
                                 const struct kafka_range *logs, struct kafka_offset *offsets,
                                 size_t count, struct err *err) MUST_CHECK;

#endif
