/* See config_table.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_table.h"

#include "infra/config_format.h"
#include "schemas/job.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define MS        INT64_C(1)
#define SECOND    (1000 * MS)
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define KIB       INT64_C(1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define TEXT_MAX  4096
#define ITEMS_MAX 64

/* NOLINTBEGIN(bugprone-macro-parentheses): names of members take no parentheses. */
#define AT(member)                                                                                 \
    .offset = offsetof(struct BASE, member), .size = sizeof(((struct BASE *)NULL)->member)
#define KEY(path_, kind_, member, initial_, doc_)                                                  \
    .path = path_, .kind = kind_, AT(member), .initial = initial_, .doc = doc_
#define RANGE(min_, max_) .min = min_, .max = max_
/* A text that must be there. */
#define REQUIRED RANGE(1, TEXT_MAX)
#define OPTIONAL RANGE(0, TEXT_MAX)

/* The listener of a process. */
#define HTTP(section, member, listen_, connections, per_address, parked, body)                     \
    { KEY(section ".listen", CONFIG_TEXT, member.listen, listen_,                                  \
          "Address served, `host:port`; port 0 picks a free one. Off loopback only with "          \
          "`gateway.insecure`."),                                                                  \
      REQUIRED, .format = config_format_listen },                                                  \
        { KEY(section ".connections_max", CONFIG_INTEGER, member.connections_max, connections,     \
              "Connections open at once. Up to 64 more are told 503, but for `/livez`, `/readyz` " \
              "and `/metrics`, and closed; of those that ask nothing the oldest makes room. At "   \
              "most "                                                                              \
              "7/8 of the open files that the process may have."),                                 \
          RANGE(1, 1000000) },                                                                     \
        { KEY(section ".connections_per_address", CONFIG_INTEGER, member.connections_per_address,  \
              per_address,                                                                         \
              "Connections open at once from one address; one more is closed. Raise it behind a "  \
              "proxy."),                                                                           \
          RANGE(1, 1000000) },                                                                     \
        { KEY(section ".parked_max", CONFIG_INTEGER, member.parked_max, parked,                    \
              "Requests waiting for their answer, whatever for; one more is answered 503."),       \
          RANGE(1, 1000000) },                                                                     \
        { KEY(section ".connection_pool", CONFIG_SIZE, member.connection_pool_bytes, "24KiB",      \
              "Memory of one connection; at least twice `headers_max`."),                          \
          RANGE(8 * KIB, MIB) },                                                                   \
        { KEY(section ".headers_max", CONFIG_SIZE, member.headers_bytes_max, "12KiB",              \
              "Largest request line and headers together; beyond it 431."),                        \
          RANGE(KIB, 512 * KIB) },                                                                 \
        { KEY(section ".header_count_max", CONFIG_INTEGER, member.header_count_max, "100",         \
              "Headers of a request; beyond it 431."),                                             \
          RANGE(8, 1000) },                                                                        \
        { KEY(section ".body_max", CONFIG_SIZE, member.body_bytes_max, body,                       \
              "Largest body of a request."),                                                       \
          RANGE(KIB, MIB) },                                                                       \
        { KEY(section ".idle_timeout", CONFIG_DURATION, member.idle_timeout_ms, "60s",             \
              "A connection on which nothing moves for so long is closed."),                       \
          RANGE(SECOND, HOUR) },                                                                   \
        { KEY(section ".header_timeout", CONFIG_DURATION, member.header_timeout_ms, "10s",         \
              "How long the header of a request may take to come; then 408."),                     \
          RANGE(SECOND, HOUR) },                                                                   \
        { KEY(section ".body_timeout", CONFIG_DURATION, member.body_timeout_ms, "30s",             \
              "How long a body may take to come; then 408."),                                      \
          RANGE(SECOND, HOUR) },                                                                   \
    {                                                                                              \
        KEY(section ".min_rate", CONFIG_SIZE, member.bytes_per_s_min, "512",                       \
            "Bytes a second that a body must come at, on average, after its first 5 s; else 408. " \
            "An answer must be taken at it, "                                                      \
            "within `body_timeout` more. 0 takes any."),                                           \
            RANGE(0, MIB)                                                                          \
    }

/* NOLINTEND(bugprone-macro-parentheses) */

static const char *const broker_kinds[] = { "kafka", "embedded", NULL };
static const char *const log_levels[] = { "debug", "info", "warn", "error", NULL };
static const char *const handlers[] = { "call", "rules", NULL };
static const char *const results[] = { "json", "text", "pointer", NULL };
static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", NULL };

#define BASE config
static const struct config_key root_keys[] = {
    { KEY("namespace", CONFIG_TEXT, namespace_, "errand",
          "Prefix of every topic, consumer group and Redis key: deployments that share brokers "
          "differ in it."),
      REQUIRED, .format = config_format_namespace },
    { KEY("drillable", CONFIG_BOOL, drillable, "false",
          "`errand chaos` and `errand drill run` may break this stack, although its broker, its "
          "Redis or a target is not of `errand up`'s own.") },

    { KEY("kafka.brokers", CONFIG_TEXT, kafka.brokers, "127.0.0.1:9092",
          "Where to find the cluster: `host:port`, several separated by commas."),
      REQUIRED, .format = config_format_brokers },
    { KEY("kafka.kind", CONFIG_ENUM, kafka.kind, "kafka",
          "`embedded` tunes the clients for errand-devbroker, which is memory only."),
      .choices = broker_kinds },
    { KEY("kafka.replication", CONFIG_INTEGER, kafka.replication, "1",
          "Copies of each partition that `errand topics apply` asks for; 3 where there are three "
          "brokers."),
      RANGE(1, 9) },
    { KEY("kafka.session_timeout", CONFIG_DURATION, kafka.session_timeout_ms, "6s",
          "A consumer that is silent for so long loses its partitions to others. The broker's "
          "group.min.session.timeout.ms is the lowest that it allows."),
      RANGE(SECOND, 5 * MINUTE) },
    { KEY("kafka.produce_timeout", CONFIG_DURATION, kafka.produce_timeout_ms, "5s",
          "How long a submission waits for Kafka's acknowledgement before it is refused."),
      RANGE(100 * MS, MINUTE) },
    { KEY("kafka.send_queue", CONFIG_SIZE, kafka.send_queue_bytes, "64MiB",
          "Bytes that wait for acknowledgement in one producer; beyond it submissions are "
          "refused."),
      RANGE(MIB, 4 * GIB) },
    { KEY("kafka.outage_max", CONFIG_DURATION, kafka.outage_ms_max, "3d",
          "The longest time for which workers or delayers may all be away: commands stay for so "
          "much longer."),
      RANGE(0, 365 * DAY) },
    { KEY("kafka.retention_commands", CONFIG_DURATION, kafka.retention_commands_ms, "14d",
          "How long commands stay; at least 7 days (the longest delay), the longest max_age + "
          "retention of a type, and outage_max. `errand topics apply` raises a topic's that is "
          "shorter."),
      RANGE(MINUTE, 3650 * DAY) },
    { KEY("kafka.retention_replies", CONFIG_DURATION, kafka.retention_replies_ms, "14d",
          "How long events stay; at least 7 days and the longest max_age + retention of a type, or "
          "records could not be rebuilt."),
      RANGE(MINUTE, 3650 * DAY) },
    { KEY("kafka.retention_dead", CONFIG_DURATION, kafka.retention_dead_ms, "30d",
          "How long commands that were given up on stay for a redrive."),
      RANGE(MINUTE, 3650 * DAY) },
    { KEY("kafka.retention_audit", CONFIG_DURATION, kafka.retention_audit_ms, "90d",
          "How long the record of operators' actions stays."),
      RANGE(MINUTE, 3650 * DAY) },
    { KEY("kafka.properties", CONFIG_SECRET_PAIRS, kafka.properties, "",
          "librdkafka properties for every client, such as TLS and SASL. A value may be a secret's "
          "reference, a password must be one."),
      RANGE(0, ITEMS_MAX), .format = config_format_property },

    { KEY("redis.addresses", CONFIG_LIST, redis.addresses, "127.0.0.1:6379",
          "Redis servers, `host:port` or `unix:/path`; the one whose ROLE is master is used."),
      RANGE(1, 16), .format = config_format_redis },
    { KEY("redis.username", CONFIG_TEXT, redis.username, "",
          "ACL user; empty is the default user."),
      OPTIONAL },
    { KEY("redis.password", CONFIG_SECRET, redis.password, "", "Password; empty sends none."),
      OPTIONAL },
    { KEY("redis.tls", CONFIG_BOOL, redis.tls, "false",
          "Speaks TLS with Redis and verifies its certificate (not over `unix:`). Needs a hiredis "
          "with TLS: Debian 13 has one, Debian 12 has not.") },
    { KEY("redis.ca_file", CONFIG_TEXT, redis.ca_file, "",
          "PEM file of the authorities that are trusted in place of the system's."),
      OPTIONAL },
    { KEY("redis.view_timeout", CONFIG_DURATION, redis.view_timeout_ms, "500ms",
          "How long a read of the view may take before the answer is 503."),
      RANGE(10 * MS, MINUTE) },
    { KEY("redis.gate_timeout", CONFIG_DURATION, redis.gate_timeout_ms, "250ms",
          "How long a worker waits for the gate before it asks again; after three times, or "
          "without "
          "Redis, it goes on without."),
      RANGE(10 * MS, 10 * SECOND) },
    { KEY("redis.database", CONFIG_INTEGER, redis.database, "0", "Number of the database."),
      RANGE(0, 1023) },

    { KEY("secrets.id", CONFIG_SECRETS, id_secrets, "",
          "Secrets that make job ids unforgeable: the first mints, all verify. Rotate by putting a "
          "new one first."),
      RANGE(0, 16), .format = config_format_id_secret },

    { KEY("log.level", CONFIG_ENUM, log.level, "info", "Lines below it are not written."),
      .choices = log_levels },
    { KEY("log.path", CONFIG_TEXT, log.path, "", "File to append to; empty writes to stderr."),
      OPTIONAL },
    { KEY("log.rotate", CONFIG_SIZE, log.rotate_bytes, "64MiB",
          "A log file beyond it becomes `path.1` and is begun anew."),
      RANGE(64 * KIB, 16 * GIB) },

    HTTP("gateway", gateway.http, "127.0.0.1:8080", "16384", "1000", "12000", "256KiB"),
    { KEY("gateway.wait_max", CONFIG_DURATION, gateway.wait_ms_max, "30s",
          "Longest time a request may wait for a job to finish."),
      RANGE(0, 10 * MINUTE) },
    { KEY("gateway.cancel_wait", CONFIG_DURATION, gateway.cancel_wait_ms, "2s",
          "How long a cancellation waits for the job's end when the request does not say."),
      RANGE(0, 10 * MINUTE) },
    { KEY("gateway.waiting_max", CONFIG_INTEGER, gateway.waiting_max, "10000",
          "Requests waiting at once; one more is answered at once."),
      RANGE(0, 1000000) },
    { KEY("gateway.json_depth_max", CONFIG_INTEGER, gateway.json_depth_max, "32",
          "Deepest nesting of a request's JSON."),
      RANGE(2, 256) },
    { KEY("gateway.labels_max", CONFIG_INTEGER, gateway.labels_max, "16", "Labels of one job."),
      RANGE(0, JOB_LABELS_MAX) },
    { KEY("gateway.insecure", CONFIG_BOOL, gateway.insecure, "false",
          "Allows listeners off loopback although there are no API keys: whoever reaches them may "
          "submit and read jobs.") },
    { KEY("gateway.keyed_without_view", CONFIG_BOOL, gateway.keyed_without_view, "true",
          "Accept submissions with an Idempotency-Key while Redis is away; a reused key is then "
          "not noticed.") },
    { KEY("gateway.lag_limit", CONFIG_DURATION, gateway.lag_limit_ms, "5s",
          "How far the recorder may trail: until a job is older than this and the produce timeout, "
          "absent means queued."),
      RANGE(100 * MS, HOUR) },
    { KEY("gateway.drain", CONFIG_DURATION, gateway.drain_ms, "5s",
          "How long open requests may take to finish at shutdown."),
      RANGE(0, 9 * SECOND) },
    { KEY("gateway.backlog_look", CONFIG_DURATION, gateway.backlog_look_ms, "2s",
          "How often the queues' backlogs are looked at; what has waited for ten looks can refuse "
          "a "
          "job with 429."),
      RANGE(50 * MS, MINUTE) },
    { KEY("gateway.books_records_max", CONFIG_INTEGER, gateway.books_records_max, "200000",
          "`GET /v1/books` reads all topics; it is refused when they hold more records. `errand "
          "verify` has no such limit."),
      RANGE(1, 10000000) },
    { KEY("gateway.books_timeout", CONFIG_DURATION, gateway.books_timeout_ms, "20s",
          "How long `GET /v1/books` may take."),
      RANGE(SECOND, 10 * MINUTE) },

    HTTP("worker", worker.http, "127.0.0.1:0", "64", "64", "64", "4KiB"),
    { KEY("worker.queues", CONFIG_LIST, worker.queues, "",
          "Queues this worker serves; empty serves all."),
      RANGE(0, ITEMS_MAX), .format = config_format_name },
    { KEY("worker.in_flight", CONFIG_INTEGER, worker.in_flight_max, "1000",
          "Attempts running at once in this process."),
      RANGE(1, 100000) },
    { KEY("worker.window_span", CONFIG_INTEGER, worker.window_span, "16384",
          "Offsets from the oldest unfinished command of a partition to the newest one taken; "
          "beyond it the partition pauses."),
      RANGE(64, 1048576) },
    { KEY("worker.held_max", CONFIG_SIZE, worker.held_bytes_max, "64MiB",
          "Bytes of commands taken and not done. Half of it is divided among the queues served, "
          "the "
          "other half is for whichever needs more; a queue for which there is no room pauses. What "
          "partitions of ordered queues may hold is a half, in equal parts."),
      RANGE(2 * MIB, 16 * GIB) },
    { KEY("worker.started_after", CONFIG_DURATION, worker.started_after_ms, "50ms",
          "An attempt that runs for so long is reported as running; a shorter one costs one event "
          "only."),
      RANGE(0, MINUTE) },
    { KEY("worker.drain", CONFIG_DURATION, worker.drain_ms, "2s",
          "How long attempts may take to finish at shutdown or when a partition moves away."),
      RANGE(0, 2 * SECOND) },
    { KEY("worker.rule_threads_max", CONFIG_INTEGER, worker.rule_threads_max, "64",
          "Blocking business rules that run at once, each on a thread; one more is tried again "
          "later."),
      RANGE(1, 512) },
    { KEY("worker.commit_interval", CONFIG_DURATION, worker.commit_interval_ms, "250ms",
          "How often offsets are committed; what finished since is seen again after a crash, and "
          "skipped."),
      RANGE(10 * MS, 10 * SECOND) },
    { KEY("worker.redelivery_wait", CONFIG_DURATION, worker.redelivery_wait_ms, "2s",
          "How long a command that comes again waits until the view knows what had finished "
          "before, "
          "so that it is not done again; then it is."),
      RANGE(0, MINUTE) },
    { KEY("worker.children_max", CONFIG_INTEGER, worker.children_max, "8",
          "Child processes at once for commands that may have crashed a worker; each holds many."),
      RANGE(2, 64) },
    { KEY("worker.drill_rules", CONFIG_BOOL, worker.drill_rules, "false",
          "Allows the business rules that do harm on purpose (`drill.crash`): for drills and tests "
          "only.") },
    { KEY("worker.hold_after", CONFIG_DURATION, worker.hold_after_ms, "1s",
          "A job that has waited so long for its target's `concurrency` or `rate` is put aside as "
          "held, so that others go on."),
      RANGE(0, MINUTE) },
    { KEY("worker.hold_max", CONFIG_DURATION, worker.hold_ms_max, "10m",
          "Longest time for which a job is held at once; the first is a second, each one in a row "
          "doubles it."),
      RANGE(SECOND, DAY) },

    HTTP("recorder", recorder.http, "127.0.0.1:0", "64", "64", "64", "4KiB"),
    { KEY("recorder.batch_records_max", CONFIG_INTEGER, recorder.batch_records_max, "1000",
          "Records written to Redis in one script."),
      RANGE(1, 10000) },
    { KEY("recorder.batch_max", CONFIG_SIZE, recorder.batch_bytes_max, "512KiB",
          "Bytes written to Redis in one script; others wait meanwhile."),
      RANGE(64 * KIB, 512 * KIB) },
    { KEY("recorder.queued_after", CONFIG_DURATION, recorder.queued_after_ms, "250ms",
          "A job that is not finished after so long gets a record of its own; a faster one needs "
          "none."),
      RANGE(0, MINUTE) },

    HTTP("delayer", delayer.http, "127.0.0.1:0", "64", "64", "64", "4KiB"),
    { KEY("delayer.tiers", CONFIG_LIST, delayer.tier_names, "5s,30s,2m,10m,1h,6h,1d",
          "Delays of the delay topics, rising; each is a topic. A long delay walks down the tiers; "
          "what "
          "is left at the end is a timer in the worker."),
      RANGE(1, 16) },

    HTTP("simulator", simulator.http, "127.0.0.1:0", "4096", "1000000", "1000000", "1MiB"),
    { KEY("simulator.tls_listen", CONFIG_TEXT, simulator.tls_listen, "",
          "Address of a second door, over TLS, with right and wrong certificates; empty: none."),
      RANGE(0, 256), .format = config_format_listen },
    { KEY("simulator.seed", CONFIG_INTEGER, simulator.seed, "1",
          "The same seed and the same calls give the same misbehaviour."),
      RANGE(0, INT64_MAX) },
    { KEY("simulator.ledger_max", CONFIG_INTEGER, simulator.ledger_max, "100000",
          "Calls kept for inspection; older ones go."),
      RANGE(1, 10000000) },
};
#undef BASE

#define BASE config_queue
static const struct config_key queue_keys[] = {
    { KEY("partitions", CONFIG_INTEGER, partitions, "8",
          "Partitions of the queue's topics; fixed once they exist. Bounds how many workers share "
          "it."),
      RANGE(1, 1024) },
    { KEY("ordered", CONFIG_BOOL, ordered, "false",
          "Jobs of one ordering key run one at a time, in the order of their submission. They need "
          "a `key`, and cannot be put off.") },
    { KEY("ordered_max_age", CONFIG_DURATION, ordered_max_age_ms, "1h",
          "Ordered queues: the longest `max_age` of the queue's types, and what it is when they do "
          "not say; for so long a job may stand in the way of its key."),
      RANGE(SECOND, DAY) },
    { KEY("backlog_max", CONFIG_INTEGER, backlog_max, "10000000",
          "Commands that may wait; beyond it submissions are answered 429. 0 takes any number."),
      RANGE(0, INT64_MAX) },
};
#undef BASE

#define BASE config_target
static const struct config_key target_keys[] = {
    { KEY("base_url", CONFIG_TEXT, base_url, "",
          "`https://host/path`, `http://...`, or `simulator:/path` for the built-in simulator."),
      REQUIRED, .format = config_format_base_url },
    { KEY("connect_timeout", CONFIG_DURATION, connect_timeout_ms, "2s", "Longest time to connect."),
      RANGE(10 * MS, 5 * MINUTE) },
    { KEY("timeout", CONFIG_DURATION, timeout_ms, "10s", "Longest time for a call."),
      RANGE(10 * MS, HOUR) },
    { KEY("response_max", CONFIG_SIZE, response_bytes_max, "1MiB", "Largest answer that is read."),
      RANGE(KIB, 64 * MIB) },
    { KEY("in_flight", CONFIG_INTEGER, in_flight_max, "200",
          "Calls of one worker to this target at once; more wait, other targets' do not."),
      RANGE(1, 100000) },
    { KEY("concurrency", CONFIG_INTEGER, concurrency_max, "0",
          "Calls of all workers together to this target at once; 0 sets no limit."),
      RANGE(0, 1000000) },
    { KEY("rate", CONFIG_TEXT, rate, "0",
          "Calls of all workers together in a time: `50/s`, `600/m`, `1000/h`; 0 sets no limit."),
      REQUIRED, .format = config_format_rate },
    { KEY("burst", CONFIG_INTEGER, burst, "0",
          "Calls that `rate` lets through at once after a pause; 0 takes a tenth of a second's "
          "worth."),
      RANGE(0, 1000000) },
    { KEY("breaker.enabled", CONFIG_BOOL, breaker.enabled, "true",
          "When most calls fail (no answer, 5xx, 429), no worker calls for a while; jobs are held "
          "meanwhile and no attempt is spent.") },
    { KEY("breaker.failures_percent", CONFIG_INTEGER, breaker.failures_percent, "50",
          "Part of the calls within `breaker.window` that must fail to open the circuit."),
      RANGE(1, 100) },
    { KEY("breaker.calls_min", CONFIG_INTEGER, breaker.calls_min, "20",
          "Fewer calls within `breaker.window` than this never open it."),
      RANGE(1, 1000000) },
    { KEY("breaker.window", CONFIG_DURATION, breaker.window_ms, "10s",
          "Calls that ended within it count."),
      RANGE(100 * MS, HOUR) },
    { KEY("breaker.open", CONFIG_DURATION, breaker.open_ms, "5s",
          "How long nobody calls before a first probe; doubles each time probes fail."),
      RANGE(100 * MS, HOUR) },
    { KEY("breaker.open_max", CONFIG_DURATION, breaker.open_ms_max, "10m",
          "Longest time without a probe."),
      RANGE(100 * MS, DAY) },
    { KEY("breaker.probes", CONFIG_INTEGER, breaker.probes, "8",
          "Probes come in rounds of 1, 2, 4 and so on; a round of this many of which fewer than "
          "`breaker.failures_percent` fail closes the circuit."),
      RANGE(1, 1000) },
    { KEY("private", CONFIG_BOOL, private, "false",
          "The host may have a loopback, private or otherwise special address. Without it such an "
          "address is refused when the connection is made. `simulator:` implies it.") },
    { KEY("redirects", CONFIG_INTEGER, redirects_max, "0",
          "Redirects that are followed; the next one is the answer. `headers` and the types' own "
          "do not go to another origin, and only the target's own host may be `private`."),
      RANGE(0, 10) },
    { KEY("ca_file", CONFIG_TEXT, ca_file, "",
          "PEM file of the authorities that may vouch for the target, in place of the system's."),
      OPTIONAL, .format = config_format_file },
    { KEY("headers", CONFIG_SECRET_PAIRS, headers, "",
          "Headers of every call. A value may be a secret's reference; credentials must be one."),
      RANGE(0, ITEMS_MAX), .format = config_format_header },
};
#undef BASE

#define BASE config_type
static const struct config_key type_keys[] = {
    { KEY("queue", CONFIG_TEXT, queue, "default", "Queue of the type's jobs."), REQUIRED,
      .format = config_format_name },
    { KEY("description", CONFIG_TEXT, description, "", "For people: what a job of the type does."),
      OPTIONAL },
    { KEY("example", CONFIG_JSON, example, "",
          "An example payload: a YAML mapping, or JSON in quotes. Shown to clients."),
      OPTIONAL },
    { KEY("handler", CONFIG_ENUM, handler, "call",
          "What does the work: an HTTP call, or a business rule."),
      .choices = handlers },
    { KEY("rule", CONFIG_TEXT, rule, "", "Name of the business rule, for handler `rules`."),
      OPTIONAL, .format = config_format_type_name },
    { KEY("call.target", CONFIG_TEXT, call.target, "", "Target to call, for handler `call`."),
      OPTIONAL, .format = config_format_name },
    { KEY("call.method", CONFIG_TEXT, call.method, "GET", "HTTP method."), REQUIRED,
      .choices = methods },
    { KEY("call.path", CONFIG_TEXT, call.path, "",
          "Template of the path below the target's base_url: `/quotes/{{symbol}}`."),
      OPTIONAL, .format = config_format_path },
    { KEY("call.query", CONFIG_PAIRS, call.query, "",
          "Query parameters; the values are templates."),
      RANGE(0, ITEMS_MAX), .format = config_format_query },
    { KEY("call.headers", CONFIG_PAIRS, call.headers, "", "Headers; the values are templates."),
      RANGE(0, ITEMS_MAX), .format = config_format_header },
    { KEY("call.body", CONFIG_JSON, call.body, "",
          "Template of the JSON body; `\"{{payload}}\"` sends the payload's own bytes. Empty sends "
          "none."),
      RANGE(0, 64 * KIB) },
    { KEY("call.expect", CONFIG_LIST, call.expect, "2xx",
          "Statuses that are success: `200`, `2xx`."),
      RANGE(1, ITEMS_MAX), .format = config_format_status },
    { KEY("call.retry", CONFIG_LIST, call.retry, "408,429,5xx,timeout,unreachable",
          "Statuses, and `timeout` and `unreachable`, after which another attempt is made."),
      RANGE(0, ITEMS_MAX), .format = config_format_retry },
    { KEY("call.result", CONFIG_ENUM, call.result, "json",
          "What of the answer is the job's result: its JSON, its text, or the part at "
          "`call.pointer`."),
      .choices = results },
    { KEY("call.pointer", CONFIG_TEXT, call.pointer, "",
          "JSON pointer (RFC 6901) for result `pointer`."),
      OPTIONAL, .format = config_format_pointer },
    { KEY("call.timeout", CONFIG_DURATION, call.timeout_ms, "0",
          "Longest time for a call; 0 takes the target's."),
      RANGE(0, HOUR) },
    { KEY("retry.attempts", CONFIG_INTEGER, retry.attempts_max, "5",
          "Attempts in all; the first one counts."),
      RANGE(1, 1000) },
    { KEY("retry.backoff", CONFIG_DURATION, retry.backoff_ms, "1s",
          "Wait before the second attempt; doubles with each one, with full jitter."),
      RANGE(0, DAY) },
    { KEY("retry.backoff_max", CONFIG_DURATION, retry.backoff_ms_max, "2m",
          "Longest wait between two attempts."),
      RANGE(0, 7 * DAY) },
    { KEY("max_age", CONFIG_DURATION, max_age_ms, "24h",
          "No attempt starts later than this after the job was submitted (or was to run): it "
          "expires. In an ordered queue at most, and by default, `ordered_max_age`."),
      RANGE(SECOND, 365 * DAY) },
    { KEY("retention", CONFIG_DURATION, retention_ms, "24h",
          "How long a record can be read after the job's last moment; then it is forgotten."),
      RANGE(SECOND, 365 * DAY) },
    { KEY("in_flight", CONFIG_INTEGER, in_flight_max, "1000",
          "Attempts of one worker at this type at once."),
      RANGE(1, 100000) },
    { KEY("payload_max", CONFIG_SIZE, payload_bytes_max, "128KiB", "Largest payload."),
      RANGE(2, 512 * KIB) },
    { KEY("result_max", CONFIG_SIZE, result_bytes_max, "128KiB",
          "Largest result; a larger one fails the job."),
      RANGE(2, 384 * KIB) },
};
#undef BASE

#define KEYS(array) .keys = (array), .key_count = sizeof(array) / sizeof(array)[0]
#define MAP(items, count, entry)                                                                   \
    .entry_size = sizeof(struct entry), .items_offset = offsetof(struct config, items),            \
    .count_offset = offsetof(struct config, count)

const struct config_scope config_scopes[] = {
    { .name = "", KEYS(root_keys) },
    { .name = "queues",
      KEYS(queue_keys),
      MAP(queues, queue_count, config_queue),
      .format = config_format_name,
      .doc = "Queues: each has its topics and its share of the workers. Without this section there "
             "is one, `default`." },
    { .name = "targets",
      KEYS(target_keys),
      MAP(targets, target_count, config_target),
      .format = config_format_name,
      .doc = "Third parties that jobs may call, each with limits of its own." },
    { .name = "types",
      KEYS(type_keys),
      MAP(types, type_count, config_type),
      .format = config_format_type_name,
      .doc = "Job types: what clients may submit, and what is done for it." },
};
const size_t config_scope_count = sizeof config_scopes / sizeof *config_scopes;

const struct config_section config_sections[] = {
    { "", "Above all sections." },
    { "kafka", "The cluster that carries the jobs." },
    { "redis", "The view of the jobs that clients read." },
    { "secrets", "Written as references only." },
    { "log", "One JSON object a line." },
    { "gateway", "The HTTP interface for clients." },
    { "worker", "The processes that do the jobs." },
    { "recorder", "The process that keeps the view." },
    { "delayer", "The process that holds commands that are due later." },
    { "simulator", "A third party of our own that misbehaves on request." },
};
const size_t config_section_count = sizeof config_sections / sizeof *config_sections;

size_t config_table_entry_count(const struct config_scope *scope, const struct config *config)
{
    size_t count;
    memcpy(&count, (const char *)config + scope->count_offset, sizeof count);
    return count;
}

/* The array's pointer is copied as bytes: its type differs from map to map. */
static char *items_of(const struct config_scope *scope, const struct config *config)
{
    char *items;
    memcpy(&items, (const char *)config + scope->items_offset, sizeof items);
    return items;
}

void *config_table_entry(const struct config_scope *scope, const struct config *config,
                         size_t index)
{
    return items_of(scope, config) + index * scope->entry_size;
}

const char *config_table_entry_name(const struct config_scope *scope, const struct config *config,
                                    size_t index)
{
    const char *name;
    memcpy(&name, config_table_entry(scope, config, index), sizeof name);
    return name;
}

void *config_table_entry_add(const struct config_scope *scope, struct config *config, char *name)
{
    size_t count = config_table_entry_count(scope, config);
    char *items = mem_resize(items_of(scope, config), count + 1, scope->entry_size);
    char *entry = items + count * scope->entry_size;
    memset(entry, 0, scope->entry_size);
    memcpy(entry, &name, sizeof name);
    count++;
    memcpy((char *)config + scope->items_offset, &items, sizeof items);
    memcpy((char *)config + scope->count_offset, &count, sizeof count);
    return entry;
}

void config_table_free_entries(const struct config_scope *scope, struct config *config)
{
    char *items = items_of(scope, config);
    for (size_t i = 0; i < config_table_entry_count(scope, config); i++) {
        char *name;
        memcpy(&name, items + i * scope->entry_size, sizeof name);
        free(name);
    }
    free(items);
}
