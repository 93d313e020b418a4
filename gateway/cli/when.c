/* See when.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/when.h"

#include "infra/clock.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <unistd.h>

#define CELL_BYTES_MAX 256

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

void when_relative(int64_t at_ms, int64_t now_ms, struct buf *out)
{
    int64_t ms = at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms;
    if (ms < SECOND_MS) {
        buf_add_text(out, "now");
        return;
    }
    if (at_ms > now_ms)
        buf_add_text(out, "in ");
    if (ms < 2 * MINUTE_MS)
        buf_printf(out, "%" PRId64 "s", ms / SECOND_MS);
    else if (ms < 2 * HOUR_MS)
        buf_printf(out, "%" PRId64 "m", ms / MINUTE_MS);
    else if (ms < 2 * DAY_MS)
        buf_printf(out, "%" PRId64 "h", ms / HOUR_MS);
    else
        buf_printf(out, "%" PRId64 "d", ms / DAY_MS);
    if (at_ms <= now_ms)
        buf_add_text(out, " ago");
}

bool when_is_relative(void)
{
    return isatty(STDOUT_FILENO);
}

void when_text(struct span time, struct buf *out)
{
    int64_t at_ms = 0;
    if (time.size == 0)
        buf_add_char(out, '-');
    else if (when_is_relative() && timefmt_parse_rfc3339(time, &at_ms))
        when_relative(at_ms, clock_wall_ms(), out);
    else
        buf_add_span(out, time);
}

void when_text_ms(int64_t at_ms, struct buf *out)
{
    char text[TIMEFMT_RFC3339_SIZE] = "";
    if (at_ms > 0)
        timefmt_rfc3339(at_ms, text);
    when_text(span_of(text), out);
}

void when_add(struct table *table, struct span time)
{
    struct buf text = BUF_INIT(CELL_BYTES_MAX);
    when_text(time, &text);
    table_add(table, buf_span(&text));
    buf_free(&text);
}
