/* The configuration: one YAML file, every key overridable by an environment variable, secrets by
 * reference. The result is plain data that does not change while the process lives. One table in
 * config_table.c describes each key: path, kind, default, range, documentation (docs/CONFIG.md is
 * made from it). Names in YAML carry no units: `timeout: 5s` becomes timeout_ms. An unknown key or
 * a bad value is an error that names file, line and key, and suggests the nearest known one.
 * Environment: kafka.brokers is ERRAND_KAFKA_BROKERS; a name inside a map is upper-cased with '.'
 * and '-' as '_': targets.quotes.timeout is ERRAND_TARGETS_QUOTES_TIMEOUT; lists are separated by
 * commas, pairs are name=value. An ERRAND_ variable that fits no key is an error (except
 * ERRAND_DIR, ERRAND_URL, ERRAND_CONFIG, ERRAND_MUTANT, ERRAND_PROCESS, and what a secret's
 * reference names). Secrets are written "file:PATH" (relative to the configuration file; trailing
 * newline dropped) or "env:NAME"; a secret written as plain text is an error that says so.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_CONFIG_H
#define INFRA_CONFIG_H

#include "infra/log.h"
#include "schemas/breaker.h"
#include "schemas/err.h"
#include "schemas/topic.h"

#include <stdint.h>

/* An ordered list of name/value pairs (headers, librdkafka properties). */
struct config_pair {
    char *name;
    char *value;
    bool secret; /* came from file: or env:; never printed */
};
struct config_pairs {
    struct config_pair *items;
    size_t count;
};
struct config_strings {
    char **items;
    size_t count;
};

enum broker_kind { BROKER_KAFKA, BROKER_EMBEDDED };

struct config_kafka {
    char *brokers;              /* "host:port,..." */
    enum broker_kind kind;      /* `embedded` tunes for errand-devbroker */
    int replication;            /* for `topics apply` */
    int64_t session_timeout_ms; /* 6000 */
    int64_t produce_timeout_ms; /* 5000: how long a submission may wait for its acknowledgement */
    int64_t send_queue_bytes;   /* bytes that may wait for acknowledgement per producer */
    int64_t outage_ms_max;      /* the longest time that everything may be away */
    int64_t retention_commands_ms, retention_replies_ms, retention_dead_ms, retention_audit_ms;
    struct config_pairs properties; /* passed through to every librdkafka client */
};

struct config_redis {
    struct config_strings addresses; /* "host:port" or "unix:/path" */
    char *username;                  /* may be empty */
    char *password;                  /* secret; may be empty */
    bool tls;                        /* not for sockets of this machine */
    char *ca_file;                   /* "": the system's */
    int64_t view_timeout_ms;         /* 500 */
    int64_t gate_timeout_ms;         /* 250 */
    int64_t database;
};

struct config_log {
    enum log_level level;
    char *path; /* "" writes to stderr */
    int64_t rotate_bytes;
};

struct config_http { /* a listener */
    char *listen;    /* "host:port"; port 0 picks a free one */
    int64_t connections_max;
    int64_t
        connection_pool_bytes; /* libmicrohttpd's memory per connection: bounds request headers */
    int64_t headers_bytes_max; /* request line and headers together */
    int64_t header_count_max;
    int64_t body_bytes_max;
    int64_t idle_timeout_ms;
    int64_t header_timeout_ms;
    int64_t body_timeout_ms;
    int64_t bytes_per_s_min; /* of a body, on average; 0: any */
    int64_t parked_max;      /* requests that wait for their answer */
    int64_t connections_per_address;
};

struct config_gateway {
    struct config_http http;
    int64_t wait_ms_max;     /* longest ?wait= */
    int64_t cancel_wait_ms;  /* how long DELETE waits for a job's end unless told */
    int64_t waiting_max;     /* parked requests */
    int64_t json_depth_max;  /* 32 */
    int64_t labels_max;      /* labels of one job */
    bool insecure;           /* allows a listener off loopback without API keys */
    bool keyed_without_view; /* accept keyed submissions while Redis is away */
    int64_t
        lag_limit_ms; /* how long the recorder may trail before "absent" is no longer "queued" */
    int64_t drain_ms;
    int64_t backlog_look_ms;   /* how often lag and drain rate of the queues are looked at */
    int64_t books_records_max; /* records that GET /v1/books reads */
    int64_t books_timeout_ms;
};

struct config_worker {
    struct config_http http;      /* /livez /readyz /metrics */
    struct config_strings queues; /* which queues this worker serves; empty: all */
    int64_t in_flight_max;        /* attempts running in this process */
    int64_t window_span;      /* offsets from the watermark to the newest delivered, a partition */
    int64_t held_bytes_max;   /* bytes of commands delivered and not done; beyond it fetching pauses
                                 (64 MiB) */
    int64_t started_after_ms; /* 50 */
    int64_t drain_ms;         /* <= 2000 */
    int64_t rule_threads_max; /* blocking rules running or queued on the thread pool */
    int64_t commit_interval_ms;
    int64_t redelivery_wait_ms; /* for the view, before work is done again */
    int64_t children_max;       /* processes for suspects at once */
    bool drill_rules;           /* rules that do harm are allowed */
    int64_t hold_after_ms;      /* waited for a target's fleet limits: then the job is held */
    int64_t hold_ms_max;
};

struct config_recorder {
    struct config_http http;
    int64_t batch_records_max;
    int64_t batch_bytes_max; /* <= 512 KiB a Lua call */
    int64_t queued_after_ms;
};

struct config_delayer {
    struct config_http http;
    struct config_strings tier_names; /* "5s", "30s", ...: rising */
    struct topic_tier *tiers;         /* the same, read */
    size_t tier_count;
};

struct config_simulator {
    struct config_http http;
    char *tls_listen; /* empty: no TLS */
    int64_t seed;
    int64_t ledger_max; /* calls kept */
};

struct config_queue {
    char *name;
    int64_t partitions;
    bool ordered;
    int64_t ordered_max_age_ms; /* ordered: the longest max_age of its types, and their default */
    int64_t backlog_max;        /* records that may wait; 0: any number */
};

struct config_target {
    char *name;
    char *base_url; /* "https://host/path"; "simulator:/path" means our own simulator
                       (simulator.http.listen) */
    int64_t connect_timeout_ms;
    int64_t timeout_ms;
    int64_t response_bytes_max;
    int64_t in_flight_max;              /* of one worker */
    int64_t concurrency_max;            /* of all workers together; 0 none */
    char *rate;                         /* "50/s", of all workers together; "0" none */
    int64_t rate_count, rate_period_ms; /* the same, read */
    int64_t burst;                      /* 0: a tenth of a second's worth */
    struct breaker_policy breaker;
    bool private;                /* its host may have an address that is not public */
    int64_t redirects_max;       /* followed */
    char *ca_file;               /* "": the system's */
    struct config_pairs headers; /* values may be secrets */
};

enum config_handler { CONFIG_HANDLER_CALL, CONFIG_HANDLER_RULES };
enum config_result { CONFIG_RESULT_JSON, CONFIG_RESULT_TEXT, CONFIG_RESULT_POINTER };

/* The `call` handler of a type, wholly in configuration. Texts are templates over the payload
 * (schemas/template.h). */
struct config_call {
    char *target;
    char *method;                /* "GET" */
    char *path;                  /* template, URL-path-safe substitution */
    struct config_pairs query;   /* value templates, URL-safe */
    struct config_pairs headers; /* value templates */
    char *body;                  /* JSON template; "" none; "{{payload}}" the payload's own bytes */
    struct config_strings expect; /* statuses that are success: "200", "2xx"; default 2xx */
    struct config_strings retry;  /* statuses, and "timeout", "unreachable", that are tried again;
                                     default 408 429 5xx timeout unreachable */
    enum config_result result;
    char *pointer;      /* RFC 6901, when result is a pointer */
    int64_t timeout_ms; /* 0: the target's */
};

struct config_retry {
    int64_t attempts_max; /* the first one counts */
    int64_t backoff_ms;   /* first wait; doubles; full jitter */
    int64_t backoff_ms_max;
};

struct config_type {
    char *name;
    char *queue;
    char *description;
    char *example; /* a payload, JSON text */
    enum config_handler handler;
    char *rule; /* name in the rules table, when handler is rules */
    struct config_call call;
    struct config_retry retry;
    int64_t max_age_ms;   /* not_after = created_at + this */
    int64_t retention_ms; /* forget_at = not_after + this */
    int64_t in_flight_max;
    int64_t payload_bytes_max, result_bytes_max;
};

struct config {
    char *namespace_; /* topic and key prefix, without the dot: "errand" */
    bool drillable;   /* it may be broken on purpose, whatever it is made of */
    struct config_kafka kafka;
    struct config_redis redis;
    struct config_strings id_secrets; /* secrets; the first mints, all verify */
    struct config_log log;
    struct config_gateway gateway;
    struct config_worker worker;
    struct config_recorder recorder;
    struct config_delayer delayer;
    struct config_simulator simulator;
    struct config_queue *queues;
    size_t queue_count;
    struct config_target *targets;
    size_t target_count;
    struct config_type *types;
    size_t type_count;
};

/* Loads and checks the whole configuration. `path` NULL: defaults and environment only. On error
 * (ERR_CONFIG) err->text has the first mistake, "FILE:LINE: KEY: what is wrong; what is allowed",
 * and *ret_report, when not NULL, every one, a line each; free it with free(). */
enum err_code config_load(const char *path, struct config **ret_config, char **ret_report,
                          struct err *err) MUST_CHECK;
/* The same with an environment of the caller's ("NAME=value", ends with NULL). */
enum err_code config_load_from(const char *path, const char *const *environment,
                               struct config **ret_config, char **ret_report,
                               struct err *err) MUST_CHECK;
/* Frees it, wiping the secrets. Accepts NULL. */
void config_free(struct config *config);

/* NULL when there is none. thread: any */
const struct config_queue *config_find_queue(const struct config *config, struct span name);
const struct config_target *config_find_target(const struct config *config, struct span name);
const struct config_type *config_find_type(const struct config *config, struct span name);

/* What a base URL begins with whose target is errand-simulator, wherever that listens. */
#define CONFIG_SIMULATOR "simulator:"
bool config_is_simulator(const struct config_target *target);

/* The table as docs/CONFIG.md (Markdown). */
struct buf;
void config_document(struct buf *out);

#endif
