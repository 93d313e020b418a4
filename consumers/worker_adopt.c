/* Calls that outlive a revoke: should the partition come back while one still runs, the command
 * that is delivered again is not begun; the attempt goes on as the new assignment's. See
 * worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "schemas/mutant.h"

void adopt_departed(struct worker_partition *partition)
{
    partition->departed = true;
    partition->next = partition->queue->departed;
    partition->queue->departed = partition;
}

void adopt_forget(struct worker_partition *partition)
{
    struct worker_partition **link = &partition->queue->departed;
    while (*link != partition)
        link = &(*link)->next;
    *link = partition->next;
}

/* The ones at the gate are about to be dropped; those of an ordered queue stand in the line of the
 * assignment before. */
static struct attempt *find(const struct worker_partition *partition, int64_t offset)
{
    for (struct attempt *attempt = partition->attempts; attempt; attempt = attempt->sibling) {
        if (attempt->offset == offset && attempt->state >= ATTEMPT_RUNNING && !attempt->cancelled &&
            !order_keeps(attempt))
            return attempt;
    }
    return NULL;
}

bool adopt_running(struct worker_partition *partition, int64_t offset)
{
    struct attempt *attempt = NULL;
    for (struct worker_partition *old = partition->queue->departed; old && !attempt;
         old = old->next) {
        if (old->number == partition->number)
            attempt = find(old, offset);
    }
    if (!attempt || MUTANT(no_adoption))
        return false;
    struct worker_partition *old = attempt->partition;
    partition_unlink(attempt);
    partition_link(partition, attempt);
    if (!MUTANT(adopted_uncounted)) {
        old->held_bytes -= attempt->bytes;
        partition->held_bytes += attempt->bytes;
    }
    attempt->ticket = window_add(partition->window, offset);
    old->under_way--;
    partition->under_way++;
    metric_add(partition->worker->adopted, 1);
    partition_unref(old);
    return true;
}
