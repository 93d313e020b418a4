/* Every kind of mistake in the configuration, with its line and what to do about it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_fixture.h"

#include "schemas/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_unknown_keys(void **state)
{
    (void)state;
    config_fixture_expect(
        "kafka:\n  brokerz: a:1\n",
        "errand.yaml:2: kafka.brokerz: there is no such key; did you mean brokers?\n");
    config_fixture_expect("kafkaa: {}\n",
                          "errand.yaml:1: kafkaa: there is no such key; did you mean kafka?\n");
    config_fixture_expect(
        "secrets:\n  qqqqqq: 1\n",
        "errand.yaml:2: secrets.qqqqqq: there is no such key; known here are: id\n");
    config_fixture_expect("target: {}\n",
                          "errand.yaml:1: target: there is no such key; did you mean targets?\n");
    config_fixture_expect(
        "queues:\n  a: {partition: 1}\n",
        "errand.yaml:2: queues.a.partition: there is no such key; did you mean partitions?\n");
    config_fixture_expect(
        FIXTURE_TARGET FIXTURE_SECRETS
        "types:\n  a:\n    call: {target: quotes, path: /, metod: GET}\n",
        "errand.yaml:5: types.a.call.metod: there is no such key; did you mean method?\n");
    config_fixture_expect(
        "\"a\\nb\": 1\n",
        "errand.yaml:1: 'a?b': there is no such key; known here are: namespace, drillable, kafka, "
        "redis, "
        "secrets, log, gateway, worker, recorder, delayer, simulator, queues, targets, types\n");
}

static void test_wrong_kinds(void **state)
{
    (void)state;
    config_fixture_expect(
        "kafka: 3\n",
        "errand.yaml:1: kafka: must be a section: its keys stand below it, indented\n");
    config_fixture_expect("- a\n",
                          "errand.yaml:1: must be a section: its keys stand below it, indented\n");
    config_fixture_expect("namespace: [a]\n",
                          "errand.yaml:1: namespace: must be a single value, not a list\n");
    config_fixture_expect("log:\n  level: {a: b}\n",
                          "errand.yaml:2: log.level: must be a single value, not a section\n");
    config_fixture_expect("namespace:\n",
                          "errand.yaml:1: namespace: has no value; give it one or drop the line\n");
    config_fixture_expect("redis: {addresses: a}\n",
                          "errand.yaml:1: redis.addresses: must be a list, such as [one, two]\n");
    config_fixture_expect("redis: {addresses: [[a]]}\n",
                          "errand.yaml:1: redis.addresses: must be a single value, not a list\n");
    config_fixture_expect("kafka: {properties: [a]}\n",
                          "errand.yaml:1: kafka.properties: must be a section of "
                          "names and values, such as {name: value}\n");
    config_fixture_expect("gateway: {insecure: yes}\n",
                          "errand.yaml:1: gateway.insecure: 'yes' must be true or false\n");
    config_fixture_expect("log: {level: wran}\n",
                          "errand.yaml:1: log.level: 'wran' is not allowed; must be one "
                          "of debug, info, warn, error; did you mean warn?\n");
    config_fixture_expect(
        "queues: {a: 3}\n",
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
        config_fixture_expect_part(yaml, "is not a whole number");
    }
    config_fixture_expect(
        "redis: {database: -1}\n",
        "errand.yaml:1: redis.database: '-1' is out of range; allowed is 0 to 1023\n");
    config_fixture_expect(
        "worker: {drain: 3s}\n",
        "errand.yaml:1: worker.drain: '3s' is out of range; allowed is 0s to 2s\n");
    config_fixture_expect(
        "worker: {drain: soon}\n",
        "errand.yaml:1: worker.drain: 'soon' is not a duration; write it like 250ms, "
        "5s, 2m, 1h or 7d\n");
    config_fixture_expect("gateway: {connection_pool: 4KiB}\n",
                          "errand.yaml:1: gateway.connection_pool: '4KiB' "
                          "is out of range; allowed is 8KiB to 1MiB\n");
    config_fixture_expect("gateway: {headers_max: 20KiB}\n",
                          "errand.yaml:1: gateway.connection_pool: 24576 bytes are less than twice "
                          "gateway.headers_max, 20480\n");
    config_fixture_expect("gateway: {body_max: big}\n",
                          "errand.yaml:1: gateway.body_max: 'big' is not a size; "
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
        { "targets: {a: {base_url: \"http://h\", ca_file: ca.pem}}", "must be an absolute path" },
        { "targets: {a: {base_url: \"http://10.1.2.3:80/x\"}}",
          "targets.a.base_url: 10.1.2.3 is a private address" },
        { "targets: {a: {base_url: \"https://[::1]:80\"}}", "[::1] is a loopback address" },
        { "targets: {a: {base_url: \"http://2130706433\"}}", "targets.a.private: true" },
        { "targets: {a: {base_url: \"http://localhost:81/\"}}", "localhost is a loopback address" },
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
        config_fixture_expect_part(rows[i][0], rows[i][1]);
}

static void test_bad_yaml(void **state)
{
    (void)state;
    config_fixture_expect_part("kafka:\n  brokers: [a\nlog: {}\n", "errand.yaml:3: column ");
    config_fixture_expect_part("\tkafka: 1\n", "this is not valid YAML");
    config_fixture_expect_part("a: \xff\n", "this is not valid YAML");
    config_fixture_expect(
        "namespace: a\nnamespace: b\n",
        "errand.yaml:2: the key 'namespace' stands here twice; line 1 has it too; drop one\n");
    config_fixture_expect(
        "log: {level: &a info}\nnamespace: *a\n",
        "errand.yaml:2: the alias *a is not supported; write the value out, or put quotes "
        "around it\n"
        "errand.yaml:2: namespace: has no value; give it one or drop the line\n");
    config_fixture_expect(
        "namespace: a\n---\nnamespace: b\n",
        "errand.yaml:2: a second document begins; the configuration is one document\n");
    config_fixture_expect(
        "namespace: !!binary a\n",
        "errand.yaml:1: tags such as tag:yaml.org,2002:binary are not supported; drop it\n");
    config_fixture_expect("log: {level: \"in\\0fo\"}\n",
                          "errand.yaml:1: a value holds a NUL character\n");
    config_fixture_expect("log: {\"le\\0vel\": info}\n",
                          "errand.yaml:1: a key holds a NUL character\n");
    config_fixture_expect_part(
        "types:\n  a:\n    call: {body: {{payload}}}\n",
        "errand.yaml:3: a key must be text; a template such as \"{{name}}\" needs quotes "
        "around it");
}

static void test_hostile_files(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT((size_t)4 * 1024 * 1024);
    for (int i = 0; i < 100; i++)
        buf_add_char(&yaml, '[');
    config_fixture_expect_part(yaml.data, "the nesting is too deep");
    buf_reset(&yaml);
    for (int i = 0; i < 3000; i++)
        buf_printf(&yaml, "k%d: 1\n", i);
    config_fixture_expect_part(yaml.data, "there are too many entries");
    buf_reset(&yaml);
    for (int i = 0; i < 103; i++)
        buf_printf(&yaml, "k%d: 1\n", i);
    config_fixture_expect_part(yaml.data, "errand.yaml: and 3 more\n");
    buf_reset(&yaml);
    for (int i = 0; i < 1100; i++)
        buf_printf(&yaml, "#%01022d\n", i);
    config_fixture_expect_part(yaml.data, "errand.yaml: is larger than 1 MiB");
    buf_free(&yaml);
    char *report =
        config_fixture_report((struct span)SPAN_LIT("a: \0"), config_fixture_no_variables);
    assert_non_null(strstr(report, "not valid YAML"));
    free(report);
    struct config *config = NULL;
    struct err err = { 0 };
    assert_int_equal(
        config_load_from("/nonexistent/x.yaml", config_fixture_no_variables, &config, NULL, &err),
        ERR_CONFIG);
    assert_string_equal(err.text,
                        "/nonexistent/x.yaml: cannot be opened: No such file or directory");
    assert_int_equal(
        config_load_from(config_fixture_folder(), config_fixture_no_variables, &config, NULL, &err),
        ERR_CONFIG);
    assert_non_null(strstr(err.text, ": is not a file"));
}

static void test_every_mistake_in_one_run(void **state)
{
    (void)state;
    const char *const variables[] = { "ERRAND_LOG_LEVEL=loud", "ERRAND_NOPE=1", NULL };
    config_fixture_expect_with(
        "kafka: {brokerz: a}\nlog: {rotate: 1}\ntypes: {a: {queue: nope, call: " FIXTURE_CALL
        "}}\n" FIXTURE_SECRETS FIXTURE_TARGET,
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
    config_fixture_expect("worker: {queues: [defaul]}\n",
                          "errand.yaml:1: worker.queues: defaul is not among the queues of this "
                          "configuration (default); did you mean default?\n");
    config_fixture_expect(
        "types: {a: {call: " FIXTURE_CALL "}}\n" FIXTURE_SECRETS,
        "errand.yaml:1: types.a.call.target: quotes is not among the targets of this "
        "configuration (there are none)\n");
    config_fixture_expect(
        "targets: {a: {}}\n",
        "errand.yaml:1: targets.a.base_url: is missing; give it here. `https://host/path`, "
        "`http://...`, or `simulator:/path` for the built-in simulator.\n");
    config_fixture_expect(
        "queues: {other: {}}\n" FIXTURE_TARGET FIXTURE_SECRETS "types: {a: {call: " FIXTURE_CALL
        "}}\n",
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
        { "{handler: rules, rule: x, call: " FIXTURE_CALL "}",
          "types.a.call: is used with handler: call only" },
        { "{rule: x, call: " FIXTURE_CALL "}", "types.a.rule: is used with handler: rules only" },
        { "{call: {target: quotes, path: /, result: pointer}}",
          "types.a.call.pointer: is missing" },
        { "{call: {target: quotes, path: /, pointer: /a}}",
          "types.a.call.pointer: is used with result: pointer only" },
        { "{call: {target: quotes, path: \"/{{a\"}}", "types.a.call.path: " },
        { "{call: {target: quotes, path: /, query: {q: \"{{a\"}}}", "types.a.call.query: q: " },
        { "{call: {target: quotes, path: /, expect: [2xx, 503], retry: [503]}}",
          "types.a.call.retry: 503 is in call.expect too" },
        { "{call: {target: quotes, path: /, retry: [202]}}",
          "types.a.call.retry: 202 is in call.expect too (2xx)" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml, FIXTURE_SECRETS FIXTURE_TARGET "types:\n  a: %s\n", rows[i][0]);
        char line[256];
        snprintf(line, sizeof line, "errand.yaml:4: %s", rows[i][1]);
        config_fixture_expect_part(yaml, line);
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
        { "{max_age: 6d, retention: 2d}", "kafka.retention_replies: 14d is shorter than the 15d" },
        { "{max_age: 3d, retention: 2d}",
          "kafka.retention_commands: 14d is shorter than the 15d that a job of type a is kept (a "
          "delay of 7d, max_age, retention, kafka.outage_max)" },
        { "{max_age: 6d, retention: 2d}",
          "raise kafka.retention_commands, or lower types.a.max_age" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml, FIXTURE_SECRETS "types:\n  a: %s\n", rows[i][0]);
        config_fixture_expect_part(yaml, rows[i][1]);
    }
    config_fixture_expect("recorder: {queued_after: 5s}\n",
                          "errand.yaml:1: recorder.queued_after: must be shorter than "
                          "gateway.lag_limit, or waiting jobs would be answered 404\n");
    config_fixture_expect_part("recorder: {batch_max: 64KiB}\ntypes: {a: {}}\n",
                               "types.a.result_max: 131072 bytes and 32 KiB");
}

/* proves P-37g */
static void test_types_of_ordered_queues_have_a_short_age(void **state)
{
    (void)state;
    static const struct {
        const char *queue, *type;
        int64_t age_ms; /* 0: refused */
    } rows[] = {
        { "", "", 3600000 },
        { "", ", max_age: 10m", 600000 },
        { "", ", max_age: 1h", 3600000 },
        { "", ", max_age: 61m", 0 },
        { ", ordered_max_age: 2h", ", max_age: 61m", 3660000 },
        { ", ordered_max_age: 1m", "", 60000 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml,
                 FIXTURE_SECRETS "queues: {default: {ordered: true%s}}\n" FIXTURE_TARGET
                                 "types:\n  a: {call: " FIXTURE_CALL "%s}\n",
                 rows[i].queue, rows[i].type);
        if (rows[i].age_ms == 0) {
            config_fixture_expect_part(yaml, "errand.yaml:5: types.a.max_age: is longer than the "
                                             "1h that queues.default.ordered_max_age allows");
            continue;
        }
        struct config *config = config_fixture_load(yaml, config_fixture_no_variables);
        assert_int_equal(config->types[0].max_age_ms, rows[i].age_ms);
        config_free(config);
    }
}

static void test_listen_off_loopback(void **state)
{
    (void)state;
    config_fixture_expect_part(
        "gateway: {listen: \"0.0.0.0:80\"}\n",
        "errand.yaml:1: gateway.listen: 0.0.0.0:80 can be reached from other machines");
    config_fixture_expect_part("worker: {listen: \"127.example.org:80\"}\n", "worker.listen: ");
    config_fixture_expect_part("recorder: {listen: \"[::]:80\"}\n", "recorder.listen: ");
    config_free(
        config_fixture_load("gateway: {listen: \"[::1]:80\"}\nworker: {listen: \"localhost:0\"}\n",
                            config_fixture_no_variables));
    config_free(config_fixture_load("gateway: {listen: \"0.0.0.0:80\", insecure: true}\n",
                                    config_fixture_no_variables));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(test_types_of_ordered_queues_have_a_short_age),
        cmocka_unit_test(test_listen_off_loopback),
    };
    return cmocka_run_group_tests(tests, config_fixture_set_up, config_fixture_tear_down);
}
