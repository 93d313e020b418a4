/* order.price: the worked examples at the top of rule_order.c, the edges of every table and
 * limit, bad payloads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct priced {
    enum err_code code;
    struct err err;
    struct json *result;
};

static void price(struct span payload, struct priced *ret_priced)
{
    const struct json_limits limits = { .depth_max = 32, .tokens_max = 100000 };
    struct json *json = NULL;
    struct buf result = BUF_INIT(1000000);
    *ret_priced = (struct priced){ 0 };
    assert_int_equal(json_parse(payload, &limits, &json, NULL), ERR_OK);
    struct rule_input input = { .payload = json, .payload_bytes = payload };
    ret_priced->code = rule_order_run(&input, &result, &ret_priced->err);
    if (ret_priced->code == ERR_OK)
        assert_int_equal(json_parse(buf_span(&result), &limits, &ret_priced->result, NULL), ERR_OK);
    buf_free(&result);
    json_free(json);
}

static int64_t cents(const struct json *object, const char *name)
{
    int64_t value = -1;
    assert_true(json_integer_of(json_get(object, name), &value));
    return value;
}

struct totals {
    int64_t subtotal, line_discount, coupon_discount, tax, total;
};

static void expect(const char *payload, struct totals totals)
{
    struct priced priced;
    price(span_of(payload), &priced);
    if (priced.code)
        fail_msg("%s: %s", payload, priced.err.text);
    assert_true(span_is(json_text(json_get(priced.result, "currency")), "EUR"));
    assert_int_equal(cents(priced.result, "subtotal_cents"), totals.subtotal);
    assert_int_equal(cents(priced.result, "line_discount_cents"), totals.line_discount);
    assert_int_equal(cents(priced.result, "coupon_discount_cents"), totals.coupon_discount);
    assert_int_equal(cents(priced.result, "discount_cents"),
                     totals.line_discount + totals.coupon_discount);
    assert_int_equal(cents(priced.result, "tax_cents"), totals.tax);
    assert_int_equal(cents(priced.result, "total_cents"), totals.total);
    json_free(priced.result);
}

static void expect_line(const char *region, const char *coupon, int64_t quantity,
                        int64_t unit_cents, struct totals totals)
{
    char payload[256];
    snprintf(payload, sizeof payload,
             "{\"region\":\"%s\"%s%s%s,\"lines\":[{\"sku\":\"x\",\"quantity\":%lld,\"unit_cents\":%"
             "lld}]}",
             region, coupon ? ",\"coupon\":\"" : "", coupon ? coupon : "", coupon ? "\"" : "",
             (long long)quantity, (long long)unit_cents);
    expect(payload, totals);
}

static void refuse(const char *payload, const char *field, const char *says)
{
    struct priced priced;
    price(span_of(payload), &priced);
    assert_int_equal(priced.code, ERR_PAYLOAD_INVALID);
    assert_string_equal(priced.err.field, field);
    if (!strstr(priced.err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", priced.err.text, says);
}

static void the_worked_examples_are_right(void **state)
{
    (void)state;
    expect("{\"region\":\"DE\",\"coupon\":\"WELCOME10\","
           "\"lines\":[{\"sku\":\"pen\",\"quantity\":12,\"unit_cents\":199}]}",
           (struct totals){ 2388, 119, 227, 388, 2430 });
    expect_line("FI", NULL, 1, 1000, (struct totals){ 1000, 0, 0, 255, 1255 });
    expect_line("LU", NULL, 10, 1, (struct totals){ 10, 0, 0, 2, 12 });
    expect_line("LU", NULL, 30, 1, (struct totals){ 30, 2, 0, 5, 33 });
}

static void each_line_is_told(void **state)
{
    (void)state;
    struct priced priced;
    price(span_of("{\"region\":\"AT\",\"lines\":[{\"sku\":\"p\\u00e9n "
                  "\\\"x\\\"\",\"quantity\":10,\"unit_cents\":100},"
                  "{\"sku\":\"ink\",\"quantity\":1,\"unit_cents\":0}]}"),
          &priced);
    assert_int_equal(priced.code, ERR_OK);
    const struct json *lines = json_get(priced.result, "lines");
    assert_int_equal(json_count(lines), 2);
    assert_true(span_is(json_text(json_get(json_at(lines, 0), "sku")), "p\xc3\xa9n \"x\""));
    assert_int_equal(cents(json_at(lines, 0), "quantity"), 10);
    assert_int_equal(cents(json_at(lines, 0), "unit_cents"), 100);
    assert_int_equal(cents(json_at(lines, 0), "discount_cents"), 50);
    assert_int_equal(cents(json_at(lines, 0), "net_cents"), 950);
    assert_int_equal(cents(json_at(lines, 1), "net_cents"), 0);
    assert_int_equal(cents(priced.result, "tax_basis_points"), 2000);
    assert_int_equal(cents(priced.result, "total_cents"), 1140);
    json_free(priced.result);
}

static void discounts_begin_at_their_quantities(void **state)
{
    (void)state;
    expect_line("DE", NULL, 9, 100, (struct totals){ 900, 0, 0, 171, 1071 });
    expect_line("DE", NULL, 10, 100, (struct totals){ 1000, 50, 0, 180, 1130 }); /* 180.5 to even */
    expect_line("DE", NULL, 99, 100, (struct totals){ 9900, 495, 0, 1787, 11192 });
    expect_line("DE", NULL, 100, 100, (struct totals){ 10000, 1000, 0, 1710, 10710 });
}

static void coupons_take_off_what_they_say(void **state)
{
    (void)state;
    expect_line("FR", "SUMMER25", 1, 10000, (struct totals){ 10000, 0, 2500, 1500, 9000 });
    expect_line("FR", "TAKE500", 1, 5000, (struct totals){ 5000, 0, 500, 900, 5400 });
    expect_line("FR", "THANKS200", 1, 201, (struct totals){ 201, 0, 200, 0, 1 });
    /* never more than there is */
    expect_line("FR", "THANKS200", 1, 150, (struct totals){ 150, 0, 150, 0, 0 });
    expect_line("FR", "THANKS200", 1, 0, (struct totals){ 0, 0, 0, 0, 0 });
}

static void a_coupon_may_need_a_minimum_after_discounts(void **state)
{
    (void)state;
    refuse("{\"region\":\"FR\",\"coupon\":\"TAKE500\",\"lines\":[{\"sku\":\"x\",\"quantity\":1,"
           "\"unit_cents\":4999}]}",
           "coupon", "5000 cents; these come to 4999");
    refuse("{\"region\":\"FR\",\"coupon\":\"TAKE500\",\"lines\":[{\"sku\":\"x\",\"quantity\":10,"
           "\"unit_cents\":500}]}",
           "coupon", "these come to 4750");
}

static void the_largest_amounts_do_not_overflow(void **state)
{
    (void)state;
    expect_line("HR", NULL, 10000, 100000000,
                (struct totals){ 1000000000000, 100000000000, 0, 225000000000, 1125000000000 });
    refuse(
        "{\"region\":\"HR\",\"lines\":[{\"sku\":\"x\",\"quantity\":10000,\"unit_cents\":100000000},"
        "{\"sku\":\"y\",\"quantity\":1,\"unit_cents\":1}]}",
        "lines", "more than 1000000000000 cents");
    refuse("{\"region\":\"HR\",\"lines\":[{\"sku\":\"x\",\"quantity\":1000000,\"unit_cents\":"
           "100000000}]}",
           "lines", "more than 1000000000000 cents");
}

static void many_lines(size_t count, struct buf *out)
{
    buf_add_text(out, "{\"region\":\"DE\",\"lines\":[");
    for (size_t i = 0; i < count; i++)
        buf_add_text(out, i ? ",{\"sku\":\"x\",\"quantity\":1,\"unit_cents\":1}"
                            : "{\"sku\":\"x\",\"quantity\":1,\"unit_cents\":1}");
    buf_add_text(out, "]}");
}

static void a_thousand_lines_are_taken_and_one_more_is_not(void **state)
{
    (void)state;
    struct buf payload = BUF_INIT(1000000);
    struct priced priced;
    many_lines(1000, &payload);
    price(buf_span(&payload), &priced);
    assert_int_equal(priced.code, ERR_OK);
    assert_int_equal(cents(priced.result, "subtotal_cents"), 1000);
    json_free(priced.result);
    buf_reset(&payload);
    many_lines(1001, &payload);
    refuse(payload.data, "lines", "1 to 1000 entries");
    buf_free(&payload);
}

#define LINES "\"lines\":[{\"sku\":\"x\",\"quantity\":1,\"unit_cents\":1}]"

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    refuse("{\"region\":\"XX\"," LINES "}", "region", "country of the euro area");
    refuse("{\"region\":\"de\"," LINES "}", "region", "country of the euro area");
    refuse("{\"region\":\"DEU\"," LINES "}", "region", "1 to 2 bytes");
    refuse("{\"region\":\"DE\",\"coupon\":\"WELCOME1\"," LINES "}", "coupon",
           "not a coupon that is known");
    refuse("{\"region\":\"DE\",\"coupon\":10," LINES "}", "coupon", "must be a text");
    refuse("{\"region\":\"DE\",\"lines\":[{\"sku\":\"x\",\"quantity\":0,\"unit_cents\":1}]}",
           "lines[0].quantity", "from 1 to 1000000");
    refuse("{\"region\":\"DE\",\"lines\":[{\"sku\":\"x\",\"quantity\":1000001,\"unit_cents\":1}]}",
           "lines[0].quantity", "from 1 to 1000000");
    refuse("{\"region\":\"DE\",\"lines\":[{\"sku\":\"x\",\"quantity\":1.0,\"unit_cents\":1}]}",
           "lines[0].quantity", "whole number");
    refuse("{\"region\":\"DE\",\"lines\":[{\"sku\":\"x\",\"quantity\":1,\"unit_cents\":-1}]}",
           "lines[0].unit_cents", "from 0 to 100000000");
    refuse("{\"region\":\"DE\","
           "\"lines\":[{\"sku\":\"x\",\"quantity\":1,\"unit_cents\":1},{\"sku\":\"x\","
           "\"quantity\":1}]}",
           "lines[1].unit_cents", "is missing");
}

static void an_unknown_coupon_is_not_given_away(void **state)
{
    (void)state;
    struct priced priced;
    price(span_of("{\"region\":\"DE\",\"coupon\":\"WELCOME11\"," LINES "}"), &priced);
    assert_int_equal(priced.code, ERR_PAYLOAD_INVALID);
    assert_null(strstr(priced.err.text, "WELCOME10"));
}

static void every_region_has_its_tax(void **state)
{
    (void)state;
    static const struct {
        const char *region;
        int64_t tax;
    } regions[] = {
        { "AT", 2000 }, { "BE", 2100 }, { "CY", 1900 }, { "DE", 1900 }, { "EE", 2400 },
        { "ES", 2100 }, { "FI", 2550 }, { "FR", 2000 }, { "GR", 2400 }, { "HR", 2500 },
        { "IE", 2300 }, { "IT", 2200 }, { "LT", 2100 }, { "LU", 1700 }, { "LV", 2100 },
        { "MT", 1800 }, { "NL", 2100 }, { "PT", 2300 }, { "SI", 2200 }, { "SK", 2300 },
    };
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
        expect_line(regions[i].region, NULL, 1, 10000,
                    (struct totals){ 10000, 0, 0, regions[i].tax, 10000 + regions[i].tax });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_examples_are_right),
        cmocka_unit_test(each_line_is_told),
        cmocka_unit_test(discounts_begin_at_their_quantities),
        cmocka_unit_test(coupons_take_off_what_they_say),
        cmocka_unit_test(a_coupon_may_need_a_minimum_after_discounts),
        cmocka_unit_test(the_largest_amounts_do_not_overflow),
        cmocka_unit_test(a_thousand_lines_are_taken_and_one_more_is_not),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(an_unknown_coupon_is_not_given_away),
        cmocka_unit_test(every_region_has_its_tax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
