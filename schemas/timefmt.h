/* Times, durations, sizes and rates as text. Times are Unix milliseconds (UTC), durations
 * milliseconds. Parsers take the whole text or nothing, without white space around it; they write
 * their result on success only. thread: any SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_TIMEFMT_H
#define SCHEMAS_TIMEFMT_H

#include "schemas/buf.h"

#define TIMEFMT_RFC3339_SIZE 25 /* 24 characters and NUL */

/* "2026-11-24T01:02:03.004Z". Times outside of the years 0 to 9999 are shown as the nearest one
 * within. */
void timefmt_rfc3339(int64_t unix_ms, char ret[TIMEFMT_RFC3339_SIZE]);
/* RFC 3339 with any offset and any number of decimals (cut to ms). The leap second 23:59:60 UTC is
 * the last millisecond before midnight. */
bool timefmt_parse_rfc3339(struct span text, int64_t *ret_ms);
/* RFC 9110's IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT"; the day's name is not held against the
 * date. */
bool timefmt_parse_http_date(struct span text, int64_t *ret_ms);

/* "250ms", "5s", "2m", "1h", "7d", "1h30m" (larger units first); a plain number of seconds, "1.5";
 * ISO 8601 without years and months, "PT1M30.5S", "P1D", "P2W". The last part may have decimals;
 * the sum is rounded up to whole ms, so that a little is never nothing. Never negative. */
bool timefmt_parse_duration(struct span text, int64_t *ret_ms);
/* A time of RFC 3339, or a duration: so long before `now_ms`. *ret_ms is left as it is when the
 * text is neither. */
bool timefmt_parse_since(struct span text, int64_t now_ms, int64_t *ret_ms);
/* The shortest such text: "250ms", "1.5s", "1h30m", "7d", "0s"; "-" before negative ones. */
void timefmt_duration(int64_t ms, struct buf *out);

/* Bytes: "4096", "4096B", powers of 1024 "64KiB" "1MiB" "2GiB" "1TiB", of 1000 "10kB" (or KB)
 * "10MB" "1GB" "1TB". */
bool timefmt_parse_size(struct span text, int64_t *ret_bytes);

/* How often: "50/s", "600/m", "1000/h", up to a million; "0" is 0 a second. */
bool timefmt_parse_rate(struct span text, int64_t *ret_count, int64_t *ret_period_ms);

#endif
