/* Who waits for which job. One Redis subscription a job, however many wait for it. The order that
 * loses no wake-up: subscribe, wait for Redis to confirm, read, then park; after a reconnect, and
 * every few seconds, parked jobs are read again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/view.h"

#include <stdlib.h>

#define REREAD_MS 5000
#define BUCKETS   4096 /* fixed: waiting_max is tens of thousands at most */

struct wait {
    struct wait *next; /* of the same job */
    struct channel *channel;
    wait_fn woken;
    void *arg;
    bool removed;
};

struct channel {
    struct channel *next; /* in its bucket */
    struct waits *waits;
    struct id id;
    struct wait *first;
    bool asked, confirmed;
    unsigned users; /* callbacks on the stack and a confirmation under way */
};

struct waits {
    struct gateway *gateway;
    uint8_t secret[SIPHASH_SECRET_SIZE]; /* of: */
    struct channel *buckets[BUCKETS];
    size_t count;
    struct loop_timer *reread;
};

static struct channel **bucket_of(struct waits *waits, const struct id *id)
{
    return &waits->buckets[id_hash(waits->secret, id->bytes) % BUCKETS];
}

static struct channel *find(struct waits *waits, const struct id *id)
{
    struct channel *channel = *bucket_of(waits, id);
    while (channel && !id_same(&channel->id, id))
        channel = channel->next;
    return channel;
}

static void channel_name(const struct channel *channel, struct buf *out)
{
    view_key(out, channel->waits->gateway->config->namespace_, VIEW_WAKE, &channel->id);
}

/* Frees waits that were removed, and the channel with the last one. */
static void sweep(struct channel *channel)
{
    if (channel->users)
        return;
    struct wait **link = &channel->first;
    while (*link) {
        struct wait *wait = *link;
        if (wait->removed) {
            *link = wait->next;
            free(wait);
        } else {
            link = &wait->next;
        }
    }
    if (channel->first)
        return;
    struct channel **place = bucket_of(channel->waits, &channel->id);
    while (*place != channel)
        place = &(*place)->next;
    *place = channel->next;
    if (channel->waits->gateway->subscriber) {
        struct buf name = BUF_INIT(320);
        channel_name(channel, &name);
        redis_unsubscribe(channel->waits->gateway->subscriber, buf_span(&name));
        buf_free(&name);
    }
    free(channel);
}

static void wake(struct channel *channel, struct span message)
{
    channel->users++;
    for (struct wait *wait = channel->first; wait; wait = wait->next) {
        if (!wait->removed)
            wait->woken(wait->arg, message);
    }
    channel->users--;
    sweep(channel);
}

static void on_confirmed(void *arg, enum err_code code)
{
    struct channel *channel = arg;
    channel->users--;
    channel->asked = false;
    channel->confirmed = code == ERR_OK;
    wake(channel, (struct span){ 0 }); /* refused: reading again still ends the wait */
}

/* Subscribes, unless that is done or under way (a refusal is made good at the next re-reading). */
static void subscribe(struct channel *channel)
{
    if (channel->confirmed || channel->asked)
        return;
    struct buf name = BUF_INIT(320);
    channel_name(channel, &name);
    channel->asked = true;
    channel->users++;
    redis_subscribe(channel->waits->gateway->subscriber, buf_span(&name), on_confirmed, channel);
    buf_free(&name);
}

void waits_wake_all(struct waits *waits)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct channel *channel = waits->buckets[i];
        while (channel) {
            struct channel *next = channel->next;
            if (next)
                next->users++; /* stays while this one's callbacks run */
            wake(channel, (struct span){ 0 });
            if (next)
                next->users--;
            channel = next;
        }
    }
}

static void on_reread(void *arg)
{
    struct waits *waits = arg;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct channel *channel = waits->buckets[i]; channel; channel = channel->next)
            subscribe(channel);
    }
    waits_wake_all(waits);
}

struct waits *waits_new(struct gateway *gateway)
{
    struct waits *waits = MEM_NEW(*waits);
    siphash_secret(waits->secret);
    waits->gateway = gateway;
    waits->reread = loop_timer_new(gateway->loop, on_reread, waits);
    return waits;
}

void waits_free(struct waits *waits)
{
    if (!waits)
        return;
    loop_timer_free(waits->reread);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (waits->buckets[i]) {
            struct channel *channel = waits->buckets[i];
            waits->buckets[i] = channel->next;
            while (channel->first) {
                struct wait *next = channel->first->next;
                free(channel->first);
                channel->first = next;
            }
            free(channel);
        }
    }
    free(waits);
}

static struct channel *channel_new(struct waits *waits, const struct id *id)
{
    struct channel *channel = MEM_NEW(*channel);
    channel->waits = waits;
    channel->id = *id;
    struct channel **bucket = bucket_of(waits, id);
    channel->next = *bucket;
    *bucket = channel;
    return channel;
}

struct wait *waits_add(struct waits *waits, const struct id *id, wait_fn woken, void *arg)
{
    if (waits->count >= (size_t)waits->gateway->config->gateway.waiting_max)
        return NULL;
    if (waits->count++ == 0)
        loop_timer_start(waits->reread, REREAD_MS, REREAD_MS);
    struct channel *channel = find(waits, id);
    if (!channel)
        channel = channel_new(waits, id);
    struct wait *wait = MEM_NEW(*wait);
    *wait = (struct wait){ .next = channel->first, .channel = channel, .woken = woken, .arg = arg };
    channel->first = wait;
    if (MUTANT(parked_before_subscribed)) {
        woken(arg, (struct span){ 0 });
        return wait; /* re-reading subscribes, some time */
    }
    subscribe(channel);
    if (channel->confirmed)
        woken(arg, (struct span){ 0 });
    return wait;
}

void waits_remove(struct wait *wait)
{
    if (!wait || wait->removed)
        return;
    wait->removed = true;
    struct waits *waits = wait->channel->waits;
    if (--waits->count == 0)
        loop_timer_stop(waits->reread);
    sweep(wait->channel);
}

void waits_message(void *arg, struct span name, struct span message)
{
    struct gateway *gateway = arg;
    /* "<namespace>:w:<24 hex digits>" */
    size_t prefix = strlen(gateway->config->namespace_) + 3;
    struct id id;
    if (name.size < prefix ||
        !id_identity_parse((struct span){ (const char *)name.data + prefix, name.size - prefix },
                           &id))
        return;
    struct channel *channel = find(gateway->waits, &id);
    if (channel)
        wake(channel, message);
}

void waits_lost(void *arg)
{
    struct gateway *gateway = arg;
    waits_wake_all(gateway->waits);
}
