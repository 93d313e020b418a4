/* See redis_pending.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis_pending.h"

#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>

enum { CAPACITY_FIRST = 64 };

static struct redis_wait *at(const struct redis_pending *pending, size_t position)
{
    return &pending->items[position & (pending->capacity - 1)];
}

/* Whether the one at `position` breaks the order of deadlines. */
static bool is_early(const struct redis_pending *pending, size_t position)
{
    return position != pending->first &&
           at(pending, position)->deadline_ms < at(pending, position - 1)->deadline_ms;
}

static void grow(struct redis_pending *pending)
{
    size_t capacity = pending->capacity ? pending->capacity * 2 : CAPACITY_FIRST;
    struct redis_wait *items = mem_zalloc(capacity, sizeof *items);
    for (size_t i = pending->first; i != pending->next; i++)
        items[i & (capacity - 1)] = *at(pending, i);
    free(pending->items);
    pending->items = items;
    pending->capacity = capacity;
}

void redis_pending_clear(struct redis_pending *pending)
{
    free(pending->items);
    *pending = (struct redis_pending){ 0 };
}

size_t redis_pending_count(const struct redis_pending *pending)
{
    return pending->next - pending->first;
}

void redis_pending_push(struct redis_pending *pending, struct redis_wait wait)
{
    if (redis_pending_count(pending) == pending->capacity)
        grow(pending);
    *at(pending, pending->next) = wait;
    pending->early_count += is_early(pending, pending->next);
    pending->next++;
}

struct redis_wait redis_pending_pop(struct redis_pending *pending)
{
    assert(pending->first != pending->next);
    struct redis_wait wait = *at(pending, pending->first);
    size_t second = pending->first + 1;
    if (second != pending->next)
        pending->early_count -= is_early(pending, second);
    pending->first = second;
    if (pending->watched - pending->first > pending->next - pending->first)
        pending->watched = pending->first;
    return wait;
}

void redis_pending_expire(struct redis_pending *pending, int64_t now_ms)
{
    for (size_t i = pending->watched; i != pending->next; i++) {
        struct redis_wait *wait = at(pending, i);
        if (wait->deadline_ms > now_ms) {
            if (pending->early_count == 0)
                break;
            continue;
        }
        if (i == pending->watched)
            pending->watched++;
        redis_fn fn = wait->fn;
        wait->fn = NULL;
        if (fn)
            fn(wait->arg, ERR_REDIS_GONE, NULL);
        if (pending->first == pending->next)
            break;
    }
}

int64_t redis_pending_deadline(const struct redis_pending *pending)
{
    int64_t deadline_ms = INT64_MAX;
    for (size_t i = pending->watched; i != pending->next; i++) {
        const struct redis_wait *wait = at(pending, i);
        if (wait->fn && wait->deadline_ms < deadline_ms)
            deadline_ms = wait->deadline_ms;
        if (wait->fn && pending->early_count == 0)
            break;
    }
    return deadline_ms;
}

int64_t redis_pending_oldest(const struct redis_pending *pending)
{
    return pending->first == pending->next ? INT64_MAX : at(pending, pending->first)->asked_ms;
}
