/* POST /v1/jobs: check, claim the idempotency key if there is one, put the command on its topic,
 * and answer 202 when Kafka has acknowledged it, never before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "infra/clock.h"
#include "infra/log.h"
#include "schemas/digest.h"
#include "schemas/job_json.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/submission.h"
#include "schemas/suggest.h"
#include "schemas/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKENS_MAX     100000
#define TRACESTATE_MAX 512

struct submitting {
    struct gateway *gateway;
    struct http_request *req; /* NULL once answered, or when the client has gone */
    struct submission submission;
    const struct config_type *type;
    struct job_command command;
    uint8_t fingerprint[JOB_FINGERPRINT_SIZE];
    char traceparent[TRACE_TEXT_SIZE];
    bool keyed;
    bool claimed; /* the claim in the view is ours */
    int64_t claimed_at_ms;
    int64_t retaken_ms; /* when the claim was made that this one takes up again; 0: none */
    bool asking;        /* a callback is under way */
    bool produced;      /* Kafka's */
    struct read_options wait;
};

/* The last callback under way frees it. */
static void finish(struct submitting *submitting)
{
    submitting->req = NULL;
    if (submitting->asking)
        return;
    submission_clear(&submitting->submission);
    free(submitting);
}

static void fail(struct submitting *submitting, const struct err *err, const char *extra)
{
    struct http_request *req = submitting->req;
    metric_add(submitting->gateway->refused, 1);
    finish(submitting);
    http_reply_problem(req, err, gateway_retry_after_s(err->code), extra);
}

static void fail_with(struct submitting *submitting, enum err_code code, const char *text)
{
    struct err err;
    err_set(&err, code, "%s", text);
    fail(submitting, &err, NULL);
}

void submit_unknown(struct http_request *req, const struct id *id)
{
    char text[ID_TEXT_SIZE];
    char extra[96];
    id_text(id, text);
    snprintf(extra, sizeof extra, "\"id\":\"%s\",\"outcome\":\"unknown\"", text);
    struct err err;
    err_set(&err, ERR_OUTCOME_UNKNOWN, "Kafka may or may not have stored the job.");
    http_reply_problem(req, &err, gateway_retry_after_s(err.code), extra);
}

static void fail_unknown(struct submitting *submitting)
{
    struct http_request *req = submitting->req;
    struct id id = submitting->command.facts.id;
    finish(submitting);
    submit_unknown(req, &id);
}

/* When it is the gateway that goes, its producer's last word comes after the answer. */
static void on_close(struct http_request *req, void *context)
{
    struct submitting *submitting = context;
    if (submitting->produced && http_is_closing(req) && !MUTANT(unknown_told_refused))
        fail_unknown(submitting);
    else
        finish(submitting);
}

/* --- accepted --- */

static void answer_accepted(struct submitting *submitting, const struct job_record *record,
                            bool replayed)
{
    struct gateway *gateway = submitting->gateway;
    struct http_request *req = submitting->req;
    const struct id *id = record ? &record->facts.id : &submitting->command.facts.id;
    if (submitting->wait.wait_ms > 0) {
        struct id waited_for = *id;
        struct read_options options = submitting->wait;
        options.replayed = replayed;
        finish(submitting);
        read_start(gateway, req, &waited_for, &options);
        return;
    }
    const struct job_facts *facts = &submitting->command.facts;
    struct job_record accepted = {
        .facts = *facts,
        .state = facts->run_at_ms > facts->created_at_ms ? JOB_SCHEDULED : JOB_QUEUED,
        .version = -1,
    };
    accepted.facts.origin_offset = -1;
    struct buf body = BUF_INIT(GATEWAY_JOB_BYTES_MAX);
    job_json(record ? record : &accepted, gateway->config->namespace_, clock_wall_ms(), &body);
    char text[ID_TEXT_SIZE];
    char location[64];
    id_text(id, text);
    snprintf(location, sizeof location, "/v1/jobs/%s", text);
    struct http_header_line headers[] = {
        { "Location", location },
        { "Retry-After", "1" },
        { "Idempotency-Replayed", "true" },
    };
    finish(submitting);
    gateway_json(req, 202, &body, headers, replayed ? 3 : 2);
    buf_free(&body);
}

/* Only whoever reads this can find out what became of it, when the client has gone. */
static void tell_unknown(const struct submitting *submitting)
{
    char text[ID_TEXT_SIZE];
    id_text(&submitting->command.facts.id, text);
    struct log_about about = {
        .job_id = span_of(text),
        .trace_id = trace_id_in(span_of(submitting->traceparent)),
        .request_id = submitting->req ? http_request_id(submitting->req) : (struct span){ 0 },
    };
    log_write(submitting->gateway->log, LOG_WARN, "gateway", &about,
              "Kafka may or may not have stored the job: no acknowledgement came");
}

static void on_delivered(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct submitting *submitting = arg;
    struct gateway *gateway = submitting->gateway;
    const struct id *id = &submitting->command.facts.id;
    submitting->asking = false;
    /* A record that is certainly not stored gives its claim up; one that may be stored keeps it
     * undecided. */
    int64_t accepted_at_ms = code == ERR_OK ? submitting->command.facts.created_at_ms : 0;
    if (submitting->claimed && code != ERR_OUTCOME_UNKNOWN)
        view_claim_settle(gateway->view, id, submitting->fingerprint, submitting->claimed_at_ms,
                          accepted_at_ms);
    else if (submitting->retaken_ms && accepted_at_ms) /* what came of the first is not known */
        view_claim_settle(gateway->view, id, submitting->fingerprint, submitting->retaken_ms,
                          accepted_at_ms);
    if (code == ERR_OK)
        metric_add(gateway->accepted, 1);
    if (code == ERR_OUTCOME_UNKNOWN) {
        metric_add(gateway->unknown, 1);
        tell_unknown(submitting);
    }
    if (!submitting->req) {
        finish(submitting);
    } else if (code == ERR_OK) {
        answer_accepted(submitting, NULL, false);
    } else if (code == ERR_OUTCOME_UNKNOWN) {
        fail_unknown(submitting);
    } else {
        fail_with(submitting, code, "Kafka did not acknowledge the job; it was not accepted.");
    }
}

/* Nothing was accepted: the claim is given up, so that the same key can be tried again. */
static void give_claim_up(struct submitting *submitting)
{
    if (submitting->claimed)
        view_claim_settle(submitting->gateway->view, &submitting->command.facts.id,
                          submitting->fingerprint, submitting->claimed_at_ms, 0);
}

static void fail_full(struct submitting *submitting, const struct admission_refusal *refusal,
                      const struct err *err)
{
    char policy[64];
    char limit[64];
    struct http_header_line headers[] = { { "RateLimit-Policy", policy }, { "RateLimit", limit } };
    struct http_request *req = submitting->req;
    snprintf(policy, sizeof policy, "\"backlog\";q=%" PRId64, refusal->quota);
    snprintf(limit, sizeof limit, "\"backlog\";r=0;t=%d", refusal->retry_after_s);
    metric_add(submitting->gateway->refused, 1);
    finish(submitting);
    http_reply_problem_with(req, err, refusal->retry_after_s, headers, 2);
}

static void produce(struct submitting *submitting)
{
    struct err err;
    struct admission_refusal refusal;
    const struct job_facts *facts = &submitting->command.facts;
    int64_t ahead_ms = facts->run_at_ms - facts->created_at_ms;
    if (admission_check(submitting->gateway->admission, submitting->type,
                        ahead_ms > 0 ? ahead_ms : 0, &refusal, &err)) {
        give_claim_up(submitting);
        fail_full(submitting, &refusal, &err);
        return;
    }
    submitting->asking = submitting->produced = true;
    enum err_code code = publish_command(&submitting->gateway->publish, &submitting->command,
                                         on_delivered, submitting, &err);
    if (code == ERR_OK) {
        if (MUTANT(accepted_before_acknowledged))
            answer_accepted(submitting, NULL, false);
        return;
    }
    submitting->asking = submitting->produced = false;
    give_claim_up(submitting);
    if (code == ERR_LIMIT)
        err.code = ERR_BODY_TOO_LARGE;
    fail(submitting, &err, NULL);
}

/* --- the idempotency key --- */

static bool same_fingerprint(const struct submitting *submitting, struct span other)
{
    return span_eq(other, (struct span){ submitting->fingerprint, JOB_FINGERPRINT_SIZE });
}

/* The job's times when it is accepted at `now_ms`. */
static void set_times(struct submitting *submitting, int64_t now_ms)
{
    const struct submission *submission = &submitting->submission;
    const struct config_type *type = submitting->type;
    struct job_facts *facts = &submitting->command.facts;
    facts->created_at_ms = now_ms;
    facts->run_at_ms =
        submission->delay_ms > 0 ? now_ms + submission->delay_ms : submission->run_at_ms;
    int64_t due_ms = facts->run_at_ms > now_ms ? facts->run_at_ms : now_ms;
    facts->not_after_ms = due_ms + type->max_age_ms;
    facts->deadline_ms = submission->deadline_after_ms ? now_ms + submission->deadline_after_ms
                                                       : submission->deadline_ms;
    if (facts->deadline_ms && facts->deadline_ms < facts->not_after_ms)
        facts->not_after_ms = facts->deadline_ms; /* no attempt begins after it */
    /* A job whose deadline has gone by is expired; that is told as long as any other end. */
    facts->forget_at_ms =
        (facts->not_after_ms > now_ms ? facts->not_after_ms : now_ms) + type->retention_ms;
}

/* It was accepted before, and its record is not there yet: told as far as the same request says. */
static void answer_claimed(struct submitting *submitting, int64_t claimed_at_ms)
{
    set_times(submitting, claimed_at_ms);
    submitting->command.facts.traceparent = (struct span){ 0 };
    answer_accepted(submitting, NULL, true);
}

static void decide_claim(struct submitting *submitting, bool ours, const struct view_answer *found)
{
    const struct gateway *gateway = submitting->gateway;
    const struct job_record *record = found->record;
    struct span claim = { found->claim_fingerprint, found->claimed ? JOB_FINGERPRINT_SIZE : 0 };
    if ((record && !same_fingerprint(submitting, record->facts.fingerprint)) ||
        (!record && found->claimed && !same_fingerprint(submitting, claim))) {
        fail_with(submitting, ERR_KEY_REUSED,
                  "This idempotency key was used with another request.");
    } else if (record && !found->certified && !job_state_is_terminal(record->state) &&
               !MUTANT(old_view_told)) {
        fail_with(submitting, ERR_VIEW_BEHIND,
                  "The job was accepted before; the view that tells how it is is being rebuilt.");
    } else if (record) {
        answer_accepted(submitting, record, true);
    } else if (found->claimed && found->claim_accepted) {
        answer_claimed(submitting, found->claimed_at_ms);
    } else if (found->claimed && submitting->claimed_at_ms - found->claimed_at_ms <
                                     gateway->config->kafka.produce_timeout_ms) {
        fail_with(submitting, ERR_IN_PROGRESS,
                  "A submission with this idempotency key is being decided.");
    } else {
        submitting->claimed = ours;
        submitting->retaken_ms = found->claimed ? found->claimed_at_ms : 0;
        /* Created now that the key is ours: not before the end of the job that had it last. */
        set_times(submitting, clock_wall_ms());
        submitting->command.due_at_ms = submitting->command.facts.run_at_ms;
        /* Or the log has it already, and the view that would say so is being rebuilt. */
        submitting->command.again = !found->certified && !MUTANT(unproven_key_unmarked);
        produce(submitting);
    }
}

static void on_claim(void *arg, bool ours, const struct view_answer *found)
{
    struct submitting *submitting = arg;
    struct gateway *gateway = submitting->gateway;
    submitting->asking = false;
    if (!submitting->req) { /* nobody waits for it any more: nothing was promised */
        if (ours)
            view_claim_settle(gateway->view, &submitting->command.facts.id, submitting->fingerprint,
                              submitting->claimed_at_ms, 0);
        finish(submitting);
    } else if (found->code == ERR_OK) {
        decide_claim(submitting, ours, found);
    } else if (gateway->config->gateway.keyed_without_view) {
        produce(submitting); /* the id is derived from the key: a second submission is the same job
                                all the same */
    } else {
        fail_with(submitting, ERR_VIEW_UNAVAILABLE,
                  "The view (Redis) did not answer; the idempotency key cannot be checked.");
    }
}

/* --- the request --- */

static enum err_code find_type(struct submitting *submitting, struct err *err)
{
    const struct config *config = submitting->gateway->config;
    submitting->type = config_find_type(config, submitting->submission.type);
    if (!submitting->type) {
        const char **names = mem_zalloc(config->type_count, sizeof *names);
        for (size_t i = 0; i < config->type_count; i++)
            names[i] = config->types[i].name;
        const char *near = suggest_nearest(submitting->submission.type, names, config->type_count);
        free(names);
        return err_field(
            err, ERR_UNKNOWN_TYPE, "type", "There is no job type \"%.*s\"%s%s%s",
            (int)(submitting->submission.type.size < 64 ? submitting->submission.type.size : 64),
            (const char *)submitting->submission.type.data, near ? "; did you mean \"" : ".",
            near ? near : "", near ? "\"?" : "");
    }
    if (submitting->submission.payload.size > (size_t)submitting->type->payload_bytes_max)
        return err_field(err, ERR_BODY_TOO_LARGE, "payload",
                         "The payload has %zu bytes; %s takes at most %" PRId64 ".",
                         submitting->submission.payload.size, submitting->type->name,
                         submitting->type->payload_bytes_max);
    const struct config_queue *queue = config_find_queue(config, span_of(submitting->type->queue));
    return submission_check_order(&submitting->submission, submitting->type->queue,
                                  queue && queue->ordered, err);
}

static enum err_code check_content_type(struct http_request *req, struct err *err)
{
    static const char json[] = "application/json";
    struct span type = http_header(req, "Content-Type");
    size_t size = sizeof json - 1;
    bool fits = type.size >= size && strncasecmp(type.data, json, size) == 0 &&
                (type.size == size || ((const char *)type.data)[size] == ';' ||
                 ((const char *)type.data)[size] == ' ');
    if (type.data && !fits)
        return err_field(err, ERR_UNSUPPORTED_MEDIA, "Content-Type",
                         "The body must be application/json.");
    return ERR_OK;
}

/* The client's trace, continued; or a new one. */
static void read_trace(struct submitting *submitting)
{
    struct http_request *req = submitting->req;
    struct job_facts *facts = &submitting->command.facts;
    uint8_t random[24] = { 0 };
    struct trace parent;
    struct trace mine;
    if (!digest_random(random, sizeof random))
        return;
    bool given = trace_parse(http_header(req, "traceparent"), &parent);
    if (given)
        trace_child(&parent, random, &mine);
    else
        trace_start(&mine, random);
    trace_format(&mine, submitting->traceparent);
    facts->traceparent = span_of(submitting->traceparent);
    struct span state = http_header(req, "tracestate");
    if (given && state.size && state.size <= TRACESTATE_MAX && trace_state_valid(state))
        facts->tracestate = state;
}

static void make_command(struct submitting *submitting)
{
    const struct submission *submission = &submitting->submission;
    struct job_facts *facts = &submitting->command.facts;
    facts->tenant = span_of(GATEWAY_TENANT);
    facts->type = span_of(submitting->type->name);
    facts->queue = span_of(submitting->type->queue);
    facts->key = submission->key;
    facts->labels = submission->labels;
    facts->label_count = submission->label_count;
    set_times(submitting, clock_wall_ms());
    facts->request_id = http_request_id(submitting->req);
    facts->origin_offset = -1;
    read_trace(submitting);
    submitting->command.attempt = 1;
    submitting->command.due_at_ms = facts->run_at_ms;
    submitting->command.payload = submission->payload;
}

static void mint(struct submitting *submitting)
{
    const struct gateway *gateway = submitting->gateway;
    const struct config *config = gateway->config;
    struct job_facts *facts = &submitting->command.facts;
    const struct config_queue *queue = config_find_queue(config, facts->queue);
    if (facts->key.size || !queue) /* where it lies is not the id's to say */
        id_mint(gateway->minter, facts->created_at_ms, &facts->id);
    else
        sticky_mint(gateway->sticky, gateway->minter, (size_t)(queue - config->queues),
                    (int32_t)queue->partitions, facts->created_at_ms, &facts->id);
}

static void identify(struct submitting *submitting, struct span key)
{
    struct gateway *gateway = submitting->gateway;
    struct job_facts *facts = &submitting->command.facts;
    submitting->keyed = key.size > 0;
    if (submitting->keyed) {
        id_derive(gateway->minter, facts->tenant, facts->queue, key, &facts->id);
        submission_fingerprint(&submitting->submission, submitting->fingerprint);
        facts->fingerprint = (struct span){ submitting->fingerprint, JOB_FINGERPRINT_SIZE };
    } else {
        mint(submitting);
    }
    facts->effect_id = facts->id;
}

static enum err_code prepare(struct submitting *submitting, struct buf *key, struct err *err)
{
    struct gateway *gateway = submitting->gateway;
    struct http_request *req = submitting->req;
    const struct config_gateway *config = &gateway->config->gateway;
    struct submission_limits limits = {
        .depth_max = (size_t)config->json_depth_max,
        .tokens_max = TOKENS_MAX,
        .labels_max = (size_t)config->labels_max,
    };
    bool late = gateway->refuse_at_ms && clock_monotonic_ms() >= gateway->refuse_at_ms &&
                !MUTANT(taken_to_the_end);
    if (late || (service_is_draining(gateway->service) && MUTANT(draining_refused)))
        return err_set(err, ERR_DRAINING, "This gateway is shutting down.");
    enum err_code code = check_content_type(req, err);
    struct span header = http_header(req, "Idempotency-Key");
    if (code == ERR_OK && header.data)
        code = submission_idempotency_key(header, key, err);
    if (code == ERR_OK)
        code =
            read_wait_ms(gateway, req, &submitting->wait.wait_ms, &submitting->wait.preferred, err);
    if (code == ERR_OK)
        code = submission_parse(http_body(req), &limits, &submitting->submission, err);
    if (code == ERR_OK)
        code = find_type(submitting, err);
    if (code == ERR_OK &&
        submitting->submission.run_at_ms - clock_wall_ms() > SUBMISSION_DELAY_MS_MAX)
        code = err_field(err, ERR_INVALID_FIELD, "run_at", "run_at may be at most 7 days ahead.");
    return code;
}

void submit_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct submitting *submitting = MEM_NEW(*submitting);
    submitting->gateway = gateway;
    submitting->req = req;
    submitting->wait = (struct read_options){ .what = READ_JOB, .pending_status = 202 };
    http_set_context(req, submitting);
    http_on_close(req, on_close);
    struct buf key = BUF_INIT(1024);
    struct err err;
    if (prepare(submitting, &key, &err)) {
        fail(submitting, &err, NULL);
    } else {
        make_command(submitting);
        identify(submitting, buf_span(&key));
        if (submitting->keyed) {
            submitting->asking = true;
            submitting->claimed_at_ms = submitting->command.facts.created_at_ms;
            const struct view_claim claim = {
                .fingerprint = submitting->fingerprint,
                .now_ms = submitting->claimed_at_ms,
                .forget_at_ms = submitting->command.facts.forget_at_ms,
            };
            view_claim(gateway->view, &submitting->command.facts.id, &claim, on_claim, submitting);
        } else {
            produce(submitting);
        }
    }
    buf_free(&key);
}
