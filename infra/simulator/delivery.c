/* See delivery.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/delivery.h"

#include "schemas/mem.h"

#include <stdlib.h>

/* What is announced beyond what comes. */
#define MISSING_BYTES 64

struct delivery {
    struct http_request *req;
    char *body;    /* NULL: filler */
    uint64_t size; /* of what comes */
    bool breaks;   /* after it */
    int64_t drip_ms;
    struct loop_timer *drip; /* NULL: all at once */
    bool due;                /* the next byte's time has come */
};

static void on_due(void *arg)
{
    struct delivery *delivery = arg;
    delivery->due = true;
    http_stream_go_on(delivery->req);
}

/* Filler is one long JSON string. */
static void fill(const struct delivery *delivery, uint64_t offset, char *to, size_t size)
{
    memset(to, 'x', size);
    if (offset == 0)
        to[0] = '"';
    if (offset + size == delivery->size)
        to[size - 1] = '"';
}

static ssize_t read_body(void *arg, uint64_t offset, char *to, size_t size)
{
    struct delivery *delivery = arg;
    if (offset >= delivery->size)
        return delivery->breaks ? HTTP_STREAM_BREAK : HTTP_STREAM_END;
    if (delivery->drip && !delivery->due) {
        loop_timer_start(delivery->drip, delivery->drip_ms, 0);
        return HTTP_STREAM_LATER;
    }
    delivery->due = false;
    uint64_t left = delivery->size - offset;
    if (delivery->drip)
        size = 1;
    else if (size > left)
        size = (size_t)left;
    if (delivery->body)
        memcpy(to, delivery->body + offset, size);
    else
        fill(delivery, offset, to, size);
    return (ssize_t)size;
}

static void end(void *arg)
{
    struct delivery *delivery = arg;
    loop_timer_free(delivery->drip);
    free(delivery->body);
    free(delivery);
}

static bool is_plain(const struct behaviour *behaviour)
{
    return behaviour->drip_ms == 0 && !behaviour->chunked && behaviour->way != BEHAVIOUR_OVERSIZE &&
           behaviour->way != BEHAVIOUR_WRONG_LENGTH;
}

void delivery_send(struct loop *loop, struct http_request *req, const struct http_answer *answer,
                   const struct behaviour *behaviour)
{
    if (is_plain(behaviour)) {
        http_reply(req, answer);
        return;
    }
    bool oversize = behaviour->way == BEHAVIOUR_OVERSIZE;
    bool breaks = behaviour->way == BEHAVIOUR_WRONG_LENGTH;
    struct delivery *delivery = MEM_NEW(*delivery);
    *delivery = (struct delivery){
        .req = req,
        .body = oversize ? NULL : mem_dup(answer->body),
        .size = oversize ? (uint64_t)behaviour->oversize_bytes : answer->body.size,
        .breaks = breaks,
        .drip_ms = behaviour->drip_ms,
        .drip = behaviour->drip_ms ? loop_timer_new(loop, on_due, delivery) : NULL,
    };
    const struct http_stream stream = {
        .read = read_body,
        .end = end,
        .arg = delivery,
        .size = behaviour->chunked ? -1 : (int64_t)delivery->size + (breaks ? MISSING_BYTES : 0),
    };
    struct http_answer streamed = *answer;
    streamed.stream = &stream;
    http_reply(req, &streamed);
}
