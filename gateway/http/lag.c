/* GET /v1/lag and GET /v1/autoscale: how far the workers are behind, and how many are wanted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "gateway/http/lag_watch.h"
#include "schemas/mem.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdlib.h>

#define BYTES_MAX     ((size_t)64 * 1024 * 1024)
#define GROUP_MAX     255 /* bytes of a group's name; Kafka's own limit is that of a short string */
#define DRAIN_MS      60000
#define AUTOSCALE_MAX ((size_t)1024 * 1024)

static void tell(struct http_request *req, const struct lag_look *look)
{
    struct buf body = BUF_INIT(BYTES_MAX);
    lag_json(look, &body);
    gateway_json(req, 200, &body, NULL, 0);
    buf_free(&body);
}

/* --- another group: the request waits for its answer, unless its client goes away --- */

struct waiting {
    struct http_request *req; /* NULL: the client has gone */
};

static void on_close(struct http_request *req, void *context)
{
    (void)req;
    struct waiting *waiting = context;
    waiting->req = NULL;
}

static void on_answer(void *arg, const struct lag_look *look, const struct err *err)
{
    struct waiting *waiting = arg;
    struct http_request *req = waiting->req;
    free(waiting);
    if (!req)
        return;
    struct err missing;
    if (!look) {
        gateway_problem(req, err);
    } else if (look->groups[0].count == 0 && look->groups[0].members <= 0) {
        (void)err_field(&missing, ERR_NOT_FOUND, "group", "There is no group %s.",
                        look->groups[0].name);
        gateway_problem(req, &missing);
    } else {
        tell(req, look);
    }
}

static void ask(struct gateway *gateway, struct http_request *req, struct span group)
{
    struct err err;
    struct waiting *waiting = MEM_NEW(*waiting);
    waiting->req = req;
    if (lag_watch_ask(gateway->lag, group, on_answer, waiting, &err) != ERR_OK) {
        free(waiting);
        gateway_problem(req, &err);
        return;
    }
    http_set_context(req, waiting);
    http_on_close(req, on_close);
}

static const struct lag_group *find_group(const struct lag_look *look, struct span name, bool queue)
{
    for (size_t i = 0; i < look->count; i++) {
        const char *text = queue ? look->groups[i].queue : look->groups[i].name;
        if (text && span_is(name, text))
            return &look->groups[i];
    }
    return NULL;
}

void lag_handler(struct http_request *req, void *service)
{
    struct gateway *gateway = service_state(service);
    struct err err;
    struct span name = http_query(req, "group");
    const struct lag_look *look = lag_watch_find(gateway->lag, &err);
    const struct lag_group *group = look && name.data ? find_group(look, name, false) : NULL;
    if (name.data && (name.size == 0 || name.size > GROUP_MAX)) {
        (void)err_field(&err, ERR_INVALID_PARAMETER, "group", "group is 1 to %d bytes.", GROUP_MAX);
        gateway_problem(req, &err);
    } else if (name.data && !group) {
        ask(gateway, req, name);
    } else if (!look) {
        gateway_problem(req, &err);
    } else if (group) {
        struct lag_look one = *look;
        one.groups = look->groups + (group - look->groups);
        one.count = 1;
        tell(req, &one);
    } else {
        tell(req, look);
    }
}

/* --- how many workers --- */

static void add_number(struct buf *out, const char *name, double value, int decimals)
{
    if (value < 0)
        buf_printf(out, ",\"%s\":null", name);
    else
        buf_printf(out, ",\"%s\":%.*f", name, decimals, value);
}

static void add_queue(struct buf *out, const struct gateway *gateway, const struct lag_group *group,
                      double drain_s)
{
    double worker_rate = 0;
    int64_t workers = lag_watch_workers(gateway->lag, group, drain_s, &worker_rate);
    const struct lag_figures *figures = &group->figures;
    buf_add_text(out, "\"queue\":");
    buf_add_json_string(out, span_of(group->queue));
    add_number(out, "workers", (double)workers, 0);
    add_number(out, "present", (double)group->members, 0);
    add_number(out, "partitions", (double)group->topics[0].count, 0);
    add_number(out, "lag", (double)figures->lag, 0);
    add_number(out, "behind_seconds",
               figures->behind_ms < 0 ? -1 : (double)figures->behind_ms / 1000, 3);
    add_number(out, "in_rate", figures->in_rate, 3);
    add_number(out, "worker_rate", worker_rate > 0 ? worker_rate : -1, 3);
}

static enum err_code drain_of(struct http_request *req, double *ret_drain_s, struct err *err)
{
    struct span text = http_query(req, "drain");
    int64_t ms = DRAIN_MS;
    if (text.data && (!timefmt_parse_duration(text, &ms) || ms <= 0))
        return err_field(err, ERR_INVALID_PARAMETER, "drain",
                         "drain is the time in which the lag shall be gone, such as ?drain=60s");
    *ret_drain_s = (double)ms / 1000;
    return ERR_OK;
}

/* One queue: an autoscaler that reads a number must not read null, so what is unknown is 503. */
static void autoscale_one(const struct gateway *gateway, struct http_request *req,
                          const struct lag_group *group, const char *at, double drain_s)
{
    struct err err;
    double worker_rate = 0;
    if (lag_watch_workers(gateway->lag, group, drain_s, &worker_rate) < 0) {
        (void)err_set(&err, ERR_KAFKA, "The lag of queue %s is not known.", group->queue);
        gateway_problem(req, &err);
        return;
    }
    struct buf body = BUF_INIT(AUTOSCALE_MAX);
    buf_printf(&body, "{\"schema\":\"errand.autoscale/1\",\"at\":\"%s\",", at);
    add_queue(&body, gateway, group, drain_s);
    buf_add_char(&body, '}');
    gateway_json(req, 200, &body, NULL, 0);
    buf_free(&body);
}

void autoscale_handler(struct http_request *req, void *service)
{
    const struct gateway *gateway = service_state(service);
    struct err err;
    double drain_s = 0;
    struct span name = http_query(req, "queue");
    const struct lag_look *look = lag_watch_find(gateway->lag, &err);
    if (!look || drain_of(req, &drain_s, &err) != ERR_OK) {
        gateway_problem(req, &err);
        return;
    }
    char at[TIMEFMT_RFC3339_SIZE];
    timefmt_rfc3339(look->at_ms, at);
    const struct lag_group *group = name.data ? find_group(look, name, true) : NULL;
    if (group) {
        autoscale_one(gateway, req, group, at, drain_s);
        return;
    }
    if (name.data) {
        (void)err_field(&err, ERR_NOT_FOUND, "queue", "There is no queue %.*s.",
                        (int)(name.size < GROUP_MAX ? name.size : GROUP_MAX),
                        (const char *)name.data);
        gateway_problem(req, &err);
        return;
    }
    struct buf body = BUF_INIT(AUTOSCALE_MAX);
    buf_printf(&body, "{\"schema\":\"errand.autoscale/1\",\"at\":\"%s\",\"queues\":[", at);
    for (size_t i = 0; i < look->count; i++) {
        buf_add_text(&body, i ? ",{" : "{");
        add_queue(&body, gateway, &look->groups[i], drain_s);
        buf_add_char(&body, '}');
    }
    buf_add_text(&body, "]}");
    gateway_json(req, 200, &body, NULL, 0);
    buf_free(&body);
}
