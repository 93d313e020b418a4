/* Cancelling, as the worker sees it. Whoever wants a job cancelled marks its claim in the gate and,
 * when a life of a worker holds that claim, tells that life on its channel; without a claim it
 * tells all, because Redis may have lost it. The worker aborts what runs; the attempt's outcome
 * decides: an answer that had come already wins. A turn that has been handed on is released, so
 * that from then on the job is nobody's, and the turn never anybody's again; a mark that was set
 * meanwhile is told by that answer. What
 * was told while we could not hear is asked for again. See worker_internal.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <stdlib.h>

#define CHANNEL_BYTES_MAX 320
#define BUCKETS           16384 /* fixed: worker.held bounds the attempts to some tens of thousands */

enum { TO_THIS_LIFE, TO_ALL, CHANNELS };

struct channel {
    struct worker *worker;
    char *name;
    bool subscribed; /* or under way */
};

struct worker_cancel {
    struct redis_subscriber *subscriber;
    struct channel channels[CHANNELS];
    uint8_t secret[SIPHASH_SECRET_SIZE]; /* of: */
    struct attempt *buckets[BUCKETS];
};

/* --- attempts by identity --- */

static struct attempt **bucket_of(const struct worker *worker, const struct id *id)
{
    return &worker->cancel->buckets[id_hash(worker->cancel->secret, id->bytes) % BUCKETS];
}

void cancel_index_add(struct attempt *attempt)
{
    struct attempt **bucket = bucket_of(attempt->partition->worker, &attempt->command->facts.id);
    attempt->same_bucket = *bucket;
    *bucket = attempt;
}

void cancel_index_remove(struct attempt *attempt)
{
    struct attempt **link = bucket_of(attempt->partition->worker, &attempt->command->facts.id);
    while (*link && *link != attempt)
        link = &(*link)->same_bucket;
    if (*link)
        *link = attempt->same_bucket;
}

/* --- calling off --- */

/* What has not begun meets the gate, or this very flag, before it does; what only waits goes there
 * at once. */
static void call_off(struct attempt *attempt)
{
    if (attempt->called_off)
        return;
    attempt->called_off = true;
    if (attempt->state == ATTEMPT_RUNNING) {
        dispatch_abort(attempt);
    } else if (attempt->state == ATTEMPT_WAITING && attempt->due) {
        loop_timer_free(attempt->due);
        attempt->due = NULL;
        dispatch_ready(attempt);
    }
}

/* What all were told concerns what runs here without a claim; what does not run meets the mark. */
static void on_message(void *arg, struct span channel, struct span message)
{
    struct worker *worker = arg;
    bool to_all = span_is(channel, worker->cancel->channels[TO_ALL].name);
    struct id id;
    if (!id_identity_parse(message, &id) || MUTANT(cancel_unheard))
        return;
    for (struct attempt *attempt = *bucket_of(worker, &id), *next; attempt; attempt = next) {
        next = attempt->same_bucket;
        if (id_same(&attempt->command->facts.id, &id) &&
            (!to_all || attempt->state == ATTEMPT_RUNNING))
            call_off(attempt);
    }
}

/* Of an earlier turn it is not known here whether it made a call, unless the claim says so. */
static bool had_begun(const struct attempt *attempt, const struct gate_answer *answer)
{
    if (attempt->command->attempt > 1)
        return true;
    return !answer->unbegun && (answer->verdict != GATE_GO || attempt->command->turn > 0);
}

bool cancel_before_run(struct attempt *attempt, const struct gate_answer *answer, bool *ret_begun)
{
    enum gate_verdict verdict = answer->verdict;
    attempt->claimed = verdict == GATE_GO || verdict == GATE_AGAIN || verdict == GATE_AGAIN_OTHER ||
                       verdict == GATE_SUSPECT;
    attempt->begun = attempt->begun || had_begun(attempt, answer);
    *ret_begun = attempt->begun;
    return attempt->called_off && (attempt->claimed || verdict == GATE_UNKNOWN);
}

bool cancel_decides(const struct attempt *attempt, const struct outcome *outcome)
{
    bool unfinished = outcome->code == ERR_CANCELLED || outcome->class_ == ERR_CLASS_RETRY ||
                      outcome->class_ == ERR_CLASS_HOLD;
    return attempt->called_off && outcome->code != ERR_OK && unfinished;
}

/* --- a turn that was handed on --- */

static void on_released(void *arg, enum gate_claim claim)
{
    struct attempt *attempt = arg;
    if (claim == GATE_CLAIM_CANCELLED)
        outcome_cancelled(attempt, attempt->begun);
    else
        partition_attempt_done(attempt);
}

bool cancel_release(struct attempt *attempt)
{
    struct worker *worker = attempt->partition->worker;
    if (attempt->plan[0] != PUBLISH_NEXT || worker->closed || !redis_ready(worker->redis) ||
        MUTANT(claim_not_released) || (!attempt->claimed && MUTANT(wait_not_released)))
        return false;
    attempt->claimed = false;
    struct gate_question of = dispatch_question(attempt);
    bool begun = attempt->begun || attempt->command->attempt > 1;
    gate_release(worker->gate, &of, begun, on_released, attempt);
    return true;
}

/* --- what may have been missed --- */

/* The claims of running attempts that are asked for again. */
struct recheck {
    struct worker *worker;
    size_t count;
    struct {
        struct id id;
        uint32_t turn;
        int64_t offset;
    } asked[GATE_QUESTIONS_MAX];
};

static void call_off_asked(struct recheck *recheck, size_t i)
{
    const struct id *id = &recheck->asked[i].id;
    struct attempt *attempt = *bucket_of(recheck->worker, id);
    for (; attempt; attempt = attempt->same_bucket) {
        if (id_same(&attempt->command->facts.id, id) && attempt->state == ATTEMPT_RUNNING &&
            attempt->command->turn == recheck->asked[i].turn &&
            attempt->offset == recheck->asked[i].offset)
            call_off(attempt);
    }
}

/* A mark, or an end that somebody else has put to the job: nobody wants the attempt any more. */
static void on_rechecked(void *arg, size_t index, const struct gate_answer *answer)
{
    struct recheck *recheck = arg;
    bool last = index + 1 == recheck->count;
    if (answer->verdict == GATE_CANCELLED || answer->verdict == GATE_TERMINAL ||
        answer->verdict == GATE_OUTCOME)
        call_off_asked(recheck, index);
    if (last)
        free(recheck);
}

/* The same question as before the attempt: a claim that is ours stays ours, one that Redis could
 * not take then is made now. */
void cancel_recheck(struct worker *worker)
{
    if (worker->closed || !redis_ready(worker->redis))
        return;
    struct attempt *attempt = worker->running.first;
    while (attempt) {
        struct recheck *recheck = MEM_NEW(*recheck);
        struct gate_question questions[GATE_QUESTIONS_MAX];
        recheck->worker = worker;
        for (; attempt && recheck->count < GATE_QUESTIONS_MAX; attempt = attempt->next) {
            if (attempt->partition->epoch == EPOCH_UNKNOWN)
                continue;
            size_t i = recheck->count++;
            recheck->asked[i].id = attempt->command->facts.id;
            recheck->asked[i].turn = attempt->command->turn;
            recheck->asked[i].offset = attempt->offset;
            questions[i] = dispatch_question(attempt);
        }
        if (recheck->count)
            gate_ask(worker->gate, questions, recheck->count, on_rechecked, recheck);
        else
            free(recheck);
    }
}

static void on_lost(void *arg)
{
    cancel_recheck(arg);
}

/* --- the channel --- */

static void on_subscribed(void *arg, enum err_code code)
{
    struct channel *channel = arg;
    if (code == ERR_OK)
        cancel_recheck(channel->worker); /* what was told before has been missed */
    else if (channel->worker->cancel)
        channel->subscribed = false; /* the tick tries again */
}

void cancel_listen(struct worker *worker)
{
    struct worker_cancel *cancel = worker->cancel;
    if (redis_ready(worker->redis))
        redis_subscriber_follow(cancel->subscriber, redis_run_id(worker->redis));
    for (int i = 0; i < CHANNELS && redis_subscriber_ready(cancel->subscriber); i++) {
        struct channel *channel = &cancel->channels[i];
        if (channel->subscribed)
            continue;
        channel->subscribed = true;
        redis_subscribe(cancel->subscriber, span_of(channel->name), on_subscribed, channel);
    }
}

void cancel_open(struct worker *worker, const struct redis_options *options)
{
    struct worker_cancel *cancel = MEM_NEW(*cancel);
    siphash_secret(cancel->secret);
    const char *const told[CHANNELS] = { service_incarnation(worker->service), "" };
    for (int i = 0; i < CHANNELS; i++) {
        struct buf name = BUF_INIT(CHANNEL_BYTES_MAX);
        view_incarnation_channel(&name, worker->config->namespace_, told[i]);
        cancel->channels[i] = (struct channel){ .worker = worker, .name = buf_take(&name) };
    }
    worker->cancel = cancel;
    struct redis_options own = *options;
    own.on_state = NULL;
    own.arg = worker;
    cancel->subscriber = redis_subscriber_open(worker->loop, &own, on_message, on_lost);
}

void cancel_deafen(struct worker *worker)
{
    if (!worker->cancel)
        return;
    redis_subscriber_close(worker->cancel->subscriber);
    worker->cancel->subscriber = NULL;
}

void cancel_close(struct worker *worker)
{
    if (!worker->cancel)
        return;
    for (int i = 0; i < CHANNELS; i++)
        free(worker->cancel->channels[i].name);
    free(worker->cancel);
}
