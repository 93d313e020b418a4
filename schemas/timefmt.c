/* See timefmt.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/timefmt.h"

#include <time.h>

#define SECOND_MS     INT64_C(1000)
#define MINUTE_MS     (60 * SECOND_MS)
#define HOUR_MS       (60 * MINUTE_MS)
#define DAY_MS        (24 * HOUR_MS)
#define WEEK_MS       (7 * DAY_MS)
#define YEAR_0_MS     INT64_C(-62167219200000)
#define YEAR_10000_MS INT64_C(253402300800000)
#define RATE_MAX      1000000
#define COUNT(list)   (sizeof(list) / sizeof *(list))

/* --- reading --- */

/* What is left of a text. */
struct reader {
    const char *at, *end;
};

static struct reader reader_of(struct span text)
{
    const char *start = text.size ? text.data : "";
    return (struct reader){ start, start + text.size };
}

static bool is_at_end(const struct reader *reader)
{
    return reader->at == reader->end;
}

static bool is_at_digit(const struct reader *reader)
{
    return !is_at_end(reader) && *reader->at >= '0' && *reader->at <= '9';
}

/* Takes the next character if it is one of `chars`. */
static bool take(struct reader *reader, const char *chars)
{
    if (is_at_end(reader) || *reader->at == '\0' || !strchr(chars, *reader->at))
        return false;
    reader->at++;
    return true;
}

static bool take_word(struct reader *reader, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0)
        return false;
    reader->at += size;
    return true;
}

/* Exactly so many digits. */
static bool take_digits(struct reader *reader, int count, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!is_at_digit(reader))
            return false;
        value = value * 10 + (*reader->at++ - '0');
    }
    *ret_value = value;
    return true;
}

static bool take_whole(struct reader *reader, int64_t *ret_value)
{
    int64_t value = 0;
    if (!is_at_digit(reader))
        return false;
    while (is_at_digit(reader)) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *reader->at - '0', &value))
            return false;
        reader->at++;
    }
    *ret_value = value;
    return true;
}

/* The decimals behind a point; there must be one. */
static bool take_decimals(struct reader *reader, struct span *ret_decimals)
{
    const char *start = reader->at;
    while (is_at_digit(reader))
        reader->at++;
    *ret_decimals = (struct span){ start, (size_t)(reader->at - start) };
    return reader->at > start;
}

/* --- instants --- */

struct moment {
    int year, month, day, hour, minute, second;
};

static bool is_valid(const struct moment *moment)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year = moment->year;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (moment->month < 1 || moment->month > 12)
        return false;
    int day_max = moment->month == 2 && is_leap ? 29 : days[moment->month - 1];
    return moment->day >= 1 && moment->day <= day_max && moment->hour <= 23 &&
           moment->minute <= 59 && moment->second <= 60;
}

/* Unix time of a valid moment; a leap second counts as the one before it. */
static int64_t seconds_of(const struct moment *moment)
{
    struct tm tm = {
        .tm_year = moment->year - 1900,
        .tm_mon = moment->month - 1,
        .tm_mday = moment->day,
        .tm_hour = moment->hour,
        .tm_min = moment->minute,
        .tm_sec = moment->second == 60 ? 59 : moment->second,
    };
    return timegm(&tm);
}

/* A leap second is only ever the last of a day (UTC). */
static bool is_last_of_day(int64_t seconds)
{
    return ((seconds % 86400) + 86400) % 86400 == 86399;
}

static bool take_time_of_day(struct reader *reader, struct moment *ret)
{
    return take_digits(reader, 2, &ret->hour) && take(reader, ":") &&
           take_digits(reader, 2, &ret->minute) && take(reader, ":") &&
           take_digits(reader, 2, &ret->second);
}

static bool take_offset(struct reader *reader, int64_t *ret_seconds)
{
    int hours = 0;
    int minutes = 0;
    *ret_seconds = 0;
    if (take(reader, "Zz"))
        return true;
    int sign = take(reader, "-") ? -1 : 1;
    if ((sign > 0 && !take(reader, "+")) || !take_digits(reader, 2, &hours) || !take(reader, ":") ||
        !take_digits(reader, 2, &minutes))
        return false;
    *ret_seconds = sign * INT64_C(60) * (hours * 60 + minutes);
    return hours <= 23 && minutes <= 59;
}

static int64_t milliseconds_of(struct span decimals)
{
    const char *digits = decimals.data;
    int64_t ms = 0;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < decimals.size ? digits[i] - '0' : 0);
    return ms;
}

bool timefmt_parse_rfc3339(struct span text, int64_t *ret_ms)
{
    struct reader reader = reader_of(text);
    struct moment moment;
    struct span decimals = { 0 };
    int64_t offset;
    if (!take_digits(&reader, 4, &moment.year) || !take(&reader, "-") ||
        !take_digits(&reader, 2, &moment.month) || !take(&reader, "-") ||
        !take_digits(&reader, 2, &moment.day) || !take(&reader, "Tt") ||
        !take_time_of_day(&reader, &moment))
        return false;
    if (take(&reader, ".") && !take_decimals(&reader, &decimals))
        return false;
    if (!take_offset(&reader, &offset) || !is_at_end(&reader) || !is_valid(&moment))
        return false;
    int64_t seconds = seconds_of(&moment) - offset;
    bool is_leap_second = moment.second == 60;
    if (is_leap_second && !is_last_of_day(seconds))
        return false;
    *ret_ms = seconds * 1000 + (is_leap_second ? 999 : milliseconds_of(decimals));
    return true;
}

/* Takes one of the names and says which, from 1. */
static bool take_name(struct reader *reader, const char *const *names, int count, int *ret_number)
{
    for (int i = 0; i < count; i++) {
        if (take_word(reader, names[i])) {
            *ret_number = i + 1;
            return true;
        }
    }
    return false;
}

bool timefmt_parse_http_date(struct span text, int64_t *ret_ms)
{
    static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct reader reader = reader_of(text);
    struct moment moment;
    int day_of_week;
    if (!take_name(&reader, days, COUNT(days), &day_of_week) || !take_word(&reader, ", ") ||
        !take_digits(&reader, 2, &moment.day) || !take(&reader, " ") ||
        !take_name(&reader, months, COUNT(months), &moment.month) || !take(&reader, " ") ||
        !take_digits(&reader, 4, &moment.year) || !take(&reader, " ") ||
        !take_time_of_day(&reader, &moment) || !take_word(&reader, " GMT"))
        return false;
    if (!is_at_end(&reader) || !is_valid(&moment))
        return false;
    *ret_ms = seconds_of(&moment) * 1000;
    return true;
}

static char *put_digits(char *out, int value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + count;
}

void timefmt_rfc3339(int64_t unix_ms, char ret[TIMEFMT_RFC3339_SIZE])
{
    if (unix_ms < YEAR_0_MS)
        unix_ms = YEAR_0_MS;
    if (unix_ms >= YEAR_10000_MS)
        unix_ms = YEAR_10000_MS - 1;
    int ms = (int)((unix_ms % 1000 + 1000) % 1000);
    time_t seconds = (unix_ms - ms) / 1000;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    const struct {
        int value, digits;
        char behind;
    } fields[] = {
        { tm.tm_year + 1900, 4, '-' },
        { tm.tm_mon + 1, 2, '-' },
        { tm.tm_mday, 2, 'T' },
        { tm.tm_hour, 2, ':' },
        { tm.tm_min, 2, ':' },
        { tm.tm_sec, 2, '.' },
        { ms, 3, 'Z' },
    };
    char *out = ret;
    for (size_t i = 0; i < COUNT(fields); i++) {
        out = put_digits(out, fields[i].value, fields[i].digits);
        *out++ = fields[i].behind;
    }
    *out = '\0';
}

/* --- durations --- */

struct unit {
    const char *name;
    int64_t size;
};

static bool take_unit(struct reader *reader, const struct unit *units, size_t count,
                      int64_t *ret_size)
{
    for (size_t i = 0; i < count; i++) {
        if (take_word(reader, units[i].name)) {
            *ret_size = units[i].size;
            return true;
        }
    }
    return false;
}

struct number {
    int64_t whole;
    struct span decimals;
};

static bool take_number(struct reader *reader, struct number *ret)
{
    ret->decimals = (struct span){ 0 };
    return take_whole(reader, &ret->whole) &&
           (!take(reader, ".") || take_decimals(reader, &ret->decimals));
}

/* Such a part of a unit in ms, rounded up. Nine digits count, of those behind them only whether
 * there is anything. */
static int64_t part_of(struct span decimals, int64_t unit_ms)
{
    const int64_t billion = 1000000000;
    const char *digits = decimals.data;
    int64_t billionths = 0;
    bool more = false;
    for (size_t i = 0; i < 9; i++)
        billionths = billionths * 10 + (i < decimals.size ? digits[i] - '0' : 0);
    for (size_t i = 9; i < decimals.size; i++)
        more |= digits[i] != '0';
    return ((billionths + more) * unit_ms + billion - 1) / billion;
}

/* The parts of a duration, added up. */
struct sum {
    int64_t ms;
    int64_t unit_ms;   /* of the last part; the next one's is smaller */
    bool has_decimals; /* the last part had them: nothing may follow */
};

static bool add(struct sum *sum, const struct number *number, int64_t unit_ms)
{
    int64_t ms;
    if (sum->has_decimals || unit_ms >= sum->unit_ms ||
        __builtin_mul_overflow(number->whole, unit_ms, &ms) ||
        __builtin_add_overflow(ms, part_of(number->decimals, unit_ms), &ms) ||
        __builtin_add_overflow(sum->ms, ms, &sum->ms))
        return false;
    sum->unit_ms = unit_ms;
    sum->has_decimals = number->decimals.size > 0;
    return true;
}

static bool parse_words(struct reader *reader, struct sum *sum)
{
    static const struct unit units[] = {
        { "ms", 1 }, { "s", SECOND_MS }, { "m", MINUTE_MS }, { "h", HOUR_MS }, { "d", DAY_MS },
    };
    bool is_first = true;
    do {
        struct number number;
        int64_t unit_ms = SECOND_MS;
        if (!take_number(reader, &number))
            return false;
        bool is_plain = is_first && is_at_end(reader);
        if (!is_plain && !take_unit(reader, units, COUNT(units), &unit_ms))
            return false;
        if (!add(sum, &number, unit_ms))
            return false;
        is_first = false;
    } while (!is_at_end(reader));
    return true;
}

/* One or more parts of an ISO 8601 duration: those of the date, or those of the time. */
static bool add_iso_parts(struct reader *reader, const struct unit *units, size_t count,
                          struct sum *sum)
{
    do {
        struct number number;
        int64_t unit_ms;
        if (!take_number(reader, &number) || !take_unit(reader, units, count, &unit_ms) ||
            !add(sum, &number, unit_ms))
            return false;
    } while (is_at_digit(reader));
    return true;
}

static bool parse_iso(struct reader *reader, struct sum *sum)
{
    static const struct unit date[] = { { "W", WEEK_MS }, { "D", DAY_MS } };
    static const struct unit time[] = { { "H", HOUR_MS }, { "M", MINUTE_MS }, { "S", SECOND_MS } };
    bool has_date = is_at_digit(reader);
    if (has_date && !add_iso_parts(reader, date, COUNT(date), sum))
        return false;
    bool has_time = take(reader, "T");
    if (has_time && !add_iso_parts(reader, time, COUNT(time), sum))
        return false;
    return (has_date || has_time) && is_at_end(reader);
}

bool timefmt_parse_duration(struct span text, int64_t *ret_ms)
{
    struct reader reader = reader_of(text);
    struct sum sum = { .unit_ms = INT64_MAX };
    if (!(take(&reader, "P") ? parse_iso(&reader, &sum) : parse_words(&reader, &sum)))
        return false;
    *ret_ms = sum.ms;
    return true;
}

static void add_seconds(struct buf *out, uint64_t seconds, unsigned ms)
{
    char decimals[4] = "";
    put_digits(decimals, (int)ms, 3);
    size_t size = ms == 0 ? 0 : ms % 100 == 0 ? 1 : ms % 10 == 0 ? 2 : 3;
    buf_add_int(out, (int64_t)seconds);
    if (size)
        buf_add_char(out, '.');
    buf_add(out, decimals, size);
    buf_add_char(out, 's');
}

void timefmt_duration(int64_t ms, struct buf *out)
{
    static const struct unit units[] = { { "d", DAY_MS }, { "h", HOUR_MS }, { "m", MINUTE_MS } };
    uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    if (ms < 0)
        buf_add_char(out, '-');
    for (size_t i = 0; i < COUNT(units); i++) {
        uint64_t count = left / (uint64_t)units[i].size;
        left %= (uint64_t)units[i].size;
        if (count) {
            buf_add_int(out, (int64_t)count);
            buf_add_text(out, units[i].name);
        }
    }
    if (left >= SECOND_MS || ms == 0) {
        add_seconds(out, left / SECOND_MS, (unsigned)(left % SECOND_MS));
    } else if (left) {
        buf_add_int(out, (int64_t)left);
        buf_add_text(out, "ms");
    }
}

/* --- sizes --- */

bool timefmt_parse_size(struct span text, int64_t *ret_bytes)
{
    static const struct unit units[] = {
        { "B", 1 },
        { "KiB", INT64_C(1) << 10 },
        { "MiB", INT64_C(1) << 20 },
        { "GiB", INT64_C(1) << 30 },
        { "TiB", INT64_C(1) << 40 },
        { "kB", INT64_C(1000) },
        { "KB", INT64_C(1000) },
        { "MB", INT64_C(1000000) },
        { "GB", INT64_C(1000000000) },
        { "TB", INT64_C(1000000000000) },
    };
    struct reader reader = reader_of(text);
    int64_t count;
    int64_t unit = 1;
    int64_t bytes;
    if (!take_whole(&reader, &count))
        return false;
    bool is_plain = is_at_end(&reader);
    if (!is_plain && (!take_unit(&reader, units, COUNT(units), &unit) || !is_at_end(&reader)))
        return false;
    if (__builtin_mul_overflow(count, unit, &bytes))
        return false;
    *ret_bytes = bytes;
    return true;
}

/* --- rates --- */

bool timefmt_parse_rate(struct span text, int64_t *ret_count, int64_t *ret_period_ms)
{
    static const struct unit periods[] = { { "/s", SECOND_MS },
                                           { "/m", MINUTE_MS },
                                           { "/h", HOUR_MS } };
    const char *p = text.data;
    int64_t count = 0;
    size_t digits = 0;
    for (; digits < text.size && p[digits] >= '0' && p[digits] <= '9'; digits++) {
        count = 10 * count + (p[digits] - '0');
        if (count > RATE_MAX)
            return false;
    }
    if (digits == 0)
        return false;
    struct span rest = { p + digits, text.size - digits };
    int64_t period_ms = rest.size == 0 && count == 0 ? SECOND_MS : 0;
    for (size_t i = 0; i < COUNT(periods); i++) {
        if (span_is(rest, periods[i].name))
            period_ms = periods[i].size;
    }
    if (period_ms == 0)
        return false;
    *ret_count = count;
    *ret_period_ms = period_ms;
    return true;
}

bool timefmt_parse_since(struct span text, int64_t now_ms, int64_t *ret_ms)
{
    int64_t ago_ms = 0;
    if (timefmt_parse_rfc3339(text, ret_ms))
        return true;
    if (!timefmt_parse_duration(text, &ago_ms))
        return false;
    *ret_ms = ago_ms < now_ms ? now_ms - ago_ms : 0;
    return true;
}
