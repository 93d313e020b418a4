/* Printing a look at the lag. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/lag_print.h"

#include "schemas/mutant.h"
#include "schemas/timefmt.h"

#include <inttypes.h>

#define CELL_MAX  64
#define COLUMNS   12
#define STEADY    0.05 /* records a second: a lag that changes less stands still */
#define DAY_MS    86400000
#define LONG_TIME 1e9 /* seconds */
#define MINUTE_MS 60000
#define SECOND_MS 1000

static void add_number(struct table *table, int64_t value)
{
    if (value < 0)
        table_add_text(table, "-");
    else
        table_add_int(table, value);
}

/* Whole seconds from a minute on: nobody reads the rest. */
static void add_time(struct table *table, const char *sign, int64_t ms)
{
    struct buf text = BUF_INIT(CELL_MAX);
    if (ms < 0) {
        buf_add_text(&text, "-");
    } else {
        buf_add_text(&text, sign);
        timefmt_duration(ms >= MINUTE_MS ? ms - ms % SECOND_MS : ms, &text);
    }
    table_add(table, buf_span(&text));
    buf_free(&text);
}

static void add_rate(struct table *table, double rate)
{
    struct buf text = BUF_INIT(CELL_MAX);
    if (rate < 0)
        buf_add_text(&text, "-");
    else
        buf_printf(&text, "%.1f/s", rate);
    table_add(table, buf_span(&text));
    buf_free(&text);
}

static void add_trend(struct table *table, const struct lag_figures *figures)
{
    if (figures->in_rate < 0 || figures->out_rate < 0) {
        table_add_text(table, "-");
        return;
    }
    double grows = figures->in_rate - figures->out_rate;
    table_add_text(table, grows > STEADY ? "\u25b2" : grows < -STEADY ? "\u25bc" : "=");
}

static void add_figures(struct table *table, const struct lag_figures *figures)
{
    add_number(table, figures->lag);
    add_time(table, figures->how == LAG_BOUNDED ? "\u2265" : "", figures->behind_ms);
    add_trend(table, figures);
    add_rate(table, figures->in_rate);
    add_rate(table, figures->out_rate);
    double drain_s = figures->drain_s < LONG_TIME ? figures->drain_s : -1;
    add_time(table, "", drain_s < 0 ? -1 : (int64_t)(drain_s * SECOND_MS));
    add_number(table, figures->lost);
    table_add_text(table, lag_how_text(figures->how));
}

static void add_group_columns(struct table *table, const struct lag_group *group, const char *topic,
                              int64_t partition)
{
    table_add_text(table, group->name);
    table_add_text(table, topic);
    add_number(table, partition);
    table_add_text(table, group->state ? group->state : "-");
}

static void add_topic(struct table *table, const struct lag_group *group,
                      const struct lag_topic *topic, enum lag_print_by by)
{
    if (by == LAG_PRINT_TOPIC) {
        add_group_columns(table, group, topic->name, -1);
        add_figures(table, &topic->figures);
        return;
    }
    for (size_t i = 0; i < topic->count; i++) {
        const struct lag_partition *partition = &topic->partitions[i];
        add_group_columns(table, group, topic->name, partition->partition);
        add_number(table, partition->committed);
        add_number(table, partition->end);
        add_figures(table, &partition->figures);
        table_add_text(table, partition->owner ? partition->owner : "-");
    }
}

struct table *lag_print_table(const struct lag_look *look, enum lag_print_by by)
{
    static const char *const short_headings[COLUMNS] = { "GROUP", "TOPIC",  "PART",  "STATE",
                                                         "LAG",   "BEHIND", "TREND", "IN",
                                                         "OUT",   "DRAIN",  "LOST",  "HOW" };
    static const char *const long_headings[COLUMNS + 3] = { "GROUP",   "TOPIC", "PART", "STATE",
                                                            "CURRENT", "END",   "LAG",  "BEHIND",
                                                            "TREND",   "IN",    "OUT",  "DRAIN",
                                                            "LOST",    "HOW",   "OWNER" };
    bool long_form = by == LAG_PRINT_PARTITION;
    struct table *table =
        table_new(long_form ? long_headings : short_headings, long_form ? COLUMNS + 3 : COLUMNS);
    for (size_t i = 0; i < look->count; i++) {
        const struct lag_group *group = &look->groups[i];
        if (by == LAG_PRINT_GROUP) {
            add_group_columns(table, group, "-", -1);
            add_figures(table, &group->figures);
        }
        for (size_t k = 0; k < group->count && by != LAG_PRINT_GROUP; k++)
            add_topic(table, group, &group->topics[k], by);
    }
    return table;
}

bool lag_print_is_exact(const struct lag_look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        if (look->groups[i].figures.how != LAG_EXACT)
            return false;
    }
    return true;
}

static void add_seconds(struct buf *out, int64_t ms)
{
    buf_printf(out, "%" PRId64 ".%03d", ms / SECOND_MS, (int)(ms % SECOND_MS));
}

/* The one that the line is about: the worst, and of several the one that is most behind. */
static const struct lag_group *
find_worst(const struct lag_look *look, const struct lag_limits *limits, enum lag_state *ret_state)
{
    const struct lag_group *worst = NULL;
    enum lag_state state = LAG_OK;
    for (size_t i = 0; i < look->count; i++) {
        const struct lag_group *group = &look->groups[i];
        enum lag_state told = lag_check(group, limits);
        bool worse = lag_worse(state, told) == told && told != state;
        if (!worst || worse ||
            (told == state && group->figures.behind_ms > worst->figures.behind_ms))
            worst = group;
        state = MUTANT(last_group_decides) ? told : lag_worse(state, told);
    }
    *ret_state = state;
    return worst;
}

enum lag_state lag_print_check(const struct lag_look *look, const struct lag_limits *limits,
                               struct buf *out)
{
    enum lag_state state = LAG_OK;
    const struct lag_group *worst = find_worst(look, limits, &state);
    if (!worst) {
        buf_add_text(out, "LAG UNKNOWN - there are no groups\n");
        return LAG_STATE_UNKNOWN;
    }
    const struct lag_figures *figures = &worst->figures;
    buf_printf(out, "LAG %s - %s: ", lag_state_text(state), worst->name);
    if (figures->lag < 0)
        buf_add_text(out, "lag not known, ");
    else
        buf_printf(out, "%" PRId64 " records, ", figures->lag);
    if (figures->behind_ms < 0) {
        buf_add_text(out, "age of the oldest not known");
    } else {
        buf_add_text(out, figures->how == LAG_BOUNDED ? "at least " : "");
        timefmt_duration(figures->behind_ms, out);
        buf_add_text(out, " behind");
    }
    if (figures->lost > 0)
        buf_printf(out, ", %" PRId64 " records lost", figures->lost);
    buf_add_text(out, " | behind_seconds=");
    if (figures->behind_ms < 0)
        buf_add_text(out, "U");
    else
        add_seconds(out, figures->behind_ms);
    buf_add_char(out, ';');
    add_seconds(out, limits->warn_ms);
    buf_add_char(out, ';');
    add_seconds(out, limits->crit_ms);
    buf_add_text(out, " lag=");
    if (figures->lag < 0)
        buf_add_text(out, "U");
    else
        buf_add_int(out, figures->lag);
    buf_add_char(out, '\n');
    return state;
}

static void add_known(struct buf *out, const char *name, int64_t value)
{
    buf_printf(out, ",\"%s\":", name);
    if (value < 0)
        buf_add_text(out, "null");
    else
        buf_add_int(out, value);
}

enum lag_state lag_print_check_json(const struct lag_look *look, const struct lag_limits *limits,
                                    struct buf *out)
{
    enum lag_state state = LAG_OK;
    const struct lag_group *worst = find_worst(look, limits, &state);
    if (!worst)
        state = LAG_STATE_UNKNOWN;
    buf_printf(out, "{\"state\":\"%s\",\"group\":", lag_state_text(state));
    if (worst)
        buf_add_json_string(out, span_of(worst->name));
    else
        buf_add_text(out, "null");
    add_known(out, "lag", worst ? worst->figures.lag : -1);
    buf_add_text(out, ",\"behind_seconds\":");
    if (worst && worst->figures.behind_ms >= 0)
        add_seconds(out, worst->figures.behind_ms);
    else
        buf_add_text(out, "null");
    add_known(out, "lost", worst ? worst->figures.lost : -1);
    buf_printf(out, ",\"how\":\"%s\",\"warn_seconds\":",
               lag_how_text(worst ? worst->figures.how : LAG_UNKNOWN));
    add_seconds(out, limits->warn_ms);
    buf_add_text(out, ",\"crit_seconds\":");
    add_seconds(out, limits->crit_ms);
    buf_add_char(out, '}');
    return state;
}
