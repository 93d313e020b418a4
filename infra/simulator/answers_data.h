/* The facts behind answers.h: quotations by authors whose work is in the public domain, shares
 * of companies that do not exist, cities with a plausible climate, time zones with their rules.
 * To add one: add a line to a table.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_ANSWERS_DATA_H
#define INFRA_SIMULATOR_ANSWERS_DATA_H

#include <stddef.h>
#include <stdint.h>

struct answers_author {
    const char *key; /* the surname, in lower case: what a request names */
    const char *name;
};
struct answers_quotation {
    const char *author; /* key */
    const char *topic;
    const char *source;
    const char *text;
};
struct answers_share {
    const char *symbol;
    const char *company;
    const char *currency;
    int32_t cents; /* about what it costs */
};
struct answers_city {
    const char *name;
    const char *country;
    int winter_c, summer_c; /* of the coldest and the warmest month, by day */
    int warmest_month;      /* 7 north of the equator, 1 south of it */
};

enum answers_daylight {
    DAYLIGHT_NONE,
    DAYLIGHT_EUROPE,
    DAYLIGHT_AMERICA,
    DAYLIGHT_AUSTRALIA,
    DAYLIGHT_NEW_ZEALAND
};
struct answers_zone {
    const char *name;
    int offset_minutes; /* standard time, east of UTC */
    enum answers_daylight daylight;
};

extern const struct answers_author answers_data_authors[];
extern const size_t answers_data_author_count;
extern const struct answers_quotation answers_data_quotations[];
extern const size_t answers_data_quotation_count;
extern const struct answers_share answers_data_shares[];
extern const size_t answers_data_share_count;
extern const struct answers_city answers_data_cities[];
extern const size_t answers_data_city_count;
extern const struct answers_zone answers_data_zones[];
extern const size_t answers_data_zone_count;

#endif
