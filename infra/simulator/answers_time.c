/* The time in a zone, from rules of our own: the machine's zone files change with its packages,
 * these do not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/answers.h"
#include "infra/simulator/answers_data.h"
#include "infra/simulator/answers_find.h"
#include "schemas/timefmt.h"

#include <stdio.h>
#include <time.h>

#define MINUTE_MS   60000
#define SECONDS_DAY 86400
#define DAYLIGHT_MIN                                                                               \
    60 /* daylight saving time is an hour ahead of standard time in every zone here */

/* When clocks change: on a Sunday of a month, at a minute of that day in UTC or in the zone's
 * standard time. */
struct change {
    int month; /* 1 to 12 */
    int week;  /* 1 is the month's first Sunday; LAST_WEEK its last */
    int minute;
    bool utc;
    const char *text;
};
struct rule {
    struct change begin, end;
};
enum { LAST_WEEK = 5 };

static const struct rule rules[] = {
    [DAYLIGHT_EUROPE] = { { 3, LAST_WEEK, 60, true, "last Sunday in March, 01:00 UTC" },
                          { 10, LAST_WEEK, 60, true, "last Sunday in October, 01:00 UTC" } },
    [DAYLIGHT_AMERICA] = { { 3, 2, 120, false, "second Sunday in March, 02:00 local time" },
                           { 11, 1, 60, false, "first Sunday in November, 02:00 local time" } },
    [DAYLIGHT_AUSTRALIA] = { { 10, 1, 120, false, "first Sunday in October, 02:00 local time" },
                             { 4, 1, 120, false, "first Sunday in April, 03:00 local time" } },
    [DAYLIGHT_NEW_ZEALAND] = { { 9, LAST_WEEK, 120, false,
                                 "last Sunday in September, 02:00 local time" },
                               { 4, 1, 120, false, "first Sunday in April, 03:00 local time" } },
};

/* Unix seconds of midnight UTC at the start of the Sunday that `change` names in `year` (counted
 * from 1900). */
static int64_t sunday(int year, const struct change *change)
{
    struct tm first = { .tm_year = year, .tm_mon = change->month - 1, .tm_mday = 1 };
    int64_t start = timegm(&first); /* also fills in the weekday */
    int64_t day = (7 - first.tm_wday) % 7 + 7 * (change->week - 1);
    struct tm next_month = { .tm_year = year, .tm_mon = change->month, .tm_mday = 1 };
    int64_t days = (timegm(&next_month) - start) / SECONDS_DAY;
    while (day >= days)
        day -= 7;
    return start + day * SECONDS_DAY;
}

static int64_t change_s(int year, const struct change *change, int offset_minutes)
{
    int minute = change->utc ? change->minute : change->minute - offset_minutes;
    return sunday(year, change) + (int64_t)minute * 60;
}

static bool is_daylight(const struct answers_zone *zone, int64_t at_s)
{
    if (zone->daylight == DAYLIGHT_NONE)
        return false;
    const struct rule *rule = &rules[zone->daylight];
    time_t standard_s = at_s + (int64_t)zone->offset_minutes * 60;
    struct tm standard;
    gmtime_r(&standard_s, &standard);
    int64_t begin_s = change_s(standard.tm_year, &rule->begin, zone->offset_minutes);
    int64_t end_s = change_s(standard.tm_year, &rule->end, zone->offset_minutes);
    /* South of the equator summer spans the new year. */
    return begin_s < end_s ? at_s >= begin_s && at_s < end_s : at_s >= begin_s || at_s < end_s;
}

static void write_offset(int minutes, struct buf *out)
{
    int size = minutes < 0 ? -minutes : minutes;
    buf_printf(out, "\"utc_offset\":\"%c%02d:%02d\"", minutes < 0 ? '-' : '+', size / 60,
               size % 60);
}

static void write_rule(const struct answers_zone *zone, struct buf *out)
{
    if (zone->daylight == DAYLIGHT_NONE) {
        buf_add_text(out, "null");
        return;
    }
    const struct rule *rule = &rules[zone->daylight];
    buf_add_char(out, '{');
    write_offset(zone->offset_minutes + DAYLIGHT_MIN, out);
    buf_printf(out, ",\"from\":\"%s\",\"until\":\"%s\"}", rule->begin.text, rule->end.text);
}

static void write_local(const struct answers_zone *zone, int64_t at_ms, struct buf *out)
{
    int64_t at_s = at_ms / 1000 - (at_ms % 1000 < 0);
    bool summer = is_daylight(zone, at_s);
    int offset_minutes = zone->offset_minutes + (summer ? DAYLIGHT_MIN : 0);
    char at[TIMEFMT_RFC3339_SIZE];
    char local[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(at_ms, at);
    timefmt_rfc3339(at_ms + (int64_t)offset_minutes * MINUTE_MS, local);
    /* Without its "Z" the shifted instant is what a clock on the wall shows. */
    buf_printf(out, ",\"at\":\"%s\",\"local\":\"%.*s\",\"daylight_saving\":%s,", at,
               (int)strlen(local) - 1, local, summer ? "true" : "false");
    write_offset(offset_minutes, out);
}

enum err_code answers_time(struct span zone, struct span at, struct buf *out, struct err *err)
{
    const struct answers_table zones = { answers_data_zones, sizeof *answers_data_zones,
                                         answers_data_zone_count, "zone" };
    size_t index = 0;
    int64_t at_ms = 0;
    if (at.size && !timefmt_parse_rfc3339(at, &at_ms))
        return err_field(err, ERR_INVALID_PARAMETER, "at",
                         "at must be an RFC 3339 time such as 2026-07-01T12:00:00Z");
    enum err_code code = answers_find(&zones, zone, &index, err);
    if (code)
        return code;
    const struct answers_zone *found = &answers_data_zones[index];
    buf_printf(out, "{\"zone\":\"%s\"", found->name);
    if (at.size) {
        write_local(found, at_ms, out);
    } else {
        buf_add_char(out, ',');
        write_offset(found->offset_minutes, out);
    }
    buf_add_text(out, ",\"daylight_saving_rule\":");
    write_rule(found, out);
    buf_add_char(out, '}');
    return ERR_OK;
}
