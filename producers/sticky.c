/* See sticky.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/sticky.h"

#include "infra/kafka_producer.h"
#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>

struct place {
    int32_t partition;
    int64_t since_ms; /* it is the one; 0 never */
};

struct sticky {
    size_t count;
    struct place places[]; /* of the queues */
};

struct wish {
    int32_t partition, partition_count;
};

struct sticky *sticky_new(size_t queue_count)
{
    struct sticky *sticky = mem_zalloc(1, sizeof *sticky + queue_count * sizeof(struct place));
    sticky->count = queue_count;
    return sticky;
}

void sticky_free(struct sticky *sticky)
{
    free(sticky);
}

static bool falls_there(void *arg, const struct id *id)
{
    const struct wish *wish = arg;
    char key[IDENTITY_TEXT_SIZE];
    id_identity_text(id, key);
    return kafka_partition_of(span_of(key), wish->partition_count) == wish->partition;
}

void sticky_mint(struct sticky *sticky, struct id_minter *minter, size_t queue,
                 int32_t partition_count, int64_t now_ms, struct id *ret)
{
    assert(queue < sticky->count && partition_count > 0);
    struct place *place = &sticky->places[queue];
    if (now_ms >= place->since_ms + STICKY_MS || now_ms < place->since_ms) {
        place->partition++;
        place->since_ms = now_ms;
    }
    place->partition %= partition_count;
    struct wish wish = { place->partition, partition_count };
    id_mint_where(minter, now_ms, falls_there, &wish, ret);
}
