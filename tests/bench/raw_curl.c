/* What libcurl alone can do: calls of one address, so many in flight, over several multi handles on
 * one epoll set, as the worker has them (infra/http_client.c), each ended call making room for the
 * next. Nothing is done with an answer but that its status is looked at.
 * Usage: raw_curl URL CALLS IN_FLIGHT MULTIS
 * Prints one line of JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/tool.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    MULTIS_MAX = 64,
    IN_FLIGHT_MAX = 20000,
    CALLS_MAX = 10000000,
    EVENTS = 512,
    TIMEOUT_S = 60,
    IDLE_MS = 1000,
    STATUS_OK = 200,
};

struct run;

struct shard {
    struct run *run;
    CURLM *multi;
    int64_t due_ns; /* when curl wants to be called; -1: not */
};

struct call {
    CURL *easy;
    struct shard *shard;
    int64_t began_ns;
};

struct run {
    const char *url;
    int epoll_fd;
    struct shard shards[MULTIS_MAX];
    size_t shard_count;
    int64_t wanted, started, ended;
    int64_t *took_ns;
};

/* NOLINTNEXTLINE(readability-non-const-parameter): curl's type */
static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    (void)data;
    (void)arg;
    return one * size;
}

/* --- calls --- */

static void start(struct call *call)
{
    struct run *run = call->shard->run;
    run->started++;
    call->began_ns = now_ns();
    if (curl_multi_add_handle(call->shard->multi, call->easy))
        fail("curl_multi_add_handle", "it did not take the call");
}

static void call_open(struct run *run, struct call *call, struct shard *shard)
{
    call->shard = shard;
    call->easy = curl_easy_init();
    if (!call->easy)
        fail("curl_easy_init", "no memory");
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_URL, run->url);
    curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(call->easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
}

static void end_calls(struct shard *shard)
{
    struct run *run = shard->run;
    const CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(shard->multi, &left))) {
        struct call *call;
        long status = 0;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        if (code || status != STATUS_OK)
            fail(run->url, code ? curl_easy_strerror(code) : "another status");
        run->took_ns[run->ended++] = now_ns() - call->began_ns;
        curl_multi_remove_handle(shard->multi, call->easy);
        if (run->started < run->wanted)
            start(call);
    }
}

/* --- curl and the epoll set --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct shard *shard = arg;
    (void)easy;
    int epoll_fd = shard->run->epoll_fd;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    /* The shard's number goes above the descriptor's. */
    uint64_t number = (uint64_t)(shard - shard->run->shards);
    struct epoll_event event = { .events = (what & CURL_POLL_IN ? EPOLLIN : 0U) |
                                           (what & CURL_POLL_OUT ? EPOLLOUT : 0U),
                                 .data.u64 = number << 32 | (uint32_t)fd };
    if (epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl", strerrorname_np(errno));
    if (!known)
        curl_multi_assign(shard->multi, fd, shard);
    return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *arg)
{
    struct shard *shard = arg;
    (void)multi;
    shard->due_ns = wait_ms < 0 ? -1 : now_ns() + wait_ms * NS_PER_MS;
    return 0;
}

static void act(struct shard *shard, curl_socket_t fd, int what)
{
    int running;
    curl_multi_socket_action(shard->multi, fd, what, &running);
    end_calls(shard);
}

/* Calls the shards whose time has come; returns how long the next one has, in milliseconds. */
static int act_when_due(struct run *run)
{
    int64_t now = now_ns(), wait_ns = (int64_t)IDLE_MS * NS_PER_MS;
    for (size_t i = 0; i < run->shard_count; i++) {
        struct shard *shard = &run->shards[i];
        if (shard->due_ns >= 0 && shard->due_ns <= now) {
            shard->due_ns = -1;
            act(shard, CURL_SOCKET_TIMEOUT, 0);
        }
        if (shard->due_ns >= 0 && shard->due_ns - now < wait_ns)
            wait_ns = shard->due_ns > now ? shard->due_ns - now : 0;
    }
    return (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void call_all(struct run *run, struct call *calls, size_t in_flight)
{
    for (size_t i = 0; i < in_flight && run->started < run->wanted; i++) {
        call_open(run, &calls[i], &run->shards[i % run->shard_count]);
        start(&calls[i]);
    }
    struct epoll_event events[EVENTS];
    while (run->ended < run->wanted) {
        int count = epoll_wait(run->epoll_fd, events, EVENTS, act_when_due(run));
        for (int i = 0; i < count; i++) {
            unsigned what = events[i].events;
            act(&run->shards[events[i].data.u64 >> 32], (int)(uint32_t)events[i].data.u64,
                (what & EPOLLIN ? CURL_CSELECT_IN : 0) | (what & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (what & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
        }
    }
}

/* --- the whole --- */

static void shard_open(struct run *run, size_t in_flight)
{
    struct shard *shard = &run->shards[run->shard_count++];
    shard->run = run;
    shard->due_ns = -1;
    shard->multi = curl_multi_init();
    if (!shard->multi)
        fail("curl_multi_init", "no memory");
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)in_flight);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        fail("usage", "raw_curl URL CALLS IN_FLIGHT MULTIS");
    static struct run run;
    run.url = argv[1];
    run.wanted = number_of(argv[2], CALLS_MAX, "CALLS");
    size_t in_flight = (size_t)number_of(argv[3], IN_FLIGHT_MAX, "IN_FLIGHT");
    size_t multis = (size_t)number_of(argv[4], MULTIS_MAX, "MULTIS");
    run.took_ns = calloc((size_t)run.wanted, sizeof *run.took_ns);
    struct call *calls = calloc(in_flight, sizeof *calls);
    run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!run.took_ns || !calls || run.epoll_fd < 0 || curl_global_init(CURL_GLOBAL_DEFAULT))
        fail("set-up", "it does not work");
    while (run.shard_count < multis)
        shard_open(&run, in_flight);
    int64_t began_ns = now_ns();
    call_all(&run, calls, in_flight);
    double seconds = (double)(now_ns() - began_ns) / NS_PER_S;
    sort_ns(run.took_ns, run.wanted);
    printf("{\"calls\":%" PRId64 ",\"in_flight\":%zu,\"seconds\":%.4f,\"cpu_us\":%.2f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           run.wanted, in_flight, seconds, cpu_us() / (double)run.wanted,
           percentile_ms(run.took_ns, run.wanted, 0.5),
           percentile_ms(run.took_ns, run.wanted, 0.99));
    free(run.took_ns);
    free(calls);
    return 0;
}
