/* Reading a job: now, or when it ends (long poll). What may be told while the view is not whole is
 * decided here, once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "gateway/http/why.h"
#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/etag.h"
#include "schemas/job_json.h"
#include "schemas/mem.h"
#include "schemas/prefer.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    struct gateway *gateway;
    struct http_request *req; /* NULL once answered, or when the client has gone */
    struct id id;
    struct read_options options;
    struct wait *wait;
    struct loop_timer *timer;
    bool asking;    /* a question to the view is under way */
    bool again;     /* and another one is to follow it */
    bool time_up;   /* answer with what there is */
    bool caught_up; /* the view has applied all that was in the log when we asked */
};

static void ask(struct reading *reading);

/* Ends the reading; the last question under way frees it. */
static void finish(struct reading *reading)
{
    waits_remove(reading->wait);
    reading->wait = NULL;
    loop_timer_free(reading->timer);
    reading->timer = NULL;
    reading->req = NULL;
    if (!reading->asking)
        free(reading);
}

/* --- answers --- */

static void answer_err(struct reading *reading, const struct err *err)
{
    struct http_request *req = reading->req;
    finish(reading);
    gateway_problem(req, err);
}

static void answer_problem(struct reading *reading, enum err_code code, const char *text)
{
    struct err err;
    err_set(&err, code, "%s", text);
    answer_err(reading, &err);
}

static void answer_job(struct reading *reading, const struct job_record *record)
{
    struct gateway *gateway = reading->gateway;
    struct http_request *req = reading->req;
    bool terminal = record && job_state_is_terminal(record->state);
    struct buf body = BUF_INIT(GATEWAY_JOB_BYTES_MAX);
    char etag[40] = "\"accepted\"";
    if (record) {
        job_json(record, gateway->config->namespace_, clock_wall_ms(), &body);
        snprintf(etag, sizeof etag, "\"%" PRId64 "\"", record->version);
    } else {
        job_json_accepted(&reading->id, &body);
    }
    char text[ID_TEXT_SIZE];
    char location[64];
    char applied[32];
    id_text(record ? &record->facts.id : &reading->id, text);
    snprintf(location, sizeof location, "/v1/jobs/%s", text);
    snprintf(applied, sizeof applied, "wait=%" PRId64, reading->options.wait_ms / 1000);
    struct http_header_line headers[5];
    size_t count = 0;
    headers[count++] = (struct http_header_line){ "ETag", etag };
    if (!terminal)
        headers[count++] = (struct http_header_line){ "Retry-After", "1" };
    if (reading->options.pending_status == 202)
        headers[count++] = (struct http_header_line){ "Location", location };
    if (reading->options.replayed)
        headers[count++] = (struct http_header_line){ "Idempotency-Replayed", "true" };
    if (reading->options.preferred)
        headers[count++] = (struct http_header_line){ "Preference-Applied", applied };
    int status = terminal ? 200 : reading->options.pending_status;
    bool unchanged = reading->options.what == READ_JOB && status == 200 &&
                     etag_matches(http_header(req, "If-None-Match"), etag);
    finish(reading);
    if (unchanged)
        http_reply(req,
                   &(struct http_answer){ .status = 304, .headers = headers, .header_count = 1 });
    else
        gateway_json(req, status, &body, headers, count);
    buf_free(&body);
}

static void answer_result(struct reading *reading, const struct job_record *record)
{
    if (!record || !job_state_is_terminal(record->state)) {
        answer_problem(reading, ERR_NO_RESULT,
                       "The job has not ended yet; ask again, or with ?wait=SECONDS.");
        return;
    }
    if (record->state != JOB_SUCCEEDED) {
        char text[96];
        snprintf(text, sizeof text, "The job ended as %s; GET /v1/jobs/{id} says why.",
                 job_state_text(record->state));
        answer_problem(reading, ERR_NO_RESULT, text);
        return;
    }
    struct http_request *req = reading->req;
    struct http_answer answer = {
        .status = 200,
        .content_type = record->result_kind == JOB_RESULT_TEXT ? "text/plain; charset=utf-8"
                                                               : "application/json",
        .body = record->result,
    };
    finish(reading);
    http_reply(req, &answer);
}

static void answer_cancelled(struct reading *reading, const struct job_record *record)
{
    if (!record || !job_state_is_terminal(record->state) || record->state == JOB_CANCELLED) {
        answer_job(reading, record);
        return;
    }
    char text[96];
    snprintf(text, sizeof text, "The job ended as %s before it could be cancelled.",
             job_state_text(record->state));
    answer_problem(reading, ERR_JOB_ENDED, text);
}

static void answer_why(struct reading *reading, const struct job_record *record)
{
    struct gateway *gateway = reading->gateway;
    struct http_request *req = reading->req;
    struct id id = reading->id;
    finish(reading);
    why_start(gateway, req, &id, record);
}

static void answer(struct reading *reading, const struct job_record *record)
{
    switch (reading->options.what) {
    case READ_JOB:
        answer_job(reading, record);
        break;
    case READ_RESULT:
        answer_result(reading, record);
        break;
    case READ_WHY:
        answer_why(reading, record);
        break;
    case READ_CANCELLED:
        answer_cancelled(reading, record);
        break;
    }
}

/* --- deciding --- */

bool read_is_young(const struct gateway *gateway, const struct id *id,
                   const struct view_answer *found)
{
    const struct config *config = gateway->config;
    int64_t since_ms = id_time_ms(id);
    if (found->claimed)
        since_ms = found->claimed_at_ms;
    return since_ms >= 0 && clock_wall_ms() - since_ms <
                                config->kafka.produce_timeout_ms + config->gateway.lag_limit_ms;
}

/* The shortest time after which a record may have been forgotten. */
static int64_t shortest_memory_ms(const struct config *config)
{
    int64_t shortest_ms = INT64_MAX;
    for (size_t i = 0; i < config->type_count; i++) {
        int64_t memory_ms = config->types[i].max_age_ms + config->types[i].retention_ms;
        if (memory_ms < shortest_ms)
            shortest_ms = memory_ms;
    }
    return shortest_ms;
}

/* The request is the job's submission, and Kafka has acknowledged it. */
static bool was_accepted_now(const struct reading *reading)
{
    return reading->options.what == READ_JOB && reading->options.pending_status == 202;
}

/* What is known without the view: of a submission that it was accepted, of a read nothing. */
static void answer_unknown(struct reading *reading, enum err_code code, const char *text)
{
    if (was_accepted_now(reading))
        answer(reading, NULL);
    else
        answer_problem(reading, code, text);
}

void read_absent(const struct gateway *gateway, const struct id *id, struct err *ret_err)
{
    int64_t made_at_ms = id_time_ms(id);
    if (made_at_ms >= 0 && clock_wall_ms() - made_at_ms > shortest_memory_ms(gateway->config))
        err_set(ret_err, ERR_JOB_EXPIRED, "The job's record was kept for its time and is gone.");
    else
        err_set(ret_err, ERR_JOB_NOT_FOUND, "There is no such job, or its record is gone.");
}

static void on_caught_up(void *arg, enum err_code code)
{
    struct reading *reading = arg;
    reading->asking = false;
    if (!reading->req) {
        free(reading);
    } else if (code) {
        answer_problem(reading, code,
                       "Whether the job exists cannot be told before the view has caught up.");
    } else {
        reading->caught_up = true; /* what was in the log is in the view: look once more */
        ask(reading);
    }
}

static void decide_absent(struct reading *reading, const struct view_answer *found)
{
    if (was_accepted_now(reading) || read_is_young(reading->gateway, &reading->id, found)) {
        if (reading->time_up || reading->options.wait_ms == 0)
            answer(reading, NULL);
    } else if (reading->caught_up) {
        struct err err;
        read_absent(reading->gateway, &reading->id, &err);
        answer_err(reading, &err);
    } else {
        reading->asking = true;
        view_check_caught_up(reading->gateway->view, on_caught_up, reading);
    }
}

static void decide(struct reading *reading, const struct view_answer *found)
{
    bool last_word = reading->time_up || reading->options.wait_ms == 0;
    if (found->code) {
        if (last_word)
            answer_unknown(reading, ERR_VIEW_UNAVAILABLE,
                           "The view (Redis) did not answer in time.");
    } else if (found->record && job_state_is_terminal(found->record->state)) {
        answer(reading, found->record);
    } else if (!found->certified) {
        if (last_word)
            answer_unknown(reading, ERR_VIEW_BEHIND,
                           "The view is being rebuilt; the job's state is not known yet.");
    } else if (found->record) {
        if (last_word)
            answer(reading, found->record);
    } else {
        decide_absent(reading, found);
    }
}

static void on_answer(void *arg, const struct view_answer *found)
{
    struct reading *reading = arg;
    reading->asking = false;
    if (!reading->req) {
        free(reading);
        return;
    }
    bool again = reading->again;
    reading->again = false;
    if (again)
        ask(reading);
    else
        decide(reading, found);
}

static void ask(struct reading *reading)
{
    if (reading->asking) {
        reading->again = true;
        return;
    }
    if (service_is_draining(reading->gateway->service))
        reading->time_up = true;
    reading->asking = true;
    view_read(reading->gateway->view, &reading->id, on_answer, reading);
}

static void on_woken(void *arg, struct span message)
{
    struct reading *reading = arg;
    if (!reading->req)
        return;
    struct envelope_record *object = message.size ? view_wake_record(message) : NULL;
    if (object && job_state_is_terminal(object->record.state))
        answer(reading, &object->record);
    else if (!object)
        ask(reading);
    envelope_record_free(object);
}

static void on_time_up(void *arg)
{
    struct reading *reading = arg;
    reading->time_up = true;
    ask(reading);
}

/* Who submitted and waits is not told that nothing was accepted when it is the gateway that goes.
 */
static void on_close(struct http_request *req, void *context)
{
    struct id id = ((const struct reading *)context)->id;
    finish(context);
    if (http_is_closing(req) && span_is(http_method(req), "POST"))
        submit_unknown(req, &id);
}

void read_start(struct gateway *gateway, struct http_request *req, const struct id *id,
                const struct read_options *options)
{
    struct reading *reading = MEM_NEW(*reading);
    *reading = (struct reading){ .gateway = gateway, .req = req, .id = *id, .options = *options };
    http_set_context(req, reading);
    http_on_close(req, on_close);
    if (options->wait_ms > 0 && !service_is_draining(gateway->service)) {
        reading->timer = loop_timer_new(gateway->loop, on_time_up, reading);
        loop_timer_start(reading->timer, options->wait_ms, 0);
        reading->wait = waits_add(gateway->waits, id, on_woken, reading);
        if (reading->wait)
            return;
        if (options->pending_status != 202) {
            answer_problem(reading, ERR_OVERLOADED,
                           "As many requests wait as gateway.waiting_max allows.");
            return;
        }
    }
    reading->time_up = true;
    ask(reading);
}

void read_end_all(struct gateway *gateway)
{
    waits_wake_all(gateway->waits); /* draining is known by now: each asks once more and answers */
}

/* --- the requests --- */

static bool parse_seconds(struct span text, int64_t *ret_ms)
{
    if (text.size == 0)
        return false;
    return timefmt_parse_duration(text, ret_ms) && *ret_ms >= 0;
}

enum err_code read_wait_ms(const struct gateway *gateway, struct http_request *req,
                           int64_t *ret_wait_ms, bool *ret_preferred, struct err *err)
{
    int64_t wait_ms = 0;
    struct span wait = http_query(req, "wait");
    if (wait.data && !parse_seconds(wait, &wait_ms))
        return err_field(err, ERR_INVALID_PARAMETER, "wait",
                         "wait must be a number of seconds, such as ?wait=30");
    bool preferred = !wait.data && prefer_wait_ms(http_header(req, "Prefer"), &wait_ms);
    int64_t most_ms = gateway->config->gateway.wait_ms_max;
    *ret_wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
    *ret_preferred = preferred;
    return ERR_OK;
}

static void handle(struct http_request *req, struct service *service, enum read_what what)
{
    struct gateway *gateway = service_state(service);
    struct read_options options = { .what = what, .pending_status = 200 };
    struct id id;
    struct err err;
    if (!id_parse(http_param(req, 0), &id) || !id_verify(gateway->minter, &id)) {
        err_set(&err, ERR_JOB_NOT_FOUND, "There is no such job.");
        gateway_problem(req, &err);
    } else if (read_wait_ms(gateway, req, &options.wait_ms, &options.preferred, &err)) {
        gateway_problem(req, &err);
    } else {
        read_start(gateway, req, &id, &options);
    }
}

void read_job_handler(struct http_request *req, void *service)
{
    handle(req, service, READ_JOB);
}

void read_why_handler(struct http_request *req, void *service)
{
    handle(req, service, READ_WHY);
}

void read_result_handler(struct http_request *req, void *service)
{
    handle(req, service, READ_RESULT);
}
