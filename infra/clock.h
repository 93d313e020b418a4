/* Time. Wall-clock milliseconds are Unix time; monotonic ones only serve to measure.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CLOCK_H
#define INFRA_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

#endif
