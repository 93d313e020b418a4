/* When a failed attempt is tried again. Pure; milliseconds.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_RETRY_H
#define SCHEMAS_RETRY_H

#include <stdint.h>

/* How long to wait after attempt `attempt` (from 1) has failed: exponential backoff with full
 * jitter, that is anything between 0 and `first_ms` doubled with every attempt, `most_ms` at most.
 * What the target asked for (Retry-After; 0 nothing) is the least, but no longer than most_ms.
 * `random` is any 64 bits. first_ms and most_ms are not negative. */
int64_t retry_wait_ms(int64_t first_ms, int64_t most_ms, uint32_t attempt, int64_t retry_after_ms,
                      uint64_t random);

#endif
