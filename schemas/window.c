/* See window.h. A ring of deliveries from the oldest that is not done to the newest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "schemas/window.h"

#include "schemas/mem.h"

#include <assert.h>
#include <stdlib.h>

struct delivery {
    int64_t offset;
    bool done;
};

struct window {
    struct delivery *ring;
    size_t capacity; /* a power of two */
    uint64_t first;  /* ticket of the oldest in the ring */
    uint64_t next;   /* ticket the next delivery gets */
    int64_t newest;  /* last delivered offset + 1, or the start */
    size_t open;
};

struct window *window_new(int64_t start)
{
    struct window *window = MEM_NEW(*window);
    window->newest = start;
    return window;
}

void window_free(struct window *window)
{
    if (!window)
        return;
    free(window->ring);
    free(window);
}

static struct delivery *at(const struct window *window, uint64_t ticket)
{
    return &window->ring[ticket & (window->capacity - 1)];
}

static void grow(struct window *window)
{
    size_t capacity = window->capacity ? window->capacity * 2 : 64;
    struct delivery *ring = mem_zalloc(capacity, sizeof *ring);
    for (uint64_t ticket = window->first; ticket < window->next; ticket++)
        ring[ticket & (capacity - 1)] = *at(window, ticket);
    free(window->ring);
    window->ring = ring;
    window->capacity = capacity;
}

uint64_t window_add(struct window *window, int64_t offset)
{
    assert(offset >= window->newest);
    if (window->next - window->first == window->capacity)
        grow(window);
    *at(window, window->next) = (struct delivery){ .offset = offset };
    window->newest = offset + 1;
    window->open++;
    return window->next++;
}

void window_done(struct window *window, uint64_t ticket)
{
    assert(ticket >= window->first && ticket < window->next && !at(window, ticket)->done);
    at(window, ticket)->done = true;
    window->open--;
    while (window->first < window->next && at(window, window->first)->done)
        window->first++;
}

int64_t window_watermark(const struct window *window)
{
    return window->first < window->next ? at(window, window->first)->offset : window->newest;
}

int64_t window_span(const struct window *window)
{
    return window->newest - window_watermark(window);
}

size_t window_open(const struct window *window)
{
    return window->open;
}
