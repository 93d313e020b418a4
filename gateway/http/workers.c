/* GET /v1/workers: who works now. Not a part of the view: it is asked of the registry itself, and
 * empty for a moment when Redis has been emptied.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/workers.h"
#include "gateway/http/gateway.h"
#include "schemas/json.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdlib.h>

#define BODY_BYTES_MAX ((size_t)32 * 1024 * 1024)

static const struct json_limits limits = { .depth_max = 4, .tokens_max = 1000 };

struct asking {
    struct http_request *req; /* NULL when the client has gone */
};

struct life {
    const struct workers_life *of;
    struct json *told;
    struct span name;
};

static int by_name(const void *a, const void *b)
{
    const struct life *one = a, *other = b;
    size_t shorter = one->name.size < other->name.size ? one->name.size : other->name.size;
    int order = shorter ? memcmp(one->name.data, other->name.data, shorter) : 0;
    if (order)
        return order;
    return (one->name.size > other->name.size) - (one->name.size < other->name.size);
}

static void add_text(struct buf *out, const char *name, struct span value)
{
    buf_printf(out, ",\"%s\":", name);
    buf_add_json_string(out, value);
}

static void add_number(struct buf *out, const struct json *told, const char *name)
{
    int64_t number = 0;
    if (json_integer_of(json_get(told, name), &number))
        buf_printf(out, ",\"%s\":%" PRId64, name, number);
}

static void add_life(struct buf *out, const struct life *life, int64_t now_ms)
{
    const struct json *queues = json_get(life->told, "queues");
    int64_t beat_ms = 0;
    char time[TIMEFMT_RFC3339_SIZE];
    buf_add_text(out, "{\"name\":");
    buf_add_json_string(out, life->name);
    add_text(out, "incarnation", life->of->incarnation);
    add_text(out, "version", json_text(json_get(life->told, "version")));
    add_text(out, "host", json_text(json_get(life->told, "host")));
    add_number(out, life->told, "pid");
    buf_add_text(out, ",\"queues\":[");
    for (size_t i = 0; i < json_count(queues); i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_string(out, json_text(json_at(queues, i)));
    }
    buf_add_char(out, ']');
    add_number(out, life->told, "in_flight");
    add_number(out, life->told, "partitions");
    if (json_integer_of(json_get(life->told, "beat_at_ms"), &beat_ms)) {
        timefmt_rfc3339(beat_ms, time);
        add_text(out, "beat_at", span_of(time));
        buf_printf(out, ",\"beat_seconds_ago\":%.3f",
                   beat_ms < now_ms ? (double)(now_ms - beat_ms) / 1000 : 0.0);
    }
    buf_add_char(out, '}');
}

static void answer(struct http_request *req, const struct workers_answer *found)
{
    struct life *lives = mem_zalloc(found->count + 1, sizeof *lives);
    size_t count = 0;
    struct buf body = BUF_INIT(BODY_BYTES_MAX);
    for (size_t i = 0; i < found->count; i++) {
        struct life *life = &lives[count];
        life->of = &found->lives[i];
        if (json_parse(life->of->told, &limits, &life->told, NULL))
            continue;
        life->name = json_text(json_get(life->told, "name"));
        count++;
    }
    qsort(lives, count, sizeof *lives, by_name);
    buf_add_text(&body, "{\"workers\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&body, ',');
        add_life(&body, &lives[i], found->now_ms);
        json_free(lives[i].told);
    }
    buf_add_text(&body, "]}");
    gateway_json(req, 200, &body, NULL, 0);
    buf_free(&body);
    free(lives);
}

static void on_workers(void *arg, const struct workers_answer *found)
{
    struct asking *asking = arg;
    struct http_request *req = asking->req;
    free(asking);
    if (!req)
        return;
    if (found->code) {
        struct err err;
        err_set(&err, ERR_VIEW_UNAVAILABLE, "The registry of workers (Redis) did not answer.");
        gateway_problem(req, &err);
        return;
    }
    answer(req, found);
}

static void on_client_gone(struct http_request *req, void *context)
{
    (void)req;
    struct asking *asking = context;
    asking->req = NULL;
}

void workers_handler(struct http_request *req, void *service)
{
    const struct gateway *gateway = service_state(service);
    struct asking *asking = MEM_NEW(*asking);
    asking->req = req;
    http_set_context(req, asking);
    http_on_close(req, on_client_gone);
    workers_read(gateway->redis, gateway->config->namespace_, on_workers, asking);
}
