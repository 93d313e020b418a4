/* See place.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/place.h"

#include "schemas/digits.h"
#include "schemas/timefmt.h"

#include <stdio.h>
#include <string.h>

#define MS_SINCE_ABOUT_2001 1000000000000 /* a smaller number is of seconds */
#define DATE_SIZE           10            /* 2026-02-14 */

static struct span after(struct span text, size_t count)
{
    return (struct span){ (const char *)text.data + count, text.size - count };
}

static bool parse_time(struct span text, int64_t now_ms, int64_t *ret_ms)
{
    int64_t value = 0;
    if (text.size > 1 && *(const char *)text.data == '-') {
        if (!timefmt_parse_duration(after(text, 1), &value) || value > now_ms)
            return false;
        *ret_ms = now_ms - value;
        return true;
    }
    if (digits_parse(text, DIGITS_MAX, &value)) {
        *ret_ms = value < MS_SINCE_ABOUT_2001 ? value * 1000 : value;
        return true;
    }
    if (text.size == DATE_SIZE) { /* a day is its first moment, in UTC */
        char whole[DATE_SIZE + sizeof "T00:00:00Z"];
        (void)snprintf(whole, sizeof whole, "%.*sT00:00:00Z", SPAN_ARG(text));
        return timefmt_parse_rfc3339(span_of(whole), ret_ms);
    }
    return timefmt_parse_rfc3339(text, ret_ms);
}

bool place_parse(struct span text, int64_t now_ms, struct place *ret_place)
{
    struct place place = { .kind = PLACE_OFFSET };
    const char *letters = text.data;
    char first = '\0';
    bool good = true;
    if (text.size)
        first = letters[0];
    if (span_is(text, "start")) {
        place.kind = PLACE_START;
    } else if (span_is(text, "end")) {
        place.kind = PLACE_END;
    } else if (first == '@') {
        place.kind = PLACE_TIME;
        good = parse_time(after(text, 1), now_ms, &place.value);
    } else if (first == '+' || first == '-') {
        place.kind = first == '+' ? PLACE_FORWARD : PLACE_BACK;
        good = digits_parse(after(text, 1), DIGITS_MAX, &place.value);
    } else {
        good = digits_parse(text, DIGITS_MAX, &place.value);
    }
    if (good)
        *ret_place = place;
    return good;
}

/* "3:17" of what is left of a list, which becomes the rest. */
static bool take_each(struct span *rest, int64_t *ret_partition, int64_t *ret_offset)
{
    const char *text = rest->data;
    const char *comma = memchr(text, ',', rest->size);
    size_t size = comma ? (size_t)(comma - text) : rest->size;
    const char *colon = memchr(text, ':', size);
    if (!colon)
        return false;
    size_t head = (size_t)(colon - text);
    *rest = after(*rest, comma ? size + 1 : size);
    return digits_parse((struct span){ text, head }, DIGITS_MAX, ret_partition) &&
           digits_parse((struct span){ colon + 1, size - head - 1 }, DIGITS_MAX, ret_offset) &&
           *ret_partition <= INT32_MAX && (!comma || rest->size);
}

bool place_parse_each(struct span text, int64_t now_ms, struct place *ret_place)
{
    int64_t partition = 0;
    int64_t offset = 0;
    struct span rest = text;
    if (place_parse(text, now_ms, ret_place))
        return true;
    if (!text.size)
        return false;
    while (rest.size) {
        if (!take_each(&rest, &partition, &offset))
            return false;
    }
    *ret_place = (struct place){ .kind = PLACE_EACH, .text = text };
    return true;
}

int64_t place_each(const struct place *place, int32_t partition)
{
    int64_t listed = 0;
    int64_t offset = 0;
    struct span rest = place->text;
    while (rest.size && take_each(&rest, &listed, &offset)) {
        if (listed == partition)
            return offset;
    }
    return -1;
}

int64_t place_offset(const struct place *place, int64_t start, int64_t end, int64_t from,
                     int64_t at_time)
{
    int64_t offset = place->value;
    bool counts = place->kind == PLACE_FORWARD || place->kind == PLACE_BACK;
    if (counts && from < 0)
        return -1;
    if (place->kind == PLACE_START)
        offset = start;
    else if (place->kind == PLACE_END)
        offset = end;
    else if (place->kind == PLACE_TIME)
        offset = at_time < 0 ? end : at_time;
    else if (counts)
        offset = from + (place->kind == PLACE_FORWARD ? place->value : -place->value);
    return offset < start ? start : offset > end ? end : offset;
}
