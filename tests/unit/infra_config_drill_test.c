/* infra/config_drill: what a drill is told, and what it is not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/config_drill.h"
#include "schemas/buf.h"
#include "tests/unit/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEXT_MAX ((size_t)1024 * 1024)

static const char yaml[] =
    "namespace: shop\n"
    "kafka: {brokers: \"kafka-1:9092\", session_timeout: 4s, "
    "properties: {client.rack: r1, sasl.password: \"file:password\"}}\n"
    "redis: {addresses: [\"cache:6379\"], password: \"file:password\"}\n"
    "secrets: {id: [\"file:id\"]}\n"
    "log: {path: /var/log/shop.log}\n"
    "queues: {default: {partitions: 3}, line: {partitions: 2, ordered: true}}\n"
    "targets:\n"
    "  quotes: {base_url: \"simulator:/quotes\", in_flight: 7, redirects: 1}\n"
    "  payments:\n"
    "    base_url: https://api.payments.example/v2/hook-51c0ffee\n"
    "    timeout: 3s\n"
    "    concurrency: 9\n"
    "    breaker: {calls_min: 5}\n"
    "    headers: {Authorization: \"file:password\", X-Account: account-4711}\n"
    "types:\n"
    "  quote.fetch:\n"
    "    example: {author: any}\n"
    "    call: {target: quotes, path: \"/{{author|any}}\", query: {topic: \"{{topic|}}\"}}\n"
    "  pay.out:\n"
    "    description: 'Pays \"out\": at once'\n"
    "    call:\n"
    "      target: payments\n"
    "      method: PUT\n"
    "      path: \"/accounts/{{to}}/hook-in-path\"\n"
    "      query: {key: key-known-to-us, to: \"{{to}}\"}\n"
    "      headers: {X-Key: another-of-ours, X-To: \"Bearer key-before {{to}}, key-behind\"}\n"
    "      body: '{\"key\": \"key-in-body\", \"to\": \"{{to}}\"}'\n"
    "      expect: [\"201\"]\n"
    "      result: pointer\n"
    "      pointer: /receipt\n"
    "    retry: {attempts: 9}\n"
    "  text.make: {handler: rules, rule: sentence.make, queue: default}\n";

static void write_drill(struct buf *out)
{
    struct config *config = config_fixture_load(yaml, config_fixture_no_variables);
    config_drill_write(config, "shop-drill-one", out);
    config_free(config);
    assert_false(out->overflow);
}

static void test_nothing_real_is_in_it(void **state)
{
    (void)state;
    static const char *const secret[] = { "payments.example", "hook-51c0ffee",    "pass word",
                                          "account-4711",     "Authorization",    "hook-in-path",
                                          "/var/log/shop",    "0123456789abcdef", "key-known-to-us",
                                          "another-of-ours",  "key-before",       "key-behind",
                                          "key-in-body" };
    struct buf text = BUF_INIT(TEXT_MAX);
    write_drill(&text);
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
        if (strstr(text.data, secret[i]))
            fail_msg("a drill is told %s", secret[i]);
    }
    buf_free(&text);
}

static void test_it_is_the_same_deployment_otherwise(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(TEXT_MAX);
    write_drill(&text);
    /* What the drill's folder has for it. */
    static const char *const from[] = { "file:secrets/id", "file:secrets/kafka-1" };
    static const char *const to[] = { "file:id", "file:password" };
    struct buf here = BUF_INIT(TEXT_MAX);
    for (const char *at = text.data; *at;) {
        size_t i = 0;
        while (i < 2 && strncmp(at, from[i], strlen(from[i])) != 0)
            i++;
        if (i < 2)
            buf_add_text(&here, to[i]);
        else
            buf_add_char(&here, *at);
        at += i < 2 ? strlen(from[i]) : 1;
    }
    struct config *drill = config_fixture_load(here.data, config_fixture_no_variables);
    assert_string_equal(drill->namespace_, "shop-drill-one");
    assert_string_equal(drill->kafka.brokers, "kafka-1:9092");
    assert_int_equal(drill->kafka.session_timeout_ms, 4000);
    assert_int_equal(drill->kafka.properties.count, 2);
    assert_string_equal(drill->redis.addresses.items[0], "cache:6379");
    assert_string_equal(drill->gateway.http.listen, "127.0.0.1:0");
    assert_int_equal(drill->queue_count, 2);
    assert_true(config_find_queue(drill, span_of("line"))->ordered);
    const struct config_target *quotes = config_find_target(drill, span_of("quotes"));
    assert_string_equal(quotes->base_url, "simulator:/quotes");
    assert_int_equal(quotes->in_flight_max, 7);
    assert_int_equal(quotes->redirects_max, 1);
    const struct config_target *payments = config_find_target(drill, span_of("payments"));
    assert_string_equal(payments->base_url, "simulator:/");
    assert_int_equal(payments->timeout_ms, 3000);
    assert_int_equal(payments->concurrency_max, 9);
    assert_int_equal(payments->breaker.calls_min, 5);
    assert_int_equal(payments->headers.count, 0);
    const struct config_type *quote = config_find_type(drill, span_of("quote.fetch"));
    assert_string_equal(quote->call.path, "/{{author|any}}");
    assert_string_equal(quote->call.query.items[0].value, "{{topic|}}");
    const struct config_type *pay = config_find_type(drill, span_of("pay.out"));
    assert_string_equal(pay->call.method, "POST");
    assert_string_equal(pay->call.path, "/echo");
    assert_string_equal(pay->call.expect.items[0], "2xx");
    assert_int_equal(pay->call.query.count, 1);
    assert_int_equal(pay->call.headers.count, 1);
    assert_string_equal(pay->call.headers.items[0].value, "{{to}}");
    assert_int_equal(pay->call.result, CONFIG_RESULT_JSON);
    assert_string_equal(pay->description, "Pays \"out\": at once");
    assert_int_equal(pay->retry.attempts_max, 9);
    const struct config_type *rule = config_find_type(drill, span_of("text.make"));
    assert_int_equal(rule->handler, CONFIG_HANDLER_RULES);
    assert_string_equal(rule->rule, "sentence.make");
    struct config *live = config_fixture_load(yaml, config_fixture_no_variables);
    assert_string_equal(pay->call.body, "{{payload}}");
    assert_string_equal(quote->example, config_find_type(live, span_of("quote.fetch"))->example);
    config_free(live);
    config_free(drill);
    buf_free(&here);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_real_is_in_it),
        cmocka_unit_test(test_it_is_the_same_deployment_otherwise),
    };
    return cmocka_run_group_tests(tests, config_fixture_set_up, config_fixture_tear_down);
}
