/* The configuration: values, every kind of mistake with its line, the environment, secrets, and the
 * generated page. SPDX-License-Identifier: Apache-2.0 */
#include "infra/clock.h"
#include "infra/config.h"
#include "schemas/buf.h"
#include "schemas/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/errand-config-XXXXXX";
static char path[128];
static const char *const no_variables[] = { NULL };

static void write_file(const char *name, const char *text, size_t size, mode_t mode)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    unlink(file);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void remove_file(const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    unlink(file);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/errand.yaml", folder);
    write_file("id", "0123456789abcdef0123456789abcdef\n", 33, 0600);
    write_file("password", "pass word\r\n", 11, 0600);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = { "errand.yaml", "id", "password", "bad" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove_file(names[i]);
    return rmdir(folder);
}

/* Loads what must be right. */
static struct config *load(const char *yaml, const char *const *environment)
{
    struct config *config = NULL;
    char *report = NULL;
    struct err err = { 0 };
    write_file("errand.yaml", yaml, strlen(yaml), 0644);
    if (config_load_from(path, environment, &config, &report, &err) != ERR_OK)
        fail_msg("%s", report);
    assert_null(report);
    return config;
}

/* Loads what must be wrong; the report without the folder's name. */
static char *load_bytes(const char *yaml, size_t size, const char *const *environment)
{
    struct config *config = NULL;
    char *report = NULL;
    struct err err = { 0 };
    write_file("errand.yaml", yaml, size, 0644);
    assert_int_equal(config_load_from(path, environment, &config, &report, &err), ERR_CONFIG);
    assert_null(config);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_true(
        strncmp(err.text, report, strcspn(report, "\n") < 300 ? strcspn(report, "\n") : 300) == 0);
    struct buf text = BUF_INIT(65536);
    for (const char *line = report; *line;) {
        size_t line_size = strcspn(line, "\n") + 1;
        bool named = strncmp(line, folder, strlen(folder)) == 0;
        size_t skip = named ? strlen(folder) + 1 : 0;
        buf_add(&text, line + skip, line_size - skip);
        line += line_size;
    }
    free(report);
    return buf_take(&text);
}

static void expect_with(const char *yaml, const char *const *environment, const char *expected)
{
    char *report = load_bytes(yaml, strlen(yaml), environment);
    assert_string_equal(report, expected);
    free(report);
}

static void expect(const char *yaml, const char *expected)
{
    expect_with(yaml, no_variables, expected);
}

/* The report holds each of the lines. */
static void expect_part(const char *yaml, const char *part)
{
    char *report = load_bytes(yaml, strlen(yaml), no_variables);
    if (!strstr(report, part))
        fail_msg("no \"%s\" in:\n%s", part, report);
    free(report);
}

#define SECRETS "secrets: {id: [\"file:id\"]}\n"
#define TARGET  "targets: {quotes: {base_url: \"simulator:/quotes\"}}\n"
#define CALL    "{target: quotes, path: /}"

static void test_defaults(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct err err = { 0 };
    assert_int_equal(config_load_from(NULL, no_variables, &config, NULL, &err), ERR_OK);
    assert_string_equal(config->namespace_, "errand");
    assert_string_equal(config->kafka.brokers, "127.0.0.1:9092");
    assert_int_equal(config->kafka.kind, BROKER_KAFKA);
    assert_int_equal(config->kafka.replication, 1);
    assert_int_equal(config->kafka.session_timeout_ms, 6000);
    assert_int_equal(config->redis.view_timeout_ms, 500);
    assert_int_equal(config->redis.gate_timeout_ms, 250);
    assert_int_equal(config->redis.addresses.count, 1);
    assert_string_equal(config->redis.password, "");
    assert_int_equal(config->id_secrets.count, 0);
    assert_int_equal(config->log.level, LOG_INFO);
    assert_string_equal(config->gateway.http.listen, "127.0.0.1:8080");
    assert_int_equal(config->gateway.http.body_bytes_max, 256 * 1024);
    assert_int_equal(config->gateway.http.connection_pool_bytes, 16 * 1024);
    assert_int_equal(config->gateway.json_depth_max, 32);
    assert_false(config->gateway.insecure);
    assert_true(config->gateway.keyed_without_view);
    assert_string_equal(config->worker.http.listen, "127.0.0.1:0");
    assert_int_equal(config->worker.window_span, 16384);
    assert_int_equal(config->worker.started_after_ms, 50);
    assert_int_equal(config->worker.drain_ms, 2000);
    assert_int_equal(config->recorder.batch_bytes_max, 512 * 1024);
    assert_int_equal(config->queue_count, 1);
    assert_string_equal(config->queues[0].name, "default");
    assert_int_equal(config->queues[0].partitions, 8);
    assert_int_equal(config->type_count, 0);
    config_free(config);
    config_free(NULL);
}

static const char full[] =
    "# everything that has a kind of its own\n"
    "namespace: errand-drill-1\n"
    "kafka:\n"
    "  brokers: a.example:9092,b.example:9092\n"
    "  kind: embedded\n"
    "  replication: 3\n"
    "  properties:\n"
    "    security.protocol: sasl_ssl\n"
    "    sasl.password: env:KAFKA_PASSWORD\n"
    "redis:\n"
    "  addresses: [\"127.0.0.1:6379\", \"unix:/run/redis.sock\", \"[::1]:6379\"]\n"
    "  password: file:password\n"
    "secrets:\n"
    "  id:\n"
    "    - file:id\n"
    "    - env:OLD_ID\n"
    "log: {level: warn, rotate: 1MiB}\n"
    "gateway:\n"
    "  wait_max: 1.5\n"
    "  insecure: true\n"
    "  listen: 0.0.0.0:80\n"
    "worker:\n"
    "recorder: ~\n"
    "queues:\n"
    "  default:\n"
    "  rules: {partitions: 3, ordered: true}\n"
    "targets:\n"
    "  quotes:\n"
    "    base_url: https://quotes.example/v2\n"
    "    timeout: 250ms\n"
    "    headers: {authorization: \"file:password\", X-Client: errand}\n"
    "types:\n"
    "  quote.fetch:\n"
    "    description: yes\n"
    "    example: {symbol: ACME, count: 2, real: 1.50, list: [true, ~, 0x1f, \"3\", 012], text: "
    "\"a\\\"b\"}\n"
    "    call:\n"
    "      target: quotes\n"
    "      method: POST\n"
    "      path: /quotes/{{symbol|none?}}\n"
    "      query: {simulate: \"{{simulate|}}\", n: 1}\n"
    "      body: \"{{payload}}\"\n"
    "      expect: [200, 404]\n"
    "      retry: [5xx, timeout]\n"
    "      result: pointer\n"
    "      pointer: /data/0\n"
    "    retry: {attempts: 2, backoff: 10ms, backoff_max: 1h}\n"
    "    max_age: 2h\n"
    "  order-price:\n"
    "    queue: rules\n"
    "    handler: rules\n"
    "    rule: order.price\n"
    "    example: ' {\"items\": [1]}'\n";

static const char *const full_variables[] = { "KAFKA_PASSWORD=k", "OLD_ID=fedcba9876543210", NULL };

static void check_full_types(const struct config *config)
{
    assert_int_equal(config->type_count, 2);
    const struct config_type *type = config_find_type(config, span_of("quote.fetch"));
    assert_string_equal(type->description, "yes");
    assert_string_equal(
        type->example,
        "{\"symbol\":\"ACME\",\"count\":2,\"real\":1.50,\"list\":[true,null,\"0x1f\",\"3\","
        "\"012\"],\"text\":\"a\\\"b\"}");
    assert_string_equal(type->queue, "default");
    assert_string_equal(type->call.method, "POST");
    assert_string_equal(type->call.path, "/quotes/{{symbol|none?}}");
    assert_string_equal(type->call.query.items[0].value, "{{simulate|}}");
    assert_string_equal(type->call.query.items[1].value, "1");
    assert_string_equal(type->call.body, "{{payload}}");
    assert_int_equal(type->call.expect.count, 2);
    assert_string_equal(type->call.expect.items[1], "404");
    assert_string_equal(type->call.retry.items[1], "timeout");
    assert_int_equal(type->call.result, CONFIG_RESULT_POINTER);
    assert_int_equal(type->retry.attempts_max, 2);
    assert_int_equal(type->retry.backoff_ms, 10);
    assert_int_equal(type->max_age_ms, 7200000);
    type = config_find_type(config, span_of("order-price"));
    assert_int_equal(type->handler, CONFIG_HANDLER_RULES);
    assert_string_equal(type->example, " {\"items\": [1]}");
    assert_int_equal(type->call.retry.count, 5);
    assert_null(config_find_type(config, span_of("order")));
}

static void test_full(void **state)
{
    (void)state;
    int64_t began_us = clock_monotonic_us();
    struct config *config = load(full, full_variables);
    assert_true(clock_monotonic_us() - began_us < 1000000);
    assert_string_equal(config->namespace_, "errand-drill-1");
    assert_int_equal(config->kafka.kind, BROKER_EMBEDDED);
    assert_int_equal(config->kafka.replication, 3);
    assert_string_equal(config->kafka.properties.items[0].value, "sasl_ssl");
    assert_false(config->kafka.properties.items[0].secret);
    assert_string_equal(config->kafka.properties.items[1].value, "k");
    assert_true(config->kafka.properties.items[1].secret);
    assert_int_equal(config->redis.addresses.count, 3);
    assert_string_equal(config->redis.password, "pass word");
    assert_string_equal(config->id_secrets.items[0], "0123456789abcdef0123456789abcdef");
    assert_string_equal(config->id_secrets.items[1], "fedcba9876543210");
    assert_int_equal(config->log.level, LOG_WARN);
    assert_int_equal(config->gateway.wait_ms_max, 1500);
    assert_true(config_find_queue(config, span_of("rules"))->ordered);
    assert_int_equal(config_find_queue(config, span_of("rules"))->partitions, 3);
    assert_int_equal(config_find_queue(config, span_of("default"))->partitions, 8);
    assert_null(config_find_queue(config, span_of("none")));
    const struct config_target *target = config_find_target(config, span_of("quotes"));
    assert_string_equal(target->base_url, "https://quotes.example/v2");
    assert_int_equal(target->timeout_ms, 250);
    assert_int_equal(target->response_bytes_max, 1024 * 1024);
    assert_true(target->headers.items[0].secret);
    assert_string_equal(target->headers.items[0].value, "pass word");
    assert_null(config_find_target(config, span_of("other")));
    check_full_types(config);
    config_free(config);
}

/* What `errand up` starts with: right as it stands, and quick to load. */
static void test_local_configuration(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT(256 * 1024);
    FILE *file = fopen("infra/deploy/local.yaml", "re");
    assert_non_null(file);
    assert_true(buf_reserve(&yaml, 200 * 1024));
    buf_grow(&yaml, fread(yaml.data, 1, 200 * 1024, file));
    fclose(file);
    char *report = load_bytes(yaml.data, yaml.size, no_variables);
    assert_non_null(
        strstr(report,
               "secrets/redis does not exist")); /* the only thing that is missing is the secrets */
    free(report);
    char secrets[256];
    snprintf(secrets, sizeof secrets, "%s/secrets", folder);
    assert_int_equal(mkdir(secrets, 0700), 0);
    write_file("secrets/id", "0123456789abcdef", 16, 0600);
    write_file("secrets/redis", "password", 8, 0600);
    int64_t best_us = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t began_us = clock_monotonic_us();
        config_free(load(yaml.data, no_variables));
        int64_t took_us = clock_monotonic_us() - began_us;
        best_us = took_us < best_us ? took_us : best_us;
    }
    assert_true(best_us < 50000); /* a few milliseconds, more with sanitizers */
    remove_file("secrets/id");
    remove_file("secrets/redis");
    rmdir(secrets);
    buf_free(&yaml);
}

static void test_empty_files(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "# nothing\n", "---\n", "kafka:\nqueues:\n",
                                         "queues: {}\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct config *config = load(texts[i], no_variables);
        assert_string_equal(config->queues[0].name, "default");
        config_free(config);
    }
}

static void test_unknown_keys(void **state)
{
    (void)state;
    expect("kafka:\n  brokerz: a:1\n",
           "errand.yaml:2: kafka.brokerz: there is no such key; did you mean brokers?\n");
    expect("kafkaa: {}\n", "errand.yaml:1: kafkaa: there is no such key; did you mean kafka?\n");
    expect("secrets:\n  qqqqqq: 1\n",
           "errand.yaml:2: secrets.qqqqqq: there is no such key; known here are: id\n");
    expect("target: {}\n", "errand.yaml:1: target: there is no such key; did you mean targets?\n");
    expect("queues:\n  a: {partition: 1}\n",
           "errand.yaml:2: queues.a.partition: there is no such key; did you mean partitions?\n");
    expect(TARGET SECRETS "types:\n  a:\n    call: {target: quotes, path: /, metod: GET}\n",
           "errand.yaml:5: types.a.call.metod: there is no such key; did you mean method?\n");
    expect("\"a\\nb\": 1\n",
           "errand.yaml:1: 'a?b': there is no such key; known here are: namespace, kafka, redis, "
           "secrets, log, gateway, worker, recorder, simulator, queues, targets, types\n");
}

static void test_wrong_kinds(void **state)
{
    (void)state;
    expect("kafka: 3\n",
           "errand.yaml:1: kafka: must be a section: its keys stand below it, indented\n");
    expect("- a\n", "errand.yaml:1: must be a section: its keys stand below it, indented\n");
    expect("namespace: [a]\n", "errand.yaml:1: namespace: must be a single value, not a list\n");
    expect("log:\n  level: {a: b}\n",
           "errand.yaml:2: log.level: must be a single value, not a section\n");
    expect("namespace:\n",
           "errand.yaml:1: namespace: has no value; give it one or drop the line\n");
    expect("redis: {addresses: a}\n",
           "errand.yaml:1: redis.addresses: must be a list, such as [one, two]\n");
    expect("redis: {addresses: [[a]]}\n",
           "errand.yaml:1: redis.addresses: must be a single value, not a list\n");
    expect("kafka: {properties: [a]}\n", "errand.yaml:1: kafka.properties: must be a section of "
                                         "names and values, such as {name: value}\n");
    expect("gateway: {insecure: yes}\n",
           "errand.yaml:1: gateway.insecure: 'yes' must be true or false\n");
    expect("log: {level: wran}\n", "errand.yaml:1: log.level: 'wran' is not allowed; must be one "
                                   "of debug, info, warn, error; did you mean warn?\n");
    expect("queues: {a: 3}\n",
           "errand.yaml:1: queues.a: must be a section: its keys stand below it, indented\n");
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const integers[] = { "1.5", "\"\"", "1e3",
                                            "--1", "-",    "99999999999999999999",
                                            "0x10" };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml, "redis: {database: %s}\n", integers[i]);
        expect_part(yaml, "is not a whole number");
    }
    expect("redis: {database: -1}\n",
           "errand.yaml:1: redis.database: '-1' is out of range; allowed is 0 to 1023\n");
    expect("worker: {drain: 3s}\n",
           "errand.yaml:1: worker.drain: '3s' is out of range; allowed is 0s to 2s\n");
    expect("worker: {drain: soon}\n",
           "errand.yaml:1: worker.drain: 'soon' is not a duration; write it like 250ms, "
           "5s, 2m, 1h or 7d\n");
    expect("gateway: {connection_pool: 4KiB}\n", "errand.yaml:1: gateway.connection_pool: '4KiB' "
                                                 "is out of range; allowed is 8KiB to 1MiB\n");
    expect("gateway: {body_max: big}\n", "errand.yaml:1: gateway.body_max: 'big' is not a size; "
                                         "write it like 4096, 64KiB or 1MiB\n");
}

static void test_formats(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "namespace: Errand", "namespace: 'Errand' must be a name" },
        { "namespace: \"\"", "namespace: must not be empty" },
        { "queues: {a.b: {}}", "queues: 'a.b' must be a name" },
        { "queues: {a--b: {}}", "queues: 'a--b' must be a name" },
        { "types: {9a: {}}", "types: '9a' must be a name" },
        { "types: {a_: {}}", "types: 'a_' must be a name" },
        { "kafka: {brokers: \"a:1,\"}", "kafka.brokers: 'a:1,' must be host:port" },
        { "kafka: {brokers: a}", "kafka.brokers: 'a' must be host:port" },
        { "kafka: {brokers: \"a:0\"}", "kafka.brokers: 'a:0' must be host:port" },
        { "redis: {addresses: [\"a:65536\"]}",
          "redis.addresses: 'a:65536' must be host:port or unix:/path" },
        { "redis: {addresses: []}", "redis.addresses: has 0 entries; allowed are 1 to 16" },
        { "gateway: {listen: \"127.0.0.1:x\"}", "gateway.listen: '127.0.0.1:x' must be host:port" },
        { "targets: {a: {base_url: \"ftp://a\"}}",
          "targets.a.base_url: 'ftp://a' must be http://" },
        { "targets: {a: {base_url: \"http://\"}}", "must be http://" },
        { "targets: {a: {base_url: \"http://u:p@h\"}}", "must not hold credentials" },
        { "targets: {a: {base_url: \"http://h/?a=b\"}}", "without query" },
        { "kafka: {properties: {acks: 1}}",
          "kafka.properties: 'acks' is set by Errand itself; drop it" },
        { "kafka: {properties: {sasl.password: x}}",
          "'sasl.password' is a credential; write a reference" },
        { "targets: {a: {headers: {\"a b\": x}}}", "'a b' must have an HTTP field name" },
        { "targets: {a: {headers: {Host: x}}}", "'Host' is set by Errand itself" },
        { "targets: {a: {headers: {x: \"a\\nb\"}}}", "'x' must not hold control characters" },
        { "targets: {a: {headers: {X-Api-Key: x}}}", "'X-Api-Key' is a credential" },
        { "types: {a: {call: {path: a}}}", "types.a.call.path: 'a' must begin with '/'" },
        { "types: {a: {call: {path: \"/a?b=c\"}}}", "parameters belong under call.query" },
        { "types: {a: {call: {pointer: a}}}", "types.a.call.pointer: 'a' must be a JSON pointer" },
        { "types: {a: {call: {pointer: /~2}}}", "must be a JSON pointer" },
        { "types: {a: {call: {expect: [20]}}}", "types.a.call.expect: '20' must be a status" },
        { "types: {a: {call: {retry: [6xx]}}}",
          "types.a.call.retry: '6xx' must be a status such as 503" },
        { "types: {a: {call: {method: get}}}",
          "types.a.call.method: 'get' is not allowed; must be one of GET" },
        { "types: {a: {call: {query: {\"\": x}}}}", "types.a.call.query: '' must have a name" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_part(rows[i][0], rows[i][1]);
}

static void test_bad_yaml(void **state)
{
    (void)state;
    expect_part("kafka:\n  brokers: [a\nlog: {}\n", "errand.yaml:3: column ");
    expect_part("\tkafka: 1\n", "this is not valid YAML");
    expect_part("a: \xff\n", "this is not valid YAML");
    expect("namespace: a\nnamespace: b\n",
           "errand.yaml:2: the key 'namespace' stands here twice; line 1 has it too; drop one\n");
    expect("log: {level: &a info}\nnamespace: *a\n",
           "errand.yaml:2: the alias *a is not supported; write the value out, or put quotes "
           "around it\n"
           "errand.yaml:2: namespace: has no value; give it one or drop the line\n");
    expect("namespace: a\n---\nnamespace: b\n",
           "errand.yaml:2: a second document begins; the configuration is one document\n");
    expect("namespace: !!binary a\n",
           "errand.yaml:1: tags such as tag:yaml.org,2002:binary are not supported; drop it\n");
    expect("log: {level: \"in\\0fo\"}\n", "errand.yaml:1: a value holds a NUL character\n");
    expect("log: {\"le\\0vel\": info}\n", "errand.yaml:1: a key holds a NUL character\n");
    expect_part("types:\n  a:\n    call: {body: {{payload}}}\n",
                "errand.yaml:3: a key must be text; a template such as \"{{name}}\" needs quotes "
                "around it");
}

static void test_hostile_files(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT(4 * 1024 * 1024);
    for (int i = 0; i < 100; i++)
        buf_add_char(&yaml, '[');
    expect_part(yaml.data, "the nesting is too deep");
    buf_reset(&yaml);
    for (int i = 0; i < 3000; i++)
        buf_printf(&yaml, "k%d: 1\n", i);
    expect_part(yaml.data, "there are too many entries");
    expect_part(yaml.data, "errand.yaml: and ");
    buf_reset(&yaml);
    for (int i = 0; i < 1100; i++)
        buf_printf(&yaml, "#%01022d\n", i);
    expect_part(yaml.data, "errand.yaml: is larger than 1 MiB");
    buf_free(&yaml);
    char *report = load_bytes("a: \0", 4, no_variables);
    assert_non_null(strstr(report, "not valid YAML"));
    free(report);
    struct config *config = NULL;
    struct err err = { 0 };
    assert_int_equal(config_load_from("/nonexistent/x.yaml", no_variables, &config, NULL, &err),
                     ERR_CONFIG);
    assert_string_equal(err.text,
                        "/nonexistent/x.yaml: cannot be opened: No such file or directory");
    assert_int_equal(config_load_from(folder, no_variables, &config, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, ": is not a file"));
}

static void test_every_mistake_in_one_run(void **state)
{
    (void)state;
    const char *const variables[] = { "ERRAND_LOG_LEVEL=loud", "ERRAND_NOPE=1", NULL };
    expect_with("kafka: {brokerz: a}\nlog: {rotate: 1}\ntypes: {a: {queue: nope, call: " CALL
                "}}\n" SECRETS TARGET,
                variables,
                "errand.yaml:1: kafka.brokerz: there is no such key; did you mean brokers?\n"
                "errand.yaml:2: log.rotate: '1' is out of range; allowed is 64KiB to 16GiB\n"
                "ERRAND_LOG_LEVEL: log.level: 'loud' is not allowed; must be one of debug, info, "
                "warn, error\n"
                "ERRAND_NOPE: this variable names no key of the configuration\n"
                "errand.yaml:3: types.a.queue: nope is not among the queues of this configuration "
                "(default)\n");
}

static void test_names_must_exist(void **state)
{
    (void)state;
    expect("worker: {queues: [defaul]}\n",
           "errand.yaml:1: worker.queues: defaul is not among the queues of this "
           "configuration (default); did you mean default?\n");
    expect("types: {a: {call: " CALL "}}\n" SECRETS,
           "errand.yaml:1: types.a.call.target: quotes is not among the targets of this "
           "configuration (there are none)\n");
    expect("targets: {a: {}}\n",
           "errand.yaml:1: targets.a.base_url: is missing; give it here. `https://host/path`, "
           "`http://...`, or `simulator:/path` for the built-in simulator.\n");
    expect("queues: {other: {}}\n" TARGET SECRETS "types: {a: {call: " CALL "}}\n",
           "errand.yaml:4: types.a.queue: default is not among the queues of this configuration "
           "(other)\n");
}

static void test_handlers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "{}", "types.a.call.target: is missing; name the target to call, or set handler: rules" },
        { "{}", "types.a.call.path: is missing" },
        { "{handler: rules}", "types.a.rule: is missing; name the business rule" },
        { "{handler: rules, rule: x, call: " CALL "}",
          "types.a.call: is used with handler: call only" },
        { "{rule: x, call: " CALL "}", "types.a.rule: is used with handler: rules only" },
        { "{call: {target: quotes, path: /, result: pointer}}",
          "types.a.call.pointer: is missing" },
        { "{call: {target: quotes, path: /, pointer: /a}}",
          "types.a.call.pointer: is used with result: pointer only" },
        { "{call: {target: quotes, path: \"/{{a\"}}", "types.a.call.path: " },
        { "{call: {target: quotes, path: /, query: {q: \"{{a\"}}}", "types.a.call.query: q: " },
        { "{call: {target: quotes, path: /, expect: [2xx, 503], retry: [503]}}",
          "types.a.call.retry: 503 is in call.expect too" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml, SECRETS TARGET "types:\n  a: %s\n", rows[i][0]);
        char line[256];
        snprintf(line, sizeof line, "errand.yaml:4: %s", rows[i][1]);
        expect_part(yaml, line);
    }
}

static void test_fit(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "{payload_max: 512KiB}",
          "types.a.payload_max: 524288 bytes do not fit into gateway.body_max" },
        { "{retry: {backoff: 1h}}",
          "types.a.retry.backoff: must not be longer than retry.backoff_max" },
        { "{payload_max: 8, example: {a: 12345}}",
          "types.a.example: is 11 bytes long and does not fit" },
        { "{example: \"{\"}", "types.a.example: is not valid JSON: " },
        { "{example: [1]}", "types.a.example: must be a JSON object" },
        { "{max_age: 10d, retention: 5d}", "kafka.retention_replies: " },
        { "{max_age: 10d, retention: 5d}",
          "raise kafka.retention_commands, or lower types.a.max_age" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml, SECRETS "types:\n  a: %s\n", rows[i][0]);
        expect_part(yaml, rows[i][1]);
    }
    expect("recorder: {queued_after: 5s}\n",
           "errand.yaml:1: recorder.queued_after: must be shorter than "
           "gateway.lag_limit, or waiting jobs would be answered 404\n");
    expect_part("recorder: {batch_max: 64KiB}\ntypes: {a: {}}\n",
                "types.a.result_max: 131072 bytes and 32 KiB");
}

static void test_listen_off_loopback(void **state)
{
    (void)state;
    expect_part("gateway: {listen: \"0.0.0.0:80\"}\n",
                "errand.yaml:1: gateway.listen: 0.0.0.0:80 can be reached from other machines");
    expect_part("worker: {listen: \"127.example.org:80\"}\n", "worker.listen: ");
    expect_part("recorder: {listen: \"[::]:80\"}\n", "recorder.listen: ");
    config_free(
        load("gateway: {listen: \"[::1]:80\"}\nworker: {listen: \"localhost:0\"}\n", no_variables));
    config_free(load("gateway: {listen: \"0.0.0.0:80\", insecure: true}\n", no_variables));
}

static void test_secrets(void **state)
{
    (void)state;
    static const char plain[] = "hunter2hunter2hunter2";
    char *report = load_bytes("redis: {password: hunter2hunter2hunter2}\n", 41, no_variables);
    assert_string_equal(
        report, "errand.yaml:1: redis.password: must be a reference, not the secret itself: "
                "file:PATH or env:NAME\n");
    assert_null(strstr(report, plain));
    free(report);
    expect_part("redis: {password: \"file:none\"}\n",
                "/none does not exist; make it with: openssl rand -hex 32");
    expect_part("redis: {password: \"file:\"}\n", "redis.password: file: needs a path");
    expect_part("redis: {password: \"env:\"}\n", "redis.password: env: needs a variable's name");
    expect("redis: {password: \"env:NONE\"}\n",
           "errand.yaml:1: redis.password: the environment variable NONE is not set\n");
    expect_part("redis: {password: \"file:.\"}\n", "must be a file");
    write_file("bad", "x", 1, 0640);
    expect_part("redis: {password: \"file:bad\"}\n",
                "can be used by others than its owner; run: chmod 600 ");
    write_file("bad", "\n", 1, 0600);
    expect_part("redis: {password: \"file:bad\"}\n", "/bad is empty");
    write_file("bad", "a\0b", 3, 0600);
    expect_part("redis: {password: \"file:bad\"}\n", "/bad must hold UTF-8 text");
    write_file("bad", "short", 5, 0600);
    expect("secrets: {id: [\"file:bad\"]}\n",
           "errand.yaml:1: secrets.id: the secret must hold at least 16 bytes; make "
           "one with: openssl rand -hex 32\n");
    char *long_text = mem_zalloc(5000, 1);
    memset(long_text, 'x', 5000);
    write_file("bad", long_text, 5000, 0600);
    free(long_text);
    expect_part("redis: {password: \"file:bad\"}\n", "/bad is longer than 4 KiB");
    expect(TARGET "types: {a: {call: " CALL "}}\n",
           "errand.yaml: secrets.id: is missing; job ids are signed with it: make a secret with "
           "openssl rand -hex 32, "
           "keep it in a file with mode 600, and write id: [\"file:PATH\"]\n");
}

static void test_environment(void **state)
{
    (void)state;
    const char *const variables[] = { "ERRAND_KAFKA_BROKERS=z:1",
                                      "ERRAND_REDIS_ADDRESSES=a:1,b:2",
                                      "ERRAND_REDIS_PASSWORD=env:ERRAND_PW",
                                      "ERRAND_PW=secret",
                                      "ERRAND_KAFKA_PROPERTIES=client.id=a=b,debug=all",
                                      "ERRAND_QUEUES_RULES_ORDERED=false",
                                      "ERRAND_TARGETS_QUOTES_TIMEOUT=3s",
                                      "ERRAND_TYPES_QUOTE_FETCH_CALL_EXPECT=2xx",
                                      "ERRAND_TYPES_ORDER_PRICE_EXAMPLE={\"a\":1}",
                                      "ERRAND_TYPES_QUOTE_FETCH_EXAMPLE={}",
                                      "ERRAND_LOG_PATH=",
                                      "ERRAND_DIR=/x",
                                      "ERRAND_PROCESS=worker-1",
                                      "ERRANDS=1",
                                      "KAFKA_PASSWORD=k",
                                      "OLD_ID=fedcba9876543210",
                                      NULL };
    struct config *config = load(full, variables);
    assert_string_equal(config->kafka.brokers, "z:1");
    assert_int_equal(config->redis.addresses.count, 2);
    assert_string_equal(config->redis.addresses.items[1], "b:2");
    assert_string_equal(config->redis.password, "secret");
    assert_int_equal(config->kafka.properties.count, 2);
    assert_string_equal(config->kafka.properties.items[0].value, "a=b");
    assert_false(config_find_queue(config, span_of("rules"))->ordered);
    assert_int_equal(config->targets[0].timeout_ms, 3000);
    assert_int_equal(config->types[0].call.expect.count, 1);
    assert_string_equal(config->types[0].example, "{}");
    assert_string_equal(config->types[1].example, "{\"a\":1}");
    assert_string_equal(config->log.path, "");
    config_free(config);
}

static void test_environment_mistakes(void **state)
{
    (void)state;
    const char *const unknown[] = { "ERRAND_KAFKA_BROKER=z:1", NULL };
    expect_with(
        "", unknown,
        "ERRAND_KAFKA_BROKER: this variable names no key of the configuration; did you mean "
        "ERRAND_KAFKA_BROKERS?\n");
    const char *const twice[] = { "ERRAND_QUEUES_A_B_PARTITIONS=2", NULL };
    expect_with("queues: {a-b: {}, a_b: {}}\n", twice,
                "ERRAND_QUEUES_A_B_PARTITIONS: this variable fits both queues.a-b.partitions and "
                "queues.a_b.partitions; set them in the file\n");
    const char *const pairs[] = { "ERRAND_KAFKA_PROPERTIES=a", NULL };
    expect_with("", pairs,
                "ERRAND_KAFKA_PROPERTIES: kafka.properties: must be name=value, several separated "
                "by commas\n");
    const char *const listen[] = { "ERRAND_GATEWAY_LISTEN=0.0.0.0:1", NULL };
    char *report = load_bytes("", 0, listen);
    assert_true(strncmp(report, "ERRAND_GATEWAY_LISTEN: gateway.listen: ", 39) == 0);
    free(report);
    const char *const empty[] = { "ERRAND_NAMESPACE=", NULL };
    expect_with("", empty, "ERRAND_NAMESPACE: namespace: must not be empty\n");
}

/* docs/CONFIG.md is what the table says. UPDATE_DOCS=1 writes it. */
static void test_page(void **state)
{
    (void)state;
    struct buf page = BUF_INIT(256 * 1024);
    config_document(&page);
    assert_false(page.overflow);
    if (getenv("UPDATE_DOCS")) { /* NOLINT(concurrency-mt-unsafe): there is one thread */
        FILE *file = fopen("docs/CONFIG.md", "we");
        assert_non_null(file);
        assert_int_equal(fwrite(page.data, 1, page.size, file), page.size);
        fclose(file);
    }
    FILE *file = fopen("docs/CONFIG.md", "re");
    assert_non_null(file);
    char *text = mem_zalloc(page.size + 2, 1);
    size_t size = fread(text, 1, page.size + 1, file);
    fclose(file);
    if (size != page.size || memcmp(text, page.data, size) != 0)
        fail_msg("docs/CONFIG.md is not what the table says; run this test with UPDATE_DOCS=1");
    free(text);
    buf_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_local_configuration),
        cmocka_unit_test(test_empty_files),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_wrong_kinds),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_bad_yaml),
        cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_every_mistake_in_one_run),
        cmocka_unit_test(test_names_must_exist),
        cmocka_unit_test(test_handlers),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_listen_off_loopback),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_mistakes),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
