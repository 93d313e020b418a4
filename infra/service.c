/* See service.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/service.h"

#include "infra/service_internal.h"
#include "infra/version.h"
#include "infra/watchdog.h"
#include "schemas/digest.h"
#include "schemas/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    POSTS_MAX = 65536,
    LOG_BUFFER_BYTES = 4 * 1024 * 1024,
    STALL_MS = 10000,      /* a loop that does not turn for so long is ended */
    DRAIN_GRACE_MS = 2000, /* beyond the daemon's own drain_ms */
    READY_LOOK_MS = 500,   /* how soon a change of readiness is in the log */
    READY_BYTES_MAX = 64 * 1024,
    METRICS_BYTES_MAX = 16 * 1024 * 1024,
    CONDITION_NAME_MAX = 32,
    CONDITION_WHY_MAX = 256,
    INCARNATION_BYTES = 8,
};

struct service_condition {
    struct service_condition *next;
    char name[CONDITION_NAME_MAX];
    char why[CONDITION_WHY_MAX];
    bool ready;
};

struct service {
    const struct service_spec *spec;
    const char *config_path; /* NULL: none */
    const char *name;
    char incarnation[2 * INCARNATION_BYTES + 1];
    struct config *config;
    struct log *log;
    struct loop *loop;
    struct metrics *metrics;
    struct metric *log_dropped;
    struct http_route *routes;
    struct http_server *http;
    void *state;

    struct service_condition *conditions; /* in the order created */
    bool said_ready;                      /* what the log says last */
    struct loop_timer *ready_look;

    struct watchdog *watchdog;
    struct loop_signal *terminate;
    struct loop_signal *interrupt;
    struct loop_timer *drain_limit;
    bool draining;
    const char *why_ended;
    int exit_code;
};

struct loop *service_loop(const struct service *service)
{
    return service->loop;
}

const struct config *service_config(const struct service *service)
{
    return service->config;
}

const char *service_config_path(const struct service *service)
{
    return service->config_path;
}

struct log *service_log(const struct service *service)
{
    return service->log;
}

struct metrics *service_metrics(const struct service *service)
{
    return service->metrics;
}

struct http_server *service_http(const struct service *service)
{
    return service->http;
}

const char *service_name(const struct service *service)
{
    return service->name;
}

const char *service_incarnation(const struct service *service)
{
    return service->incarnation;
}

void *service_state(const struct service *service)
{
    return service->state;
}

bool service_is_draining(const struct service *service)
{
    return service->draining;
}

/* --- readiness --- */

struct service_condition *service_condition_new(struct service *service, const char *name)
{
    struct service_condition *condition = MEM_NEW(*condition);
    snprintf(condition->name, sizeof condition->name, "%s", name);
    snprintf(condition->why, sizeof condition->why, "starting");
    struct service_condition **end = &service->conditions;
    while (*end)
        end = &(*end)->next;
    *end = condition;
    return condition;
}

void service_condition_set(struct service_condition *condition, bool ready, const char *why)
{
    condition->ready = ready;
    if (!ready)
        snprintf(condition->why, sizeof condition->why, "%s", why ? why : "not ready");
}

/* The first condition that does not hold, or NULL. */
static const struct service_condition *find_missing(const struct service *service)
{
    const struct service_condition *condition = service->conditions;
    while (condition && condition->ready)
        condition = condition->next;
    return condition;
}

bool service_ready(const struct service *service)
{
    return !service->draining && !find_missing(service);
}

/* Conditions may flicker; the log says what has changed since it was last looked at. */
static void on_ready_look(void *arg)
{
    struct service *service = arg;
    const struct service_condition *missing = find_missing(service);
    if (service->said_ready == !missing)
        return;
    service->said_ready = !missing;
    if (missing)
        log_write(service->log, LOG_WARN, "service", NULL, "not ready any more: %s: %s",
                  missing->name, missing->why);
    else
        log_write(service->log, LOG_INFO, "service", NULL, "ready");
}

/* --- the operators' routes --- */

static void reply(struct http_request *req, int status, const char *content_type, struct buf *body)
{
    struct http_answer answer = { .status = status,
                                  .content_type = content_type,
                                  .body = buf_span(body) };
    http_reply(req, &answer);
    buf_free(body);
}

/* That there is an answer says that the loop turns. */
static void on_livez(struct http_request *req, void *arg)
{
    const struct service *service = arg;
    struct buf body = BUF_INIT(READY_BYTES_MAX);
    buf_add_text(&body, "{\"live\":true,\"process\":");
    buf_add_json_string(&body, span_of(service->name));
    buf_printf(&body, ",\"version\":\"%s\"}\n", version_text());
    reply(req, 200, "application/json", &body);
}

static void add_condition(struct buf *body, const char *name, const char *why_not)
{
    if (body->data[body->size - 1] != '[')
        buf_add_char(body, ',');
    buf_printf(body, "{\"name\":\"%s\",\"ready\":%s", name, why_not ? "false,\"why\":" : "true");
    if (why_not)
        buf_add_json_string(body, span_of(why_not));
    buf_add_char(body, '}');
}

static void on_readyz(struct http_request *req, void *arg)
{
    const struct service *service = arg;
    bool ready = service_ready(service);
    struct buf body = BUF_INIT(READY_BYTES_MAX);
    buf_printf(&body, "{\"ready\":%s,\"process\":", ready ? "true" : "false");
    buf_add_json_string(&body, span_of(service->name));
    buf_add_text(&body, ",\"conditions\":[");
    if (service->draining)
        add_condition(&body, "draining", "shutting down");
    for (const struct service_condition *c = service->conditions; c; c = c->next)
        add_condition(&body, c->name, c->ready ? NULL : c->why);
    buf_add_text(&body, "]}\n");
    reply(req, ready ? 200 : 503, "application/json", &body);
}

static void on_metrics(struct http_request *req, void *arg)
{
    const struct service *service = arg;
    metric_add(service->log_dropped,
               log_dropped(service->log) - (int64_t)metric_value(service->log_dropped));
    struct buf body = BUF_INIT(METRICS_BYTES_MAX);
    metrics_render(service->metrics, &body);
    reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static enum err_code open_http(struct service *service, struct err *err)
{
    static const struct http_route own[] = {
        { "GET", "/livez", on_livez, 0 },
        { "GET", "/readyz", on_readyz, 0 },
        { "GET", "/metrics", on_metrics, 0 },
    };
    enum { OWN_COUNT = sizeof own / sizeof *own };
    /* The interface's addresses; beside them there may be others, for people. */
    static const char *const produces[] = { "application/json",     "application/problem+json",
                                            "application/x-ndjson", "text/event-stream",
                                            "text/plain",           NULL };
    const struct service_spec *spec = service->spec;
    service->routes = mem_zalloc(OWN_COUNT + spec->route_count, sizeof *service->routes);
    memcpy(service->routes, own, sizeof own);
    for (size_t i = 0; i < spec->route_count; i++)
        service->routes[OWN_COUNT + i] = spec->routes[i];
    struct http_server_options options = {
        .config = spec->http(service->config),
        .listen_fd = service_process_listener(),
        .routes = service->routes,
        .route_count = OWN_COUNT + spec->route_count,
        .vital_count = OWN_COUNT,
        .arg = service,
        .produces_under = "/v1/",
        .produces = produces,
        .metrics = service->metrics,
        .log = service->log,
    };
    return http_server_open(service->loop, &options, &service->http, err);
}

/* --- the end --- */

static void end(struct service *service, const char *why, int exit_code)
{
    service->why_ended = why;
    service->exit_code = exit_code;
    loop_stop(service->loop);
}

void service_drained(struct service *service)
{
    end(service, "drained", SERVICE_EXIT_DRAINED);
}

void service_fail(struct service *service, const struct err *err)
{
    struct log_about about = { .err = err };
    log_write(service->log, LOG_ERROR, "service", &about, "cannot go on");
    end(service, "failed", SERVICE_EXIT_FAILED);
}

static int64_t drain_limit_ms(const struct service *service)
{
    const struct service_spec *spec = service->spec;
    return (spec->drain_ms_of ? spec->drain_ms_of(service_config(service)) : spec->drain_ms) +
           DRAIN_GRACE_MS;
}

static void on_drain_limit(void *arg)
{
    struct service *service = arg;
    long long limit_ms = drain_limit_ms(service);
    log_write(service->log, LOG_WARN, "service", NULL,
              "what runs did not end within %lld ms; stopping anyway", limit_ms);
    end(service, "stopped with work left", SERVICE_EXIT_DRAINED);
}

static void on_stop_signal(void *arg, int signal_number)
{
    struct service *service = arg;
    if (service->draining)
        _exit(SERVICE_EXIT_FAILED); /* a second one means now */
    service->draining = true;
    log_write(service->log, LOG_INFO, "service", NULL, "signal %d: draining", signal_number);
    service_process_notify("STOPPING=1");
    loop_timer_start(service->drain_limit, drain_limit_ms(service), 0);
    if (service->spec->drain)
        service->spec->drain(service->state);
    else
        service_drained(service);
}

/* --- the start --- */

static void name_process(struct service *service)
{
    static const char prefix[] = "errand-";
    const char *name = getenv("ERRAND_PROCESS"); /* NOLINT(concurrency-mt-unsafe): one thread yet */
    const char *program = service->spec->program;
    if (!name || !name[0])
        name = strncmp(program, prefix, strlen(prefix)) == 0 ? program + strlen(prefix) : program;
    service->name = name;
}

static enum err_code draw_incarnation(struct service *service, struct err *err)
{
    uint8_t random[INCARNATION_BYTES];
    if (!digest_random(random, sizeof random))
        return err_set(err, ERR_IO, "The system gives no random bytes.");
    struct buf hex = BUF_INIT(sizeof service->incarnation - 1);
    buf_add_hex(&hex, (struct span){ .data = random, .size = sizeof random });
    memcpy(service->incarnation, hex.data, hex.size + 1);
    buf_free(&hex);
    return ERR_OK;
}

static enum err_code open_log(struct service *service, struct err *err)
{
    const struct config_log *log = &service->config->log;
    struct log_options options = {
        .process = service->name,
        .path = log->path && log->path[0] ? log->path : NULL,
        .level = log->level,
        .rotate_bytes = (size_t)log->rotate_bytes,
        .buffer_bytes = LOG_BUFFER_BYTES,
    };
    return log_open(&options, &service->log, err);
}

static void open_metrics(struct service *service)
{
    service->metrics = metrics_new();
    service->log_dropped = metrics_counter(service->metrics, "errand_log_dropped_lines_total",
                                           "Log lines for which there was no room.", NULL);
    struct buf labels = BUF_INIT(READY_BYTES_MAX);
    metrics_label(&labels, "version", span_of(version_text()));
    metric_set(metrics_gauge(service->metrics, "errand_build_info", "Always 1.", labels.data), 1);
    buf_free(&labels);
}

static void open_loop(struct service *service)
{
    service->loop = loop_new(POSTS_MAX);
    service->terminate = loop_signal_new(service->loop, SIGTERM, on_stop_signal, service);
    service->interrupt = loop_signal_new(service->loop, SIGINT, on_stop_signal, service);
    service->drain_limit = loop_timer_new(service->loop, on_drain_limit, service);
    service->ready_look = loop_timer_new(service->loop, on_ready_look, service);
    loop_timer_start(service->ready_look, 0, READY_LOOK_MS);
}

static enum err_code start(struct service *service, struct err *err)
{
    enum err_code code = draw_incarnation(service, err);
    if (!code)
        code = open_log(service, err);
    if (code)
        return code;
    open_metrics(service);
    open_loop(service);
    code = open_http(service, err);
    if (code)
        return code;
    log_write(service->log, LOG_INFO, "service", NULL, "%s %s listens on %s, configuration %s",
              service->spec->program, version_text(), http_server_address(service->http),
              service->config_path ? service->config_path : "from the environment");
    return service->spec->start(service, &service->state, err);
}

static void run(struct service *service)
{
    service->watchdog = watchdog_start(service->loop, STALL_MS);
    /* Started is what systemd asks; what we depend on may be away at boot, and /readyz tells of it.
     */
    service_process_notify("READY=1");
    loop_run(service->loop);
    watchdog_stop(service->watchdog);
}

static void close_all(struct service *service)
{
    http_server_close(service->http);
    if (service->state)
        service->spec->stop(service->state);
    loop_signal_free(service->terminate);
    loop_signal_free(service->interrupt);
    loop_timer_free(service->drain_limit);
    loop_timer_free(service->ready_look);
    loop_free(service->loop);
    metrics_free(service->metrics);
    free(service->routes);
    for (struct service_condition *c = service->conditions, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    log_write(service->log, LOG_INFO, "service", NULL, "%s: exit code %d",
              service->why_ended ? service->why_ended : "ends", service->exit_code);
    log_close(service->log);
    config_free(service->config);
}

/* On stderr for whoever started the program; in the log when that is somewhere else. */
static void tell_start_failed(const struct service *service, const struct err *err)
{
    const struct config_log *log = &service->config->log;
    (void)fprintf(stderr, "error: %s cannot start: %s\n", service->spec->program, err->text);
    struct log_about about = { .err = err };
    if (log->path && log->path[0])
        log_write(service->log, LOG_ERROR, "service", &about, "cannot start");
}

int service_main(const struct service_spec *spec, int argc, char **argv)
{
    struct service service = { .spec = spec };
    int exit_code;
    if (!service_command_parse(spec, argc, argv, &service.config_path, &exit_code))
        return exit_code;
    service_process_limit();
    name_process(&service);
    struct err err = { 0 };
    char *report = NULL;
    if (config_load(service.config_path, &service.config, &report, &err)) {
        (void)fprintf(stderr, "error: the configuration is wrong\n%s\n",
                      report && report[0] ? report : err.text);
        free(report);
        return SERVICE_EXIT_USAGE;
    }
    free(report);
    if (start(&service, &err)) {
        tell_start_failed(&service, &err);
        service.why_ended = "not started";
        service.exit_code = err.code == ERR_CONFIG ? SERVICE_EXIT_USAGE : SERVICE_EXIT_FAILED;
    } else {
        run(&service);
    }
    close_all(&service);
    return service.exit_code;
}
