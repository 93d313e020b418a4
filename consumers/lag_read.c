/* An errand.lag/1 object, read again; see lag.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/lag.h"

#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

static int64_t count_of(const struct json *object, const char *name)
{
    int64_t value = -1;
    (void)json_integer_of(json_get(object, name), &value);
    return value < 0 ? -1 : value;
}

static double real_of(const struct json *object, const char *name)
{
    double value = -1;
    (void)json_real_of(json_get(object, name), &value);
    return value >= 0 && value < 9e15 ? value : -1;
}

static int64_t ms_of(const struct json *object, const char *name)
{
    double seconds = real_of(object, name);
    return seconds < 0 || seconds > 9e12 ? -1 : (int64_t)(seconds * 1000 + 0.5);
}

static struct lag_figures figures_of(const struct json *object)
{
    struct lag_figures figures = {
        .lag = count_of(object, "lag"),
        .behind_ms = ms_of(object, "behind_seconds"),
        .how = LAG_UNKNOWN,
        .lost = count_of(object, "lost"),
        .margin = count_of(object, "retention_margin"),
        .in_rate = real_of(object, "in_rate"),
        .out_rate = real_of(object, "out_rate"),
        .drain_s = real_of(object, "drain_seconds"),
    };
    for (int i = LAG_UNKNOWN; i <= LAG_EXACT; i++) {
        if (span_is(json_text(json_get(object, "how")), lag_how_text((enum lag_how)i)))
            figures.how = (enum lag_how)i;
    }
    return figures;
}

/* A group's state outlives the text that told it. */
static const char *state_of(struct span text)
{
    static const char *const states[] = { "Stable", "Empty", "Dead", "PreparingRebalance",
                                          "CompletingRebalance" };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (span_is(text, states[i]))
            return states[i];
    }
    return text.size ? "Unknown" : NULL;
}

static char *text_of(const struct json *object, const char *name)
{
    struct span text = json_text(json_get(object, name));
    return text.data ? mem_dup(text) : NULL;
}

static void read_topic(const struct json *json, struct lag_topic *topic)
{
    const struct json *partitions = json_get(json, "partitions");
    topic->name = mem_dup(json_text(json_get(json, "topic")));
    topic->figures = figures_of(json);
    topic->count = json_count(partitions);
    topic->partitions = mem_zalloc(topic->count, sizeof *topic->partitions);
    for (size_t i = 0; i < topic->count; i++) {
        const struct json *from = json_at(partitions, i);
        topic->partitions[i] = (struct lag_partition){
            .partition = (int32_t)count_of(from, "partition"),
            .start = count_of(from, "start"),
            .end = count_of(from, "end"),
            .committed = count_of(from, "current"),
            .oldest_offset = -1,
            .oldest_ms = -1,
            .owner = text_of(from, "owner"),
            .figures = figures_of(from),
        };
    }
}

static void read_group(const struct json *json, struct lag_group *group)
{
    const struct json *topics = json_get(json, "topics");
    *group = (struct lag_group){
        .name = mem_dup(json_text(json_get(json, "group"))),
        .queue = text_of(json, "queue"),
        .state = state_of(json_text(json_get(json, "state"))),
        .members = count_of(json, "members"),
        .count = json_count(topics),
        .figures = figures_of(json),
    };
    group->topics = mem_zalloc(group->count, sizeof *group->topics);
    for (size_t i = 0; i < group->count; i++)
        read_topic(json_at(topics, i), &group->topics[i]);
}

bool lag_read(const struct json *json, struct lag_look *look)
{
    const struct json *groups = json_get(json, "groups");
    int64_t at_ms = 0;
    if (!span_is(json_text(json_get(json, "schema")), LAG_SCHEMA) ||
        !timefmt_parse_rfc3339(json_text(json_get(json, "at")), &at_ms))
        return false;
    double took_s = real_of(json, "took_seconds");
    look->at_ms = at_ms;
    look->took_us += took_s > 0 ? (int64_t)(took_s * 1e6) : 0;
    size_t count = json_count(groups);
    look->groups = mem_resize(look->groups, look->count + count, sizeof *look->groups);
    for (size_t i = 0; i < count; i++)
        read_group(json_at(groups, i), &look->groups[look->count++]);
    return true;
}
