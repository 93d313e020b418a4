/* The checks of job types: the handler has what it needs, templates compile, the example is a
 * payload. See config_check.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_check.h"

#include "schemas/json.h"
#include "schemas/template.h"
#include "schemas/timefmt.h"

#include <stdio.h>

#define EXAMPLE_TOKENS_MAX 20000
/* What an event needs beside its result: facts, labels, headers of the record. */
#define EVENT_OVERHEAD INT64_C(32768)

/* The type that is being checked. */
struct checked {
    struct config_loader *loader;
    const struct config_type *type;
};

static const char *path_of(const struct checked *checked, const char *key,
                           char path[CONFIG_PATH_SIZE])
{
    snprintf(path, CONFIG_PATH_SIZE, "types.%s.%s", checked->type->name, key);
    return path;
}

#define PROBLEM(checked, key, ...)                                                                 \
    config_check_problem((checked)->loader, path_of(checked, key, (char[CONFIG_PATH_SIZE]){ 0 }),  \
                         __VA_ARGS__)

/* Whether the key, or one below it, was written, rightly or wrongly. */
static bool has(const struct checked *checked, const char *key)
{
    char path[CONFIG_PATH_SIZE];
    return config_loader_has(checked->loader, path_of(checked, key, path));
}

static void check_name(const struct checked *checked, const char *key,
                       const struct config_scope *map, const char *name)
{
    char path[CONFIG_PATH_SIZE];
    config_check_name(checked->loader, path_of(checked, key, path), map, name);
}

/* --- templates --- */

static void check_template(const struct checked *checked, const char *key, const char *name,
                           const char *text, enum template_kind kind)
{
    struct template *template = NULL;
    struct err err = { 0 };
    if (template_compile(text, kind, &template, &err) == ERR_OK)
        template_free(template);
    else if (name)
        PROBLEM(checked, key, "%s: %s", name, err.text);
    else
        PROBLEM(checked, key, "%s", err.text);
}

static void check_templates(const struct checked *checked)
{
    const struct config_call *call = &checked->type->call;
    if (call->path[0])
        check_template(checked, "call.path", NULL, call->path, TEMPLATE_PATH);
    if (call->body[0])
        check_template(checked, "call.body", NULL, call->body, TEMPLATE_JSON);
    for (size_t i = 0; i < call->query.count; i++)
        check_template(checked, "call.query", call->query.items[i].name, call->query.items[i].value,
                       TEMPLATE_QUERY);
    for (size_t i = 0; i < call->headers.count; i++)
        check_template(checked, "call.headers", call->headers.items[i].name,
                       call->headers.items[i].value, TEMPLATE_HEADER);
}

/* --- handlers --- */

/* "2xx" covers "202", and then that it is to be tried again says nothing. The other way round it
 * does: `expect: [503], retry: [5xx]` is every 5xx but that one. */
static bool covers(const char *expected, const char *retried)
{
    if (strlen(retried) != strlen(expected)) /* "timeout" */
        return false;
    for (size_t i = 0; expected[i]; i++) {
        if (expected[i] != retried[i] && expected[i] != 'x')
            return false;
    }
    return true;
}

static void check_statuses(const struct checked *checked)
{
    const struct config_call *call = &checked->type->call;
    for (size_t i = 0; i < call->expect.count; i++) {
        for (size_t j = 0; j < call->retry.count; j++) {
            if (covers(call->expect.items[i], call->retry.items[j]))
                PROBLEM(checked, "call.retry",
                        "%s is in call.expect too (%s); a status is either success or tried again",
                        call->retry.items[j], call->expect.items[i]);
        }
    }
}

static void check_call(const struct checked *checked)
{
    const struct config_call *call = &checked->type->call;
    if (call->target[0])
        check_name(checked, "call.target", &config_scopes[2], call->target);
    else if (!has(checked, "call.target"))
        PROBLEM(checked, "call.target",
                "is missing; name the target to call, or set handler: rules");
    if (!call->path[0] && !has(checked, "call.path"))
        PROBLEM(checked, "call.path",
                "is missing; give the path below the target's base_url, such as /quotes");
    if (call->result == CONFIG_RESULT_POINTER && !call->pointer[0] && !has(checked, "call.pointer"))
        PROBLEM(checked, "call.pointer",
                "is missing; result: pointer needs it, such as /data/price");
    if (call->result != CONFIG_RESULT_POINTER && call->pointer[0])
        PROBLEM(checked, "call.pointer", "is used with result: pointer only; set that, or drop it");
    if (checked->type->rule[0])
        PROBLEM(checked, "rule", "is used with handler: rules only; set that, or drop it");
    check_statuses(checked);
    check_templates(checked);
}

static void check_rules(const struct checked *checked)
{
    if (!checked->type->rule[0] && !has(checked, "rule"))
        PROBLEM(checked, "rule", "is missing; name the business rule, or set handler: call");
    if (has(checked, "call"))
        PROBLEM(checked, "call", "is used with handler: call only; set that, or drop the section");
}

/* --- sizes and the example --- */

static void check_sizes(const struct checked *checked)
{
    const struct config *config = checked->loader->config;
    const struct config_type *type = checked->type;
    if (type->payload_bytes_max > config->gateway.http.body_bytes_max)
        PROBLEM(
            checked, "payload_max",
            "%lld bytes do not fit into gateway.body_max (%lld bytes); raise that, or lower this",
            (long long)type->payload_bytes_max, (long long)config->gateway.http.body_bytes_max);
    if (type->result_bytes_max + EVENT_OVERHEAD > config->recorder.batch_bytes_max)
        PROBLEM(checked, "result_max",
                "%lld bytes and 32 KiB beside them do not fit into recorder.batch_max (%lld "
                "bytes); raise that, or lower this",
                (long long)type->result_bytes_max, (long long)config->recorder.batch_bytes_max);
    if (type->retry.backoff_ms > type->retry.backoff_ms_max)
        PROBLEM(checked, "retry.backoff", "must not be longer than retry.backoff_max (%lld ms)",
                (long long)type->retry.backoff_ms_max);
}

static void check_example(const struct checked *checked)
{
    const struct config_type *type = checked->type;
    size_t size = strlen(type->example);
    if (size == 0)
        return;
    if ((int64_t)size > type->payload_bytes_max) {
        PROBLEM(checked, "example",
                "is %zu bytes long and does not fit into payload_max (%lld bytes)", size,
                (long long)type->payload_bytes_max);
        return;
    }
    struct json_limits limits = {
        .depth_max = (size_t)checked->loader->config->gateway.json_depth_max,
        .tokens_max = EXAMPLE_TOKENS_MAX,
    };
    struct json *json = NULL;
    struct err err = { 0 };
    if (json_parse(span_of(type->example), &limits, &json, &err) != ERR_OK)
        PROBLEM(checked, "example", "is not valid JSON: %s", err.text);
    else if (json_type_of(json) != JSON_TYPE_OBJECT)
        PROBLEM(checked, "example", "must be a JSON object, as every payload");
    json_free(json);
}

/* A job that cannot be done stands in the way of its key until it expires. */
void config_check_ordered(struct config_loader *loader)
{
    for (size_t i = 0; i < loader->config->type_count; i++) {
        struct config_type *type = &loader->config->types[i];
        const struct checked checked = { loader, type };
        const struct config_queue *queue = config_find_queue(loader->config, span_of(type->queue));
        if (!queue || !queue->ordered)
            continue;
        if (!has(&checked, "max_age")) {
            type->max_age_ms = queue->ordered_max_age_ms;
        } else if (type->max_age_ms > queue->ordered_max_age_ms) {
            struct buf limit = BUF_INIT(64);
            timefmt_duration(queue->ordered_max_age_ms, &limit);
            PROBLEM(&checked, "max_age",
                    "is longer than the %s that queues.%s.ordered_max_age allows: a job of an "
                    "ordered queue stands in the way of its key; lower this, or raise that",
                    limit.data, queue->name);
            buf_free(&limit);
        }
    }
}

void config_check_types(struct config_loader *loader)
{
    for (size_t i = 0; i < loader->config->type_count; i++) {
        struct checked checked = { loader, &loader->config->types[i] };
        check_name(&checked, "queue", &config_scopes[1], checked.type->queue);
        if (checked.type->handler == CONFIG_HANDLER_CALL)
            check_call(&checked);
        else
            check_rules(&checked);
        check_sizes(&checked);
        check_example(&checked);
    }
}
