/* A run's result for programs (errand.chaos/1) and for people. See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "schemas/json_out.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdlib.h>

#define LAG_TOKENS_MAX 200000
#define SECONDS_MAX    ((size_t)7200)
#define LAG_UNKNOWN    (-1)

/* --- JSON --- */

static void add_counts(struct buf *out, const struct chaos_counts *counts)
{
    buf_printf(out,
               "\"submitted\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64
               ",\"unanswered\":%" PRIu64 ",\"ended\":%" PRIu64 ",\"wrong\":%" PRIu64,
               counts->submitted, counts->accepted, counts->refused, counts->unanswered,
               counts->ended, counts->wrong);
}

static void add_percentiles(struct buf *out, const char *name,
                            const struct chaos_percentiles *percentiles)
{
    buf_printf(out, ",\"%s\":", name);
    if (percentiles->count)
        buf_printf(out, "{\"p50\":%" PRId64 ",\"p99\":%" PRId64 ",\"max\":%" PRId64 "}",
                   percentiles->p50, percentiles->p99, percentiles->max);
    else
        buf_add_text(out, "null");
}

static void add_faults(struct buf *out, const struct chaos_result *result)
{
    buf_add_text(out, ",\"faults\":[");
    for (size_t i = 0; i < result->fault_count; i++) {
        const struct chaos_fault *fault = &result->faults[i];
        int64_t end_ms = fault->end_ms ? fault->end_ms : result->end_ms;
        buf_printf(out, "%s{\"do\":\"%s\",\"name\":", i ? "," : "", drill_act_text(fault->act));
        buf_add_json_string(out, span_of(fault->name));
        buf_printf(out, ",\"begin_ms\":%" PRId64 ",\"end_ms\":%" PRId64 ",\"back_ms\":",
                   fault->begin_ms - result->begin_ms, end_ms - result->begin_ms);
        if (fault->back_ms)
            buf_add_int(out, fault->back_ms - result->begin_ms);
        else
            buf_add_text(out, "null");
        buf_add_text(out, ",\"recover_ms\":");
        if (fault->recover_ms != CHAOS_UNKNOWN)
            buf_add_int(out, fault->recover_ms);
        else
            buf_add_text(out, "null");
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_canaries(struct buf *out, const struct chaos_result *result,
                         const struct chaos_measure *measure)
{
    buf_add_text(out, ",\"canaries\":[");
    for (size_t i = 0; i < result->plan->job_count; i++) {
        const struct drill_jobs *jobs = &result->plan->jobs[i];
        struct chaos_counts counts = chaos_measure_counts_of(measure, i);
        buf_add_text(out, i ? ",{\"type\":" : "{\"type\":");
        buf_add_json_string(out, span_of(jobs->type));
        buf_add_text(out, ",\"payload\":");
        buf_add_json_string(out, span_of(jobs->payload));
        buf_printf(out, ",\"ends\":\"%s\",", job_state_text(jobs->ends));
        add_counts(out, &counts);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_levels(struct buf *out, const struct chaos_result *result)
{
    bool any = false;
    buf_add_text(out, ",\"levels\":[");
    for (size_t i = 0; i < DRILL_LEVEL_COUNT; i++) {
        int64_t limit_ms = result->plan->levels[i];
        if (!limit_ms)
            continue;
        buf_printf(out,
                   "%s{\"name\":\"%s\",\"limit_ms\":%" PRId64 ",\"measured_ms\":%" PRId64
                   ",\"kept\":%s}",
                   any ? "," : "", drill_level_text((enum drill_level)i), limit_ms,
                   result->measured[i], result->measured[i] <= limit_ms ? "true" : "false");
        any = true;
    }
    buf_add_char(out, ']');
}

/* --- the lag, from what `errand lag --watch -o json` wrote --- */

static void take_lag(const struct json *look, int64_t begin_ms, int64_t *lags, size_t count)
{
    int64_t at_ms = 0;
    int64_t sum = 0;
    int64_t lag = 0;
    const struct json *groups = json_get(look, "groups");
    if (!timefmt_parse_rfc3339(json_text(json_get(look, "at")), &at_ms) || at_ms < begin_ms)
        return;
    size_t second = (size_t)((at_ms - begin_ms) / CHAOS_STEP_MS);
    for (size_t i = 0; i < json_count(groups); i++) {
        if (!json_integer_of(json_get(json_at(groups, i), "lag"), &lag))
            return; /* a part that is not known: the sum is not either */
        sum += lag;
    }
    if (second < count)
        lags[second] = sum;
}

/* LAG_UNKNOWN where nobody could look. */
static int64_t *read_lags(struct span text, int64_t begin_ms, size_t count)
{
    const struct json_limits limits = { .depth_max = 10, .tokens_max = LAG_TOKENS_MAX };
    int64_t *lags = mem_zalloc(count, sizeof *lags);
    for (size_t i = 0; i < count; i++)
        lags[i] = LAG_UNKNOWN;
    while (text.size) {
        const char *line = text.data;
        const char *end = memchr(line, '\n', text.size);
        size_t size = end ? (size_t)(end - line) : text.size;
        struct json *look = NULL;
        struct err err = { 0 };
        if (json_parse((struct span){ line, size }, &limits, &look, &err) == ERR_OK)
            take_lag(look, begin_ms, lags, count);
        json_free(look);
        size += end != NULL;
        text = (struct span){ line + size, text.size - size };
    }
    return lags;
}

/* --- over time --- */

static void add_number(struct buf *out, size_t i, int64_t value)
{
    buf_add_text(out, i ? "," : "");
    if (value < 0)
        buf_add_text(out, "null");
    else
        buf_add_int(out, value);
}

static void add_series(struct buf *out, const struct chaos_result *result,
                       const struct chaos_measure *measure, struct span lag)
{
    size_t count = (size_t)((result->end_ms - result->begin_ms) / CHAOS_STEP_MS) + 1;
    count = count < SECONDS_MAX ? count : SECONDS_MAX;
    struct chaos_second *seconds = chaos_measure_seconds(measure, result->begin_ms, count);
    int64_t *lags = read_lags(lag, result->begin_ms, count);
    buf_printf(out, ",\"series\":{\"step_ms\":%d,\"accepted\":[", CHAOS_STEP_MS);
    for (size_t i = 0; i < count; i++)
        add_number(out, i, (int64_t)seconds[i].accepted);
    buf_add_text(out, "],\"refused\":[");
    for (size_t i = 0; i < count; i++)
        add_number(out, i, (int64_t)seconds[i].refused);
    buf_add_text(out, "],\"ended\":[");
    for (size_t i = 0; i < count; i++)
        add_number(out, i, (int64_t)seconds[i].ended);
    buf_add_text(out, "],\"latency_p50_ms\":[");
    for (size_t i = 0; i < count; i++)
        add_number(out, i, seconds[i].p50_ms);
    buf_add_text(out, "],\"latency_p99_ms\":[");
    for (size_t i = 0; i < count; i++)
        add_number(out, i, seconds[i].p99_ms);
    buf_add_text(out, "],\"lag\":[");
    for (size_t i = 0; i < count; i++)
        add_number(out, i, lags[i]);
    buf_add_text(out, "]}");
    free(lags);
    free(seconds);
}

/* What the checker said, as it said it. */
static void add_checked(struct buf *out, const struct chaos_result *result)
{
    const struct json *findings = json_get(result->checked, "findings");
    const struct json *counts = json_get(result->checked, "counts");
    const struct json *not_judged = json_get(result->checked, "not_judged");
    buf_add_text(out, ",\"found\":");
    if (counts)
        json_dump(counts, out);
    else
        buf_add_text(out, "null");
    buf_add_text(out, ",\"not_judged\":");
    if (not_judged)
        json_dump(not_judged, out);
    else
        buf_add_text(out, "[\"anything: there is no verdict of the checker\"]");
    buf_add_text(out, ",\"findings\":[");
    for (size_t i = 0; i < json_count(findings) && i < CHAOS_FINDINGS_MAX; i++) {
        buf_add_text(out, i ? "," : "");
        json_dump(json_at(findings, i), out);
    }
    buf_add_char(out, ']');
}

void chaos_report_json(const struct chaos_result *result, const struct chaos_measure *measure,
                       struct span lag, struct buf *out)
{
    buf_add_text(out, "{\"name\":");
    buf_add_json_string(out, span_of(result->plan->name));
    buf_add_text(out, ",\"description\":");
    buf_add_json_string(out, span_of(result->plan->description));
    buf_printf(out, ",\"verdict\":\"%s\",\"reasons\":[", result->kept ? "kept" : "broken");
    for (size_t i = 0; i < result->reason_count; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json_string(out, span_of(result->reasons[i]));
    }
    buf_printf(out, "],\"seed\":%" PRId64 ",\"interrupted\":%s", result->seed,
               result->interrupted ? "true" : "false");
    json_out_instant(out, "began_at", result->begin_ms);
    json_out_instant(out, "ended_at", result->end_ms);
    buf_printf(out, ",\"seconds\":%.3f", (double)(result->end_ms - result->begin_ms) / 1000);
    buf_printf(out, ",\"rate\":%.3f,\"jobs\":{", (double)result->plan->rate / 1000);
    add_counts(out, &result->counts);
    buf_printf(out, ",\"lost\":%" PRId64 ",\"doubled\":%" PRId64 "}", result->lost,
               result->doubled);
    buf_printf(out,
               ",\"calls\":{\"made\":%" PRId64 ",\"repeated\":%" PRId64 ",\"bound\":%" PRId64 "}",
               result->calls, result->repeats, result->repeats_bound);
    add_percentiles(out, "accept_ms", &result->accept);
    add_percentiles(out, "end_ms", &result->end);
    add_percentiles(out, "recover_ms", &result->recover);
    buf_printf(out, ",\"silence_ms\":%" PRId64, result->silence_ms);
    add_levels(out, result);
    add_faults(out, result);
    add_canaries(out, result, measure);
    add_checked(out, result);
    add_series(out, result, measure, lag);
    buf_add_char(out, '}');
}

/* --- text --- */

static void text_percentiles(struct buf *out, const char *label,
                             const struct chaos_percentiles *percentiles)
{
    buf_printf(out, "  %-24s", label);
    if (percentiles->count)
        buf_printf(out, "p50 %" PRId64 " ms, p99 %" PRId64 " ms, longest %" PRId64 " ms\n",
                   percentiles->p50, percentiles->p99, percentiles->max);
    else
        buf_add_text(out, "-\n");
}

void chaos_report_text(const struct chaos_result *result, struct buf *out)
{
    const struct chaos_counts *counts = &result->counts;
    buf_printf(out, "verdict: %s\n", result->kept ? "kept" : "broken");
    for (size_t i = 0; i < result->reason_count; i++)
        buf_printf(out, "  because %s\n", result->reasons[i]);
    buf_printf(out, "  %-24s%" PRId64 "\n", "seed", result->seed);
    buf_printf(out, "  %-24s%zu\n", "faults", result->fault_count);
    buf_printf(out,
               "  %-24s%" PRIu64 " of %" PRIu64 " submitted; %" PRIu64 " refused, %" PRIu64
               " without an answer\n",
               "accepted", counts->accepted, counts->submitted, counts->refused,
               counts->unanswered);
    buf_printf(out, "  %-24s%" PRIu64 ", %" PRIu64 " otherwise than they had to\n", "ended",
               counts->ended, counts->wrong);
    buf_printf(out, "  %-24s%" PRId64 "\n", "lost", result->lost);
    buf_printf(out, "  %-24s%" PRId64 "\n", "doubled", result->doubled);
    buf_printf(out, "  %-24s%" PRId64 " of %" PRId64 "; the faults excuse %" PRId64 "\n",
               "calls repeated", result->repeats, result->calls, result->repeats_bound);
    text_percentiles(out, "until accepted", &result->accept);
    text_percentiles(out, "until ended", &result->end);
    text_percentiles(out, "time to recover", &result->recover);
    buf_printf(out, "  %-24s%" PRId64 " ms\n", "nothing accepted for", result->silence_ms);
}
