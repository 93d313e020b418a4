/* SipHash-2-4 (Aumasson, Bernstein, 2012): a hash under a secret, so that nobody outside can pick
 * texts that fall together in a table. Not for signatures.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_SIPHASH_H
#define SCHEMAS_SIPHASH_H

#include "schemas/span.h"

#include <stdint.h>

#define SIPHASH_SECRET_SIZE 16

/* A new secret. Ends the process when the system has no random numbers. */
void siphash_secret(uint8_t ret[SIPHASH_SECRET_SIZE]);
uint64_t siphash(const uint8_t secret[SIPHASH_SECRET_SIZE], struct span text);

#endif
