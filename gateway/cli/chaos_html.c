/* A run's report as one page: figures, faults, and plots as inline SVG. Nothing in it comes from
 * elsewhere and nothing is run, so that it can be kept and mailed. Every figure names where it
 * stands in the report's JSON (data-figure, a JSON Pointer). See chaos_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/chaos_internal.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdarg.h>

#define PLOT_WIDTH  960
#define PLOT_HEIGHT 200
#define PLOT_LEFT   60
#define PLOT_RIGHT  10
#define PLOT_TOP    10
#define PLOT_BOTTOM 24
#define TICKS       4
#define POINTER_MAX 96

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><style>"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em;"
    "color:#1d2733;background:#fff}"
    "h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:2em 0 .5em}"
    "table{border-collapse:collapse}td,th{padding:.2em 1.2em .2em 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #dfe5eb}td.n{text-align:right;"
    "font-variant-numeric:tabular-nums}"
    ".kept,.broken{display:inline-block;color:#fff;padding:.1em .7em;border-radius:.3em}"
    ".kept{background:#1a7f37}.broken{background:#b42318}"
    "svg{display:block;width:100%;height:auto;background:#f7f9fb}"
    "svg text{font-size:11px;fill:#5b6875}.grid{stroke:#dfe5eb}.fault{fill:#b42318;"
    "fill-opacity:.18}.s0{stroke:#0b62d6}.s1{stroke:#1a7f37}.s2{stroke:#b42318}"
    "polyline{fill:none;stroke-width:1.5;stroke-linecap:round}"
    ".k0{color:#0b62d6}.k1{color:#1a7f37}.k2{color:#b42318}"
    "</style>";

static void add_escaped(struct buf *out, struct span text)
{
    const char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        switch (bytes[i]) {
        case '&':
            buf_add_text(out, "&amp;");
            break;
        case '<':
            buf_add_text(out, "&lt;");
            break;
        case '>':
            buf_add_text(out, "&gt;");
            break;
        case '"':
            buf_add_text(out, "&quot;");
            break;
        case '\'':
            buf_add_text(out, "&#39;");
            break;
        default:
            buf_add_char(out, bytes[i]);
        }
    }
}

/* A value as it stands in the JSON, texts without their quotes. */
static void add_value(struct buf *out, const struct json *value)
{
    struct buf text = BUF_INIT(4096);
    if (json_type_of(value) == JSON_TYPE_TEXT)
        add_escaped(out, json_text(value));
    else if (json_type_of(value) == JSON_TYPE_NULL || !value)
        buf_add_text(out, "not known");
    else
        json_dump(value, &text);
    add_escaped(out, buf_span(&text));
    buf_free(&text);
}

/* <TAG class=... data-figure="POINTER">value</TAG> */
static void add_figure(struct buf *out, const struct json *report, const char *tag,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
static void add_figure(struct buf *out, const struct json *report, const char *tag,
                       const char *format, ...)
{
    char pointer[POINTER_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(pointer, sizeof pointer, format, arguments);
    va_end(arguments);
    const struct json *value = json_pointer(report, span_of(pointer));
    bool text = json_type_of(value) == JSON_TYPE_TEXT;
    buf_printf(out, "<%s%s data-figure=\"%s\">", tag, text ? "" : " class=\"n\"", pointer);
    add_value(out, value);
    buf_printf(out, "</%s>", tag);
}

/* --- figures --- */

static const struct {
    const char *label;
    const char *pointer;
} figures[] = {
    { "seed", "/seed" },
    { "began at", "/began_at" },
    { "seconds", "/seconds" },
    { "jobs submitted", "/jobs/submitted" },
    { "accepted", "/jobs/accepted" },
    { "refused", "/jobs/refused" },
    { "without an answer", "/jobs/unanswered" },
    { "ended", "/jobs/ended" },
    { "ended otherwise than they had to", "/jobs/wrong" },
    { "lost", "/jobs/lost" },
    { "doubled", "/jobs/doubled" },
    { "calls to the third party", "/calls/made" },
    { "calls repeated", "/calls/repeated" },
    { "repeats that the faults excuse", "/calls/bound" },
    { "until accepted, p50, ms", "/accept_ms/p50" },
    { "until accepted, p99, ms", "/accept_ms/p99" },
    { "until ended, p50, ms", "/end_ms/p50" },
    { "until ended, p99, ms", "/end_ms/p99" },
    { "time to recover, p50, ms", "/recover_ms/p50" },
    { "time to recover, p99, ms", "/recover_ms/p99" },
    { "longest time in which nothing was accepted, ms", "/silence_ms" },
};

static void add_figures(struct buf *out, const struct json *report)
{
    buf_add_text(out, "<h2>Figures</h2><table>");
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        buf_printf(out, "<tr><th>%s</th>", figures[i].label);
        add_figure(out, report, "td", "%s", figures[i].pointer);
        buf_add_text(out, "</tr>");
    }
    buf_add_text(out, "</table>");
}

static void add_reasons(struct buf *out, const struct json *report)
{
    size_t count = json_count(json_get(report, "reasons"));
    size_t unjudged = json_count(json_get(report, "not_judged"));
    if (count + unjudged == 0)
        return;
    buf_add_text(out, "<ul>");
    for (size_t i = 0; i < count; i++)
        add_figure(out, report, "li", "/reasons/%zu", i);
    for (size_t i = 0; i < unjudged; i++) {
        buf_add_text(out, "<li>not judged: ");
        add_figure(out, report, "span", "/not_judged/%zu", i);
        buf_add_text(out, "</li>");
    }
    buf_add_text(out, "</ul>");
}

/* A table of an array's entries, a column for each of the members. */
static void add_rows(struct buf *out, const struct json *report, const char *title,
                     const char *array, const char *const *members)
{
    size_t count = json_count(json_get(report, array));
    if (count == 0)
        return;
    buf_printf(out, "<h2>%s</h2><table><tr>", title);
    for (const char *const *member = members; *member; member++)
        buf_printf(out, "<th>%s</th>", *member);
    buf_add_text(out, "</tr>");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, "<tr>");
        for (const char *const *member = members; *member; member++)
            add_figure(out, report, "td", "/%s/%zu/%s", array, i, *member);
        buf_add_text(out, "</tr>");
    }
    buf_add_text(out, "</table>");
}

/* --- plots --- */

struct plot {
    const char *title;
    const char *unit;
    const char *series[3]; /* members of `series`; NULL: no more */
};

static const struct plot plots[] = {
    { "Throughput", "jobs/s", { "accepted", "ended", "refused" } },
    { "Latency until ended", "ms", { "latency_p50_ms", "latency_p99_ms", NULL } },
    { "Lag", "records", { "lag", NULL, NULL } },
};

static double value_at(const struct json *values, size_t i)
{
    double value = 0;
    return json_real_of(json_at(values, i), &value) ? value : -1;
}

static double largest(const struct json *series, const struct plot *plot)
{
    double most = 1;
    for (size_t s = 0; s < 3 && plot->series[s]; s++) {
        const struct json *values = json_get(series, plot->series[s]);
        for (size_t i = 0; i < json_count(values); i++)
            most = value_at(values, i) > most ? value_at(values, i) : most;
    }
    return most;
}

static double x_of(double at_ms, double span_ms)
{
    double at = at_ms < 0 ? 0 : at_ms > span_ms ? span_ms : at_ms;
    return PLOT_LEFT + at / span_ms * (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}

static double y_of(double value, double most)
{
    return PLOT_HEIGHT - PLOT_BOTTOM - value / most * (PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
}

/* A line is broken where nothing is known. */
static void add_line(struct buf *out, const struct json *values, size_t number, double span_ms,
                     double step_ms, double most)
{
    bool open = false;
    for (size_t i = 0; i < json_count(values); i++) {
        double value = value_at(values, i);
        if (value < 0) {
            buf_add_text(out, open ? "\"/>" : "");
            open = false;
            continue;
        }
        double x = x_of((double)i * step_ms, span_ms);
        double y = y_of(value, most);
        if (!open) /* its first point comes twice: one that is alone is seen as well */
            buf_printf(out, "<polyline class=\"s%zu\" points=\"%.1f,%.1f ", number, x, y);
        open = true;
        buf_printf(out, "%.1f,%.1f ", x, y);
    }
    buf_add_text(out, open ? "\"/>" : "");
}

static void add_bands(struct buf *out, const struct json *faults, double span_ms)
{
    for (size_t i = 0; i < json_count(faults); i++) {
        const struct json *fault = json_at(faults, i);
        double begin = 0;
        double end = 0;
        (void)json_real_of(json_get(fault, "begin_ms"), &begin);
        (void)json_real_of(json_get(fault, "end_ms"), &end);
        (void)json_real_of(json_get(fault, "back_ms"), &end); /* null leaves it */
        if (MUTANT(chaos_bands_late))
            begin += 1500;
        double width = x_of(end, span_ms) - x_of(begin, span_ms);
        buf_printf(out,
                   "<rect class=\"fault\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"><title>",
                   x_of(begin, span_ms), PLOT_TOP, width < 2 ? 2 : width,
                   PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
        add_escaped(out, json_text(json_get(fault, "do")));
        buf_add_char(out, ' ');
        add_escaped(out, json_text(json_get(fault, "name")));
        buf_add_text(out, "</title></rect>");
    }
}

static void add_grid(struct buf *out, double span_ms, double most)
{
    for (int i = 0; i <= TICKS; i++) {
        double value = most * i / TICKS;
        double x = x_of(span_ms * i / TICKS, span_ms);
        buf_printf(out,
                   "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                   "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>"
                   "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%.0f s</text>",
                   PLOT_LEFT, PLOT_WIDTH - PLOT_RIGHT, y_of(value, most), y_of(value, most),
                   PLOT_LEFT - 6, y_of(value, most) + 4, value, x, PLOT_HEIGHT - 8,
                   i == TICKS ? "end" : "middle", span_ms * i / TICKS / 1000);
    }
}

static void add_plot(struct buf *out, const struct json *report, const struct plot *plot)
{
    const struct json *series = json_get(report, "series");
    size_t count = json_count(json_get(series, plot->series[0]));
    double step_ms = 1000;
    (void)json_real_of(json_get(series, "step_ms"), &step_ms);
    double span_ms = (double)(count > 1 ? count - 1 : 1) * step_ms;
    double most = largest(series, plot);
    buf_printf(out, "<h2>%s, %s</h2><div>", plot->title, plot->unit);
    for (size_t s = 0; s < 3 && plot->series[s]; s++)
        buf_printf(out, "<span class=\"k%zu\">&#9632; %s</span> ", s, plot->series[s]);
    buf_printf(out, "</div><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", PLOT_WIDTH,
               PLOT_HEIGHT, plot->title);
    add_grid(out, span_ms, most);
    add_bands(out, json_get(report, "faults"), span_ms);
    for (size_t s = 0; s < 3 && plot->series[s]; s++)
        add_line(out, json_get(series, plot->series[s]), s, span_ms, step_ms, most);
    buf_add_text(out, "</svg>");
}

void chaos_html(const struct json *report, struct buf *out)
{
    static const char *const fault_members[] = { "do",      "name",       "begin_ms", "end_ms",
                                                 "back_ms", "recover_ms", NULL };
    static const char *const canary_members[] = { "type",    "payload", "ends",  "accepted",
                                                  "refused", "ended",   "wrong", NULL };
    static const char *const level_members[] = { "name", "limit_ms", "measured_ms", NULL };
    static const char *const finding_members[] = { "kind", "job", "text", NULL };
    struct span verdict = json_text(json_get(report, "verdict"));
    buf_add_text(out, head);
    buf_add_text(out, "<title>");
    add_escaped(out, json_text(json_get(report, "name")));
    buf_add_text(out, ": ");
    add_escaped(out, verdict);
    buf_add_text(out, "</title></head><body>");
    add_figure(out, report, "h1", "/name");
    add_figure(out, report, "p", "/description");
    buf_printf(out, "<p>The promises were <b class=\"%s\" data-figure=\"/verdict\">",
               span_is(verdict, "kept") ? "kept" : "broken");
    add_escaped(out, verdict);
    buf_add_text(out, "</b></p>");
    add_reasons(out, report);
    for (size_t i = 0; i < sizeof plots / sizeof plots[0]; i++)
        add_plot(out, report, &plots[i]);
    buf_add_text(out, "<p>Faults are the red bands.</p>");
    add_figures(out, report);
    add_rows(out, report, "Service levels", "levels", level_members);
    add_rows(out, report, "Faults", "faults", fault_members);
    add_rows(out, report, "Jobs of known outcome", "canaries", canary_members);
    add_rows(out, report, "Findings", "findings", finding_members);
    buf_add_text(out, "</body></html>\n");
}
