/* Whole numbers in text that comes from elsewhere: headers, queries, paths, answers.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_DIGITS_H
#define SCHEMAS_DIGITS_H

#include "schemas/span.h"

#include <stdint.h>

#define DIGITS_MAX      18 /* all of them fit into 64 bits */
#define DIGITS_MAX_JSON 15 /* and are exact for a reader of JSON that knows only doubles */

/* Reads 1 to `digits_max` (at most DIGITS_MAX) decimal digits and nothing else: no sign, no spaces,
 * leading zeros as they come. False: it is none, and *ret_number stays as it was. */
bool digits_parse(struct span text, size_t digits_max, int64_t *ret_number);

/* What a hex digit of either case stands for; -1: it is none. */
int digits_hex(char c);

#endif
