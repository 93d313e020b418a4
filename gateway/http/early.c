/* Requests that come while the gateway starts. Its listening socket is older than the process: who
 * connects while one gateway goes and the next one comes waits in the socket's queue, and is heard
 * before Kafka and Redis are. To refuse these would make every restart an outage; so they wait
 * until the gateway is ready, for EARLY_MS at most. See gateway.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"

#include <stdlib.h>

#define EARLY_MS                                                                                   \
    5000 /* after the start: then what is missing is told as it is at any other time               \
          */
#define LOOK_MS 5

/* How many there are is bounded by the listener's parked_max. */
struct early_request {
    struct early_request *next;
    struct early *early;
    struct http_request *req;
    http_handler_fn handler;
};

struct early {
    struct service *service;
    struct loop *loop;
    struct loop_timer *timer;
    struct early_request *first, **end; /* in the order in which they came */
    int64_t until_ms;
    bool over;
};

static void on_look(void *arg)
{
    struct early *early = arg;
    if (service_ready(early->service) || loop_now_ms(early->loop) >= early->until_ms)
        early_end(early);
}

struct early *early_new(struct service *service)
{
    struct early *early = MEM_NEW(*early);
    early->service = service;
    early->loop = service_loop(service);
    early->end = &early->first;
    early->until_ms = loop_now_ms(early->loop) + EARLY_MS;
    early->timer = loop_timer_new(early->loop, on_look, early);
    loop_timer_start(early->timer, LOOK_MS, LOOK_MS);
    return early;
}

void early_free(struct early *early)
{
    if (!early)
        return;
    early_end(early);
    loop_timer_free(early->timer);
    free(early);
}

void early_end(struct early *early)
{
    early->over = true;
    loop_timer_stop(early->timer);
    while (early->first) {
        struct early_request *request = early->first;
        early->first = request->next;
        http_on_close(request->req, NULL);
        request->handler(request->req, early->service);
        free(request);
    }
    early->end = &early->first;
}

static void on_client_gone(struct http_request *req, void *context)
{
    (void)req;
    struct early_request *request = context;
    struct early *early = request->early;
    struct early_request **link = &early->first;
    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    if (early->end == &request->next)
        early->end = link;
    free(request);
}

void early_handle(struct early *early, struct http_request *req, http_handler_fn handler)
{
    if (early->over || service_ready(early->service) || MUTANT(early_refused)) {
        handler(req, early->service);
        return;
    }
    struct early_request *request = MEM_NEW(*request);
    *request = (struct early_request){ .early = early, .req = req, .handler = handler };
    *early->end = request;
    early->end = &request->next;
    http_set_context(req, request);
    http_on_close(req, on_client_gone);
}
