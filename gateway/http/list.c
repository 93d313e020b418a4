/* GET /v1/jobs: the jobs there are, newest first, page by page. Lists by state and type are read
 * from the view; what they do not decide (labels, what was scheduled and is queued by now) is
 * looked for in the records, of at most LIST_LOOK_MAX jobs for a page: a page may be shorter than
 * it was asked for, and still say where the next one begins. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/view_list.h"
#include "gateway/http/gateway.h"
#include "infra/clock.h"
#include "schemas/job_json.h"
#include "schemas/mem.h"
#include "schemas/suggest.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_LIMIT_DEFAULT 50
#define LIST_LIMIT_MAX     200
#define LIST_LOOK_MAX      5000
#define LIST_TEXTS_MAX     ((size_t)16 * 1024)       /* what the query says */
#define PAGE_BYTES         ((size_t)4 * 1024 * 1024) /* the job that passes it is the page's last */
#define PAGE_BYTES_MAX     ((size_t)16 * 1024 * 1024)

struct listing {
    struct gateway *gateway;
    struct http_request *req; /* NULL when the client has gone */
    struct buf texts;         /* owns what the filter points to */
    struct job_filter filter;
    struct job_place after;
    size_t limit;
    size_t looked, told;
    bool full; /* no further job has room on the page */
    struct buf body;
};

static const char *const parameters[] = { "state", "type", "label", "since", "limit", "cursor" };
#define PARAMETER_COUNT (sizeof parameters / sizeof parameters[0])

static void finish(struct listing *listing)
{
    buf_free(&listing->texts);
    buf_free(&listing->body);
    free(listing);
}

/* --- what is asked for --- */

struct query {
    struct listing *listing;
    int64_t now_ms;
    enum err_code code;
    struct err *err;
};

/* Query texts do not outlive the request: what the filter keeps is copied. */
static struct span keep(struct listing *listing, struct span text)
{
    size_t at = listing->texts.size;
    buf_add_span(&listing->texts, text);
    return (struct span){ .data = listing->texts.data + at, .size = text.size };
}

static enum err_code unknown_parameter(struct span name, struct err *err)
{
    const char *nearest = suggest_nearest(name, parameters, PARAMETER_COUNT);
    return err_field(err, ERR_INVALID_PARAMETER, "query",
                     "there is no parameter '%.*s'%s%s (there are: state, type, label, since, "
                     "limit, cursor)",
                     (int)(name.size < 40 ? name.size : 40), (const char *)name.data,
                     nearest ? "; did you mean: " : "", nearest ? nearest : "");
}

static enum err_code set_limit(struct listing *listing, struct span text, struct err *err)
{
    size_t limit = 0;
    const char *digits = text.data;
    for (size_t i = 0; i < text.size && limit <= LIST_LIMIT_MAX; i++)
        limit = digits[i] >= '0' && digits[i] <= '9' ? limit * 10 + (size_t)(digits[i] - '0')
                                                     : LIST_LIMIT_MAX + 1;
    if (limit == 0 || limit > LIST_LIMIT_MAX)
        return err_field(err, ERR_INVALID_PARAMETER, "limit", "limit is a number from 1 to %d",
                         LIST_LIMIT_MAX);
    listing->limit = limit;
    return ERR_OK;
}

static enum err_code set_cursor(struct listing *listing, struct span text, struct err *err)
{
    if (job_place_parse(text, &listing->after))
        return ERR_OK;
    return err_field(err, ERR_INVALID_PARAMETER, "cursor",
                     "the cursor is the `next` of the page before, as it was given");
}

static void read_parameter(void *arg, struct span name, struct span value)
{
    struct query *query = arg;
    struct listing *listing = query->listing;
    if (query->code)
        return;
    if (span_is(name, "state"))
        query->code = job_filter_add_states(&listing->filter, value, query->err);
    else if (span_is(name, "type"))
        listing->filter.type = keep(listing, value);
    else if (span_is(name, "label"))
        query->code = job_filter_add_label(&listing->filter, keep(listing, value), query->err);
    else if (span_is(name, "since"))
        query->code = job_filter_set_since(&listing->filter, value, query->now_ms, query->err);
    else if (span_is(name, "limit"))
        query->code = set_limit(listing, value, query->err);
    else if (span_is(name, "cursor"))
        query->code = set_cursor(listing, value, query->err);
    else
        query->code = unknown_parameter(name, query->err);
}

/* --- the page --- */

static void answer_problem(struct listing *listing, enum err_code code, const char *text)
{
    struct err err;
    struct http_request *req = listing->req;
    err_set(&err, code, "%s", text);
    finish(listing);
    gateway_problem(req, &err);
}

static void answer_page(struct listing *listing, bool more)
{
    char next[JOB_PLACE_TEXT_SIZE];
    buf_add_char(&listing->body, ']');
    if (more) {
        job_place_text(&listing->after, next);
        buf_printf(&listing->body, ",\"next\":\"%s\"", next);
    }
    buf_add_char(&listing->body, '}');
    gateway_json(listing->req, 200, &listing->body, NULL, 0);
    finish(listing);
}

static void take(struct listing *listing, const struct job_record *record, int64_t now_ms)
{
    if (listing->told++)
        buf_add_char(&listing->body, ',');
    job_json_listed(record, listing->gateway->config->namespace_, now_ms, &listing->body);
    listing->full = listing->told == listing->limit || listing->body.size > PAGE_BYTES;
}

static void ask(struct listing *listing);

static void on_entries(void *arg, const struct view_list_answer *answer)
{
    struct listing *listing = arg;
    int64_t now_ms = clock_wall_ms();
    if (!listing->req) {
        finish(listing);
        return;
    }
    if (answer->code) {
        answer_problem(listing, ERR_VIEW_UNAVAILABLE, "The view (Redis) did not answer in time.");
        return;
    }
    if (!answer->certified) {
        answer_problem(listing, ERR_VIEW_BEHIND,
                       "The view is being rebuilt; which jobs there are is not known yet.");
        return;
    }
    for (size_t i = 0; i < answer->count; i++) {
        const struct job_record *record = answer->records[i];
        if (listing->full) { /* it is the next page's */
            answer_page(listing, true);
            return;
        }
        listing->after = (struct job_place){ record->facts.created_at_ms, record->facts.id };
        if (job_filter_fits(&listing->filter, record, now_ms))
            take(listing, record, now_ms);
    }
    if (answer->more)
        listing->after = answer->last;
    if (answer->more && !listing->full && listing->looked < LIST_LOOK_MAX)
        ask(listing);
    else
        answer_page(listing, answer->more);
}

static void ask(struct listing *listing)
{
    const struct gateway *gateway = listing->gateway;
    const struct view_list_question question = {
        .filter = &listing->filter,
        .after = listing->after,
        .count = job_filter_looks_inside(&listing->filter) ? VIEW_LIST_ENTRIES_MAX
                                                           : listing->limit - listing->told,
    };
    listing->looked += question.count;
    view_list(&gateway->view_use, &question, on_entries, listing);
}

static void on_client_gone(struct http_request *req, void *context)
{
    (void)req;
    struct listing *listing = context;
    listing->req = NULL;
}

void list_handler(struct http_request *req, void *service)
{
    struct listing *listing = MEM_NEW(*listing);
    *listing = (struct listing){
        .gateway = service_state(service),
        .req = req,
        .texts = BUF_INIT(LIST_TEXTS_MAX),
        .filter = { .tenant = SPAN_LIT(GATEWAY_TENANT) },
        .after = { .created_at_ms = -1 },
        .limit = LIST_LIMIT_DEFAULT,
        .body = BUF_INIT(PAGE_BYTES_MAX),
    };
    (void)buf_reserve(&listing->texts, LIST_TEXTS_MAX); /* spans into it must stay where they are */
    struct err err;
    struct query query = { .listing = listing, .now_ms = clock_wall_ms(), .err = &err };
    http_query_each(req, read_parameter, &query);
    if (query.code) {
        finish(listing);
        gateway_problem(req, &err);
        return;
    }
    http_set_context(req, listing);
    http_on_close(req, on_client_gone);
    buf_add_text(&listing->body, "{\"jobs\":[");
    ask(listing);
}
