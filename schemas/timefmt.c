/* See timefmt.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#define SECOND_MS 1000LL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define DURATION_MS_MAX (36525 * DAY_MS)
#define YEAR_0_MS (-62167219200000LL)
#define YEAR_10000_MS 253402300800000LL

/* What is left of a text that is being read. */
struct reader {
    const char *at, *end;
};

static struct reader reader_of(struct span text)
{
    return (struct reader){ text.data, text.size ? (const char *)text.data + text.size : text.data };
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_char(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* Exactly `digits` digits. */
static bool read_fixed(struct reader *reader, int digits, int *ret)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (reader->at == reader->end || !is_digit(*reader->at))
            return false;
        value = 10 * value + (*reader->at++ - '0');
    }
    *ret = value;
    return true;
}

/* Digits with an optional fraction, in thousandths. */
static bool read_decimal(struct reader *reader, int64_t *ret_milli)
{
    int64_t value = 0;
    const char *start = reader->at;
    while (reader->at < reader->end && is_digit(*reader->at)) {
        if (value > INT64_MAX / 100000)
            return false;
        value = 10 * value + (*reader->at++ - '0');
    }
    if (reader->at == start)
        return false;
    value *= 1000;
    if (reader->at < reader->end && *reader->at == '.') {
        reader->at++;
        int64_t unit = 100;
        const char *fraction = reader->at;
        for (; reader->at < reader->end && is_digit(*reader->at); reader->at++) {
            value += unit * (*reader->at - '0');
            unit /= 10;
        }
        if (reader->at == fraction)
            return false;
    }
    *ret_milli = value;
    return true;
}

/* --- instants --- */

void timefmt_rfc3339(int64_t unix_ms, char ret[TIMEFMT_RFC3339_SIZE])
{
    if (unix_ms < YEAR_0_MS)
        unix_ms = YEAR_0_MS;
    if (unix_ms >= YEAR_10000_MS)
        unix_ms = YEAR_10000_MS - 1;
    int64_t milli = unix_ms % 1000;
    if (milli < 0)
        milli += 1000;
    time_t seconds = (time_t)((unix_ms - milli) / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)milli);
    memcpy(ret, text, TIMEFMT_RFC3339_SIZE - 1);
    ret[TIMEFMT_RFC3339_SIZE - 1] = '\0';
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Checked fields of a date and time of day. */
struct moment {
    int year, month, day, hour, minute, second;
};

static bool is_valid(const struct moment *m)
{
    return m->month >= 1 && m->month <= 12 && m->day >= 1 && m->day <= days_in(m->year, m->month) &&
           m->hour <= 23 && m->minute <= 59 && m->second <= 60;
}

static int64_t moment_ms(const struct moment *m)
{
    struct tm tm = {
        .tm_year = m->year - 1900,
        .tm_mon = m->month - 1,
        .tm_mday = m->day,
        .tm_hour = m->hour,
        .tm_min = m->minute,
        .tm_sec = m->second < 60 ? m->second : 59,
    };
    return (int64_t)timegm(&tm) * 1000;
}

static bool read_date(struct reader *reader, struct moment *m)
{
    return read_fixed(reader, 4, &m->year) && read_char(reader, '-') && read_fixed(reader, 2, &m->month) &&
           read_char(reader, '-') && read_fixed(reader, 2, &m->day);
}

static bool read_clock(struct reader *reader, struct moment *m)
{
    return read_fixed(reader, 2, &m->hour) && read_char(reader, ':') && read_fixed(reader, 2, &m->minute) &&
           read_char(reader, ':') && read_fixed(reader, 2, &m->second);
}

static bool read_offset(struct reader *reader, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (read_char(reader, 'Z') || read_char(reader, 'z'))
        return true;
    bool west = read_char(reader, '-');
    int hours;
    int minutes;
    if (!west && !read_char(reader, '+'))
        return false;
    if (!read_fixed(reader, 2, &hours) || !read_char(reader, ':') || !read_fixed(reader, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_ms = (hours * HOUR_MS + minutes * MINUTE_MS) * (west ? -1 : 1);
    return true;
}

bool timefmt_parse_rfc3339(struct span text, int64_t *ret_unix_ms)
{
    struct reader reader = reader_of(text);
    struct moment m;
    int64_t offset_ms;
    int64_t milli = 0;
    if (!read_date(&reader, &m))
        return false;
    if (!read_char(&reader, 'T') && !read_char(&reader, 't') && !read_char(&reader, ' '))
        return false;
    if (!read_clock(&reader, &m) || !is_valid(&m))
        return false;
    if (read_char(&reader, '.')) {
        int64_t unit = 100;
        const char *fraction = reader.at;
        for (; reader.at < reader.end && is_digit(*reader.at); reader.at++) {
            milli += unit * (*reader.at - '0');
            unit /= 10;
        }
        if (reader.at == fraction)
            return false;
    }
    if (!read_offset(&reader, &offset_ms) || reader.at != reader.end)
        return false;
    *ret_unix_ms = moment_ms(&m) + (m.second == 60 ? 999 : milli) - offset_ms;
    return true;
}

bool timefmt_parse_http_date(struct span text, int64_t *ret_unix_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct reader reader = reader_of(text);
    struct moment m = { 0 };
    if (text.size != strlen("Sun, 06 Nov 1994 08:49:37 GMT"))
        return false;
    bool weekday = false;
    for (size_t i = 0; i < 7; i++)
        weekday = weekday || memcmp(reader.at, days + 3 * i, 3) == 0;
    reader.at += 3;
    if (!weekday || !read_char(&reader, ',') || !read_char(&reader, ' ') || !read_fixed(&reader, 2, &m.day) ||
        !read_char(&reader, ' '))
        return false;
    for (int i = 0; i < 12; i++) {
        if (memcmp(reader.at, months + 3 * (size_t)i, 3) == 0)
            m.month = i + 1;
    }
    reader.at += 3;
    if (!read_char(&reader, ' ') || !read_fixed(&reader, 4, &m.year) || !read_char(&reader, ' ') ||
        !read_clock(&reader, &m) || memcmp(reader.at, " GMT", 4) != 0 || !is_valid(&m))
        return false;
    *ret_unix_ms = moment_ms(&m);
    return true;
}

/* --- durations --- */

/* Letters up to the next digit. */
static struct span read_word(struct reader *reader)
{
    const char *start = reader->at;
    while (reader->at < reader->end && !is_digit(*reader->at) && *reader->at != '.')
        reader->at++;
    return (struct span){ start, (size_t)(reader->at - start) };
}

static bool add_units(int64_t *total_ms, int64_t milli, int64_t unit_ms)
{
    int64_t most = DURATION_MS_MAX / unit_ms;
    if (milli / 1000 > most)
        return false;
    *total_ms += milli / 1000 * unit_ms + milli % 1000 * unit_ms / 1000;
    return *total_ms <= DURATION_MS_MAX;
}

static bool parse_words(struct reader *reader, int64_t *ret_ms)
{
    static const struct {
        const char *word;
        int64_t ms;
    } units[] = { { "ms", 1 },       { "s", SECOND_MS }, { "m", MINUTE_MS },
                  { "h", HOUR_MS }, { "d", DAY_MS },    { "", SECOND_MS } };
    int64_t total_ms = 0;
    bool plain = false;
    size_t parts = 0;
    while (reader->at < reader->end) {
        int64_t milli;
        int64_t unit_ms = 0;
        if (!read_decimal(reader, &milli))
            return false;
        struct span word = read_word(reader);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (span_is(word, units[i].word))
                unit_ms = units[i].ms;
        }
        plain = plain || word.size == 0;
        if (unit_ms == 0 || !add_units(&total_ms, milli, unit_ms))
            return false;
        parts++;
    }
    if (parts == 0 || (plain && parts > 1))
        return false;
    *ret_ms = total_ms;
    return true;
}

/* After the P: nD, then T with nH nM nS, in that order, at least one of them. */
static bool parse_iso(struct reader *reader, int64_t *ret_ms)
{
    static const struct {
        char letter;
        bool clock;
        int64_t ms;
    } units[] = { { 'W', false, 7 * DAY_MS }, { 'D', false, DAY_MS },   { 'H', true, HOUR_MS },
                  { 'M', true, MINUTE_MS },   { 'S', true, SECOND_MS } };
    size_t next = 0;
    bool clock = false;
    int64_t total_ms = 0;
    bool any = false;
    while (reader->at < reader->end) {
        if (!clock && read_char(reader, 'T')) {
            clock = true;
            any = false;
            continue;
        }
        int64_t milli;
        if (!read_decimal(reader, &milli) || reader->at == reader->end)
            return false;
        while (next < sizeof units / sizeof *units &&
               (units[next].letter != *reader->at || units[next].clock != clock))
            next++;
        if (next == sizeof units / sizeof *units || !add_units(&total_ms, milli, units[next].ms))
            return false;
        reader->at++;
        next++;
        any = true;
    }
    *ret_ms = total_ms;
    return any;
}

bool timefmt_parse_duration(struct span text, int64_t *ret_ms)
{
    struct reader reader = reader_of(text);
    if (read_char(&reader, 'P'))
        return parse_iso(&reader, ret_ms);
    return parse_words(&reader, ret_ms);
}

void timefmt_duration(int64_t ms, struct buf *out)
{
    static const struct {
        const char *word;
        int64_t ms;
    } units[] = { { "d", DAY_MS }, { "h", HOUR_MS }, { "m", MINUTE_MS }, { "s", SECOND_MS }, { "ms", 1 } };
    if (ms == 0)
        buf_add_text(out, "0s");
    if (ms < 0)
        buf_add_char(out, '-');
    uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        uint64_t count = left / (uint64_t)units[i].ms;
        if (count)
            buf_printf(out, "%" PRIu64 "%s", count, units[i].word);
        left %= (uint64_t)units[i].ms;
    }
}

/* --- sizes --- */

bool timefmt_parse_size(struct span text, int64_t *ret_bytes)
{
    static const struct {
        const char *word;
        int64_t bytes;
    } units[] = { { "", 1 },
                  { "B", 1 },
                  { "KiB", 1LL << 10 },
                  { "MiB", 1LL << 20 },
                  { "GiB", 1LL << 30 },
                  { "kB", 1000 },
                  { "MB", 1000000 },
                  { "GB", 1000000000 } };
    struct reader reader = reader_of(text);
    int64_t milli;
    if (!read_decimal(&reader, &milli))
        return false;
    struct span word = { reader.at, (size_t)(reader.end - reader.at) };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (word.size != strlen(units[i].word) || strncasecmp(word.data, units[i].word, word.size) != 0)
            continue;
        if (milli > INT64_MAX / units[i].bytes)
            return false;
        *ret_bytes = milli * units[i].bytes / 1000;
        return true;
    }
    return false;
}
