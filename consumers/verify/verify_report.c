/* See verify_report.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_report.h"

#include <inttypes.h>

bool verify_report_is_clean(const struct verify_judge *judge)
{
    return verify_judge_counts(judge)->findings == 0;
}

static const char *verdict_of(const struct verify_judge *judge)
{
    return verify_report_is_clean(judge) ? "clean" : "bad";
}

struct number {
    const char *name;
    uint64_t value;
};
#define NUMBER_COUNT 14

static void numbers_of(const struct verify_counts *counts, struct number ret[NUMBER_COUNT])
{
    const struct number numbers[NUMBER_COUNT] = {
        { "submissions", counts->submissions },
        { "accepted", counts->accepted },
        { "reads", counts->reads },
        { "cancels", counts->cancels },
        { "faults", counts->faults },
        { "jobs", counts->jobs },
        { "commands", counts->commands },
        { "events", counts->events },
        { "dead", counts->dead },
        { "calls", counts->calls },
        { "calls_judged", counts->calls_judged },
        { "foreign", counts->foreign },
        { "repeats", counts->repeats },
        { "repeats_bound", counts->bound },
    };
    memcpy(ret, numbers, sizeof numbers);
}

/* "errand.replies.default/3@42" */
static void add_place(const struct verify_judge *judge, const struct verify_place *place,
                      struct buf *out)
{
    buf_printf(out, "%s/%u@%" PRId64, verify_judge_topic_name(judge, place->topic),
               place->partition, place->offset);
}

/* --- text --- */

static void text_finding(const struct verify_judge *judge, const struct verify_finding *finding,
                         struct buf *out)
{
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&finding->job, identity);
    buf_printf(out, "%-10s job %s", verify_kind_text(finding->kind), identity);
    if (finding->line)
        buf_printf(out, ", line %u", finding->line);
    if (finding->has_place) {
        buf_add_text(out, ", ");
        add_place(judge, &finding->place, out);
    }
    buf_printf(out, ": %s\n", finding->text);
}

void verify_report_text(const struct verify_judge *judge, const struct verify_notes *notes,
                        struct buf *out)
{
    const struct verify_counts *counts = verify_judge_counts(judge);
    struct number numbers[NUMBER_COUNT];
    numbers_of(counts, numbers);
    buf_printf(out, "verdict: %s\n", verdict_of(judge));
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        buf_printf(out, "  %-14s %" PRIu64 "\n", numbers[i].name, numbers[i].value);
    for (int i = 0; i < VERIFY_KIND_COUNT; i++)
        buf_printf(out, "  %-14s %" PRIu64 "\n", verify_kind_text((enum verify_kind)i),
                   counts->by_kind[i]);
    for (size_t i = 0; i < notes->count; i++)
        buf_printf(out, "not judged: %s\n", notes->items[i]);
    const struct verify_finding *finding = NULL;
    size_t shown = 0;
    while ((finding = verify_judge_finding(judge, shown)) != NULL) {
        text_finding(judge, finding, out);
        shown++;
    }
    if (shown < counts->findings)
        buf_printf(out, "and %" PRIu64 " more\n", counts->findings - shown);
}

/* --- JSON --- */

static void json_finding(const struct verify_judge *judge, const struct verify_finding *finding,
                         struct buf *out)
{
    char identity[IDENTITY_TEXT_SIZE];
    id_identity_text(&finding->job, identity);
    buf_printf(out, "{\"kind\":\"%s\",\"job\":\"%s\"", verify_kind_text(finding->kind), identity);
    if (finding->line)
        buf_printf(out, ",\"line\":%u", finding->line);
    if (finding->has_place) {
        buf_printf(out, ",\"topic\":\"%s\",\"partition\":%u,\"offset\":%" PRId64,
                   verify_judge_topic_name(judge, finding->place.topic), finding->place.partition,
                   finding->place.offset);
    }
    buf_add_text(out, ",\"text\":");
    buf_add_json_string(out, span_of(finding->text));
    buf_add_char(out, '}');
}

void verify_report_json(const struct verify_judge *judge, const struct verify_notes *notes,
                        struct buf *out)
{
    const struct verify_counts *counts = verify_judge_counts(judge);
    struct number numbers[NUMBER_COUNT];
    numbers_of(counts, numbers);
    buf_printf(out, "{\"verdict\":\"%s\"", verdict_of(judge));
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        buf_printf(out, ",\"%s\":%" PRIu64, numbers[i].name, numbers[i].value);
    buf_add_text(out, ",\"counts\":{");
    for (int i = 0; i < VERIFY_KIND_COUNT; i++)
        buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", verify_kind_text((enum verify_kind)i),
                   counts->by_kind[i]);
    buf_add_text(out, "},\"not_judged\":[");
    for (size_t i = 0; i < notes->count; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json_string(out, span_of(notes->items[i]));
    }
    buf_add_text(out, "],\"findings\":[");
    const struct verify_finding *finding = NULL;
    for (size_t i = 0; (finding = verify_judge_finding(judge, i)) != NULL; i++) {
        buf_add_text(out, i ? "," : "");
        json_finding(judge, finding, out);
    }
    buf_printf(out, "],\"findings_total\":%" PRIu64 "}", counts->findings);
}
