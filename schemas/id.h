/* Job ids: 128 bits in the text form of a UUID (RFC 9562). The first 12 bytes, version and variant
 * included, are the identity: what Kafka keys, Redis keys and deduplication use. The last 4 are a
 * truncated HMAC of the identity under a secret of the deployment, checked where ids come in, so
 * that a made-up id costs no look-up. A rotation of secrets changes no identity.
 *
 *   version 7   48-bit ms time | 7 | counter, high 12 bits | 10 | counter, low 8 | minter, 22 | MAC
 *   version 8   SHA-256 of what the id is derived from, 90 bits of it                         | MAC
 *
 * Ids are on the wire and in Redis for as long as jobs live: a new layout needs another version
 * nibble, never another meaning of these.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_ID_H
#define SCHEMAS_ID_H

#include "schemas/siphash.h"
#include "schemas/span.h"

#include <stdint.h>

struct id {
    uint8_t bytes[16];
};

#define ID_IDENTITY_BYTES  12
#define ID_TEXT_SIZE       37 /* 36 characters and NUL */
#define IDENTITY_TEXT_SIZE 25 /* 24 hex digits and NUL */

/* Makes and verifies ids. THREADS: one minter per thread; minters of the same secrets, in any
 * process, never make the same id but by a chance of 1 in 2^42 each millisecond. */
struct id_minter;
/* The first secret mints, all verify. The secrets are copied. With none, nothing verifies and
 * nothing may be minted. */
struct id_minter *id_minter_new(const struct span *secrets, size_t count);
void id_minter_free(struct id_minter *minter);

/* A UUIDv7 at `now_ms` (Unix time). Each id of a minter is greater than the one before it: a clock
 * that goes back is not followed, and a full counter borrows the next millisecond. */
void id_mint(struct id_minter *minter, int64_t now_ms, struct id *ret);
/* The same, of the next ids the first one that `fits`, whose identity alone is known by then; of
 * ID_TRIES_MAX that do not, the last one. */
#define ID_TRIES_MAX 256
void id_mint_where(struct id_minter *minter, int64_t now_ms,
                   bool (*fits)(void *arg, const struct id *id), void *arg, struct id *ret);
/* A UUIDv8: the same three texts give the same identity, in every process and for ever. */
void id_derive(struct id_minter *minter, struct span tenant, struct span queue, struct span key,
               struct id *ret);
/* Whether the id was made under one of the secrets; in constant time. */
bool id_verify(struct id_minter *minter, const struct id *id);

/* The text form of RFC 9562, in either case; false unless version 7 or 8 and the variant are as
 * minted. thread: any, as all that follows */
bool id_parse(struct span text, struct id *ret);
/* In lower case. */
void id_text(const struct id *id, char ret[ID_TEXT_SIZE]);
/* The identity as hex: the Kafka key, and the part of Redis keys that names the job. */
void id_identity_text(const struct id *id, char ret[IDENTITY_TEXT_SIZE]);
/* Reads what id_identity_text writes, in either case; the other bytes of the id are zero. */
bool id_identity_parse(struct span text, struct id *ret);
/* When a version 7 id was minted (Unix ms); -1 for version 8, which holds no time. */
int64_t id_time_ms(const struct id *id);
/* Whether the identities are equal, under whatever secrets the ids were minted. */
bool id_same(const struct id *a, const struct id *b);
/* Of an identity (an id's first bytes), for tables within a process: all of its bits count, as ids
 * that one minter made in a row differ in few of them; and under a secret of the table's, as a
 * client picks those that are derived from its keys. */
uint64_t id_hash(const uint8_t secret[SIPHASH_SECRET_SIZE],
                 const uint8_t identity[ID_IDENTITY_BYTES]);

#endif
