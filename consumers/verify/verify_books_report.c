/* See verify_books_report.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/verify/verify_books_report.h"

#include "schemas/digest.h"
#include "schemas/json.h"
#include "schemas/timefmt.h"

#include <inttypes.h>

#define DEPTH_MAX  8
#define TOKENS_MAX 1000000

static const char *verdict_of(const struct verify_books *books)
{
    return verify_books_balance(books) ? "balanced" : "not balanced";
}

/* "errand.replies.default/3@42" */
static void add_place(const struct verify_books *books, const struct verify_books_place *place,
                      struct buf *out)
{
    const struct verify_books_range *range = verify_books_range_at(books, place->range);
    buf_printf(out, "%s/%d@%" PRId64, range->topic, range->partition, place->offset);
}

/* --- text --- */

static void text_sums(const char *name, const struct verify_books_sums *sums, struct buf *out)
{
    buf_printf(out,
               "%-24s %9" PRIu64 " = %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64
               " %9" PRId64 "\n",
               name, sums->accepted, sums->succeeded, sums->failed, sums->cancelled, sums->expired,
               sums->live, sums->residual);
}

static void text_finding(const struct verify_books *books,
                         const struct verify_books_finding *finding, struct buf *out)
{
    char identity[IDENTITY_TEXT_SIZE];
    buf_add_text(out, verify_books_kind_text(finding->kind));
    if (finding->has_job) {
        id_identity_text(&finding->job, identity);
        buf_printf(out, "  job %s", identity);
    }
    if (finding->place.offset >= 0) {
        buf_add_text(out, "  ");
        add_place(books, &finding->place, out);
    }
    buf_printf(out, ": %s\n", finding->text);
}

void verify_books_text(const struct verify_books_certificate *certificate, struct buf *out)
{
    const struct verify_books *books = certificate->books;
    const struct verify_books_counts *counts = verify_books_counts(books);
    const struct verify_books_sums *sums = NULL;
    struct verify_books_sums total;
    struct span name;
    buf_printf(out, "books: %s\n%-24s %9s   %9s %9s %9s %9s %9s %9s\n", verdict_of(books), "type",
               "accepted", "succeeded", "failed", "cancelled", "expired", "live", "residual");
    for (size_t i = 0; (sums = verify_books_type(books, i, &name)) != NULL; i++) {
        if (sums->accepted || sums->residual || sums->phantom)
            text_sums(name.data, sums, out);
    }
    verify_books_total(books, &total);
    text_sums("total", &total, out);
    buf_printf(out, "read: %" PRIu64 " commands, %" PRIu64 " events; %" PRIu64 " later ends\n",
               counts->commands, counts->events, counts->superseded);
    if (certificate->view)
        buf_printf(out,
                   "view: %" PRIu64 " jobs compared; %" PRIu64 " went on meanwhile, %" PRIu64
                   " forgotten\n",
                   counts->compared, counts->moved, counts->forgotten);
    for (size_t i = 0; i < certificate->notes.count; i++)
        buf_printf(out, "not looked at: %s\n", certificate->notes.items[i]);
    const struct verify_books_finding *finding = NULL;
    size_t shown = 0;
    while ((finding = verify_books_finding(books, shown)) != NULL) {
        text_finding(books, finding, out);
        shown++;
    }
    if (shown < counts->findings)
        buf_printf(out, "and %" PRIu64 " more\n", counts->findings - shown);
}

/* --- JSON --- */

static void json_time(const char *name, int64_t ms, struct buf *out)
{
    char text[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(ms, text);
    if (ms == INT64_MIN || ms == INT64_MAX)
        buf_printf(out, "\"%s\":null", name);
    else
        buf_printf(out, "\"%s\":\"%s\"", name, text);
}

static void json_sums(const struct verify_books_sums *sums, bool view, struct buf *out)
{
    buf_printf(out,
               "\"accepted\":%" PRIu64 ",\"succeeded\":%" PRIu64 ",\"failed\":%" PRIu64
               ",\"cancelled\":%" PRIu64 ",\"expired\":%" PRIu64 ",\"live\":%" PRIu64
               ",\"residual\":%" PRId64 ",\"lost\":%" PRIu64 ",\"phantom\":%" PRIu64,
               sums->accepted, sums->succeeded, sums->failed, sums->cancelled, sums->expired,
               sums->live, sums->residual, sums->lost, sums->phantom);
    if (view)
        buf_printf(out,
                   ",\"view\":{\"succeeded\":%" PRIu64 ",\"failed\":%" PRIu64
                   ",\"cancelled\":%" PRIu64 ",\"expired\":%" PRIu64 ",\"live\":%" PRIu64
                   ",\"none\":%" PRIu64 "}",
                   sums->view.succeeded, sums->view.failed, sums->view.cancelled,
                   sums->view.expired, sums->view.live, sums->view.none);
}

static void json_ranges(const struct verify_books *books, struct buf *out)
{
    buf_add_text(out, ",\"read\":[");
    for (size_t i = 0; i < verify_books_range_count(books); i++) {
        const struct verify_books_range *range = verify_books_range_at(books, (uint16_t)i);
        buf_printf(out,
                   "%s{\"topic\":\"%s\",\"partition\":%d,\"from\":%" PRId64 ",\"to\":%" PRId64
                   ",\"records\":%" PRIu64,
                   i ? "," : "", range->topic, range->partition, range->from, range->to,
                   range->records);
        if (range->committed >= 0)
            buf_printf(out, ",\"committed\":%" PRId64, range->committed);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void json_types(const struct verify_books_certificate *certificate, struct buf *out)
{
    const struct verify_books_sums *sums = NULL;
    struct verify_books_sums total;
    struct span name;
    verify_books_total(certificate->books, &total);
    buf_add_text(out, ",\"total\":{");
    json_sums(&total, certificate->view, out);
    buf_add_text(out, "},\"types\":[");
    for (size_t i = 0; (sums = verify_books_type(certificate->books, i, &name)) != NULL; i++) {
        buf_add_text(out, i ? ",{\"type\":" : "{\"type\":");
        buf_add_json_string(out, name);
        buf_add_char(out, ',');
        json_sums(sums, certificate->view, out);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void json_finding(const struct verify_books *books,
                         const struct verify_books_finding *finding, struct buf *out)
{
    char identity[IDENTITY_TEXT_SIZE];
    buf_printf(out, "{\"kind\":\"%s\"", verify_books_kind_text(finding->kind));
    if (finding->has_job) {
        id_identity_text(&finding->job, identity);
        buf_printf(out, ",\"job\":\"%s\"", identity);
    }
    if (finding->place.offset >= 0) {
        const struct verify_books_range *range = verify_books_range_at(books, finding->place.range);
        buf_printf(out, ",\"topic\":\"%s\",\"partition\":%d,\"offset\":%" PRId64, range->topic,
                   range->partition, finding->place.offset);
    }
    buf_add_text(out, ",\"text\":");
    buf_add_json_string(out, span_of(finding->text));
    buf_add_char(out, '}');
}

static void json_findings(const struct verify_books_certificate *certificate, struct buf *out)
{
    const struct verify_books *books = certificate->books;
    const struct verify_books_counts *counts = verify_books_counts(books);
    const struct verify_books_finding *finding = NULL;
    buf_add_text(out, ",\"not_looked_at\":[");
    for (size_t i = 0; i < certificate->notes.count; i++) {
        buf_add_text(out, i ? "," : "");
        buf_add_json_string(out, span_of(certificate->notes.items[i]));
    }
    buf_add_text(out, "],\"counts\":{");
    for (int i = 0; i < VERIFY_BOOKS_KIND_COUNT; i++)
        buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "",
                   verify_books_kind_text((enum verify_books_kind)i), counts->by_kind[i]);
    buf_add_text(out, "},\"findings\":[");
    for (size_t i = 0; (finding = verify_books_finding(books, i)) != NULL; i++) {
        buf_add_text(out, i ? "," : "");
        json_finding(books, finding, out);
    }
    buf_printf(out, "],\"findings_total\":%" PRIu64, counts->findings);
}

/* The certificate up to its digest, without the closing brace. */
static void json_body(const struct verify_books_certificate *certificate, struct buf *out)
{
    const struct verify_books *books = certificate->books;
    const struct verify_books_options *window = verify_books_window(books);
    const struct verify_books_counts *counts = verify_books_counts(books);
    buf_printf(out, "{\"schema\":\"errand.books/1\",\"balanced\":%s,\"cluster\":",
               verify_books_balance(books) ? "true" : "false");
    buf_add_json_string(out, span_of(certificate->cluster_id));
    buf_add_text(out, ",\"namespace\":");
    buf_add_json_string(out, span_of(certificate->namespace_));
    buf_add_text(out, ",\"window\":{");
    json_time("from", window->from_ms, out);
    buf_add_char(out, ',');
    json_time("to", window->to_ms, out);
    buf_add_text(out, "},");
    json_time("began_at", certificate->began_ms, out);
    buf_add_char(out, ',');
    json_time("ended_at", certificate->ended_ms, out);
    json_types(certificate, out);
    buf_printf(out,
               ",\"commands\":%" PRIu64 ",\"events\":%" PRIu64 ",\"before\":%" PRIu64
               ",\"beyond\":%" PRIu64 ",\"superseded\":%" PRIu64 ",\"bytes_peak\":%zu",
               counts->commands, counts->events, counts->before, counts->beyond, counts->superseded,
               counts->bytes_peak);
    if (certificate->view)
        buf_printf(out,
                   ",\"view\":{\"compared\":%" PRIu64 ",\"moved\":%" PRIu64
                   ",\"forgotten\":%" PRIu64 ",\"keys\":%" PRIu64 "}",
                   counts->compared, counts->moved, counts->forgotten, counts->keys);
    json_ranges(books, out);
    json_findings(certificate, out);
}

enum err_code verify_books_json(const struct verify_books_certificate *certificate, struct buf *out,
                                struct err *err)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct buf whole = BUF_INIT(out->max);
    struct buf canonical = BUF_INIT(out->max);
    struct json *json = NULL;
    uint8_t digest[DIGEST_SIZE];
    json_body(certificate, out);
    buf_add_span(&whole, buf_span(out));
    buf_add_char(&whole, '}');
    enum err_code code = whole.overflow ? err_set(err, ERR_LIMIT, "the certificate is too large")
                                        : json_parse(buf_span(&whole), &limits, &json, err);
    if (!code) {
        json_canonical(json, &canonical);
        struct span part = buf_span(&canonical);
        digest_sha256(&part, 1, digest);
        buf_add_text(out, ",\"digest\":\"sha256:");
        buf_add_hex(out, (struct span){ digest, sizeof digest });
        buf_add_text(out, "\"}");
    }
    json_free(json);
    buf_free(&whole);
    buf_free(&canonical);
    return code;
}
