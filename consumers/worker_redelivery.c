/* Redeliveries wait for the view: an attempt that had finished when its worker died may have its
 * outcome in the log and not in the view yet, where the gate looks. So a command that was begun
 * before waits until the view has applied all that was in the log when its partition was assigned,
 * and then the gate is asked again. A gate that does not answer cannot say whether it was begun,
 * and one that was asked twice because its first answer was late tells of our own claim instead of
 * the one before: what lay in the log when the partition was assigned waits in these cases as well,
 * and so does what is marked as handed on again.
 * No claim at all says nothing before the view is that far either: Redis may have been away, or
 * emptied; the gate says when it finds that it was, since the assignment. What may have been put
 * into the log twice waits for all that was in the replies when it came, since its other self may
 * have ended at any time. See worker_internal.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/worker_internal.h"
#include "infra/clock.h"
#include "infra/redis_args.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <stdlib.h>

#define LOOK_MS         50 /* between two looks at the view while somebody waits */
#define ENDS_MS         1000
#define FIELD_BYTES_MAX 400

struct redelivery {
    struct worker_queue *queue;
    struct loop *loop;
    char *topic; /* the queue's replies */
    size_t count;
    struct kafka_range *ranges; /* its partitions, as they are asked for */
    int64_t *ends;              /* of each, as known */
    /* Kafka is asked for the ends time after time, which is counted from 1: which time was begun,
     * which answer `ends` is, up to which the view has applied, which one what was assigned needs,
     * and the highest that somebody waits for. */
    uint64_t asked, known, applied, needed, wanted;
    struct loop_task ask;
    struct loop_timer *look;
    struct attempt_list waiting; /* in the order of their limits */
    bool asking_ends, asking_view;
    bool looking;
    bool closed;
};

static void ask_ends(void *arg);
static void look(void *arg);

void redelivery_open(struct worker_queue *queue)
{
    struct worker *worker = queue->worker;
    const struct config_queue *config = config_find_queue(worker->config, span_of(queue->name));
    struct redelivery *redelivery = MEM_NEW(*redelivery);
    struct buf topic = BUF_INIT(TOPIC_NAME_MAX);
    topic_name(&topic, worker->config->namespace_, TOPIC_REPLIES, queue->name);
    *redelivery = (struct redelivery){
        .queue = queue,
        .loop = worker->loop,
        .topic = buf_take(&topic),
        .count = (size_t)config->partitions,
        .ask = { .fn = ask_ends, .arg = redelivery },
        .look = loop_timer_new(worker->loop, look, redelivery),
    };
    redelivery->ranges = mem_zalloc(redelivery->count, sizeof *redelivery->ranges);
    redelivery->ends = mem_zalloc(redelivery->count, sizeof *redelivery->ends);
    queue->redelivery = redelivery;
}

static void redelivery_free(struct redelivery *redelivery)
{
    free(redelivery->topic);
    free(redelivery->ranges);
    free(redelivery->ends);
    free(redelivery);
}

void redelivery_close(struct worker_queue *queue)
{
    struct redelivery *redelivery = queue->redelivery;
    if (!redelivery)
        return;
    queue->redelivery = NULL;
    loop_undefer(redelivery->loop, &redelivery->ask);
    loop_timer_free(redelivery->look);
    redelivery->closed = true;
    if (!redelivery->asking_ends)
        redelivery_free(redelivery);
}

/* --- what must have been applied --- */

static void on_ends(void *arg, enum err_code code)
{
    struct redelivery *redelivery = arg;
    redelivery->asking_ends = false;
    if (redelivery->closed) {
        redelivery_free(redelivery);
        return;
    }
    if (code)
        return;
    redelivery->known = redelivery->asked;
    for (size_t i = 0; i < redelivery->count; i++)
        redelivery->ends[i] = redelivery->ranges[i].end;
}

/* Once for all partitions that are assigned together; and with the next look for what was asked for
 * meanwhile, or got no answer. */
static void ask_ends(void *arg)
{
    struct redelivery *redelivery = arg;
    if (redelivery->asking_ends)
        return;
    redelivery->asking_ends = true;
    redelivery->asked++;
    for (size_t i = 0; i < redelivery->count; i++)
        redelivery->ranges[i] =
            (struct kafka_range){ .topic = redelivery->topic, .partition = (int32_t)i };
    kafka_ranges(redelivery->queue->worker->admin, redelivery->ranges, redelivery->count,
                 &(struct kafka_reply){ redelivery->loop, ENDS_MS, on_ends, redelivery });
}

void redelivery_assigned(struct worker_partition *partition)
{
    struct redelivery *redelivery = partition->queue->redelivery;
    redelivery->needed = redelivery->wanted = redelivery->asked + 1;
    loop_defer(redelivery->loop, &redelivery->ask);
}

void redelivery_anew(struct worker_queue *queue)
{
    struct redelivery *redelivery = queue->redelivery;
    if (!redelivery)
        return;
    redelivery->needed = redelivery->asked + 1;
    for (struct attempt *attempt = redelivery->waiting.first; attempt; attempt = attempt->next) {
        attempt->ends_needed = redelivery->needed;
        redelivery->wanted = redelivery->needed;
    }
}

/* --- waiting --- */

/* To the gate once more. */
static void go_on(struct redelivery *redelivery, struct attempt *attempt)
{
    attempt_list_remove(&redelivery->waiting, attempt);
    dispatch_ready(attempt);
}

static void on_view(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct redelivery *redelivery = arg;
    redelivery->asking_view = false;
    if (code || redis_reply_count(reply) != redelivery->count)
        return;
    for (size_t i = 0; i < redelivery->count; i++) {
        if (redis_reply_integer(redis_reply_at(reply, i)) < redelivery->ends[i])
            return;
    }
    redelivery->applied = redelivery->known;
    for (struct attempt *attempt = redelivery->waiting.first; attempt;) {
        struct attempt *next = attempt->next;
        if (attempt->ends_needed <= redelivery->applied &&
            attempt->partition->epoch != EPOCH_UNKNOWN) /* else the gate cannot be asked yet */
            go_on(redelivery, attempt);
        attempt = next;
    }
}

static void ask_view(struct redelivery *redelivery)
{
    const struct worker *worker = redelivery->queue->worker;
    struct redis_args args = REDIS_ARGS_INIT((redelivery->count + 2) * FIELD_BYTES_MAX);
    redis_args_text(&args, "HMGET");
    redis_args_begin(&args);
    view_hash_key(&args.store, worker->config->namespace_);
    redis_args_end(&args);
    for (size_t i = 0; i < redelivery->count; i++) {
        redis_args_begin(&args);
        view_applied_field(&args.store, redelivery->topic, (int32_t)i);
        redis_args_end(&args);
    }
    redelivery->asking_view = true;
    redis_command(worker->redis, on_view, redelivery, args.count, redis_args_list(&args));
    redis_args_free(&args);
}

static void look(void *arg)
{
    struct redelivery *redelivery = arg;
    int64_t now_ms = clock_monotonic_ms();
    while (redelivery->waiting.first && now_ms >= redelivery->waiting.first->redelivered_until_ms)
        go_on(redelivery, redelivery->waiting.first);
    redelivery->looking = redelivery->waiting.first != NULL;
    if (!redelivery->looking) {
        loop_timer_stop(redelivery->look);
        return;
    }
    /* Not while those that are known are not reached: what comes all the time would let nobody go.
     */
    if (redelivery->known < redelivery->wanted && redelivery->applied == redelivery->known)
        ask_ends(redelivery);
    if (redelivery->known && !redelivery->asking_view &&
        redis_ready(redelivery->queue->worker->redis))
        ask_view(redelivery);
}

/* Who comes back has less time left than those that came since. */
static void wait_in_order(struct redelivery *redelivery, struct attempt *attempt)
{
    struct attempt *after = redelivery->waiting.last;
    while (after && after->redelivered_until_ms > attempt->redelivered_until_ms)
        after = after->previous;
    attempt_list_insert(&redelivery->waiting, after, attempt);
}

/* As far as the verdict, the attempt's first one, tells. */
static bool may_have_ended(const struct attempt *attempt, enum gate_verdict verdict)
{
    const struct redelivery *redelivery = attempt->partition->queue->redelivery;
    if (verdict == GATE_GO) /* after the view, on one connection, it knew what that knew */
        return partition_comes_again(attempt) && redelivery->applied < attempt->ends_needed &&
               !MUTANT(lost_claim_believed);
    if (verdict == GATE_AGAIN)
        return partition_comes_again(attempt) && !MUTANT(own_claim_believed);
    if (verdict == GATE_UNKNOWN)
        return partition_comes_again(attempt) && !MUTANT(unknown_begun);
    return true;
}

bool redelivery_waits(struct attempt *attempt, enum gate_verdict verdict)
{
    struct worker_partition *partition = attempt->partition;
    struct worker *worker = partition->worker;
    struct redelivery *redelivery = partition->queue->redelivery;
    bool unknown = verdict == GATE_UNKNOWN;
    int64_t now_ms = clock_monotonic_ms(), wait_ms = worker->config->worker.redelivery_wait_ms;
    bool silent_again = unknown && now_ms < attempt->redelivered_until_ms;
    if (attempt->waited && (!silent_again || MUTANT(second_silence_begun)))
        return false;
    if (!attempt->waited)
        attempt->ends_needed = attempt->command->again ? redelivery->asked + 1 : redelivery->needed;
    if (MUTANT(no_redelivery_wait) || wait_ms == 0 || !may_have_ended(attempt, verdict))
        return false;
    partition->under_way--;
    if (redelivery->applied >= attempt->ends_needed && !unknown) {
        dispatch_ready(attempt); /* since after the gate was asked, perhaps */
        return true;
    }
    metric_add(worker->redelivery_waits, 1);
    attempt->state = ATTEMPT_REDELIVERED;
    if (!attempt->waited)
        attempt->redelivered_until_ms = now_ms + wait_ms;
    if (attempt->ends_needed > redelivery->wanted)
        redelivery->wanted = attempt->ends_needed;
    wait_in_order(redelivery, attempt);
    if (!redelivery->looking) {
        redelivery->looking = true;
        loop_timer_start(redelivery->look, 0, LOOK_MS);
    }
    return true;
}

void redelivery_forget(struct attempt *attempt)
{
    attempt_list_remove(&attempt->partition->queue->redelivery->waiting, attempt);
}
