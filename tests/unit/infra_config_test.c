/* The configuration: its values, the environment, secrets, and the generated page.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/config_fixture.h"

#include "infra/clock.h"
#include "schemas/buf.h"
#include "schemas/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_defaults(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct err err = { 0 };
    assert_int_equal(config_load_from(NULL, config_fixture_no_variables, &config, NULL, &err),
                     ERR_OK);
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
    assert_int_equal(config->gateway.http.connection_pool_bytes, 24 * 1024);
    assert_int_equal(config->gateway.http.headers_bytes_max, 12 * 1024);
    assert_int_equal(config->gateway.http.header_timeout_ms, 10000);
    assert_int_equal(config->gateway.http.body_timeout_ms, 30000);
    assert_int_equal(config->gateway.http.connections_per_address, 1000);
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

#define LOCAL_MAX ((size_t)200 * 1024)

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
    struct config *config = config_fixture_load(full, full_variables);
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

/* What `errand up` starts with: right as it stands, and quick to config_fixture_load. */
static void test_local_configuration(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT((size_t)256 * 1024);
    FILE *file = fopen("infra/deploy/local.yaml", "re");
    assert_non_null(file);
    assert_true(buf_reserve(&yaml, LOCAL_MAX));
    buf_grow(&yaml, fread(yaml.data, 1, LOCAL_MAX, file));
    fclose(file);
    char *report = config_fixture_report(buf_span(&yaml), config_fixture_no_variables);
    assert_non_null(
        strstr(report,
               "secrets/redis does not exist")); /* the only thing that is missing is the secrets */
    free(report);
    char secrets[256];
    snprintf(secrets, sizeof secrets, "%s/secrets", config_fixture_folder());
    assert_int_equal(mkdir(secrets, 0700), 0);
    config_fixture_write("secrets/id", (struct span)SPAN_LIT("0123456789abcdef"), 0600);
    config_fixture_write("secrets/redis", (struct span)SPAN_LIT("password"), 0600);
    int64_t best_us = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t began_us = clock_monotonic_us();
        config_free(config_fixture_load(yaml.data, config_fixture_no_variables));
        int64_t took_us = clock_monotonic_us() - began_us;
        best_us = took_us < best_us ? took_us : best_us;
    }
    assert_true(best_us < 50000); /* a few milliseconds, more with sanitizers */
    config_fixture_remove("secrets/id");
    config_fixture_remove("secrets/redis");
    rmdir(secrets);
    buf_free(&yaml);
}

static void test_empty_files(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "# nothing\n", "---\n", "kafka:\nqueues:\n",
                                         "queues: {}\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct config *config = config_fixture_load(texts[i], config_fixture_no_variables);
        assert_string_equal(config->queues[0].name, "default");
        config_free(config);
    }
}

static void test_secrets(void **state)
{
    (void)state;
    static const char plain[] = "hunter2hunter2hunter2";
    char *report = config_fixture_report(span_of("redis: {password: hunter2hunter2hunter2}\n"),
                                         config_fixture_no_variables);
    assert_string_equal(
        report, "errand.yaml:1: redis.password: must be a reference, not the secret itself: "
                "file:PATH or env:NAME\n");
    assert_null(strstr(report, plain));
    free(report);
    config_fixture_expect_part("redis: {password: \"file:none\"}\n",
                               "/none does not exist; make it with: openssl rand -hex 32");
    config_fixture_expect_part("redis: {password: \"file:\"}\n",
                               "redis.password: file: needs a path");
    config_fixture_expect_part("redis: {password: \"env:\"}\n",
                               "redis.password: env: needs a variable's name");
    config_fixture_expect(
        "redis: {password: \"env:NONE\"}\n",
        "errand.yaml:1: redis.password: the environment variable NONE is not set\n");
    config_fixture_expect_part("redis: {password: \"file:.\"}\n", "must be a file");
    config_fixture_write("bad", (struct span)SPAN_LIT("x"), 0640);
    config_fixture_expect_part("redis: {password: \"file:bad\"}\n",
                               "can be used by others than its owner; run: chmod 600 ");
    config_fixture_write("bad", (struct span)SPAN_LIT("\n"), 0600);
    config_fixture_expect_part("redis: {password: \"file:bad\"}\n", "/bad is empty");
    config_fixture_write("bad", (struct span)SPAN_LIT("a\0b"), 0600);
    config_fixture_expect_part("redis: {password: \"file:bad\"}\n", "/bad must hold UTF-8 text");
    config_fixture_write("bad", (struct span)SPAN_LIT("short"), 0600);
    config_fixture_expect("secrets: {id: [\"file:bad\"]}\n",
                          "errand.yaml:1: secrets.id: the secret must hold at least 16 bytes; make "
                          "one with: openssl rand -hex 32\n");
    char *long_text = mem_zalloc(5000, 1);
    memset(long_text, 'x', 5000);
    config_fixture_write("bad", (struct span){ long_text, 5000 }, 0600);
    free(long_text);
    config_fixture_expect_part("redis: {password: \"file:bad\"}\n", "/bad is longer than 4 KiB");
    config_fixture_expect(
        FIXTURE_TARGET "types: {a: {call: " FIXTURE_CALL "}}\n",
        "errand.yaml: secrets.id: is missing; job ids are signed with it: make a secret with "
        "openssl rand -hex 32, "
        "keep it in a file with mode 600, and write id: [\"file:PATH\"]\n");
}

static void test_a_credential_of_systemd_is_for_its_service_alone(void **state)
{
    (void)state;
    static const char yaml[] = "redis: {password: \"file:bad\"}\n";
    static const char refusal[] = "can be used by others than its owner";
    char here[256];
    char elsewhere[300];
    snprintf(here, sizeof here, "CREDENTIALS_DIRECTORY=%s", config_fixture_folder());
    snprintf(elsewhere, sizeof elsewhere, "%s/deeper", here);
    const char *const with[] = { here, NULL };
    const char *const without[] = { elsewhere, NULL };
    config_fixture_write("bad", (struct span)SPAN_LIT("secret"), 0440);
    struct config *config = config_fixture_load(yaml, with);
    assert_string_equal(config->redis.password, "secret");
    config_free(config);
    char *report = config_fixture_report(span_of(yaml), without);
    assert_non_null(strstr(report, refusal));
    free(report);
    config_fixture_write("bad", (struct span)SPAN_LIT("secret"), 0444);
    report = config_fixture_report(span_of(yaml), with);
    assert_non_null(strstr(report, refusal));
    free(report);
}

static void test_a_secret_that_a_variable_replaces_is_not_read(void **state)
{
    (void)state;
    static const char yaml[] = "redis: {password: \"file:none\"}\nsecrets: {id: [\"file:none\"]}\n";
    const char *const variables[] = { "ERRAND_REDIS_PASSWORD=file:password",
                                      "ERRAND_SECRETS_ID=file:id", NULL };
    struct config *config = config_fixture_load(yaml, variables);
    assert_string_equal(config->redis.password, "pass word");
    assert_int_equal(config->id_secrets.count, 1);
    config_free(config);
    config_fixture_expect_with("redis: {password: hunter2}\n", variables,
                               "errand.yaml:1: redis.password: must be a reference, not the secret "
                               "itself: file:PATH or env:NAME\n");
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
    struct config *config = config_fixture_load(full, variables);
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
    config_fixture_expect_with(
        "", unknown,
        "ERRAND_KAFKA_BROKER: this variable names no key of the configuration; did you mean "
        "ERRAND_KAFKA_BROKERS?\n");
    const char *const twice[] = { "ERRAND_QUEUES_A_B_PARTITIONS=2", NULL };
    config_fixture_expect_with(
        "queues: {a-b: {}, a_b: {}}\n", twice,
        "ERRAND_QUEUES_A_B_PARTITIONS: this variable fits both queues.a-b.partitions and "
        "queues.a_b.partitions; set them in the file\n");
    const char *const pairs[] = { "ERRAND_KAFKA_PROPERTIES=a", NULL };
    config_fixture_expect_with(
        "", pairs,
        "ERRAND_KAFKA_PROPERTIES: kafka.properties: must be name=value, several separated "
        "by commas\n");
    const char *const listen[] = { "ERRAND_GATEWAY_LISTEN=0.0.0.0:1", NULL };
    char *report = config_fixture_report(span_of(""), listen);
    assert_true(strncmp(report, "ERRAND_GATEWAY_LISTEN: gateway.listen: ", 39) == 0);
    free(report);
    const char *const empty[] = { "ERRAND_NAMESPACE=", NULL };
    config_fixture_expect_with("", empty, "ERRAND_NAMESPACE: namespace: must not be empty\n");
}

/* docs/CONFIG.md is what the table says. UPDATE_DOCS=1 writes it. */
static void test_page(void **state)
{
    (void)state;
    struct buf page = BUF_INIT((size_t)256 * 1024);
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
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_a_secret_that_a_variable_replaces_is_not_read),
        cmocka_unit_test(test_a_credential_of_systemd_is_for_its_service_alone),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_mistakes),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, config_fixture_set_up, config_fixture_tear_down);
}
