/* POST /v1/dead:redrive and :purge: one step, of at most so many letters, of a batch. Whoever wants
 * more asks again with the batch and the cursor that the answer told; the pace is theirs. Nothing
 * of a batch is kept here: what has been done stands on the dead topics, so a step may be repeated,
 * by another gateway too, and a batch goes on wherever it was broken off.
 *
 * A step that changes something: is the batch to go on (what became of the jobs it made)? -> a page
 * of open letters -> they are claimed for the batch -> their commands are read -> `begun` on the
 * audit topic -> done (producers/redrive.c) -> `done` on the audit topic -> the answer. A dry run
 * looks at claims and commands, too, and ends there. One step that changes something a gateway at a
 * time. A step with a limit of 0 only tells what the batch has done, for whoever missed an answer,
 * and what became of its jobs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/dead_step.h"
#include "infra/clock.h"
#include "producers/audit.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_TIMEOUT_MS 10000
#define DECIDED_MIN      10 /* of a batch's jobs: before, no share is judged */
#define OBJECT_BYTES_MAX 8192
#define ANSWER_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define ITEM_IS_READABLE (item->read.identity.size == IDENTITY_TEXT_SIZE - 1)

static void gone(struct http_request *req, void *context)
{
    (void)req;
    struct redriving *step = context;
    step->req = NULL; /* what has begun goes on to its end */
}

/* Only a step that changes something is known to its gateway, which tells it when it goes: of one
 * that was dry and lost its client the gateway may be gone. */
static void finish(struct redriving *step)
{
    if (step->execute && !step->detached && step->gateway->redriving == step)
        step->gateway->redriving = NULL;
    dead_step_free(step);
}

static void fail(struct redriving *step, const struct err *err)
{
    if (step->req)
        gateway_problem(step->req, err);
    finish(step);
}

static void fail_with(struct redriving *step, enum err_code code, const char *text)
{
    struct err err;
    if (step->execute)
        err_set(&err, code, "%s What it claimed stays with the batch '%s': ask with that.", text,
                step->batch);
    else
        err_set(&err, code, "%s", text);
    fail(step, &err);
}

/* --- the answer --- */

static void add_counts(const struct redriving *step, struct buf *out)
{
    size_t counts[REDRIVE_OUTCOME_COUNT] = { 0 };
    bool any = false;
    for (size_t i = 0; i < step->count; i++)
        counts[step->items[i].outcome]++;
    buf_add_char(out, '{');
    for (int i = 0; i < REDRIVE_OUTCOME_COUNT; i++) {
        if (counts[i] == 0)
            continue;
        buf_printf(out, "%s\"%s\":%zu", any ? "," : "",
                   redrive_outcome_text((enum redrive_outcome)i, step->purge), counts[i]);
        any = true;
    }
    buf_add_char(out, '}');
}

static void add_item(const struct redriving *step, const struct redrive_item *item, struct buf *out)
{
    char text[ID_TEXT_SIZE];
    buf_printf(out, "{\"letter\":\"%.*s/%" PRId64 "\"", SPAN_ARG(item->queue), item->letter_offset);
    if (item->has_id) {
        id_text(&item->id, text);
        buf_printf(out, ",\"id\":\"%s\"", text);
    }
    if (!step->purge && (item->outcome == REDRIVE_DONE || item->outcome == REDRIVE_UNKNOWN)) {
        id_text(&item->job, text);
        buf_printf(out, ",\"job\":\"%s\"", text);
    }
    buf_printf(out, ",\"outcome\":\"%s\"", redrive_outcome_text(item->outcome, step->purge));
    if (item->why[0]) {
        buf_add_text(out, ",\"why\":");
        buf_add_json_string(out, span_of(item->why));
    }
    buf_add_char(out, '}');
}

static void answer(struct redriving *step, const char *state)
{
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    const struct dead_batch *sums = &step->sums;
    buf_printf(&body, "{\"batch\":\"%s\",\"state\":\"%s\",\"dry_run\":%s,\"counts\":", step->batch,
               state, step->execute ? "false" : "true");
    add_counts(step, &body);
    if ((step->execute || step->limit == 0) && !step->purge)
        buf_printf(&body,
                   ",\"so_far\":{\"made\":%" PRId64 ",\"looked_at\":%" PRId64
                   ",\"succeeded\":%" PRId64 ",\"failed\":%" PRId64 ",\"undecided\":%" PRId64 "}",
                   sums->made, sums->seen, sums->succeeded, sums->failed, sums->undecided);
    buf_add_text(&body, ",\"items\":[");
    for (size_t i = 0; i < step->count; i++) {
        if (i)
            buf_add_char(&body, ',');
        add_item(step, &step->items[i], &body);
    }
    buf_add_char(&body, ']');
    if (step->next.queue)
        buf_printf(&body, ",\"next\":\"%s/%" PRId64 "\"", step->next.queue, step->next.offset);
    buf_add_char(&body, '}');
    if (step->req)
        gateway_json(step->req, 200, &body, NULL, 0);
    buf_free(&body);
    finish(step);
}

static void answer_step(struct redriving *step)
{
    answer(step, step->more ? "going" : "done");
}

/* --- doing it --- */

static enum err_code publish_audit(struct redriving *step, const char *phase, kafka_delivery_fn fn,
                                   struct err *err)
{
    struct buf what = BUF_INIT(OBJECT_BYTES_MAX);
    struct buf counts = BUF_INIT(OBJECT_BYTES_MAX);
    dead_step_what(step, &what);
    add_counts(step, &counts);
    const struct audit_entry entry = {
        .id = span_of(step->batch),
        .action = span_of(step->purge ? "dead.purge" : "dead.redrive"),
        .phase = span_of(phase),
        .by = span_of(service_name(step->gateway->service)),
        .who = span_of(step->who),
        .why = span_of(step->why),
        .what = buf_span(&what),
        .counts = buf_span(&counts),
        .at_ms = clock_wall_ms(),
    };
    enum err_code code = audit_publish(&step->gateway->publish, &entry, fn, step, err);
    buf_free(&what);
    buf_free(&counts);
    return code;
}

static void on_told(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct redriving *step = arg;
    if (code)
        log_write(step->gateway->log, LOG_WARN, "gateway", NULL,
                  "the end of a step of batch %s is not on the audit topic; its beginning is",
                  step->batch);
    answer_step(step);
}

static void on_done(void *arg)
{
    struct redriving *step = arg;
    struct err err;
    if (!step->req && service_is_draining(step->gateway->service))
        finish(step); /* the producer is being closed */
    else if (publish_audit(step, "done", on_told, &err))
        answer_step(step);
}

static void set_options(struct redriving *step)
{
    step->options = (struct redrive_options){
        .config = step->gateway->config,
        .publish = &step->gateway->publish,
        .minter = step->gateway->minter,
        .purge = step->purge,
        .batch = span_of(step->batch),
        .who = span_of(step->who),
        .why = span_of(step->why),
        .edit = buf_span(&step->edit),
        .edit_json = step->edit_json,
        .request_id = span_of(step->request_id),
        .number_max = step->number_max,
    };
}

static void on_begun(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct redriving *step = arg;
    if (code) {
        fail_with(step, ERR_KAFKA,
                  "Kafka did not acknowledge the audit record; nothing was changed. Ask again.");
        return;
    }
    set_options(step);
    if (!redrive_start(&step->options, step->items, step->count, on_done, step))
        on_done(step);
}

static void begin(struct redriving *step)
{
    struct err err;
    size_t doing = 0;
    if (!step->execute) {
        set_options(step);
        redrive_check(&step->options, step->items, step->count);
        answer_step(step);
        return;
    }
    for (size_t i = 0; i < step->count; i++)
        doing += step->items[i].outcome == REDRIVE_WOULD;
    if (doing == 0)
        answer_step(step);
    else if (MUTANT(unaudited))
        on_begun(step, ERR_OK, 0, 0);
    else if (publish_audit(step, "begun", on_begun, &err))
        fail(step, &err);
}

/* --- the letters' commands --- */

/* Without a client nothing has been changed yet, and the gateway may be gone. */
static void on_fetched(void *arg, enum err_code code)
{
    struct redriving *step = arg;
    if (!step->req) {
        finish(step);
        return;
    }
    if (code) {
        fail_with(step, ERR_KAFKA, "Kafka did not answer; nothing was changed. Ask again.");
        return;
    }
    for (size_t i = 0, k = 0; i < step->count; i++) {
        if (step->items[i].outcome != REDRIVE_WOULD)
            continue;
        const struct kafka_fetch *fetch = &step->fetches[k++];
        step->items[i].value = buf_span(&fetch->value);
        if (!fetch->found)
            step->items[i].outcome = REDRIVE_GONE;
    }
    begin(step);
}

static void fetch(struct redriving *step)
{
    const char *namespace_ = step->gateway->config->namespace_;
    for (size_t i = 0; i < step->count; i++) {
        if (step->items[i].outcome != REDRIVE_WOULD)
            continue;
        char *topic = topic_name_dup(namespace_, TOPIC_DEAD, step->letters[i].queue);
        step->topics[step->fetch_count] = topic;
        step->fetches[step->fetch_count++] = (struct kafka_fetch){
            .topic = topic,
            .offset = step->letters[i].offset,
            .value = BUF_INIT(TOPIC_RECORD_BYTES_MAX),
        };
    }
    if (step->purge || step->fetch_count == 0) {
        begin(step);
        return;
    }
    kafka_fetch(step->gateway->admin, step->fetches, step->fetch_count,
                &(struct kafka_reply){ step->gateway->loop, FETCH_TIMEOUT_MS, on_fetched, step });
}

/* --- claims, queue by queue --- */

static void claim(struct redriving *step);

static void on_claims(void *arg, const enum dead_claim *verdicts, size_t count)
{
    struct redriving *step = arg;
    size_t i = step->claimed;
    for (size_t k = 0; k < count; i++) {
        struct redrive_item *item = &step->items[i];
        if (item->outcome != REDRIVE_WOULD)
            continue;
        enum dead_claim verdict = verdicts[k++];
        if (verdict == DEAD_CLAIM_UNKNOWN) {
            fail_with(step, ERR_VIEW_UNAVAILABLE,
                      "The view (Redis) did not answer in time; nothing was changed.");
            return;
        }
        if (verdict == DEAD_CLAIM_RESOLVED)
            item->outcome = REDRIVE_RESOLVED;
        else if (verdict == DEAD_CLAIM_OTHER && !MUTANT(redrive_unclaimed))
            item->outcome = REDRIVE_CLAIMED;
    }
    step->claimed = i;
    claim(step);
}

static void claim(struct redriving *step)
{
    while (step->claimed < step->count && step->items[step->claimed].outcome != REDRIVE_WOULD)
        step->claimed++;
    if (step->claimed == step->count) {
        fetch(step);
        return;
    }
    const char *queue = step->letters[step->claimed].queue;
    int64_t offsets[DEAD_PAGE_MAX];
    size_t count = 0;
    for (size_t i = step->claimed; i < step->count && step->letters[i].queue == queue; i++) {
        if (step->items[i].outcome == REDRIVE_WOULD)
            offsets[count++] = step->letters[i].offset;
    }
    const struct dead_claims claims = { queue, step->batch, !step->execute, offsets, count };
    dead_index_claim(&step->gateway->dead_index, &claims, on_claims, step);
}

/* --- the page --- */

/* False: it is none of this batch's business. */
static bool take(struct redriving *step, const struct dead_item *item)
{
    struct redrive_item *out = &step->items[step->count];
    if (item->read.died_at_ms > step->began_ms || span_is(item->read.batch, step->batch))
        return false;
    *out = (struct redrive_item){ .queue = span_of(item->queue), .letter_offset = item->offset };
    out->has_id = dead_step_id(item, &out->id);
    if (item->resolution)
        out->outcome = dead_step_did(step, item, &out->job) ? REDRIVE_DONE : REDRIVE_RESOLVED;
    else if (!step->purge && !ITEM_IS_READABLE)
        out->outcome = REDRIVE_UNREADABLE;
    else if (!step->purge && item->read.redrives >= step->number_max)
        out->outcome = REDRIVE_TOO_OFTEN;
    return true;
}

static void on_page(void *arg, struct dead_page *page)
{
    struct redriving *step = arg;
    struct err err;
    enum err_code code = dead_check(page->code, page->certified, &err);
    if (!code && step->letter.queue && page->count == 0)
        code = err_set(&err, ERR_NOT_FOUND, "There is no such dead letter.");
    if (code) {
        fail(step, &err);
        return;
    }
    step->letters = mem_zalloc(page->count, sizeof *step->letters);
    step->items = mem_zalloc(page->count, sizeof *step->items);
    step->fetches = mem_zalloc(page->count, sizeof *step->fetches);
    step->topics = mem_zalloc(page->count, sizeof *step->topics);
    step->more = page->more && !step->letter.queue;
    for (size_t i = 0; i < page->count; i++) {
        const struct dead_item *item = &page->items[i];
        step->next = (struct dead_place){ item->queue, item->offset };
        if (take(step, item))
            step->letters[step->count++] = (struct dead_place){ item->queue, item->offset };
    }
    if (!step->more)
        step->next.queue = NULL;
    if (MUTANT(dry_run_unchecked) && !step->execute)
        answer_step(step);
    else
        claim(step);
}

static void ask_page(struct redriving *step)
{
    const struct dead_index *index = &step->gateway->dead_index;
    if (step->letter.queue)
        dead_index_letter(index, step->letter.queue, step->letter.offset, NULL, on_page, step);
    else
        dead_index_page(index, &step->filter, step->after, (size_t)step->limit, on_page, step);
}

/* --- whether the batch is to go on --- */

/* Of a few nothing is said while others are undecided: one may fail that is followed by a hundred
 * that do not. */
static bool has_failed(const struct redriving *step)
{
    int64_t decided = step->sums.succeeded + step->sums.failed;
    bool enough = decided >= DECIDED_MIN ||
                  (step->limit == 0 && step->sums.undecided == 0 && !MUTANT(few_never_failed));
    return enough && step->sums.failed * 100 > step->failed_percent_max * decided &&
           !MUTANT(redrive_never_stops);
}

/* What the batch has done so far. */
static void answer_look(struct redriving *step)
{
    const struct dead_batch *sums = &step->sums;
    step->items = mem_zalloc(sums->count, sizeof *step->items);
    for (size_t i = 0; i < sums->count; i++) {
        const struct dead_made *made = &sums->items[i];
        if (made->has_job == step->purge || MUTANT(lost_answer_untold))
            continue;
        step->items[step->count++] = (struct redrive_item){ .queue = span_of(made->queue),
                                                            .letter_offset = made->offset,
                                                            .job = made->job,
                                                            .outcome = REDRIVE_DONE };
    }
    step->next.queue = NULL;
    answer(step, has_failed(step) ? "stopped" : sums->undecided ? "waiting" : "done");
}

static void on_sums(void *arg, const struct dead_batch *sums)
{
    struct redriving *step = arg;
    struct err err;
    if (dead_check(sums->code, sums->certified, &err)) {
        fail(step, &err);
        return;
    }
    step->sums = *sums;
    if (step->limit == 0) {
        answer_look(step);
        return;
    }
    /* It begins with a few, and goes on as they turn out well. */
    int64_t allowed = DECIDED_MIN + sums->succeeded;
    int64_t room = (allowed < step->ahead ? allowed : step->ahead) - sums->undecided;
    step->next = step->after;
    if (has_failed(step)) {
        answer(step, "stopped");
    } else if (room <= 0) {
        answer(step, "waiting");
    } else {
        if (step->limit > room)
            step->limit = room;
        ask_page(step);
    }
}

static void handle(struct http_request *req, struct gateway *gateway, bool purge)
{
    struct redriving *step = MEM_NEW(*step);
    step->gateway = gateway;
    step->req = req;
    step->purge = purge;
    http_set_context(req, step);
    http_on_close(req, gone);
    struct err err;
    enum err_code code = dead_step_parse(step, &err);
    if (code == ERR_OK && service_is_draining(gateway->service))
        code = err_set(&err, ERR_DRAINING, "This gateway is shutting down.");
    if (code == ERR_OK && step->execute && gateway->redriving)
        code =
            err_set(&err, ERR_OVERLOADED, "This gateway is at a step of batch %s; one at a time.",
                    gateway->redriving->batch);
    if (code) {
        fail(step, &err);
        return;
    }
    if (step->execute)
        gateway->redriving = step;
    if (step->limit == 0 || (step->execute && !purge))
        dead_index_batch(&gateway->dead_index, step->batch, on_sums, step);
    else
        ask_page(step);
}

void dead_redrive_handler(struct http_request *req, void *service)
{
    handle(req, service_state(service), false);
}

void dead_purge_handler(struct http_request *req, void *service)
{
    handle(req, service_state(service), true);
}

void dead_redrive_stop(struct gateway *gateway)
{
    if (gateway->redriving)
        gateway->redriving->detached = true; /* a read under way ends by itself */
}
