/* See redrive.h. SPDX-License-Identifier: Apache-2.0 */
#include "producers/redrive.h"

#include "infra/clock.h"
#include "schemas/envelope.h"
#include "schemas/json.h"
#include "schemas/json_merge.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX  64
#define TOKENS_MAX 100000

const char *redrive_outcome_text(enum redrive_outcome outcome, bool purge)
{
    static const char *const texts[REDRIVE_OUTCOME_COUNT] = {
        [REDRIVE_WOULD] = "would_be_redriven",
        [REDRIVE_DONE] = "redriven",
        [REDRIVE_RESOLVED] = "resolved",
        [REDRIVE_CLAIMED] = "claimed",
        [REDRIVE_TOO_OFTEN] = "too_often",
        [REDRIVE_UNREADABLE] = "unreadable",
        [REDRIVE_GONE] = "gone",
        [REDRIVE_EDIT_FAILED] = "edit_failed",
        [REDRIVE_FAILED] = "failed",
        [REDRIVE_UNKNOWN] = "unknown",
    };
    if (purge && outcome == REDRIVE_WOULD)
        return "would_be_purged";
    return purge && outcome == REDRIVE_DONE ? "purged" : texts[outcome];
}

/* --- the new command --- */

/* No client's idempotency key begins with a control character: no submission has this id. */
static void derive_id(const struct redrive_options *options, const struct job_facts *letter,
                      struct id *ret_id)
{
    char identity[IDENTITY_TEXT_SIZE];
    char key[IDENTITY_TEXT_SIZE + DEAD_BATCH_SIZE + 16];
    if (MUTANT(redrive_fresh_id)) {
        id_mint(options->minter, clock_wall_ms(), ret_id);
        return;
    }
    id_identity_text(&letter->id, identity);
    int size = snprintf(key, sizeof key, "\x01redrive:%s:%.*s", identity, SPAN_ARG(options->batch));
    id_derive(options->minter, letter->tenant, letter->queue,
              (struct span){ key, (size_t)size < sizeof key ? (size_t)size : sizeof key - 1 },
              ret_id);
}

static enum err_code edit_payload(const struct redrive_options *options,
                                  const struct job_command *letter, struct buf *payload,
                                  struct err *err)
{
    const struct json_limits limits = { .depth_max = DEPTH_MAX, .tokens_max = TOKENS_MAX };
    struct json *before = NULL;
    enum err_code code = json_parse(letter->payload, &limits, &before, err);
    if (code)
        return err_set(err, ERR_INVALID_FIELD, "the payload is no JSON object that can be edited");
    json_merge_patch(before, options->edit_json, payload);
    json_free(before);
    return payload->overflow ? err_set(err, ERR_INVALID_FIELD, "the edited payload is too large")
                             : ERR_OK;
}

enum err_code redrive_command(const struct redrive_options *options,
                              const struct job_command *letter, int64_t now_ms, struct buf *payload,
                              struct job_command *ret_command, struct err *err)
{
    const struct job_facts *old = &letter->facts;
    const struct config_type *type = config_find_type(options->config, old->type);
    if (old->redrive.number >= options->number_max && !MUTANT(redrive_unlimited))
        return err_set(err, ERR_LIMIT, "redriven %u times already; at most %" PRId64 " are allowed",
                       old->redrive.number, options->number_max);
    if (!type || !span_is(old->queue, type->queue))
        return err_set(err, ERR_UNKNOWN_TYPE, "no type %.*s of queue %.*s is configured",
                       SPAN_ARG(old->type), SPAN_ARG(old->queue));
    struct job_command command = {
        .facts = *old,
        .attempt = 1,
        .payload = letter->payload,
        .unknown = letter->unknown,
    };
    if (options->edit_json) {
        enum err_code code = edit_payload(options, letter, payload, err);
        if (code)
            return code;
        command.payload = buf_span(payload);
    }
    if (command.payload.size > (size_t)type->payload_bytes_max)
        return err_set(err, ERR_INVALID_FIELD, "the payload has %zu bytes; at most %" PRId64,
                       command.payload.size, type->payload_bytes_max);
    struct job_facts *facts = &command.facts;
    derive_id(options, old, &facts->id);
    if (MUTANT(redrive_new_effect))
        facts->effect_id = facts->id;
    facts->created_at_ms = now_ms;
    facts->run_at_ms = 0;
    facts->deadline_ms = 0; /* that of the old job is over */
    facts->not_after_ms = now_ms + type->max_age_ms;
    facts->forget_at_ms = facts->not_after_ms + type->retention_ms;
    facts->fingerprint = (struct span){ 0 }; /* no client's key stands for it */
    facts->request_id = options->request_id;
    facts->origin_partition = 0;
    facts->origin_offset = -1;
    facts->redrive = (struct job_redrive){
        .number = old->redrive.number + 1,
        .of = old->id,
        .batch = options->batch,
        .edit = options->edit,
    };
    *ret_command = command;
    return ERR_OK;
}

/* --- doing it --- */

struct run {
    const struct redrive_options *options;
    struct redrive_item *items;
    size_t under_way;
    void (*done)(void *arg);
    void *arg;
};

struct doing {
    struct run *run;
    struct redrive_item *item;
};

static void decide(struct doing *doing, enum redrive_outcome outcome)
{
    struct run *run = doing->run;
    doing->item->outcome = outcome;
    free(doing);
    if (--run->under_way > 0)
        return;
    run->done(run->arg);
    free(run);
}

static enum redrive_outcome outcome_of(enum err_code code)
{
    return code == ERR_OUTCOME_UNKNOWN ? REDRIVE_UNKNOWN : REDRIVE_FAILED;
}

static void on_resolved(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct doing *doing = arg;
    /* The new job is there: without its resolution the letter is only open once more. */
    enum redrive_outcome failed = doing->run->options->purge ? outcome_of(code) : REDRIVE_UNKNOWN;
    decide(doing, code == ERR_OK ? REDRIVE_DONE : failed);
}

static enum err_code resolve(struct doing *doing, struct err *err)
{
    const struct redrive_options *options = doing->run->options;
    const struct redrive_item *item = doing->item;
    const struct job_resolution resolution = {
        .letter_offset = item->letter_offset,
        .kind = options->purge ? JOB_PURGED : JOB_REDRIVEN,
        .has_id = item->has_id,
        .id = item->id,
        .job = item->job,
        .batch = options->batch,
        .who = options->who,
        .why = options->why,
        .edit = options->edit,
        .at_ms = clock_wall_ms(),
    };
    return publish_resolution(options->publish, item->queue, &resolution, on_resolved, doing, err);
}

static void on_command(void *arg, enum err_code code, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    struct doing *doing = arg;
    struct err err;
    if (code)
        decide(doing, outcome_of(code));
    else if (resolve(doing, &err))
        decide(doing, REDRIVE_UNKNOWN);
}

/* Makes the item's command; sends it unless `doing` is NULL. */
static enum err_code make_command(const struct redrive_options *options, struct redrive_item *item,
                                  struct doing *doing, struct err *err)
{
    struct envelope *envelope = NULL;
    struct buf payload = BUF_INIT(ENVELOPE_BYTES_MAX);
    struct job_command command;
    enum err_code code = envelope_decode(item->value, &envelope, err);
    if (code == ERR_OK && envelope->kind != ENVELOPE_COMMAND)
        code = err_set(err, ERR_ENVELOPE_INVALID, "the letter is no command");
    if (code == ERR_OK) {
        item->id = envelope->command.facts.id;
        item->has_id = true;
        code =
            redrive_command(options, &envelope->command, clock_wall_ms(), &payload, &command, err);
    }
    if (code == ERR_OK && doing) {
        item->job = command.facts.id;
        code = publish_command(options->publish, &command, on_command, doing, err);
        if (code) /* for want of room, not for what it is */
            code = ERR_OVERLOADED;
    }
    buf_free(&payload);
    envelope_free(envelope);
    return code;
}

static enum redrive_outcome refusal_of(enum err_code code)
{
    switch (code) {
    case ERR_LIMIT:
        return REDRIVE_TOO_OFTEN;
    case ERR_INVALID_FIELD:
        return REDRIVE_EDIT_FAILED;
    case ERR_OVERLOADED:
        return REDRIVE_FAILED;
    default:
        return REDRIVE_UNREADABLE;
    }
}

static bool begin(struct run *run, struct redrive_item *item)
{
    struct err err = { 0 };
    struct doing *doing = MEM_NEW(*doing);
    *doing = (struct doing){ run, item };
    bool purge = run->options->purge;
    enum err_code code =
        purge ? resolve(doing, &err) : make_command(run->options, item, doing, &err);
    if (code == ERR_OK)
        return true;
    item->outcome = purge ? REDRIVE_FAILED : refusal_of(code);
    snprintf(item->why, sizeof item->why, "%s", err.text);
    free(doing);
    return false;
}

void redrive_check(const struct redrive_options *options, struct redrive_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct err err = { 0 };
        if (items[i].outcome != REDRIVE_WOULD || options->purge)
            continue;
        enum err_code code = make_command(options, &items[i], NULL, &err);
        if (code == ERR_OK)
            continue;
        items[i].outcome = refusal_of(code);
        snprintf(items[i].why, sizeof items[i].why, "%s", err.text);
    }
}

bool redrive_start(const struct redrive_options *options, struct redrive_item *items, size_t count,
                   void (*done)(void *arg), void *arg)
{
    struct run *run = MEM_NEW(*run);
    *run = (struct run){ .options = options, .items = items, .done = done, .arg = arg };
    for (size_t i = 0; i < count; i++) {
        if (items[i].outcome == REDRIVE_WOULD)
            run->under_way += begin(run, &items[i]); /* never answered from inside */
    }
    if (run->under_way)
        return true;
    free(run);
    return false;
}
