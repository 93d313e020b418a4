/* A drill's report: each replayed job beside its original. See drill.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/drill_compare.h"
#include "gateway/cli/drill.h"
#include "gateway/cli/output.h"
#include "gateway/cli/watch.h"
#include "schemas/envelope.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/utf8.h"

#include <inttypes.h>
#include <stdlib.h>

#define TIMEOUT_MS       30000
#define RESULT_BYTES_MAX 1024 /* shown of each result */
#define SAID_BYTES_MAX   60   /* of them in a table */

struct reporting {
    const struct args *args;
    const struct kafka_look *look;
    const struct replay_plan *plan;
    struct drill_comparison all;
    const struct drill_job *shown[DRILL_COMPARE_SHOWN_MAX];
    size_t shown_count;
    struct kafka_fetch *fetches; /* of each shown job two: before and after */
};

/* What is worth a look: new errors first. */
static void choose(struct reporting *reporting)
{
    static const enum drill_verdict order[] = { DRILL_NEW_ERROR, DRILL_DIFFERS, DRILL_UNDECIDED,
                                                DRILL_UNKNOWN };
    const struct drill_comparison *all = &reporting->all;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        for (size_t k = 0; k < all->count && reporting->shown_count < DRILL_COMPARE_SHOWN_MAX;
             k++) {
            if (all->jobs[k].verdict == order[i])
                reporting->shown[reporting->shown_count++] = &all->jobs[k];
        }
    }
}

/* --- what their results were: read where they lie --- */

struct wanted {
    struct kafka_fetch *fetch;
};

static int by_place(const void *a, const void *b)
{
    const struct kafka_fetch *one = ((const struct wanted *)a)->fetch;
    const struct kafka_fetch *other = ((const struct wanted *)b)->fetch;
    int order = strcmp(one->topic, other->topic);
    if (order == 0)
        order = (one->partition > other->partition) - (one->partition < other->partition);
    return order ? order : (one->offset > other->offset) - (one->offset < other->offset);
}

/* kafka_fetch_sync wants rising addresses. */
static enum err_code fetch_sorted(struct kafka_admin *admin, struct kafka_fetch *fetches,
                                  size_t count, struct err *err)
{
    struct wanted *wanted = mem_zalloc(count, sizeof *wanted);
    struct kafka_fetch *sorted = mem_zalloc(count, sizeof *sorted);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (fetches[i].topic)
            wanted[known++].fetch = &fetches[i];
    }
    qsort(wanted, known, sizeof *wanted, by_place);
    for (size_t i = 0; i < known; i++)
        sorted[i] = *wanted[i].fetch;
    enum err_code code = known ? kafka_fetch_sync(admin, sorted, known, TIMEOUT_MS, err) : ERR_OK;
    for (size_t i = 0; i < known; i++)
        *wanted[i].fetch = sorted[i];
    free(wanted);
    free(sorted);
    return code;
}

static enum err_code fetch(struct reporting *reporting, const char *before, const char *after,
                           struct err *err)
{
    size_t count = 2 * reporting->shown_count;
    reporting->fetches = mem_zalloc(count, sizeof *reporting->fetches);
    for (size_t i = 0; i < count; i++) {
        const struct drill_job *job = reporting->shown[i / 2];
        const struct drill_end *end = i % 2 ? &job->after : &job->before;
        reporting->fetches[i] = (struct kafka_fetch){ .topic = !end->known ? NULL
                                                               : i % 2     ? after
                                                                           : before,
                                                      .partition = end->partition,
                                                      .offset = end->offset,
                                                      .value = BUF_INIT(TOPIC_RECORD_BYTES_MAX) };
    }
    return fetch_sorted(reporting->look->admin, reporting->fetches, count, err);
}

/* --- printing --- */

/* The result, or what the failure says; cut at a character. */
static void add_said(const struct kafka_fetch *fetch, size_t size_max, struct buf *out)
{
    struct envelope *envelope = NULL;
    struct err ignored;
    if (!fetch->found || envelope_decode(buf_span(&fetch->value), &envelope, &ignored) != ERR_OK)
        return;
    if (envelope->kind == ENVELOPE_EVENT) {
        const struct job_event *event = &envelope->event;
        struct span text = event->result.size ? event->result : event->failure.detail;
        while (text.size > size_max || (text.size && !utf8_is_text(text)))
            text.size = text.size > size_max ? size_max : text.size - 1;
        buf_add_span(out, text);
    }
    envelope_free(envelope);
}

static void add_end(struct buf *out, const char *name, const struct drill_end *end,
                    const struct kafka_fetch *fetch)
{
    struct buf said = BUF_INIT(RESULT_BYTES_MAX);
    if (!end->known)
        return;
    buf_printf(out, ",\"%s\":{\"state\":\"%s\",\"attempt\":%" PRIu32, name,
               job_state_text(end->state), end->attempt);
    if (*end->code) {
        buf_add_text(out, ",\"error\":");
        buf_add_json_string(out, span_of(end->code));
    }
    add_said(fetch, RESULT_BYTES_MAX, &said);
    if (said.size) {
        buf_add_text(out, end->state == JOB_SUCCEEDED ? ",\"result\":" : ",\"detail\":");
        buf_add_json_string(out, buf_span(&said));
    }
    buf_add_char(out, '}');
    buf_free(&said);
}

static int print_json(const struct reporting *reporting, const char *drill)
{
    const struct drill_comparison *all = &reporting->all;
    const struct replay_plan *plan = reporting->plan;
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    char id[ID_TEXT_SIZE];
    buf_printf(&text, "{\"drill\":\"%s\",\"namespace\":\"%s\",\"replay\":\"%s\",\"topic\":", drill,
               plan->namespace_, plan->id);
    buf_add_json_string(&text, span_of(plan->topic));
    buf_printf(&text, ",\"planned\":%" PRId64 ",\"jobs\":%zu", replay_plan_jobs(plan), all->count);
    for (int i = 0; i < DRILL_VERDICT_COUNT; i++)
        buf_printf(&text, ",\"%s\":%" PRId64, drill_verdict_text((enum drill_verdict)i),
                   all->verdicts[i]);
    buf_add_text(&text, ",\"shown\":[");
    for (size_t i = 0; i < reporting->shown_count; i++) {
        const struct drill_job *job = reporting->shown[i];
        id_text(&job->id, id);
        buf_printf(&text, "%s{\"job\":\"%s\"", i ? "," : "", id);
        id_text(&job->original, id);
        buf_printf(&text, ",\"original\":\"%s\",\"verdict\":\"%s\"", id,
                   drill_verdict_text(job->verdict));
        add_end(&text, "before", &job->before, &reporting->fetches[2 * i]);
        add_end(&text, "after", &job->after, &reporting->fetches[2 * i + 1]);
        buf_add_char(&text, '}');
    }
    buf_add_text(&text, "]}");
    int code = output_json("errand.drill/1", buf_span(&text));
    buf_free(&text);
    return code;
}

static void add_cell(struct table *table, const struct drill_end *end,
                     const struct kafka_fetch *fetch)
{
    struct buf text = BUF_INIT(512);
    if (end->known)
        buf_printf(&text, "%s %s%s", job_state_text(end->state), end->code, *end->code ? ": " : "");
    if (end->known)
        add_said(fetch, SAID_BYTES_MAX, &text);
    table_add(table, text.size ? buf_span(&text) : span_of("-"));
    buf_free(&text);
}

static int print_tables(const struct reporting *reporting, const char *drill)
{
    static const char *const counts[] = { "OUTCOME", "JOBS" };
    static const char *const headings[] = { "ORIGINAL", "VERDICT", "BEFORE", "IN THE DRILL" };
    const struct drill_comparison *all = &reporting->all;
    char id[ID_TEXT_SIZE];
    struct table *table = table_new(counts, 2);
    for (int i = 0; i < DRILL_VERDICT_COUNT; i++) {
        table_add_text(table, drill_verdict_text((enum drill_verdict)i));
        table_add_int(table, all->verdicts[i]);
    }
    int code = output_table(table);
    table_free(table);
    if (code != CLI_OK || reporting->shown_count == 0)
        return code;
    table = table_new(headings, 4);
    for (size_t i = 0; i < reporting->shown_count; i++) {
        id_text(&reporting->shown[i]->original, id);
        table_add_text(table, id);
        table_add_text(table, drill_verdict_text(reporting->shown[i]->verdict));
        add_cell(table, &reporting->shown[i]->before, &reporting->fetches[2 * i]);
        add_cell(table, &reporting->shown[i]->after, &reporting->fetches[2 * i + 1]);
    }
    code = output_table(table);
    table_free(table);
    int64_t more =
        (int64_t)all->count - all->verdicts[DRILL_SAME] - (int64_t)reporting->shown_count;
    if (more > 0)
        output_note("%" PRId64 " more of drill %s are not shown", more, drill);
    return code;
}

/* Nothing got worse, all of it is known, and something could be compared at all. */
static int verdict(const struct reporting *reporting)
{
    const int64_t *verdicts = reporting->all.verdicts;
    int64_t arrived = (int64_t)reporting->all.count + reporting->all.copies;
    bool whole = arrived == replay_plan_jobs(reporting->plan);
    bool good = (whole || MUTANT(drill_short_passes)) &&
                (verdicts[DRILL_NEW_ERROR] == 0 || MUTANT(drill_worse_passes)) &&
                (verdicts[DRILL_UNDECIDED] == 0 || MUTANT(drill_undecided_passes));
    if (verdicts[DRILL_UNKNOWN] == (int64_t)reporting->all.count && !MUTANT(drill_unknown_passes)) {
        output_note("nothing could be compared: no job has an original whose end is in Kafka");
        good = false;
    }
    if (!whole)
        output_note("%" PRId64 " of %" PRId64
                    " jobs have been replayed: the same `errand replay` goes on",
                    arrived, replay_plan_jobs(reporting->plan));
    return good ? CLI_OK : CLI_FAILED;
}

static bool on_progress(void *arg, size_t ended, size_t count)
{
    (void)arg;
    output_progress("%zu of %zu jobs have ended", ended, count);
    return !watch_is_interrupted();
}

int drill_report_print(const struct args *args, const struct kafka_look *look,
                       const struct replay_plan *plan, int64_t wait_ms)
{
    struct err err = { 0 };
    struct reporting *reporting = MEM_NEW(*reporting);
    *reporting = (struct reporting){ .args = args, .look = look, .plan = plan };
    char *commands = topic_name_dup(plan->namespace_, TOPIC_COMMANDS, plan->queue);
    char *replies = topic_name_dup(plan->namespace_, TOPIC_REPLIES, plan->queue);
    char *before = topic_name_dup(look->config->namespace_, TOPIC_REPLIES, plan->queue);
    const struct drill_compare_options options = { .admin = look->admin,
                                                   .commands = commands,
                                                   .replies = replies,
                                                   .original_replies = before,
                                                   .since_ms = plan->first_ms,
                                                   .wait_ms = wait_ms,
                                                   .on_progress = on_progress };
    const char *drill = plan->into + sizeof REPLAY_DRILL - 1;
    enum err_code failed = drill_compare(&options, &reporting->all, &err);
    output_progress_end();
    if (!failed) {
        choose(reporting);
        failed = fetch(reporting, before, replies, &err);
    }
    int code = CLI_UNREACHABLE;
    if (failed) {
        output_error("the drill's jobs cannot be compared");
        output_why("%s", err.text);
    } else {
        code = output_is_json(args) ? print_json(reporting, drill) : print_tables(reporting, drill);
        code = code == CLI_OK ? verdict(reporting) : code;
        if (code == CLI_FAILED && watch_is_interrupted())
            code = CLI_INTERRUPTED;
    }
    for (size_t i = 0; reporting->fetches && i < 2 * reporting->shown_count; i++)
        buf_free(&reporting->fetches[i].value);
    free(reporting->fetches);
    drill_comparison_clear(&reporting->all);
    free(commands);
    free(replies);
    free(before);
    free(reporting);
    return code;
}
