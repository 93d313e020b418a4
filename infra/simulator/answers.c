/* Quotations, shares, pictures and the weather; the time is in answers_time.c. See answers.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/answers.h"

#include "infra/simulator/answers_data.h"
#include "infra/simulator/answers_find.h"
#include "schemas/seeded.h"
#include "schemas/timefmt.h"
#include "schemas/utf8.h"

#include <inttypes.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define QUERY_BYTES_MAX 80
#define IMAGES_FOUND    4
#define DATE_SIZE       sizeof "2026-11-24"

static struct seeded begin(uint64_t seed, const char *what)
{
    struct seeded seeded;
    seeded_init(&seeded, seed);
    seeded_mix(&seeded, span_of(what));
    return seeded;
}

/* `day` as text and its month (1 to 12); an absent date leaves "" and 0. */
static enum err_code take_date(struct span day, char ret_date[DATE_SIZE], int *ret_month,
                               struct err *err)
{
    ret_date[0] = '\0';
    *ret_month = 0;
    if (day.size == 0)
        return ERR_OK;
    char instant[sizeof "2026-11-24T00:00:00Z"];
    int64_t ms;
    snprintf(instant, sizeof instant, "%.*sT00:00:00Z", SPAN_ARG(day));
    if (day.size != DATE_SIZE - 1 || !timefmt_parse_rfc3339(span_of(instant), &ms))
        return err_field(err, ERR_INVALID_PARAMETER, "day",
                         "day must be a date such as 2026-11-24");
    snprintf(ret_date, DATE_SIZE, "%.*s", SPAN_ARG(day));
    *ret_month = (ret_date[5] - '0') * 10 + (ret_date[6] - '0');
    return ERR_OK;
}

/* --- quotations --- */

static bool quotation_fits(const struct answers_quotation *quotation, const char *author,
                           struct span topic)
{
    return (!author || strcmp(quotation->author, author) == 0) &&
           (topic.size == 0 || span_is(topic, quotation->topic));
}

static const char *author_name(const char *key)
{
    size_t i = 0;
    while (strcmp(answers_data_authors[i].key, key) != 0)
        i++;
    return answers_data_authors[i].name;
}

static void write_quotation(const struct answers_quotation *quotation, struct buf *out)
{
    buf_add_text(out, "{\"quote\":");
    buf_add_json_string(out, span_of(quotation->text));
    buf_add_text(out, ",\"author\":");
    buf_add_json_string(out, span_of(author_name(quotation->author)));
    buf_add_text(out, ",\"source\":");
    buf_add_json_string(out, span_of(quotation->source));
    buf_printf(out, ",\"topic\":\"%s\"}", quotation->topic);
}

enum err_code answers_quote(uint64_t seed, struct span author, struct span topic, struct buf *out,
                            struct err *err)
{
    const struct answers_table authors = { answers_data_authors, sizeof *answers_data_authors,
                                           answers_data_author_count, "author" };
    const char *key = NULL;
    size_t index = 0;
    if (!span_is(author, "any")) {
        enum err_code code = answers_find(&authors, author, &index, err);
        if (code)
            return code;
        key = answers_data_authors[index].key;
    }
    uint32_t fitting = 0;
    for (size_t i = 0; i < answers_data_quotation_count; i++)
        fitting += quotation_fits(&answers_data_quotations[i], key, topic);
    if (fitting == 0)
        return err_field(
            err, ERR_NOT_FOUND, "topic",
            "%s said nothing about this topic; try hope, life, love, time, wit or work",
            key ? author_name(key) : "anybody here");
    struct seeded seeded = begin(seed, "quote");
    seeded_mix(&seeded, span_of(key));
    seeded_mix(&seeded, topic);
    uint32_t chosen = seeded_below(&seeded, fitting);
    const struct answers_quotation *quotation = answers_data_quotations;
    while (!quotation_fits(quotation, key, topic) || chosen-- > 0)
        quotation++;
    write_quotation(quotation, out);
    return ERR_OK;
}

/* --- shares --- */

enum err_code answers_stock(uint64_t seed, struct span symbol, struct span day, struct buf *out,
                            struct err *err)
{
    const struct answers_table shares = { answers_data_shares, sizeof *answers_data_shares,
                                          answers_data_share_count, "symbol" };
    char date[DATE_SIZE];
    int month;
    size_t index = 0;
    enum err_code code = take_date(day, date, &month, err);
    if (code == ERR_OK)
        code = answers_find(&shares, symbol, &index, err);
    if (code)
        return code;
    const struct answers_share *share = &answers_data_shares[index];
    struct seeded seeded = begin(seed, "stock");
    seeded_mix(&seeded, span_of(share->symbol));
    seeded_mix(&seeded, span_of(date));
    /* Within 5 % of what it usually costs; the day's change within 2 %. */
    int64_t price =
        share->cents + share->cents * ((int64_t)seeded_below(&seeded, 1001) - 500) / 10000;
    int64_t change = price * ((int64_t)seeded_below(&seeded, 401) - 200) / 10000;
    buf_printf(out, "{\"symbol\":\"%s\",\"company\":", share->symbol);
    buf_add_json_string(out, span_of(share->company));
    buf_printf(out, ",\"currency\":\"%s\",\"price_cents\":%" PRId64 ",\"change_cents\":%" PRId64,
               share->currency, price, change);
    if (date[0])
        buf_printf(out, ",\"day\":\"%s\"", date);
    buf_add_char(out, '}');
    return ERR_OK;
}

/* --- pictures --- */

/* Letters and digits in lower case, everything else as single hyphens. */
static void write_slug(struct span text, struct buf *out)
{
    const unsigned char *p = text.data;
    bool gap = false;
    bool empty = true;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain && gap && !empty)
            buf_add_char(out, '-');
        if (plain) {
            buf_add_char(out, (char)c);
            empty = false;
        }
        gap = !plain;
    }
    if (empty)
        buf_add_text(out, "picture");
}

static void write_picture(struct seeded *seeded, struct span query, struct buf *out)
{
    static const char *const scenes[] = {
        "in the morning mist",     "at dusk, seen from above", "under a clear winter sky",
        "after the rain",          "in black and white",       "with long shadows",
        "close up, in soft light", "on a summer afternoon",
    };
    static const int sizes[][2] = {
        { 1920, 1080 }, { 1600, 1200 }, { 1200, 1600 }, { 3000, 2000 }, { 1080, 1080 }
    };
    const int *size = sizes[seeded_below(seeded, COUNT(sizes))];
    const char *scene = scenes[seeded_below(seeded, COUNT(scenes))];
    buf_printf(out, "{\"url\":\"https://images.example/%08" PRIx64 "/", seeded_next(seeded) >> 32);
    write_slug(query, out);
    buf_printf(out, ".jpg\",\"width\":%d,\"height\":%d,\"alt\":", size[0], size[1]);
    struct buf alt = BUF_INIT(QUERY_BYTES_MAX + 64);
    buf_add_span(&alt, query);
    buf_printf(&alt, " %s", scene);
    buf_add_json_string(out, buf_span(&alt));
    buf_free(&alt);
    buf_add_char(out, '}');
}

enum err_code answers_images(uint64_t seed, struct span query, struct buf *out, struct err *err)
{
    if (query.size == 0 || query.size > QUERY_BYTES_MAX || !utf8_is_text(query))
        return err_field(err, ERR_INVALID_PARAMETER, "q", "q must be 1 to %d bytes of text",
                         QUERY_BYTES_MAX);
    struct seeded seeded = begin(seed, "image");
    seeded_mix(&seeded, query);
    buf_add_text(out, "{\"query\":");
    buf_add_json_string(out, query);
    buf_add_text(out, ",\"images\":[");
    for (int i = 0; i < IMAGES_FOUND; i++) {
        if (i)
            buf_add_char(out, ',');
        write_picture(&seeded, query, out);
    }
    buf_add_text(out, "]}");
    return ERR_OK;
}

/* --- the weather --- */

/* How much of the way from the coldest to the warmest month, in percent, 0 to 6 months after the
 * coldest. */
static int warmth(const struct answers_city *city, int month)
{
    static const int percent[] = { 0, 7, 25, 50, 75, 93, 100 };
    if (month == 0)
        return 50;
    int apart =
        month > city->warmest_month ? month - city->warmest_month : city->warmest_month - month;
    if (apart > 6)
        apart = 12 - apart;
    return percent[6 - apart];
}

static const char *condition(struct seeded *seeded, int celsius)
{
    static const char *const any[] = { "sunny",      "sunny", "partly cloudy", "cloudy",
                                       "light rain", "rain",  "windy" };
    static const char *const freezing[] = { "snow", "light snow", "clear and cold", "overcast" };
    return celsius <= 1 ? freezing[seeded_below(seeded, COUNT(freezing))]
                        : any[seeded_below(seeded, COUNT(any))];
}

enum err_code answers_weather(uint64_t seed, struct span city, struct span day, struct buf *out,
                              struct err *err)
{
    const struct answers_table cities = { answers_data_cities, sizeof *answers_data_cities,
                                          answers_data_city_count, "city" };
    char date[DATE_SIZE];
    int month;
    size_t index = 0;
    enum err_code code = take_date(day, date, &month, err);
    if (code == ERR_OK)
        code = answers_find(&cities, city, &index, err);
    if (code)
        return code;
    const struct answers_city *place = &answers_data_cities[index];
    struct seeded seeded = begin(seed, "weather");
    seeded_mix(&seeded, span_of(place->name));
    seeded_mix(&seeded, span_of(date));
    int spread = place->summer_c - place->winter_c;
    int celsius =
        place->winter_c + spread * warmth(place, month) / 100 + (int)seeded_below(&seeded, 7) - 3;
    buf_printf(out, "{\"city\":\"%s\",\"country\":\"%s\"", place->name, place->country);
    if (date[0])
        buf_printf(out, ",\"day\":\"%s\"", date);
    buf_printf(out, ",\"condition\":\"%s\",\"temperature_c\":%d", condition(&seeded, celsius),
               celsius);
    buf_printf(out, ",\"humidity_percent\":%u", 35 + seeded_below(&seeded, 60));
    buf_printf(out, ",\"wind_kmh\":%u}", seeded_below(&seeded, 45));
    return ERR_OK;
}
