/* Whether each process of the stack can do its work: daemons are asked for /readyz, Redis is
 * pinged with its password, the broker must answer a question of its protocol.
 * THREADS: the loop's, but for look_at_broker, which runs on the thread pool and touches only
 * struct broker_probe.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/port.h"
#include "gateway/cli/supervisor_internal.h"
#include "infra/kafka_admin.h"
#include "schemas/json.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_EAGER_MS    100 /* while something is not ready */
#define PROBE_CALM_MS     1000
#define PROBE_TIMEOUT_MS  2000
#define PORT_TIMEOUT_MS   1000
#define ANSWER_BYTES_MAX  ((size_t)64 * 1024)
#define REDIS_PENDING_MAX 16

/* One look at a broker at a time; between two the loop owns it. */
struct broker_probe {
    struct child *child;        /* of whom this is */
    const char *prefix;         /* of the topics to ask for */
    struct config_kafka config; /* a copy whose `brokers` is ours */
    char brokers[STACK_BROKERS_SIZE];
    char opened_for[STACK_BROKERS_SIZE]; /* what `admin` was opened with */
    struct kafka_admin *admin;
    bool ready;
    char why[SUPERVISOR_WHY_SIZE];
};

/* --- daemons --- */

/* The first condition of /readyz that does not hold: "kafka: no connection". */
static void explain(struct span body, int status, char ret_why[SUPERVISOR_WHY_SIZE])
{
    const struct json_limits limits = { .depth_max = 8, .tokens_max = 1024 };
    struct json *root = NULL;
    struct err err = { 0 };
    (void)snprintf(ret_why, SUPERVISOR_WHY_SIZE, "it answers %d", status);
    if (json_parse(body, &limits, &root, &err) != ERR_OK)
        return;
    const struct json *conditions = json_get(root, "conditions");
    for (size_t i = 0; i < json_count(conditions); i++) {
        const struct json *condition = json_at(conditions, i);
        bool ready = true;
        if (!json_bool_of(json_get(condition, "ready"), &ready) || ready)
            continue;
        (void)snprintf(ret_why, SUPERVISOR_WHY_SIZE, "%.*s: %.*s",
                       SPAN_ARG(json_text(json_get(condition, "name"))),
                       SPAN_ARG(json_text(json_get(condition, "why"))));
        break;
    }
    json_free(root);
}

static void on_answer(void *arg, const struct http_response *response)
{
    struct child *child = arg;
    char why[SUPERVISOR_WHY_SIZE];
    child->probing = false;
    if (!child->process)
        return;
    if (response->code != ERR_OK)
        child_set_ready(child, false, response->text);
    else if (response->status == 200)
        child_set_ready(child, true, "");
    else {
        explain(response->body, response->status, why);
        child_set_ready(child, false, why);
    }
}

static void probe_daemon(struct child *child)
{
    struct err err = { 0 };
    struct buf url = BUF_INIT(STACK_ADDRESS_SIZE + 32);
    struct http_call *call = NULL;
    buf_printf(&url, "http://%s/readyz", child_shown(child)->address);
    const struct http_call_options options = {
        .method = "GET",
        .url = url.data,
        .connect_timeout_ms = PROBE_TIMEOUT_MS,
        .timeout_ms = PROBE_TIMEOUT_MS,
        .response_bytes_max = ANSWER_BYTES_MAX,
        .private_allowed = true,
    };
    child->probing =
        http_call_start(child->supervisor->http, &options, on_answer, child, &call, &err) == ERR_OK;
    if (!child->probing)
        child_set_ready(child, false, err.text);
    buf_free(&url);
}

/* --- Redis --- */

static void on_pong(void *arg, enum err_code code, const struct redis_reply *reply)
{
    struct child *child = arg;
    (void)reply;
    child->probing = false;
    bool runs = child->process || child->external;
    child_set_ready(child, code == ERR_OK && runs, "it does not answer");
}

static void probe_redis(struct child *child)
{
    struct redis *redis = child->supervisor->redis;
    if (!redis_ready(redis)) {
        child_set_ready(child, false, redis_last_error(redis));
        return;
    }
    child->probing = true;
    redis_command_text(redis, on_pong, child, 1, "PING");
}

/* --- the broker --- */

/* Its topics are asked for: what else a client knows of a cluster it may remember. */
static void ask_broker(struct broker_probe *probe)
{
    struct kafka_topic_state *topics = NULL;
    size_t count = 0;
    struct err err = { 0 };
    if (probe->admin && strcmp(probe->brokers, probe->opened_for) != 0) {
        kafka_admin_close(probe->admin);
        probe->admin = NULL;
    }
    enum err_code code = ERR_OK;
    if (!probe->admin) {
        (void)snprintf(probe->opened_for, sizeof probe->opened_for, "%s", probe->brokers);
        code = kafka_admin_open(&probe->config, "errand-supervisor", &probe->admin, &err);
    }
    if (code == ERR_OK)
        code = kafka_topics_list_sync(probe->admin, probe->prefix, &topics, &count,
                                      PROBE_TIMEOUT_MS, &err);
    if (code == ERR_OK)
        kafka_topics_free(topics, count);
    probe->ready = code == ERR_OK;
    (void)snprintf(probe->why, sizeof probe->why, "%.*s", (int)sizeof probe->why - 1, err.text);
}

/* A client that asks while nothing listens would wait for seconds before it tries again: the
 * port first. */
static void look_at_broker(void *arg)
{
    struct broker_probe *probe = arg;
    if (port_answers(probe->brokers, PORT_TIMEOUT_MS)) {
        ask_broker(probe);
        return;
    }
    probe->ready = false;
    (void)snprintf(probe->why, sizeof probe->why, "nothing answers at its address yet");
}

static void on_broker_seen(void *arg)
{
    struct broker_probe *probe = arg;
    struct child *child = probe->child;
    child->probing = false;
    bool runs = child->process || child->external;
    child_set_ready(child, probe->ready && runs, probe->why);
    if (child->supervisor->step == STEP_STOPPING)
        supervisor_stop_next(child->supervisor);
}

bool probe_is_busy(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->broker_probe_count; i++) {
        if (supervisor->broker_probes[i].child->probing)
            return true;
    }
    return false;
}

static void probe_broker(struct child *child)
{
    struct broker_probe *probe = child->supervisor->broker_probes;
    while (probe->child != child)
        probe++;
    if (child_is_embedded_broker(child) && !plan_learn_address(child)) {
        child_set_ready(child, false, "it has not told its address yet");
        return;
    }
    (void)snprintf(probe->brokers, sizeof probe->brokers, "%s", child_shown(child)->address);
    child->probing = true;
    loop_work(child->supervisor->loop, look_at_broker, on_broker_seen, probe);
}

/* --- all --- */

static void probe_child(struct child *child)
{
    bool writes = child->kind == CHILD_BROKER || child->kind == CHILD_REDIS;
    if (child->probing || (!child->process && !child->external))
        return;
    if (writes && !child->external)
        output_rotate(child->supervisor->folder, child_shown(child)->name);
    if (child->kind == CHILD_BROKER)
        probe_broker(child);
    else if (child->kind == CHILD_REDIS)
        probe_redis(child);
    else
        probe_daemon(child);
}

void probe_all(void *arg)
{
    struct supervisor *supervisor = arg;
    bool calm = supervisor->step == STEP_RUNNING && !supervisor->broker_lost;
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        probe_child(child);
        calm = calm && (child_shown(child)->ready || !child->process);
    }
    supervisor_advance(supervisor);
    loop_timer_start(supervisor->prober, calm ? PROBE_CALM_MS : PROBE_EAGER_MS, 0);
}

static void open_broker_probes(struct supervisor *supervisor)
{
    size_t count = 0;
    for (size_t i = 0; i < supervisor->child_count; i++)
        count += supervisor->children[i].kind == CHILD_BROKER;
    supervisor->broker_probes = mem_zalloc(count, sizeof *supervisor->broker_probes);
    for (size_t i = 0; i < supervisor->child_count; i++) {
        if (supervisor->children[i].kind != CHILD_BROKER)
            continue;
        struct broker_probe *probe = &supervisor->broker_probes[supervisor->broker_probe_count++];
        probe->child = &supervisor->children[i];
        probe->config = supervisor->config->kafka;
        probe->config.brokers = probe->brokers;
        probe->prefix = supervisor->config->namespace_;
    }
}

/* The configuration was loaded before the address was known; of somebody else's there may be more
 * than one. */
static void set_addresses(struct config_strings *addresses, const char *list)
{
    for (size_t i = 0; i < addresses->count; i++)
        free(addresses->items[i]);
    addresses->count = 0;
    while (*list) {
        size_t size = strcspn(list, ",");
        addresses->items =
            mem_resize(addresses->items, addresses->count + 1, sizeof *addresses->items);
        addresses->items[addresses->count++] = mem_dup((struct span){ list, size });
        list += size + (list[size] == ',');
    }
}

void probe_open(struct supervisor *supervisor)
{
    struct config_redis *redis = &supervisor->config->redis;
    const struct stack_process *shown = stack_state_find(&supervisor->state, "redis");
    set_addresses(&redis->addresses, shown->address);
    const struct redis_options options = {
        .config = redis,
        .timeout_ms = PROBE_TIMEOUT_MS,
        .pending_max = REDIS_PENDING_MAX,
    };
    supervisor->redis = redis_open(supervisor->loop, &options);
    open_broker_probes(supervisor);
}

void probe_close(struct supervisor *supervisor)
{
    redis_close(supervisor->redis);
    supervisor->redis = NULL;
    for (size_t i = 0; i < supervisor->broker_probe_count; i++)
        kafka_admin_close(supervisor->broker_probes[i].admin);
    free(supervisor->broker_probes);
    supervisor->broker_probes = NULL;
    supervisor->broker_probe_count = 0;
}
