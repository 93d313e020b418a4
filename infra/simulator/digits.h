/* Whole numbers in text.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_DIGITS_H
#define INFRA_SIMULATOR_DIGITS_H

#include "schemas/span.h"

#include <stdint.h>

/* Reads 1 to 15 decimal digits and nothing else: no sign, no spaces. */
bool digits_parse(struct span text, int64_t *ret_number);

#endif
