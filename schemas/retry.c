/* See retry.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/retry.h"

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t retry_wait_ms(int64_t first_ms, int64_t most_ms, uint32_t attempt, int64_t retry_after_ms,
                      uint64_t random)
{
    int64_t span_ms = smaller(first_ms, most_ms);
    for (uint32_t i = 1; i < attempt && span_ms > 0 && span_ms < most_ms; i++)
        span_ms = span_ms > most_ms / 2 ? most_ms : 2 * span_ms;
    int64_t wait_ms = (int64_t)(random % ((uint64_t)span_ms + 1));
    int64_t asked_ms = smaller(retry_after_ms, most_ms);
    return wait_ms > asked_ms ? wait_ms : asked_ms;
}
