/* Printing what a load has measured.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/load_print.h"

#include "gateway/cli/output.h"

#include <stdio.h>

#define STATUS_TOO_MANY 429
#define STATUS_AWAY     503

static const struct {
    const char *label;
    const char *member;
    double percent;
} percentiles[] = {
    { "p50", "p50", 50 },       { "p90", "p90", 90 },  { "p99", "p99", 99 },
    { "p99.9", "p99_9", 99.9 }, { "max", "max", 100 },
};
#define PERCENTILE_COUNT (sizeof percentiles / sizeof percentiles[0])

static double ms_of(int64_t us)
{
    return (double)us / 1000;
}

static double seconds_of(const struct load_report *report)
{
    return report->elapsed_us > 0 ? (double)report->elapsed_us / 1e6 : 1;
}

static uint64_t answered(const struct load_report *report)
{
    uint64_t total = 0;
    for (size_t i = 0; i < LOAD_STATUS_MAX; i++)
        total += report->by_status[i];
    return total;
}

uint64_t load_print_open(const struct load_report *report)
{
    uint64_t over = answered(report) + report->broken + report->timeouts;
    return report->due > over ? report->due - over : 0;
}

static void add_number(struct buf *out, const char *label, uint64_t value)
{
    buf_printf(out, "%-14s%llu\n", label, (unsigned long long)value);
}

void load_print_render(const struct load_options *options, const struct load_report *report,
                       struct buf *out)
{
    double seconds = seconds_of(report);
    char label[32];
    buf_printf(out, "%-14s%s, %s, %.1f s over %zu connections\n", "load", options->type,
               options->mode == LOAD_E2E ? "until finished" : "until accepted", seconds,
               report->connections);
    add_number(out, "sent", report->sent);
    buf_printf(out, "%-14s%llu (%.1f/s)\n", "accepted", (unsigned long long)report->accepted,
               (double)report->accepted / seconds);
    if (report->due > report->sent)
        add_number(out, "never sent", report->due - report->sent);
    for (size_t i = 0; i < LOAD_STATUS_MAX; i++) {
        if (report->by_status[i] == 0)
            continue;
        (void)snprintf(label, sizeof label, "status %zu", i);
        add_number(out, label, report->by_status[i]);
    }
    if (report->resent)
        add_number(out, "sent again", report->resent);
    if (report->broken)
        add_number(out, "broken", report->broken);
    if (report->timeouts)
        add_number(out, "timed out", report->timeouts);
    for (size_t i = 0; i < JOB_STATE_COUNT; i++) {
        if (report->by_state[i])
            add_number(out, job_state_text((enum job_state)i), report->by_state[i]);
    }
    buf_printf(out, "%-14s", "latency ms");
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        buf_printf(out, "%s%s %.2f", i ? "  " : "", percentiles[i].label,
                   ms_of(histogram_percentile(&report->latency, percentiles[i].percent)));
    buf_add_char(out, '\n');
}

static void add_statuses(const struct load_report *report, struct buf *out)
{
    bool any = false;
    buf_add_text(out, ",\"statuses\":{");
    for (size_t i = 0; i < LOAD_STATUS_MAX; i++) {
        if (report->by_status[i] == 0)
            continue;
        buf_printf(out, "%s\"%zu\":%llu", any ? "," : "", i,
                   (unsigned long long)report->by_status[i]);
        any = true;
    }
    buf_add_char(out, '}');
}

static void add_states(const struct load_report *report, struct buf *out)
{
    bool any = false;
    buf_add_text(out, ",\"states\":{");
    for (size_t i = 0; i < JOB_STATE_COUNT; i++) {
        if (report->by_state[i] == 0)
            continue;
        buf_printf(out, "%s\"%s\":%llu", any ? "," : "", job_state_text((enum job_state)i),
                   (unsigned long long)report->by_state[i]);
        any = true;
    }
    buf_add_char(out, '}');
}

void load_print_json(const struct load_options *options, const struct load_report *report,
                     struct buf *out)
{
    double seconds = seconds_of(report);
    buf_add_text(out, "{\"type\":");
    buf_add_json_string(out, span_of(options->type));
    buf_printf(out, ",\"mode\":\"%s\",\"seconds\":%.3f,\"connections\":%zu",
               options->mode == LOAD_E2E ? "e2e" : "submit", seconds, report->connections);
    buf_printf(out, ",\"due\":%llu,\"sent\":%llu,\"accepted\":%llu,\"accepted_per_second\":%.1f",
               (unsigned long long)report->due, (unsigned long long)report->sent,
               (unsigned long long)report->accepted, (double)report->accepted / seconds);
    buf_printf(out, ",\"finished\":%llu,\"resent\":%llu,\"broken\":%llu,\"timeouts\":%llu",
               (unsigned long long)report->finished, (unsigned long long)report->resent,
               (unsigned long long)report->broken, (unsigned long long)report->timeouts);
    add_statuses(report, out);
    add_states(report, out);
    buf_printf(out, ",\"latency_ms\":{\"count\":%llu,\"mean\":%.3f",
               (unsigned long long)report->latency.total, histogram_mean(&report->latency) / 1000);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++)
        buf_printf(out, ",\"%s\":%.3f", percentiles[i].member,
                   ms_of(histogram_percentile(&report->latency, percentiles[i].percent)));
    buf_add_text(out, "}}");
}

int load_print(const struct args *args, const struct load_options *options,
               const struct load_report *report)
{
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    int code = CLI_OK;
    if (output_is_json(args)) {
        load_print_json(options, report, &text);
        code = output_json("errand.load/1", buf_span(&text));
    } else {
        load_print_render(options, report, &text);
        code = output_data(buf_span(&text));
    }
    buf_free(&text);
    return code;
}

int load_print_exit_code(const struct load_options *options, const struct load_report *report)
{
    uint64_t ended = options->mode == LOAD_E2E ? report->by_state[JOB_SUCCEEDED] : report->accepted;
    if (ended == report->due)
        return CLI_OK;
    if (report->broken && answered(report) == 0)
        return CLI_UNREACHABLE;
    if (report->by_status[STATUS_TOO_MANY] || report->by_status[STATUS_AWAY])
        return CLI_OVERLOADED;
    return report->accepted == report->due ? CLI_JOB_FAILED : CLI_FAILED;
}
