/* A place in a log, as people write it: "start", "end", "42", "+10", "-10", "@TIME" with TIME in
 * RFC 3339, a date (UTC), Unix seconds or milliseconds, or "-1h" for an hour ago. thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_PLACE_H
#define GATEWAY_CLI_PLACE_H

#include "schemas/span.h"

#include <stdint.h>

enum place_kind {
    PLACE_START,
    PLACE_END,
    PLACE_OFFSET,  /* value: the offset */
    PLACE_FORWARD, /* value: so many records on */
    PLACE_BACK,    /* value: so many records back */
    PLACE_TIME,    /* value: Unix milliseconds */
    PLACE_EACH,    /* text: an offset for each partition of some */
};
struct place {
    enum place_kind kind;
    int64_t value;
    struct span text; /* borrowed */
};
#define PLACE_ALLOWED                                                                              \
    "start, end, an offset, +N, -N or @TIME (2026-02-14T08:00:00Z, 2026-02-14 or -1h)"

/* False when the text is none of these. */
bool place_parse(struct span text, int64_t now_ms, struct place *ret_place);
/* The same, and "0:42,3:17": places of some partitions, for who wants the same records again. */
#define PLACE_EACH_ALLOWED PLACE_ALLOWED ", or PARTITION:OFFSET,..."
bool place_parse_each(struct span text, int64_t now_ms, struct place *ret_place);
/* Of PLACE_EACH, which the others need not be asked for: the partition's offset; -1 when it is not
 * listed. */
int64_t place_each(const struct place *place, int32_t partition);
/* The place in a log from `start` to `end`, within them. `from` is what +N and -N count from;
 * `at_time` the first offset at or after the place's time (-1: none is that young). -1 when `from`
 * is needed and is -1. */
int64_t place_offset(const struct place *place, int64_t start, int64_t end, int64_t from,
                     int64_t at_time);

#endif
