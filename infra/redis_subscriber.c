/* Subscriptions (see redis.h), on a redis_connection of their own. Redis confirms in the order it
 * was asked; `asks` has what is not confirmed yet, in that order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/redis.h"

#include "infra/redis_connection.h"
#include "schemas/mem.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>

enum {
    PING_MS = 1000,
    SILENCE_FACTOR = 3,  /* timeouts without an answer to PING until the connection is given up */
    RESTORE_BATCH = 256, /* channels in one SUBSCRIBE after a reconnection */
};

struct ask;
struct subscription {
    char *name;
    struct span channel; /* of name */
    void (*confirmed)(void *arg, enum err_code code);
    void *arg;
    bool made;       /* was confirmed once; after a loss it is made again */
    struct ask *ask; /* under way, or NULL */
    struct subscription *next, **link;
};

/* One channel of a SUBSCRIBE that was sent, or of one that is going to be refused. */
struct ask {
    struct subscription *subscription; /* NULL: not wanted any more */
    struct redis_subscriber *subscriber;
    int64_t deadline_ms;
    bool restores;
    struct ask *next;
};

struct redis_subscriber {
    struct redis_connection *connection;
    struct redis_options options;
    struct loop *loop;
    redis_message_fn on_message;
    redis_lost_fn on_lost;
    bool closed;
    void *tree; /* tsearch: subscriptions by channel */
    struct subscription *first;
    size_t count;
    struct ask *asks, **asks_end;
    size_t restoring;
    struct loop_timer *confirm_timer, *ping_timer;
    bool confirm_armed;
    bool heard;      /* something came since the last look */
    int64_t ping_ms; /* when the PING not yet answered was sent, or -1 */
};

/* --- the subscriptions --- */

static int compare(const void *a, const void *b)
{
    const struct span *x = &((const struct subscription *)a)->channel;
    const struct span *y = &((const struct subscription *)b)->channel;
    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return memcmp(x->data, y->data, x->size);
}

static struct subscription *find(struct redis_subscriber *subscriber, struct span channel)
{
    const struct subscription key = { .channel = channel };
    struct subscription *const *found = tfind(&key, &subscriber->tree, compare);
    return found ? *found : NULL;
}

static struct subscription *add(struct redis_subscriber *subscriber, struct span channel)
{
    struct subscription *subscription = MEM_NEW(*subscription);
    subscription->name = mem_dup(channel);
    subscription->channel = (struct span){ .data = subscription->name, .size = channel.size };
    if (!tsearch(subscription, &subscriber->tree, compare))
        abort(); /* out of memory: one policy, see schemas/mem.h */
    subscription->next = subscriber->first;
    subscription->link = &subscriber->first;
    if (subscriber->first)
        subscriber->first->link = &subscription->next;
    subscriber->first = subscription;
    subscriber->count++;
    return subscription;
}

static void take_out(struct redis_subscriber *subscriber, struct subscription *subscription)
{
    tdelete(subscription, &subscriber->tree, compare);
    *subscription->link = subscription->next;
    if (subscription->next)
        subscription->next->link = subscription->link;
    if (subscription->ask)
        subscription->ask->subscription = NULL;
    subscriber->count--;
    free(subscription->name);
    free(subscription);
}

/* Takes a subscription out that did not come about, and says so. */
static void fail(struct redis_subscriber *subscriber, struct subscription *subscription,
                 enum err_code code)
{
    void (*confirmed)(void *arg, enum err_code code) = subscription->confirmed;
    void *arg = subscription->arg;
    take_out(subscriber, subscription);
    confirmed(arg, code);
}

/* --- asking --- */

static struct ask *ask_new(struct redis_subscriber *subscriber, struct subscription *subscription)
{
    struct ask *ask = MEM_NEW(*ask);
    ask->subscriber = subscriber;
    ask->subscription = subscription;
    subscription->ask = ask;
    return ask;
}

static void ask_push(struct redis_subscriber *subscriber, struct ask *ask)
{
    *subscriber->asks_end = ask;
    subscriber->asks_end = &ask->next;
}

/* Takes the oldest out; its subscription, or NULL, is no longer under way. */
static struct subscription *ask_pop(struct redis_subscriber *subscriber)
{
    struct ask *ask = subscriber->asks;
    struct subscription *subscription = ask->subscription;
    subscriber->asks = ask->next;
    if (!subscriber->asks)
        subscriber->asks_end = &subscriber->asks;
    if (subscription)
        subscription->ask = NULL;
    free(ask);
    return subscription;
}

static void arm_confirm(struct redis_subscriber *subscriber, int64_t at_ms)
{
    if (subscriber->confirm_armed)
        return;
    subscriber->confirm_armed = true;
    int64_t delay_ms = at_ms - loop_now_ms(subscriber->loop);
    loop_timer_start(subscriber->confirm_timer, delay_ms > 0 ? delay_ms : 0, 0);
}

static void send_one(struct redis_subscriber *subscriber, const char *command, struct span channel)
{
    const struct span argv[] = { span_of(command), channel };
    redis_connection_send(subscriber->connection, channel.data ? 2 : 1, argv, NULL, NULL);
}

/* Gives up those that have waited too long for their confirmation. */
static void on_confirm_timer(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    redis_connection_hold(subscriber->connection);
    subscriber->confirm_armed = false;
    struct ask *ask = subscriber->asks;
    while (ask) {
        struct subscription *subscription = ask->subscription;
        if (!subscription || ask->restores) {
            ask = ask->next;
        } else if (ask->deadline_ms > loop_now_ms(subscriber->loop)) {
            arm_confirm(subscriber, ask->deadline_ms);
            break;
        } else {
            if (redis_connection_ready(subscriber->connection))
                send_one(subscriber, "UNSUBSCRIBE", subscription->channel);
            fail(subscriber, subscription, ERR_REDIS_GONE);
            ask = subscriber->closed ? NULL : ask->next;
        }
    }
    redis_connection_release(subscriber->connection);
}

static void on_ping_timer(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    int64_t now_ms = loop_now_ms(subscriber->loop);
    bool quiet = !subscriber->heard;
    subscriber->heard = false;
    if (!redis_connection_ready(subscriber->connection))
        return;
    if (subscriber->ping_ms >= 0) {
        if (now_ms - subscriber->ping_ms >= SILENCE_FACTOR * subscriber->options.timeout_ms)
            redis_connection_drop(subscriber->connection, "does not answer");
    } else if (quiet) {
        subscriber->ping_ms = now_ms;
        send_one(subscriber, "PING", (struct span){ 0 });
    }
}

/* --- what Redis says --- */

static void hear_subscribed(struct redis_subscriber *subscriber)
{
    if (!subscriber->asks) {
        redis_connection_drop(subscriber->connection, "confirmed what nobody asked for");
        return;
    }
    bool restored = subscriber->asks->restores && --subscriber->restoring == 0;
    struct subscription *subscription = ask_pop(subscriber);
    if (subscription && !subscription->made) {
        subscription->made = true;
        subscription->confirmed(subscription->arg, ERR_OK);
    }
    if (restored && !subscriber->closed)
        subscriber->on_lost(subscriber->options.arg);
}

static void on_reply(void *arg, const struct redis_reply *reply)
{
    struct redis_subscriber *subscriber = arg;
    subscriber->heard = true;
    subscriber->ping_ms = -1;
    if (redis_reply_type(reply) == REDIS_ERROR) {
        redis_connection_drop(subscriber->connection, "refused a subscription");
        return;
    }
    if (redis_reply_count(reply) < 3)
        return; /* PONG */
    struct span kind = redis_reply_text(redis_reply_at(reply, 0));
    if (span_is(kind, "message"))
        subscriber->on_message(subscriber->options.arg, redis_reply_text(redis_reply_at(reply, 1)),
                               redis_reply_text(redis_reply_at(reply, 2)));
    else if (span_is(kind, "subscribe"))
        hear_subscribed(subscriber);
}

/* Subscribes again to what was confirmed before. */
static void restore(struct redis_subscriber *subscriber)
{
    struct span argv[RESTORE_BATCH + 1] = { SPAN_LIT("SUBSCRIBE") };
    size_t argc = 1;
    for (struct subscription *i = subscriber->first; i; i = i->next) {
        if (!i->made)
            continue;
        struct ask *ask = ask_new(subscriber, i);
        ask->restores = true;
        ask_push(subscriber, ask);
        subscriber->restoring++;
        argv[argc++] = i->channel;
        if (argc == RESTORE_BATCH + 1) {
            redis_connection_send(subscriber->connection, argc, argv, NULL, NULL);
            argc = 1;
        }
    }
    if (argc > 1)
        redis_connection_send(subscriber->connection, argc, argv, NULL, NULL);
}

/* What was asked for on a connection that is gone. */
static void fail_asks(struct redis_subscriber *subscriber)
{
    subscriber->restoring = 0;
    while (subscriber->asks) {
        struct subscription *subscription = ask_pop(subscriber);
        if (subscription && !subscription->made)
            fail(subscriber, subscription, ERR_REDIS_GONE);
    }
}

static void on_state(void *arg, bool ready)
{
    struct redis_subscriber *subscriber = arg;
    subscriber->ping_ms = -1;
    if (ready) {
        restore(subscriber);
    } else {
        fail_asks(subscriber);
        if (!subscriber->closed)
            subscriber->on_lost(subscriber->options.arg);
    }
    if (!subscriber->closed && subscriber->options.on_state)
        subscriber->options.on_state(subscriber->options.arg, ready);
}

/* --- the outside --- */

static void on_freed(void *arg)
{
    free(arg);
}

struct redis_subscriber *redis_subscriber_open(struct loop *loop,
                                               const struct redis_options *options,
                                               redis_message_fn on_message, redis_lost_fn on_lost)
{
    struct redis_subscriber *subscriber = MEM_NEW(*subscriber);
    subscriber->options = *options;
    subscriber->loop = loop;
    subscriber->on_message = on_message;
    subscriber->on_lost = on_lost;
    subscriber->asks_end = &subscriber->asks;
    subscriber->ping_ms = -1;
    subscriber->confirm_timer = loop_timer_new(loop, on_confirm_timer, subscriber);
    subscriber->ping_timer = loop_timer_new(loop, on_ping_timer, subscriber);
    subscriber->connection = redis_connection_open(&(struct redis_connection_options){
        .loop = loop,
        .config = options->config,
        .timeout_ms = options->timeout_ms,
        .on_state = on_state,
        .on_reply = on_reply,
        .on_freed = on_freed,
        .arg = subscriber,
    });
    loop_timer_start(subscriber->ping_timer, PING_MS, PING_MS);
    return subscriber;
}

void redis_subscriber_close(struct redis_subscriber *subscriber)
{
    if (!subscriber || subscriber->closed)
        return;
    subscriber->closed = true;
    redis_connection_hold(subscriber->connection);
    redis_connection_close(subscriber->connection); /* tells the refused ones */
    fail_asks(subscriber);
    while (subscriber->first)
        take_out(subscriber, subscriber->first);
    loop_timer_free(subscriber->confirm_timer);
    loop_timer_free(subscriber->ping_timer);
    redis_connection_release(subscriber->connection);
}

bool redis_subscriber_ready(const struct redis_subscriber *subscriber)
{
    return redis_connection_ready(subscriber->connection);
}

void redis_subscriber_follow(struct redis_subscriber *subscriber, const char *run_id)
{
    if (redis_subscriber_ready(subscriber) &&
        strcmp(redis_connection_run_id(subscriber->connection), run_id) != 0)
        redis_connection_drop(subscriber->connection, "is not the master any more");
}

static void on_refused(void *arg, enum err_code code, const struct redis_reply *reply)
{
    (void)reply;
    struct ask *ask = arg;
    if (ask->subscription) {
        ask->subscription->ask = NULL;
        fail(ask->subscriber, ask->subscription, code);
    }
    free(ask);
}

void redis_subscribe(struct redis_subscriber *subscriber, struct span channel,
                     void (*confirmed)(void *arg, enum err_code code), void *arg)
{
    assert(!subscriber->closed && !find(subscriber, channel));
    bool ready = redis_connection_ready(subscriber->connection);
    bool full = subscriber->count >= subscriber->options.pending_max;
    struct subscription *subscription = add(subscriber, channel);
    subscription->confirmed = confirmed;
    subscription->arg = arg;
    struct ask *ask = ask_new(subscriber, subscription);
    if (!ready || full) {
        redis_connection_refuse(subscriber->connection, on_refused, ask,
                                ready ? ERR_LIMIT : ERR_REDIS_GONE);
        return;
    }
    ask->deadline_ms = redis_connection_deadline(subscriber->connection);
    ask_push(subscriber, ask);
    send_one(subscriber, "SUBSCRIBE", subscription->channel);
    arm_confirm(subscriber, ask->deadline_ms);
}

void redis_unsubscribe(struct redis_subscriber *subscriber, struct span channel)
{
    struct subscription *subscription = find(subscriber, channel);
    if (!subscription)
        return;
    if (redis_connection_ready(subscriber->connection))
        send_one(subscriber, "UNSUBSCRIBE", channel);
    take_out(subscriber, subscription);
}
