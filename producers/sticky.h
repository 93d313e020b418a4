/* Jobs of the same moment share a partition. A job's identity is its record's key, so the id that a
 * job is given decides where its records lie, commands and events alike. Spread at random, a burst
 * of jobs would be as many small batches as there are partitions, for Kafka, for each who reads
 * them and for the view. So the ids of STICKY_MS are chosen to fall together, and those of the next
 * such time on the next partition: over a second all partitions get the same. It is KIP-794's idea
 * for records that have a key of their own.
 * thread: one
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_STICKY_H
#define PRODUCERS_STICKY_H

#include "schemas/id.h"

#include <stddef.h>

#define STICKY_MS 5

struct sticky;
/* Of queues 0 to queue_count - 1, which are told apart: each has its own place. */
struct sticky *sticky_new(size_t queue_count);
/* Accepts NULL. */
void sticky_free(struct sticky *sticky);

/* As id_mint at `now_ms` (Unix time), for a job of `queue` whose command topic has so many
 * partitions (at least one). Were they others by now, the job would lie anywhere, and nothing would
 * be wrong. */
void sticky_mint(struct sticky *sticky, struct id_minter *minter, size_t queue,
                 int32_t partition_count, int64_t now_ms, struct id *ret);

#endif
