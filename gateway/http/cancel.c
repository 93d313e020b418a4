/* DELETE /v1/jobs/{id}: a wish, and what becomes of it. The job is read (what a read may tell, this
 * may act upon), then marked in the gate: from then on no attempt of it begins. When a worker runs
 * it, that worker has been told, and its outcome decides. When nobody does, the `cancelled` event
 * is published from here; the first end in the job's replies partition wins, so the answer is what
 * the view says then. The mark stays when the client has gone, or when the answer is a 503.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/submission.h"

#include <stdlib.h>

#define LOOK_MS 50 /* for the record of a job that was accepted a moment ago */

struct cancelling {
    struct gateway *gateway;
    struct http_request *req; /* NULL once answered, or when the client has gone */
    struct id id;
    struct read_options options;
    struct loop_timer *timer; /* until the next look; NULL: none */
    int64_t look_until_ms;
    bool caught_up; /* the view has applied all that was in the log when we asked */
    bool marked;
    bool begun; /* an attempt had begun before the mark */
};

static void look(struct cancelling *cancelling);

/* --- answers --- */

static void finish(struct cancelling *cancelling)
{
    loop_timer_free(cancelling->timer);
    free(cancelling);
}

static void fail(struct cancelling *cancelling, const struct err *err)
{
    struct http_request *req = cancelling->req;
    finish(cancelling);
    if (req)
        gateway_problem(req, err);
}

static void fail_with(struct cancelling *cancelling, enum err_code code, const char *text)
{
    struct err err;
    err_set(&err, code, "%s", text);
    fail(cancelling, &err);
}

/* What is left is to wait for the job's end and to tell it. */
static void await_end(struct cancelling *cancelling)
{
    struct cancelling done = *cancelling;
    finish(cancelling);
    if (done.req)
        read_start(done.gateway, done.req, &done.id, &done.options);
}

/* What was asked for is done, also for a client that does not wait for it; only a pause is cut
 * short. */
static void on_client_gone(struct http_request *req, void *context)
{
    (void)req;
    struct cancelling *cancelling = context;
    cancelling->req = NULL;
    if (cancelling->timer)
        finish(cancelling);
}

/* --- nobody works on it --- */

static void on_delivered(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct cancelling *cancelling = arg;
    if (code == ERR_OK)
        await_end(cancelling);
    else
        fail_with(cancelling, ERR_KAFKA,
                  "Kafka did not acknowledge the cancellation. The job is marked: no attempt of it "
                  "begins. Ask again.");
}

static void publish_cancelled(struct cancelling *cancelling, const struct job_record *record)
{
    struct job_event event = {
        .facts = record->facts,
        .kind = JOB_EVENT_CANCELLED,
        .turn = record->turn,
        .attempt = record->attempt,
        .at_ms = clock_wall_ms(),
        .started_at_ms = record->started_at_ms,
        .command_partition = record->command_partition,
        .command_offset = record->command_offset,
    };
    if (cancelling->begun || record->started_at_ms)
        event.failure = (struct job_failure){
            .code = span_of(err_code_text(ERR_CANCELLED)),
            .class_ = span_of(err_class_text(ERR_CLASS_REJECT)),
            .detail = SPAN_LIT(JOB_CANCELLED_BEGUN),
            .attempt = record->attempt,
        };
    struct err err;
    if (publish_event(&cancelling->gateway->publish, &event, on_delivered, cancelling, &err))
        fail(cancelling, &err);
}

/* --- the mark --- */

static void on_marked(void *arg, enum gate_cancel found)
{
    struct cancelling *cancelling = arg;
    if (MUTANT(cancelled_although_running) && found == GATE_CANCEL_RUNNING)
        found = GATE_CANCEL_IDLE;
    switch (found) {
    case GATE_CANCEL_IDLE:
    case GATE_CANCEL_IDLE_BEGUN:
        cancelling->marked = true;
        cancelling->begun = found == GATE_CANCEL_IDLE_BEGUN;
        look(cancelling); /* what stands in the record now is what the event says */
        break;
    case GATE_CANCEL_RUNNING:
    case GATE_CANCEL_TERMINAL:
        await_end(cancelling);
        break;
    case GATE_CANCEL_UNKNOWN:
        fail_with(
            cancelling, ERR_VIEW_UNAVAILABLE,
            "Redis did not answer in time: whether the job is marked is not known. Ask again.");
        break;
    }
}

/* Until when a job lives whose record is not there yet. */
static int64_t longest_life_ms(const struct config *config)
{
    int64_t longest_ms = 0;
    for (size_t i = 0; i < config->type_count; i++) {
        int64_t life_ms = config->types[i].max_age_ms + config->types[i].retention_ms;
        if (life_ms > longest_ms)
            longest_ms = life_ms;
    }
    return clock_wall_ms() + SUBMISSION_DELAY_MS_MAX + longest_ms;
}

static void mark(struct cancelling *cancelling, const struct job_record *record)
{
    struct gateway *gateway = cancelling->gateway;
    int64_t forget_at_ms = record ? record->facts.forget_at_ms : longest_life_ms(gateway->config);
    gate_cancel(gateway->gate, &cancelling->id, forget_at_ms, on_marked, cancelling);
}

/* --- looking --- */

static void on_caught_up(void *arg, enum err_code code)
{
    struct cancelling *cancelling = arg;
    cancelling->caught_up = true;
    if (code)
        fail_with(cancelling, code,
                  "Whether the job exists cannot be told before the view has caught up.");
    else
        look(cancelling);
}

static void on_look(void *arg)
{
    struct cancelling *cancelling = arg;
    loop_timer_free(cancelling->timer);
    cancelling->timer = NULL;
    look(cancelling);
}

/* A new job is marked at once, so that no attempt begins; what the event needs to say stands in its
 * record, which the recorder writes soon. */
static void look_later(struct cancelling *cancelling)
{
    struct gateway *gateway = cancelling->gateway;
    if (loop_now_ms(gateway->loop) > cancelling->look_until_ms ||
        service_is_draining(gateway->service)) {
        fail_with(cancelling, ERR_VIEW_BEHIND,
                  "The job is marked, no attempt of it begins; its record is not in the view yet. "
                  "Ask again.");
    } else if (cancelling->req) {
        cancelling->timer = loop_timer_new(gateway->loop, on_look, cancelling);
        loop_timer_start(cancelling->timer, LOOK_MS, 0);
    } else {
        finish(cancelling);
    }
}

static void decide_absent(struct cancelling *cancelling, const struct view_answer *found)
{
    struct gateway *gateway = cancelling->gateway;
    struct err err;
    if (read_is_young(gateway, &cancelling->id, found)) {
        if (cancelling->marked)
            look_later(cancelling);
        else
            mark(cancelling, NULL);
    } else if (cancelling->caught_up) {
        read_absent(gateway, &cancelling->id, &err);
        fail(cancelling, &err);
    } else {
        view_check_caught_up(gateway->view, on_caught_up, cancelling);
    }
}

static void on_found(void *arg, const struct view_answer *found)
{
    struct cancelling *cancelling = arg;
    const struct job_record *record = found->record;
    if (found->code)
        fail_with(cancelling, ERR_VIEW_UNAVAILABLE, "The view (Redis) did not answer in time.");
    else if (record && job_state_is_terminal(record->state))
        await_end(cancelling);
    else if (!found->certified)
        fail_with(cancelling, ERR_VIEW_BEHIND,
                  "The view is being rebuilt; the job's state is not known yet.");
    else if (!record)
        decide_absent(cancelling, found);
    else if (cancelling->marked)
        publish_cancelled(cancelling, record);
    else
        mark(cancelling, record);
}

static void look(struct cancelling *cancelling)
{
    view_read(cancelling->gateway->view, &cancelling->id, on_found, cancelling);
}

/* --- the request --- */

static enum err_code prepare(struct gateway *gateway, struct http_request *req, struct id *ret_id,
                             struct read_options *ret_options, struct err *err)
{
    if (!id_parse(http_param(req, 0), ret_id) || !id_verify(gateway->minter, ret_id))
        return err_set(err, ERR_JOB_NOT_FOUND, "There is no such job.");
    bool preferred = false;
    int64_t wait_ms = 0;
    enum err_code code = read_wait_ms(gateway, req, &wait_ms, &preferred, err);
    if (code)
        return code;
    if (!preferred && !http_query(req, "wait").data)
        wait_ms = gateway->config->gateway.cancel_wait_ms;
    *ret_options = (struct read_options){
        .what = READ_CANCELLED,
        .wait_ms = wait_ms,
        .pending_status = 202,
        .preferred = preferred,
    };
    return ERR_OK;
}

void cancel_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct id id;
    struct read_options options;
    struct err err;
    if (prepare(gateway, req, &id, &options, &err)) {
        gateway_problem(req, &err);
        return;
    }
    const struct config *config = gateway->config;
    struct cancelling *cancelling = MEM_NEW(*cancelling);
    *cancelling = (struct cancelling){
        .gateway = gateway,
        .req = req,
        .id = id,
        .options = options,
        .look_until_ms = loop_now_ms(gateway->loop) + 2 * config->recorder.queued_after_ms +
                         config->gateway.cancel_wait_ms,
    };
    http_set_context(req, cancelling);
    http_on_close(req, on_client_gone);
    look(cancelling);
}
