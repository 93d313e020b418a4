/* errand-gateway: HTTP in, HTTP out. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/gateway.h"
#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/topic.h"

#include <stdlib.h>

#define REDIS_PENDING_MAX 100000
#define DRAIN_LOOK_MS     10

static const struct config_http *http(const struct config *config)
{
    return &config->gateway.http;
}

static void on_redis(void *arg, bool ready)
{
    struct gateway *gateway = arg;
    service_condition_set(gateway->redis_ready, ready, redis_last_error(gateway->redis));
    log_write(gateway->log, ready ? LOG_INFO : LOG_WARN, "gateway", NULL, "redis %s",
              ready ? "connected" : redis_last_error(gateway->redis));
    if (ready && gateway->subscriber)
        redis_subscriber_follow(gateway->subscriber, redis_run_id(gateway->redis));
}

static void on_identity(void *arg)
{
    struct gateway *gateway = arg;
    service_condition_set(gateway->identity_ready, true, NULL);
}

static void on_kafka(void *arg, const char *why)
{
    struct gateway *gateway = arg;
    service_condition_set(gateway->kafka_ready, !why, why);
}

static void watch_kafka(struct gateway *gateway)
{
    const struct config *config = gateway->config;
    char **topics = mem_zalloc(config->queue_count, sizeof *topics);
    for (size_t i = 0; i < config->queue_count; i++) {
        struct buf name = BUF_INIT(TOPIC_NAME_MAX);
        topic_name(&name, config->namespace_, TOPIC_COMMANDS, config->queues[i].name);
        topics[i] = buf_take(&name);
    }
    gateway->kafka_watch =
        kafka_watch_start(gateway->loop, gateway->producer, (const char *const *)topics,
                          config->queue_count, on_kafka, gateway);
    for (size_t i = 0; i < config->queue_count; i++)
        free(topics[i]);
    free(topics);
}

static enum err_code open_kafka(struct gateway *gateway, struct err *err)
{
    const struct config *config = gateway->config;
    const char *name = service_name(gateway->service);
    struct kafka_producer_options options = {
        .config = &config->kafka,
        .client_id = name,
        .timeout_ms = config->kafka.produce_timeout_ms,
        .queue_bytes_max = (size_t)config->kafka.send_queue_bytes,
        .metrics = service_metrics(gateway->service),
        .log = gateway->log,
    };
    enum err_code code = kafka_producer_open(gateway->loop, &options, &gateway->producer, err);
    if (code == ERR_OK)
        code = kafka_admin_open(&config->kafka, name, &gateway->admin, err);
    if (code)
        return code;
    struct buf source = BUF_INIT(256);
    buf_printf(&source, "/errand/%s", name);
    gateway->source = buf_take(&source);
    gateway->publish = (struct publish){
        .producer = gateway->producer,
        .namespace_ = config->namespace_,
        .source = gateway->source,
    };
    watch_kafka(gateway);
    return ERR_OK;
}

static void open_redis(struct gateway *gateway)
{
    struct redis_options options = {
        .config = &gateway->config->redis,
        .timeout_ms = gateway->config->redis.view_timeout_ms,
        .pending_max = REDIS_PENDING_MAX,
        .on_state = on_redis,
        .arg = gateway,
    };
    gateway->redis = redis_open(gateway->loop, &options);
    options.on_state = NULL;
    gateway->subscriber = redis_subscriber_open(gateway->loop, &options, waits_message, waits_lost);
}

static void open_minter(struct gateway *gateway)
{
    const struct config_strings *secrets = &gateway->config->id_secrets;
    struct span *spans = mem_zalloc(secrets->count, sizeof *spans);
    for (size_t i = 0; i < secrets->count; i++)
        spans[i] = span_of(secrets->items[i]);
    gateway->minter = id_minter_new(spans, secrets->count);
    free(spans);
}

static void open_metrics(struct gateway *gateway)
{
    struct metrics *metrics = service_metrics(gateway->service);
    static const char help[] = "Submissions by what was answered.";
    gateway->accepted =
        metrics_counter(metrics, "errand_submissions_total", help, "outcome=\"accepted\"");
    gateway->refused =
        metrics_counter(metrics, "errand_submissions_total", help, "outcome=\"refused\"");
    gateway->unknown =
        metrics_counter(metrics, "errand_submissions_total", help, "outcome=\"unknown\"");
}

static void stop(void *state);

static enum err_code start(struct service *service, void **ret_state, struct err *err)
{
    struct gateway *gateway = MEM_NEW(*gateway);
    gateway->service = service;
    gateway->config = service_config(service);
    gateway->loop = service_loop(service);
    gateway->log = service_log(service);
    gateway->kafka_ready = service_condition_new(service, "kafka");
    gateway->redis_ready = service_condition_new(service, "redis");
    gateway->identity_ready = service_condition_new(service, "identity");
    loop_pool_more(GATEWAY_KAFKA_QUESTIONS_MAX);
    open_metrics(gateway);
    open_minter(gateway);
    gateway->sticky = sticky_new(gateway->config->queue_count);
    gateway->waits = waits_new(gateway);
    enum err_code code =
        gateway->config->id_secrets.count
            ? open_kafka(gateway, err)
            : err_field(
                  err, ERR_CONFIG, "secrets.id",
                  "the gateway needs at least one secret for job ids: secrets.id: [file:PATH]");
    if (code) {
        stop(gateway);
        return code;
    }
    open_redis(gateway);
    gateway->identity =
        view_identity_new(gateway->loop, gateway->config, gateway->admin, on_identity, gateway);
    gateway->view_use = (struct view_options){
        .loop = gateway->loop,
        .config = gateway->config,
        .redis = gateway->redis,
        .admin = gateway->admin,
        .identity = gateway->identity,
    };
    gateway->view = view_new(&gateway->view_use);
    gateway->dead_index = (struct dead_index){ .config = gateway->config,
                                               .redis = gateway->redis,
                                               .identity = gateway->identity };
    gateway->gate = gate_new(gateway->redis, gateway->config->namespace_,
                             service_incarnation(gateway->service));
    gateway->early = early_new(service);
    gateway->admission = admission_new(gateway->config, service_metrics(service));
    code = lag_watch_open(
        &(struct lag_watch_options){
            .loop = gateway->loop,
            .config = gateway->config,
            .client_id = service_name(service),
            .admin = gateway->admin,
            .admission = gateway->admission,
            .metrics = service_metrics(service),
        },
        &gateway->lag, err);
    if (code) {
        stop(gateway);
        return code;
    }
    *ret_state = gateway;
    return ERR_OK;
}

static void on_drain_look(void *arg)
{
    struct gateway *gateway = arg;
    if (http_server_active(service_http(gateway->service)) > 0 ||
        kafka_producer_unacknowledged(gateway->producer) > 0)
        return;
    loop_timer_stop(gateway->drain_timer);
    service_drained(gateway->service);
}

/* The listener rests, what waits is answered with what is known, what was submitted is answered
 * when Kafka has answered. What still comes on open connections is done as ever: to refuse it would
 * tell a client of an outage that there is not. Each answer closes its connection, so that this
 * ends; should they be too many, the last quarter of the time is for Kafka's answers alone. */
static void drain(void *state)
{
    struct gateway *gateway = state;
    http_server_quiesce(service_http(gateway->service));
    early_end(gateway->early);
    read_end_all(gateway);
    books_stop(gateway);
    gateway->refuse_at_ms = clock_monotonic_ms() + gateway->config->gateway.drain_ms / 4 * 3;
    gateway->drain_timer = loop_timer_new(gateway->loop, on_drain_look, gateway);
    loop_timer_start(gateway->drain_timer, 0, DRAIN_LOOK_MS);
}

static void stop(void *state)
{
    struct gateway *gateway = state;
    early_free(gateway->early);
    lag_watch_close(gateway->lag);
    dead_redrive_stop(gateway);
    redis_subscriber_close(gateway->subscriber);
    gateway->subscriber = NULL;
    kafka_producer_close(gateway->producer); /* its last answers settle claims in Redis */
    redis_close(gateway->redis);
    gate_free(gateway->gate);
    view_identity_free(gateway->identity);
    kafka_admin_close(gateway->admin);
    kafka_watch_stop(gateway->kafka_watch);
    view_free(gateway->view);
    admission_free(gateway->admission);
    waits_free(gateway->waits);
    books_close(gateway);
    id_minter_free(gateway->minter);
    sticky_free(gateway->sticky);
    loop_timer_free(gateway->drain_timer);
    free(gateway->source);
    free(gateway);
}

static int64_t drain_ms(const struct config *config)
{
    return config->gateway.drain_ms;
}

int main(int argc, char **argv)
{
    static struct service_spec spec = {
        .program = "errand-gateway",
        .description = "Takes jobs over HTTP and tells what became of them.",
        .http = http,
        .start = start,
        .drain = drain,
        .stop = stop,
        .drain_ms_of = drain_ms,
    };
    spec.routes = gateway_routes;
    spec.route_count = gateway_route_count;
    return service_main(&spec, argc, argv);
}
