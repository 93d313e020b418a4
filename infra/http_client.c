/* See http_client.h: the multi handles on the loop, and who is told what when.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/http_client.h"

#include "infra/http_client_internal.h"
#include "infra/version.h"
#include "schemas/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- lists --- */

static void link_call(struct http_call **list, struct http_call *call)
{
    call->next = *list;
    call->link = list;
    if (call->next)
        call->next->link = &call->next;
    *list = call;
}

static void unlink_call(struct http_call *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->next = NULL;
    call->link = NULL;
}

static struct http_call *take_idle(struct http_client *client)
{
    struct http_call *call = client->idle;
    if (!call)
        return http_client_call_new(client);
    unlink_call(call);
    client->idle_count--;
    return call;
}

static void give_back(struct http_call *call)
{
    struct http_client *client = call->client;
    http_client_call_reset(call);
    if (client->closed || client->idle_count >= client->connections_max) {
        http_client_call_free(call);
        return;
    }
    link_call(&client->idle, call);
    client->idle_count++;
}

/* --- lifetime --- */

static void free_now(struct http_client *client)
{
    while (client->idle) {
        struct http_call *call = client->idle;
        unlink_call(call);
        http_client_call_free(call);
    }
    for (size_t i = 0; i < client->shard_count; i++) {
        struct http_client_shard *shard = &client->shards[i];
        if (shard->multi)
            curl_multi_cleanup(shard->multi); /* its idle connections end with on_socket */
        loop_timer_free(shard->timer);
        loop_undefer(client->loop, &shard->kick);
    }
    if (client->share)
        curl_share_cleanup(client->share);
    loop_undefer(client->loop, &client->tell_cancelled);
    free(client->shards);
    free(client);
}

static void hold(struct http_client *client)
{
    client->depth++;
}

static void release(struct http_client *client)
{
    if (--client->depth == 0 && client->closed)
        free_now(client);
}

/* --- the end of a call --- */

/* Takes a running call away from curl. */
static void detach(struct http_call *call)
{
    curl_multi_remove_handle(call->shard->multi, call->easy);
    call->shard->active--;
    unlink_call(call);
}

static void tell(struct http_call *call, const struct http_response *response)
{
    call->state = HTTP_CALL_DONE;
    call->client->active--;
    call->fn(call->arg, response);
    give_back(call);
}

static void tell_all_cancelled(struct http_client *client)
{
    while (client->cancelled) {
        struct http_call *call = client->cancelled;
        client->cancelled = call->next;
        if (!client->cancelled)
            client->cancelled_end = &client->cancelled;
        struct http_response response;
        http_client_response_cancelled(call, &response);
        tell(call, &response);
    }
}

static void on_cancelled(void *arg)
{
    struct http_client *client = arg;
    hold(client);
    tell_all_cancelled(client);
    release(client);
}

void http_call_cancel(struct http_call *call)
{
    if (call->state != HTTP_CALL_RUNNING)
        return;
    struct http_client *client = call->client;
    detach(call);
    call->state = HTTP_CALL_CANCELLED;
    *client->cancelled_end = call;
    client->cancelled_end = &call->next;
    loop_defer(client->loop, &client->tell_cancelled);
}

/* Sends a call on to where its answer redirects it. False: it is over, and ret_response says how.
 */
static bool follow(struct http_call *call, CURLcode result, struct http_response *ret_response)
{
    if (!http_client_redirect_wanted(call, result)) {
        http_client_response_read(call, result, ret_response);
        return false;
    }
    struct err err = { 0 };
    CURLM *multi = call->shard->multi;
    curl_multi_remove_handle(multi, call->easy);
    enum err_code code = http_client_redirect_follow(call, &err);
    if (code == ERR_OK && curl_multi_add_handle(multi, call->easy) != CURLM_OK)
        code = err_set(&err, ERR_INTERNAL, "libcurl did not take it");
    if (code != ERR_OK)
        http_client_response_redirect(call, &err, ret_response);
    return code == ERR_OK;
}

/* Tells what has ended in a shard. curl allows every call in here, so callbacks may start and
 * cancel. */
static void drain(struct http_client_shard *shard)
{
    struct http_client *client = shard->client;
    int left = 0;
    const CURLMsg *message = NULL;
    while (!client->closed && (message = curl_multi_info_read(shard->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        struct http_call *call = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        struct http_response response;
        if (follow(call, result, &response))
            continue;
        detach(call);
        tell(call, &response);
    }
}

/* --- curl and the loop --- */

static void act(struct http_client_shard *shard, curl_socket_t fd, int events)
{
    struct http_client *client = shard->client;
    int running = 0;
    hold(client);
    curl_multi_socket_action(shard->multi, fd, events, &running);
    drain(shard);
    release(client);
}

static void on_ready(void *arg, int fd, unsigned events)
{
    act(arg, fd,
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_due(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_SOCKETFUNCTION */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client_shard *shard = arg;
    struct loop_fd *watch = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        loop_fd_free(watch);
        curl_multi_assign(shard->multi, fd, NULL);
        return 0;
    }
    if (!watch) {
        watch = loop_fd_new(shard->client->loop, fd, on_ready, shard);
        curl_multi_assign(shard->multi, fd, watch);
    }
    loop_fd_watch(watch, (what & CURL_POLL_IN ? LOOP_READ : 0U) |
                             (what & CURL_POLL_OUT ? LOOP_WRITE : 0U));
    return 0;
}

/* CURLMOPT_TIMERFUNCTION. At once means at the end of this turn: one go for all calls started in
 * it. */
static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client_shard *shard = arg;
    (void)multi;
    loop_timer_stop(shard->timer);
    loop_undefer(shard->client->loop, &shard->kick);
    if (timeout_ms == 0)
        loop_defer(shard->client->loop, &shard->kick);
    else if (timeout_ms > 0)
        loop_timer_start(shard->timer, timeout_ms, 0);
    return 0;
}

/* --- the outside --- */

static void global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool open_shard(struct http_client *client, struct http_client_shard *shard)
{
    shard->client = client;
    shard->kick = (struct loop_task){ .fn = on_due, .arg = shard };
    shard->timer = loop_timer_new(client->loop, on_due, shard);
    shard->multi = curl_multi_init();
    if (!shard->multi)
        return false;
    size_t connections = (client->connections_max + client->shard_count - 1) / client->shard_count;
    return curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard) == CURLM_OK &&
           curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard) == CURLM_OK &&
           curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)connections) == CURLM_OK;
}

enum err_code http_client_open(struct loop *loop, const struct http_client_options *options,
                               struct http_client **ret_client, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    assert(options->shards > 0 && options->connections_max > 0);

    struct http_client *client = MEM_NEW(*client);
    client->loop = loop;
    client->shard_count = options->shards;
    client->connections_max = options->connections_max;
    client->cancelled_end = &client->cancelled;
    client->tell_cancelled = (struct loop_task){ .fn = on_cancelled, .arg = client };
    snprintf(client->agent, sizeof client->agent, "errand/%s", version_text());
    client->shards = mem_zalloc(client->shard_count, sizeof *client->shards);
    /* One loop, one thread: what the shards share needs no locks. */
    client->share = curl_share_init();
    bool ok =
        client->share &&
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
    for (size_t i = 0; ok && i < client->shard_count; i++)
        ok = open_shard(client, &client->shards[i]);
    if (!ok) {
        free_now(client);
        return err_set(err, ERR_INTERNAL, "libcurl %s cannot be set up", curl_version());
    }
    *ret_client = client;
    return ERR_OK;
}

void http_client_close(struct http_client *client)
{
    if (!client || client->closed)
        return;
    hold(client);
    client->closed = true;
    while (client->running)
        http_call_cancel(client->running);
    tell_all_cancelled(client);
    release(client);
}

size_t http_client_active(const struct http_client *client)
{
    return client->active;
}

static struct http_client_shard *least_active(struct http_client *client)
{
    struct http_client_shard *least = &client->shards[0];
    for (size_t i = 1; i < client->shard_count; i++) {
        if (client->shards[i].active < least->active)
            least = &client->shards[i];
    }
    return least;
}

enum err_code http_call_start(struct http_client *client, const struct http_call_options *options,
                              http_call_fn fn, void *arg, struct http_call **ret_call,
                              struct err *err)
{
    assert(!client->closed);
    struct http_call *call = take_idle(client);
    enum err_code code = http_client_call_prepare(call, options, err);
    struct http_client_shard *shard = least_active(client);
    if (code == ERR_OK && curl_multi_add_handle(shard->multi, call->easy) != CURLM_OK)
        code = err_set(err, ERR_INTERNAL, "libcurl did not take the call");
    if (code != ERR_OK) {
        give_back(call);
        return code;
    }
    call->fn = fn;
    call->arg = arg;
    call->shard = shard;
    call->state = HTTP_CALL_RUNNING;
    link_call(&client->running, call);
    shard->active++;
    client->active++;
    *ret_call = call;
    return ERR_OK;
}
