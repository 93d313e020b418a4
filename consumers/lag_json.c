/* A look at the lag as JSON: unknown is null, times are RFC 3339, durations seconds; see lag.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/lag.h"
#include "schemas/timefmt.h"

#include <inttypes.h>

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":", name);
    if (text)
        buf_add_json_string(out, span_of(text));
    else
        buf_add_text(out, "null");
    buf_add_char(out, ',');
}

static void add_last_count(struct buf *out, const char *name, int64_t value)
{
    if (value < 0)
        buf_printf(out, "\"%s\":null", name);
    else
        buf_printf(out, "\"%s\":%" PRId64, name, value);
}

static void add_count(struct buf *out, const char *name, int64_t value)
{
    add_last_count(out, name, value);
    buf_add_char(out, ',');
}

static void add_seconds(struct buf *out, const char *name, int64_t ms)
{
    if (ms < 0)
        buf_printf(out, "\"%s\":null,", name);
    else
        buf_printf(out, "\"%s\":%" PRId64 ".%03d,", name, ms / 1000, (int)(ms % 1000));
}

static void add_real(struct buf *out, const char *name, double value)
{
    if (value < 0)
        buf_printf(out, "\"%s\":null,", name);
    else
        buf_printf(out, "\"%s\":%.3f,", name, value);
}

static const char *basis_of(const struct lag_figures *figures)
{
    return figures->how != LAG_UNKNOWN && figures->lag > 0 ? "record" : "none";
}

static void add_figures(struct buf *out, const struct lag_figures *figures)
{
    add_count(out, "lag", figures->lag);
    add_seconds(out, "behind_seconds", figures->behind_ms);
    add_text(out, "behind_basis", basis_of(figures));
    add_text(out, "how", lag_how_text(figures->how));
    add_real(out, "in_rate", figures->in_rate);
    add_real(out, "out_rate", figures->out_rate);
    add_real(out, "drain_seconds", figures->drain_s);
    add_count(out, "retention_margin", figures->margin);
    add_last_count(out, "lost", figures->lost);
}

static void add_partition(struct buf *out, const struct lag_partition *partition)
{
    buf_printf(out, "{\"partition\":%" PRId32 ",", partition->partition);
    add_count(out, "current", partition->committed);
    add_count(out, "start", partition->start);
    add_count(out, "end", partition->end);
    add_text(out, "owner", partition->owner);
    add_figures(out, &partition->figures);
    buf_add_char(out, '}');
}

static void add_topic(struct buf *out, const struct lag_topic *topic)
{
    buf_add_char(out, '{');
    add_text(out, "topic", topic->name);
    add_figures(out, &topic->figures);
    buf_add_text(out, ",\"partitions\":[");
    for (size_t i = 0; i < topic->count; i++) {
        if (i)
            buf_add_char(out, ',');
        add_partition(out, &topic->partitions[i]);
    }
    buf_add_text(out, "]}");
}

void lag_json(const struct lag_look *look, struct buf *out)
{
    char at[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(look->at_ms, at);
    buf_printf(out,
               "{\"schema\":\"" LAG_SCHEMA "\",\"at\":\"%s\",\"took_seconds\":%.6f,\"groups\":[",
               at, (double)look->took_us / 1e6);
    for (size_t i = 0; i < look->count; i++) {
        const struct lag_group *group = &look->groups[i];
        buf_add_text(out, i ? ",{" : "{");
        add_text(out, "group", group->name);
        add_text(out, "queue", group->queue);
        add_text(out, "state", group->state);
        add_count(out, "members", group->members);
        add_figures(out, &group->figures);
        buf_add_text(out, ",\"topics\":[");
        for (size_t k = 0; k < group->count; k++) {
            if (k)
                buf_add_char(out, ',');
            add_topic(out, &group->topics[k]);
        }
        buf_add_text(out, "]}");
    }
    buf_add_text(out, "]}");
}
