/* SHA-256, HMAC-SHA-256, comparison in constant time and random bytes: all of OpenSSL that we use.
 * A libcrypto that cannot compute these is an installation without sense: it ends the process, as
 * running out of memory does.
 * THREADS: a digest_hasher and a digest_hmac are their owner's, the rest is for any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_DIGEST_H
#define SCHEMAS_DIGEST_H

#include "schemas/span.h"

#include <stdint.h>

#define DIGEST_SIZE 32

/* SHA-256 (FIPS 180-4) of the parts, one after the other. Nothing marks where a part ends: where
 * that matters, let lengths be parts. thread: any */
void digest_sha256(const struct span *parts, size_t count, uint8_t ret[DIGEST_SIZE]);

/* The same, made ready once: libcrypto looks the algorithm up for each digest otherwise, which one
 * who needs thousands a second would feel. thread: the owner's */
struct digest_hasher;
struct digest_hasher *digest_hasher_new(void);
void digest_hasher_free(struct digest_hasher *hasher);
void digest_hasher_sha256(struct digest_hasher *hasher, const struct span *parts, size_t count,
                          uint8_t ret[DIGEST_SIZE]);

/* HMAC-SHA-256 (RFC 2104) under one secret, made ready once. thread: the owner's */
struct digest_hmac;
/* The secret is copied. */
struct digest_hmac *digest_hmac_new(struct span secret);
/* Wipes the secret. */
void digest_hmac_free(struct digest_hmac *hmac);
void digest_hmac_sha256(struct digest_hmac *hmac, struct span data, uint8_t ret[DIGEST_SIZE]);

/* Takes as long for equal bytes as for different ones, so that a guess learns nothing from the
 * time. thread: any */
bool digest_equal(const void *a, const void *b, size_t size);
/* Unpredictable bytes, fit for secrets; false (`ret` is worthless) when the system has none.
 * thread: any */
bool digest_random(void *ret, size_t size) __attribute__((warn_unused_result));

#endif
