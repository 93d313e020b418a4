/* The window of one partition: which delivered offsets are done, and from where to go on after a
 * crash. Work completes out of order; the offset to commit is the first one that is not done (a
 * contiguous low watermark). Offsets are sparse (compaction, transaction markers), so the window
 * counts deliveries, not offsets.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_WINDOW_H
#define SCHEMAS_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window;

/* `start`: the offset reading begins at, which is the watermark until something is done. */
struct window *window_new(int64_t start);
void window_free(struct window *window);

/* A delivered offset, higher than any before; the ticket names it from now on. */
uint64_t window_add(struct window *window, int64_t offset);
/* Its outcome has been acknowledged by Kafka. Once per ticket. */
void window_done(struct window *window, uint64_t ticket);

/* The offset to commit. */
int64_t window_watermark(const struct window *window);
/* From the watermark to the newest delivered offset, in offsets: what a crash may have delivered
 * again. */
int64_t window_span(const struct window *window);
/* Delivered and not done. */
size_t window_open(const struct window *window);

#endif
