/* A call comes in, is written into the ledger, waits if it is asked to, and is answered. A waiting
 * call is a parked request and a timer, so tens of thousands may wait. See simulator.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/simulator/simulator.h"

#include "infra/clock.h"
#include "infra/simulator/answers.h"
#include "infra/simulator/behaviour.h"
#include "infra/simulator/control.h"
#include "infra/simulator/delivery.h"
#include "infra/simulator/echo.h"
#include "infra/simulator/ledger.h"
#include "infra/simulator/query.h"
#include "infra/simulator/tls_door.h"
#include "schemas/digits.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define ANSWER_BYTES_MAX ((size_t)8 << 20)
#define CONTROL_BODY_MAX 4096
#define LEDGER_LIMIT     1000 /* calls in one answer, unless the request says otherwise */
#define LEDGER_LIMIT_MAX 10000
#define JSON_DEPTH_MAX   4
#define JSON_TOKENS_MAX  64
#define DRAIN_RETRY_S    5

struct call;

struct simulator {
    struct service *service;
    struct ledger *ledger;
    struct control *control;
    struct tls_door *tls_door; /* NULL: there is none */
    uint64_t seed;
    struct call *waiting; /* list of calls whose time has not come, or never comes */
    size_t waiting_count;
    struct metric *calls_total, *waiting_now;
};

/* One third party. */
struct endpoint {
    enum err_code (*answer)(uint64_t seed, struct http_request *req, struct buf *out,
                            struct err *err);
    /* The query arguments it knows, beside "simulate"; NULL-terminated. NULL: any. */
    const char *const *query;
};

struct call {
    struct simulator *simulator;
    struct http_request *req;
    const struct endpoint *endpoint;
    struct behaviour behaviour;
    int64_t seq;
    struct loop_timer *timer;
    struct call **link; /* what points to it: the list, or the one before it */
    struct call *next;
};

/* --- answering --- */

static void reply_json(struct http_request *req, const struct buf *body)
{
    http_reply(req, &(struct http_answer){ .status = 200,
                                           .content_type = "application/json",
                                           .body = buf_span(body) });
}

/* Sends an answer the way the call's behaviour wants it. Into the ledger first: who has the answer
 * finds its call finished there. */
static void deliver(struct call *call, const struct http_answer *answer)
{
    struct simulator *simulator = call->simulator;
    ledger_finish(simulator->ledger, call->seq, answer->status, clock_wall_ms());
    delivery_send(service_loop(simulator->service), call->req, answer, &call->behaviour);
}

static void finish_without_answer(struct call *call)
{
    ledger_finish(call->simulator->ledger, call->seq, 0, clock_wall_ms());
}

static void answer_problem(struct call *call, const struct err *err)
{
    ledger_finish(call->simulator->ledger, call->seq, err_http_status(err->code), clock_wall_ms());
    http_reply_problem(call->req, err, 0, NULL);
}

static void answer_status(struct call *call)
{
    const struct behaviour *behaviour = &call->behaviour;
    int status = (int)behaviour->status;
    char retry_after[24];
    char body[64];
    struct http_header_line headers[2];
    size_t header_count = 0;
    snprintf(retry_after, sizeof retry_after, "%lld", (long long)behaviour->retry_after_s);
    snprintf(body, sizeof body, "{\"simulated\":true,\"status\":%d}", status);
    if (behaviour->retry_after_s >= 0)
        headers[header_count++] = (struct http_header_line){ "Retry-After", retry_after };
    if (behaviour->way == BEHAVIOUR_REDIRECT)
        headers[header_count++] = (struct http_header_line){ "Location", behaviour->redirect };
    bool has_body = status != 204 && status != 304; /* RFC 9110, 15.3.5 and 15.4.5 */
    deliver(call, &(struct http_answer){
                      .status = status,
                      .content_type = has_body ? "application/json" : NULL,
                      .body = span_of(has_body ? body : NULL),
                      .headers = headers,
                      .header_count = header_count,
                  });
}

static void answer_oversize(struct call *call)
{
    deliver(call, &(struct http_answer){ .status = 200, .content_type = "application/json" });
}

/* Does what was asked for; `ret_body` is what there is to tell of it. */
static enum err_code execute(struct call *call, struct buf *ret_body, struct err *err)
{
    enum err_code code = call->endpoint->answer(call->simulator->seed, call->req, ret_body, err);
    if (code == ERR_OK && ret_body->overflow)
        code = err_set(err, ERR_BODY_TOO_LARGE, "the answer would be larger than %zu bytes",
                       ANSWER_BYTES_MAX);
    if (code == ERR_OK)
        ledger_execute(call->simulator->ledger, call->seq);
    return code;
}

static void answer_really(struct call *call)
{
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    struct err err = { 0 };
    if (execute(call, &body, &err)) {
        answer_problem(call, &err);
    } else {
        struct span told = buf_span(&body);
        if (call->behaviour.way == BEHAVIOUR_MALFORMED)
            told.size /= 2;
        deliver(call, &(struct http_answer){
                          .status = 200, .content_type = "application/json", .body = told });
    }
    buf_free(&body);
}

static void answer(struct call *call)
{
    switch (call->behaviour.way) {
    case BEHAVIOUR_STATUS:
    case BEHAVIOUR_REDIRECT:
        answer_status(call);
        break;
    case BEHAVIOUR_OVERSIZE:
        answer_oversize(call);
        break;
    case BEHAVIOUR_RESET:
        finish_without_answer(call);
        http_reset(call->req);
        break;
    case BEHAVIOUR_HANG:
    case BEHAVIOUR_EXECUTE_THEN_HANG:
    case BEHAVIOUR_REAL:
    case BEHAVIOUR_MALFORMED:
    case BEHAVIOUR_WRONG_LENGTH:
        answer_really(call);
        break;
    }
}

/* --- waiting --- */

static void set_waiting(struct simulator *simulator, size_t count)
{
    simulator->waiting_count = count;
    metric_set(simulator->waiting_now, (double)count);
}

static void leave(struct call *call)
{
    struct simulator *simulator = call->simulator;
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    set_waiting(simulator, simulator->waiting_count - 1);
    loop_timer_free(call->timer);
    free(call);
}

/* It waits until its client leaves. */
static bool hangs(const struct call *call)
{
    return call->behaviour.way == BEHAVIOUR_HANG ||
           call->behaviour.way == BEHAVIOUR_EXECUTE_THEN_HANG;
}

static void on_time(void *arg)
{
    struct call *call = arg;
    if (!hangs(call)) {
        answer(call);
        leave(call);
    } else if (call->behaviour.way == BEHAVIOUR_EXECUTE_THEN_HANG) {
        struct buf untold = BUF_INIT(ANSWER_BYTES_MAX);
        struct err err;
        (void)!execute(call, &untold, &err);
        buf_free(&untold);
    }
}

static void on_gone(struct http_request *req, void *context)
{
    struct call *call = context;
    (void)req;
    finish_without_answer(call);
    leave(call);
}

static void wait_for_time(const struct call *arrived)
{
    struct simulator *simulator = arrived->simulator;
    struct call *call = MEM_NEW(*call);
    *call = *arrived;
    call->link = &simulator->waiting;
    call->next = simulator->waiting;
    if (call->next)
        call->next->link = &call->next;
    simulator->waiting = call;
    set_waiting(simulator, simulator->waiting_count + 1);
    http_set_context(call->req, call);
    http_on_close(call->req, on_gone);
    call->timer = loop_timer_new(service_loop(simulator->service), on_time, call);
    loop_timer_start(call->timer, call->behaviour.slow_ms, 0);
}

/* --- arriving --- */

/* The call's own wish, else what is set for its path. */
static struct span wish_of(const struct simulator *simulator, struct http_request *req)
{
    struct span wish = http_header(req, "X-Simulate");
    if (wish.size == 0)
        wish = http_query(req, "simulate");
    return wish.size ? wish : control_find(simulator->control, http_path(req));
}

static void arrive(struct call *call, struct span wish)
{
    struct http_request *req = call->req;
    struct ledger_call facts = {
        .method = http_method(req),
        .path = http_path(req),
        .idempotency_key = http_header(req, "Idempotency-Key"),
        .traceparent = http_header(req, "traceparent"),
        .simulate = wish,
        .started_ms = clock_wall_ms(),
    };
    if (!digits_parse(http_header(req, "Errand-Attempt"), DIGITS_MAX_JSON, &facts.attempt))
        facts.attempt = 0;
    call->seq = ledger_add(call->simulator->ledger, &facts);
    metric_add(call->simulator->calls_total, 1);
}

static void serve(struct service *service, struct http_request *req,
                  const struct endpoint *endpoint)
{
    struct simulator *simulator = service_state(service);
    struct call call = { .simulator = simulator, .req = req, .endpoint = endpoint };
    struct span wish = wish_of(simulator, req);
    struct behaviour behaviour;
    struct err err = { 0 };
    int64_t earlier =
        ledger_count(simulator->ledger, http_header(req, "Idempotency-Key"), http_path(req));
    arrive(&call, wish);
    enum err_code code =
        endpoint->query ? query_check(req, endpoint->query, "simulate", &err) : ERR_OK;
    if (code == ERR_OK)
        code = behaviour_parse(wish, &behaviour, &err);
    if (code) {
        answer_problem(&call, &err);
        return;
    }
    call.behaviour = behaviour_decide(&behaviour, earlier);
    if (call.behaviour.slow_ms > 0 || hangs(&call))
        wait_for_time(&call);
    else
        answer(&call);
}

/* --- the third parties --- */

static enum err_code answer_quote(uint64_t seed, struct http_request *req, struct buf *out,
                                  struct err *err)
{
    return answers_quote(seed, http_param(req, 0), http_query(req, "topic"), out, err);
}

static enum err_code answer_stock(uint64_t seed, struct http_request *req, struct buf *out,
                                  struct err *err)
{
    return answers_stock(seed, http_param(req, 0), http_query(req, "day"), out, err);
}

static enum err_code answer_images(uint64_t seed, struct http_request *req, struct buf *out,
                                   struct err *err)
{
    return answers_images(seed, http_query(req, "q"), out, err);
}

static enum err_code answer_weather(uint64_t seed, struct http_request *req, struct buf *out,
                                    struct err *err)
{
    return answers_weather(seed, http_param(req, 0), http_query(req, "day"), out, err);
}

static enum err_code answer_time(uint64_t seed, struct http_request *req, struct buf *out,
                                 struct err *err)
{
    (void)seed;
    return answers_time(http_param(req, 0), http_query(req, "at"), out, err);
}

static enum err_code answer_echo(uint64_t seed, struct http_request *req, struct buf *out,
                                 struct err *err)
{
    (void)seed;
    (void)err;
    echo_write(req, out);
    return ERR_OK;
}

static void on_quotes(struct http_request *req, void *service)
{
    static const char *const query[] = { "topic", NULL };
    static const struct endpoint endpoint = { answer_quote, query };
    serve(service, req, &endpoint);
}

static void on_stocks(struct http_request *req, void *service)
{
    static const char *const query[] = { "day", NULL };
    static const struct endpoint endpoint = { answer_stock, query };
    serve(service, req, &endpoint);
}

static void on_images(struct http_request *req, void *service)
{
    static const char *const query[] = { "q", NULL };
    static const struct endpoint endpoint = { answer_images, query };
    serve(service, req, &endpoint);
}

static void on_weather(struct http_request *req, void *service)
{
    static const char *const query[] = { "day", NULL };
    static const struct endpoint endpoint = { answer_weather, query };
    serve(service, req, &endpoint);
}

static void on_time_in(struct http_request *req, void *service)
{
    static const char *const query[] = { "at", NULL };
    static const struct endpoint endpoint = { answer_time, query };
    serve(service, req, &endpoint);
}

static void on_echo(struct http_request *req, void *service)
{
    static const struct endpoint endpoint = { answer_echo, NULL };
    serve(service, req, &endpoint);
}

/* --- the operator's side --- */

static void on_authority(struct http_request *req, void *service)
{
    const struct simulator *simulator = service_state(service);
    if (!simulator->tls_door) {
        struct err err;
        (void)err_set(&err, ERR_NOT_FOUND, "There is no TLS here: simulator.tls_listen is empty.");
        http_reply_problem(req, &err, 0, NULL);
        return;
    }
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    tls_door_authority(simulator->tls_door, &body);
    http_reply(req, &(struct http_answer){ .status = 200,
                                           .content_type = "application/x-pem-file",
                                           .body = buf_span(&body) });
    buf_free(&body);
}

static struct simulator *simulator_of(void *service)
{
    return service_state(service);
}

static void reply_control(struct http_request *req, const struct simulator *simulator)
{
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    control_document(simulator->control, &body);
    reply_json(req, &body);
    buf_free(&body);
}

static void on_control_get(struct http_request *req, void *service)
{
    reply_control(req, simulator_of(service));
}

struct member_check {
    enum err_code code;
    struct err *err;
};

static void check_control_member(void *arg, struct span name, const struct json *value)
{
    static const char *const names[] = { "simulate", "match" };
    struct member_check *check = arg;
    if (!span_is(name, names[0]) && !span_is(name, names[1]))
        check->code = err_field(check->err, ERR_UNKNOWN_FIELD, "body",
                                "the members are \"simulate\" and \"match\", no others");
    else if (!json_text(value).data)
        check->code = err_field(check->err, ERR_INVALID_FIELD, "body",
                                "\"simulate\" and \"match\" are texts");
}

static enum err_code put_control(struct control *control, const struct json *body, struct err *err)
{
    struct member_check check = { .err = err };
    if (!json_get(body, "simulate"))
        return err_field(err, ERR_MISSING_FIELD, "simulate",
                         "the body must be like {\"simulate\":\"slow=200\",\"match\":\"/quotes\"}");
    json_each(body, check_control_member, &check);
    if (check.code)
        return check.code;
    const struct json *match = json_get(body, "match");
    return control_set(control, match ? json_text(match) : span_of(""),
                       json_text(json_get(body, "simulate")), err);
}

static void on_control_put(struct http_request *req, void *service)
{
    const struct json_limits limits = { .depth_max = JSON_DEPTH_MAX,
                                        .tokens_max = JSON_TOKENS_MAX };
    struct json *body = NULL;
    struct err err = { 0 };
    enum err_code code = json_parse(http_body(req), &limits, &body, &err);
    if (code == ERR_OK)
        code = put_control(simulator_of(service)->control, body, &err);
    json_free(body);
    if (code)
        http_reply_problem(req, &err, 0, NULL);
    else
        reply_control(req, simulator_of(service));
}

static void on_control_delete(struct http_request *req, void *service)
{
    control_clear(simulator_of(service)->control);
    http_reply(req, &(struct http_answer){ .status = 204 });
}

static enum err_code take_filter(struct http_request *req, struct ledger_filter *filter,
                                 struct err *err)
{
    static const char *const names[] = { "since", "key", "path", "limit", NULL };
    int64_t limit = LEDGER_LIMIT;
    enum err_code code = query_check(req, names, NULL, err);
    if (code == ERR_OK)
        code = query_number(req, "since", INT64_MAX / 2, &filter->since, err);
    if (code == ERR_OK)
        code = query_number(req, "limit", LEDGER_LIMIT_MAX, &limit, err);
    filter->limit = (size_t)limit;
    filter->key = http_query(req, "key");
    filter->path = http_query(req, "path");
    return code;
}

static void on_ledger_get(struct http_request *req, void *service)
{
    struct ledger_filter filter = { 0 };
    struct err err = { 0 };
    if (take_filter(req, &filter, &err)) {
        http_reply_problem(req, &err, 0, NULL);
        return;
    }
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    ledger_list(simulator_of(service)->ledger, &filter, &body);
    reply_json(req, &body);
    buf_free(&body);
}

static void on_ledger_summary(struct http_request *req, void *service)
{
    struct buf body = BUF_INIT(ANSWER_BYTES_MAX);
    ledger_summary(simulator_of(service)->ledger, &body);
    reply_json(req, &body);
    buf_free(&body);
}

static void on_ledger_delete(struct http_request *req, void *service)
{
    ledger_clear(simulator_of(service)->ledger);
    http_reply(req, &(struct http_answer){ .status = 204 });
}

const struct http_route simulator_routes[] = {
    { "GET", "/quotes/{author}", on_quotes, 0 },
    { "GET", "/stocks/{symbol}", on_stocks, 0 },
    { "GET", "/images", on_images, 0 },
    { "GET", "/weather/{city}", on_weather, 0 },
    { "GET", "/time/{zone}", on_time_in, 0 },
    { "POST", "/echo", on_echo, SIZE_MAX },
    { "GET", "/control", on_control_get, 0 },
    { "PUT", "/control", on_control_put, CONTROL_BODY_MAX },
    { "DELETE", "/control", on_control_delete, 0 },
    { "GET", "/ledger", on_ledger_get, 0 },
    { "GET", "/ledger/summary", on_ledger_summary, 0 },
    { "DELETE", "/ledger", on_ledger_delete, 0 },
    { "GET", "/authority.pem", on_authority, 0 },
};
const size_t simulator_route_count = COUNT(simulator_routes);

/* --- the service --- */

enum err_code simulator_start(struct service *service, void **ret_state, struct err *err)
{
    const struct config_simulator *config = &service_config(service)->simulator;
    struct tls_door *tls_door = NULL;
    if (config->tls_listen[0]) {
        enum err_code code = tls_door_new(service_loop(service), config->tls_listen,
                                          http_server_address(service_http(service)),
                                          (size_t)config->http.connections_max, &tls_door, err);
        if (code)
            return code;
        log_write(service_log(service), LOG_INFO, "simulator", NULL, "TLS at %s",
                  tls_door_address(tls_door));
    }
    struct metrics *metrics = service_metrics(service);
    struct simulator *simulator = MEM_NEW(*simulator);
    simulator->service = service;
    simulator->tls_door = tls_door;
    simulator->seed = (uint64_t)config->seed;
    simulator->ledger = ledger_new((size_t)config->ledger_max);
    simulator->control = control_new();
    simulator->calls_total =
        metrics_counter(metrics, "errand_simulator_calls_total",
                        "Calls that reached the simulated third parties.", NULL);
    simulator->waiting_now = metrics_gauge(metrics, "errand_simulator_waiting",
                                           "Calls that wait to be answered later, or never.", NULL);
    *ret_state = simulator;
    return ERR_OK;
}

void simulator_drain(void *state)
{
    struct simulator *simulator = state;
    for (struct call *call = simulator->waiting, *next; call; call = next) {
        next = call->next;
        call->behaviour = (struct behaviour){ .way = BEHAVIOUR_STATUS,
                                              .status = 503,
                                              .retry_after_s = DRAIN_RETRY_S };
        answer(call);
        leave(call);
    }
    service_drained(simulator->service);
}

void simulator_stop(void *state)
{
    struct simulator *simulator = state;
    for (struct call *call = simulator->waiting, *next; call; call = next) {
        next = call->next;
        http_on_close(call->req, NULL); /* the server is still there, and will end the request */
        leave(call);
    }
    tls_door_free(simulator->tls_door);
    ledger_free(simulator->ledger);
    control_free(simulator->control);
    free(simulator);
}
