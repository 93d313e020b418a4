/* See config_check.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_check.h"

#include "infra/address.h"
#include "infra/config_format.h"
#include "infra/redis_tls.h"
#include "schemas/mem.h"
#include "schemas/submission.h"
#include "schemas/timefmt.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NAMES_SHOWN 20

void config_check_problem(struct config_loader *loader, const char *path, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    config_loader_problem(loader, config_loader_find(loader, path), path, "%s", text);
}

bool config_check_name(struct config_loader *loader, const char *path,
                       const struct config_scope *map, const char *name)
{
    size_t count = config_table_entry_count(map, loader->config);
    const char **names = mem_zalloc(count, sizeof *names);
    bool found = false;
    struct buf list = BUF_INIT(800);
    for (size_t i = 0; i < count; i++) {
        names[i] = config_table_entry_name(map, loader->config, i);
        found = found || strcmp(names[i], name) == 0;
        if (i < NAMES_SHOWN)
            buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    char hint[CONFIG_HINT_SIZE];
    config_loader_hint(span_of(name), names, count, hint);
    if (!found)
        config_check_problem(loader, path, "%s is not among the %s of this configuration (%s)%s",
                             name, map->name, count ? list.data : "there are none", hint);
    buf_free(&list);
    free(names);
    return found;
}

/* --- what must be there --- */

static void check_required(struct config_loader *loader, const struct config_scope *scope,
                           void *base, const char *prefix)
{
    for (size_t i = 0; i < scope->key_count; i++) {
        const struct config_key *key = &scope->keys[i];
        if (key->kind != CONFIG_TEXT || key->min == 0)
            continue;
        const char *text;
        memcpy(&text, config_table_member(key, base), sizeof text);
        char path[CONFIG_PATH_SIZE];
        snprintf(path, sizeof path, "%s%s", prefix, key->path);
        if (!text[0] && !config_loader_has(loader, path))
            config_check_problem(loader, path, "is missing; give it here. %s", key->doc);
    }
}

static void check_all_required(struct config_loader *loader)
{
    for (size_t i = 1; i < config_scope_count; i++) {
        const struct config_scope *scope = &config_scopes[i];
        for (size_t j = 0; j < config_table_entry_count(scope, loader->config); j++) {
            char prefix[CONFIG_PATH_SIZE];
            snprintf(prefix, sizeof prefix, "%s.%s.", scope->name,
                     config_table_entry_name(scope, loader->config, j));
            check_required(loader, scope, config_table_entry(scope, loader->config, j), prefix);
        }
    }
}

/* --- what must fit together --- */

static void check_address(struct config_loader *loader, const char *path, const char *listen)
{
    if (loader->config->gateway.insecure || config_format_is_loopback(span_of(listen)))
        return;
    config_check_problem(loader, path,
                         "%s can be reached from other machines, and there are no API keys; use "
                         "127.0.0.1, or set gateway.insecure: true if everybody there may use it",
                         listen);
}

static void check_listener(struct config_loader *loader, const char *section,
                           const struct config_http *http)
{
    char path[64];
    snprintf(path, sizeof path, "%s.listen", section);
    check_address(loader, path, http->listen);
    snprintf(path, sizeof path, "%s.connection_pool", section);
    if (http->connection_pool_bytes < 2 * http->headers_bytes_max)
        config_check_problem(loader, path,
                             "%" PRId64 " bytes are less than twice %s.headers_max, %" PRId64,
                             http->connection_pool_bytes, section, http->headers_bytes_max);
}

static void check_listeners(struct config_loader *loader)
{
    const struct config *config = loader->config;
    check_listener(loader, "gateway", &config->gateway.http);
    check_listener(loader, "worker", &config->worker.http);
    check_listener(loader, "recorder", &config->recorder.http);
    check_listener(loader, "delayer", &config->delayer.http);
    check_listener(loader, "simulator", &config->simulator.http);
    if (config->simulator.tls_listen[0])
        check_address(loader, "simulator.tls_listen", config->simulator.tls_listen);
}

static void check_queues(struct config_loader *loader)
{
    const struct config_strings *queues = &loader->config->worker.queues;
    for (size_t i = 0; i < queues->count; i++)
        config_check_name(loader, "worker.queues", &config_scopes[1], queues->items[i]);
}

/* The host of a base_url that has passed its format. */
static char *host_of(const char *base_url)
{
    const char *host = strstr(base_url, "://") + strlen("://");
    size_t size = strcspn(host, "/");
    const char *bracket = memchr(host, ']', size);
    const char *port =
        memchr(bracket ? bracket : host, ':', size - (size_t)(bracket ? bracket - host : 0));
    return mem_dup((struct span){ host, port ? (size_t)(port - host) : size });
}

/* An address in numbers is known now, and would be refused at each call. */
static void check_target(struct config_loader *loader, const struct config_target *target)
{
    if (target->private || !target->base_url[0] ||
        strncmp(target->base_url, "simulator:", strlen("simulator:")) == 0)
        return;
    char path[CONFIG_PATH_SIZE];
    snprintf(path, sizeof path, "targets.%s.base_url", target->name);
    char *host = host_of(target->base_url);
    const char *special = address_special_host(host);
    if (special)
        config_check_problem(loader, path,
                             "%s is a %s address, which jobs may not call; set targets.%s.private: "
                             "true if they shall",
                             host, special, target->name);
    free(host);
}

/* A probe of which nothing is heard was lost with its worker. */
#define PROBE_SLACK_MS 5000

/* Reads the rate, which has passed its format, and what the breaker takes from the target. */
static void check_limits(struct config_loader *loader, struct config_target *target)
{
    if (!timefmt_parse_rate(span_of(target->rate), &target->rate_count, &target->rate_period_ms))
        return;
    target->breaker.probe_wait_ms = target->timeout_ms + PROBE_SLACK_MS;
    if (target->breaker.open_ms_max >= target->breaker.open_ms)
        return;
    char path[CONFIG_PATH_SIZE];
    snprintf(path, sizeof path, "targets.%s.breaker.open_max", target->name);
    config_check_problem(loader, path, "is shorter than targets.%s.breaker.open; raise it",
                         target->name);
}

static void check_targets(struct config_loader *loader)
{
    for (size_t i = 0; i < loader->config->target_count; i++) {
        check_target(loader, &loader->config->targets[i]);
        check_limits(loader, &loader->config->targets[i]);
    }
}

static void check_secrets(struct config_loader *loader)
{
    if (loader->config->type_count > 0 && loader->config->id_secrets.count == 0 &&
        !config_loader_has(loader, "secrets.id"))
        config_check_problem(loader, "secrets.id",
                             "is missing; job ids are signed with it: make a secret with openssl "
                             "rand -hex 32, keep it "
                             "in a file with mode 600, and write id: [\"file:PATH\"]");
}

static void check_recorder(struct config_loader *loader)
{
    const struct config *config = loader->config;
    if (config->recorder.queued_after_ms >= config->gateway.lag_limit_ms)
        config_check_problem(
            loader, "recorder.queued_after",
            "must be shorter than gateway.lag_limit, or waiting jobs would be answered 404");
}

static void check_redis(struct config_loader *loader)
{
    if (loader->config->redis.tls && !redis_tls_is_possible())
        config_check_problem(loader, "redis.tls",
                             "this program was built with a hiredis without TLS (Debian 12 has no "
                             "other); build it where pkg-config finds hiredis_ssl (Debian 13), or "
                             "leave it out and put a TLS proxy such as stunnel beside Errand");
}

/* Reads the tiers; they must rise, so that a delay can walk down them. */
static void check_tiers(struct config_loader *loader)
{
    struct config_delayer *delayer = &loader->config->delayer;
    delayer->tiers = mem_zalloc(delayer->tier_names.count, sizeof *delayer->tiers);
    int64_t before_ms = 0;
    for (size_t i = 0; i < delayer->tier_names.count; i++) {
        const char *name = delayer->tier_names.items[i];
        int64_t delay_ms;
        if (!timefmt_parse_duration(span_of(name), &delay_ms) || delay_ms < 1000 ||
            delay_ms <= before_ms || strpbrk(name, "./: ")) {
            config_check_problem(
                loader, "delayer.tiers",
                "\"%s\" does not fit; tiers are durations of at least 1s, each longer "
                "than the one before, such as [5s, 30s, 2m]",
                name);
            return;
        }
        delayer->tiers[delayer->tier_count++] = (struct topic_tier){ name, delay_ms };
        before_ms = delay_ms;
    }
}

/* A record must outlive the job it tells of, or what is rebuilt from the topics would miss it: a
 * job may be put off first, and a command may lie unread for as long as an outage. */
static void check_retention(struct config_loader *loader, const char *path, int64_t retention_ms,
                            int64_t outage_ms)
{
    const struct config *config = loader->config;
    const struct config_type *longest = NULL;
    int64_t needed_ms = retention_ms;
    for (size_t i = 0; i < config->type_count; i++) {
        int64_t life_ms = SUBMISSION_DELAY_MS_MAX + config->types[i].max_age_ms +
                          config->types[i].retention_ms + outage_ms;
        if (life_ms > needed_ms) {
            needed_ms = life_ms;
            longest = &config->types[i];
        }
    }
    if (!longest)
        return;
    struct buf text = BUF_INIT(256);
    timefmt_duration(retention_ms, &text);
    buf_add_text(&text, " is shorter than the ");
    timefmt_duration(needed_ms, &text);
    config_check_problem(loader, path,
                         "%s that a job of type %s is kept (a delay of 7d, max_age, retention%s); "
                         "raise %s, or lower types.%s.max_age or types.%s.retention",
                         text.data, longest->name, outage_ms ? ", kafka.outage_max" : "", path,
                         longest->name, longest->name);
    buf_free(&text);
}

void config_check(struct config_loader *loader)
{
    check_all_required(loader);
    check_listeners(loader);
    check_queues(loader);
    check_targets(loader);
    check_secrets(loader);
    check_recorder(loader);
    check_redis(loader);
    check_tiers(loader);
    config_check_ordered(loader);
    check_retention(loader, "kafka.retention_commands", loader->config->kafka.retention_commands_ms,
                    loader->config->kafka.outage_ms_max);
    check_retention(loader, "kafka.retention_replies", loader->config->kafka.retention_replies_ms,
                    0);
    config_check_types(loader);
}
