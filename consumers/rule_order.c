/* order.price: what an order costs. All money is in whole cents (64 bits), all rates are in
 * basis points (1/100 of a percent), and the only rounding is half to even.
 *
 *   {"region":"DE","coupon":"WELCOME10","lines":[{"sku":"pen","quantity":12,"unit_cents":199}]}
 *
 * A line costs quantity x unit price, less 5 % from 10 pieces and 10 % from 100. The coupon is
 * taken from the sum of the lines, the region's value-added tax comes on top of what is left.
 *
 * Worked example 1, the payload above:
 *   pen, 12 x 199 = 2388, less 5 % (119.4 -> 119)     2269
 *   WELCOME10, 10 % of 2269 (226.9 -> 227)            2042
 *   tax DE, 19 % of 2042 (387.98 -> 388)              2430
 *
 * Worked example 2, {"region":"FI","lines":[{"sku":"ink","quantity":1,"unit_cents":1000}]}:
 *   1000, and 25.5 % tax (255)                        1255
 *
 * Worked example 3, half to even, a "clip" for 1 cent in LU (tax 17 %):
 *   10 pieces: 10, less 5 % (0.5 -> 0), tax 1.7 -> 2    12
 *   30 pieces: 30, less 5 % (1.5 -> 2), tax 4.76 -> 5   33
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rule_fields.h"
#include "consumers/rules.h"
#include "schemas/json.h"
#include "schemas/json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define LINES_MAX        1000
#define SKU_BYTES_MAX    64
#define COUPON_BYTES_MAX 32
#define QUANTITY_MAX     1000000
#define UNIT_CENTS_MAX   100000000
/* Of all lines together. Times a rate it is still far from the limit of 64 bits, as is one line, so
 * no step of the calculation can overflow. */
#define ORDER_CENTS_MAX INT64_C(1000000000000)
#define BASIS_POINTS    10000
static_assert(INT64_C(1) * QUANTITY_MAX * UNIT_CENTS_MAX <= INT64_MAX / BASIS_POINTS,
              "a line can overflow");
static_assert(ORDER_CENTS_MAX <= INT64_MAX / BASIS_POINTS, "an order can overflow");

/* Value-added tax where the currency is the euro; standard rates. */
static const struct region {
    const char *name;
    int tax; /* basis points */
} regions[] = {
    { "AT", 2000 }, { "BE", 2100 }, { "CY", 1900 }, { "DE", 1900 }, { "EE", 2400 },
    { "ES", 2100 }, { "FI", 2550 }, { "FR", 2000 }, { "GR", 2400 }, { "HR", 2500 },
    { "IE", 2300 }, { "IT", 2200 }, { "LT", 2100 }, { "LU", 1700 }, { "LV", 2100 },
    { "MT", 1800 }, { "NL", 2100 }, { "PT", 2300 }, { "SI", 2200 }, { "SK", 2300 },
};

/* What a coupon takes off: a rate, or an amount (never more than there is). */
static const struct coupon {
    const char *name;
    int rate; /* basis points */
    int64_t cents;
    int64_t cents_min; /* what the lines must come to before it may be used */
} coupons[] = {
    { "WELCOME10", 1000, 0, 0 },
    { "SUMMER25", 2500, 0, 10000 },
    { "THANKS200", 0, 200, 0 },
    { "TAKE500", 0, 500, 5000 },
};

/* From how many pieces on a line costs how much less; the last that fits counts. */
static const struct tier {
    int64_t quantity;
    int rate; /* basis points */
} tiers[] = {
    { 1, 0 },
    { 10, 500 },
    { 100, 1000 },
};

struct line {
    struct span sku;
    int64_t quantity, unit_cents, discount_cents, net_cents;
};

struct order {
    const struct region *region;
    const struct coupon *coupon; /* NULL: none */
    int64_t subtotal_cents, line_discount_cents, coupon_discount_cents, tax_cents;
};

/* `cents` times `rate`; a half cent goes to the even neighbour, so that many roundings favour
 * nobody. */
static int64_t share_of(int64_t cents, int rate)
{
    int64_t product = cents * rate;
    int64_t whole = product / BASIS_POINTS;
    int64_t rest = product % BASIS_POINTS;
    bool up = rest > BASIS_POINTS / 2 || (rest == BASIS_POINTS / 2 && whole % 2 != 0);
    return whole + up;
}

static enum err_code take_region(const struct rule_fields *fields, struct order *order)
{
    struct span name;
    enum err_code code = rule_fields_text(fields, "region", 2, &name);
    if (code)
        return code;
    for (size_t i = 0; i < COUNT(regions); i++) {
        if (span_is(name, regions[i].name)) {
            order->region = &regions[i];
            return ERR_OK;
        }
    }
    return rule_fields_refuse(fields, "region",
                              "must be a country of the euro area, such as \"DE\" or \"FR\"");
}

/* No suggestion for an unknown coupon: near misses would give coupons away. */
static enum err_code take_coupon(const struct rule_fields *fields, struct order *order)
{
    struct span name;
    if (!rule_fields_has(fields, "coupon"))
        return ERR_OK;
    enum err_code code = rule_fields_text(fields, "coupon", COUPON_BYTES_MAX, &name);
    if (code)
        return code;
    for (size_t i = 0; i < COUNT(coupons); i++) {
        if (span_is(name, coupons[i].name)) {
            order->coupon = &coupons[i];
            return ERR_OK;
        }
    }
    return rule_fields_refuse(fields, "coupon", "is not a coupon that is known here");
}

static int rate_for(int64_t quantity)
{
    size_t i = COUNT(tiers) - 1;
    while (quantity < tiers[i].quantity)
        i--;
    return tiers[i].rate;
}

static enum err_code take_line(const struct json *value, size_t index, struct line *line,
                               struct err *err)
{
    static const char *const names[] = { "sku", "quantity", "unit_cents", NULL };
    char place[32];
    struct rule_fields fields = { .place = place, .err = err };
    snprintf(place, sizeof place, "lines[%zu]", index);
    enum err_code code = rule_fields_open(&fields, value, names);
    if (code == ERR_OK)
        code = rule_fields_text(&fields, "sku", SKU_BYTES_MAX, &line->sku);
    if (code == ERR_OK)
        code = rule_fields_integer(&fields, "quantity", 1, QUANTITY_MAX, &line->quantity);
    if (code == ERR_OK)
        code = rule_fields_integer(&fields, "unit_cents", 0, UNIT_CENTS_MAX, &line->unit_cents);
    return code;
}

static void price_line(struct line *line)
{
    int64_t gross = line->quantity * line->unit_cents;
    line->discount_cents = share_of(gross, rate_for(line->quantity));
    line->net_cents = gross - line->discount_cents;
}

static void write_line(const struct line *line, struct buf *out)
{
    buf_add_text(out, "{\"sku\":");
    buf_add_json_string(out, line->sku);
    json_out_number(out, "quantity", line->quantity);
    json_out_number(out, "unit_cents", line->unit_cents);
    json_out_number(out, "discount_cents", line->discount_cents);
    json_out_number(out, "net_cents", line->net_cents);
    buf_add_char(out, '}');
}

/* Prices each line, writes it, and sums them up. */
static enum err_code price_lines(const struct rule_fields *fields, struct order *order,
                                 struct buf *out)
{
    const struct json *list;
    size_t count;
    enum err_code code = rule_fields_list(fields, "lines", LINES_MAX, &list, &count);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        struct line line;
        code = take_line(json_at(list, i), i, &line, fields->err);
        if (code)
            break;
        price_line(&line);
        order->subtotal_cents += line.net_cents + line.discount_cents;
        order->line_discount_cents += line.discount_cents;
        if (order->subtotal_cents > ORDER_CENTS_MAX)
            return rule_fields_refuse(fields, "lines", "come to more than %" PRId64 " cents",
                                      ORDER_CENTS_MAX);
        if (i)
            buf_add_char(out, ',');
        write_line(&line, out);
    }
    return code;
}

static enum err_code apply_coupon(const struct rule_fields *fields, struct order *order)
{
    const struct coupon *coupon = order->coupon;
    int64_t net = order->subtotal_cents - order->line_discount_cents;
    if (!coupon)
        return ERR_OK;
    if (net < coupon->cents_min)
        return rule_fields_refuse(
            fields, "coupon", "needs lines that come to %" PRId64 " cents; these come to %" PRId64,
            coupon->cents_min, net);
    int64_t discount = coupon->rate ? share_of(net, coupon->rate) : coupon->cents;
    order->coupon_discount_cents = discount < net ? discount : net;
    return ERR_OK;
}

static void write_totals(struct order *order, struct buf *out)
{
    int64_t discount = order->line_discount_cents + order->coupon_discount_cents;
    int64_t taxed = order->subtotal_cents - discount;
    order->tax_cents = share_of(taxed, order->region->tax);
    json_out_number(out, "subtotal_cents", order->subtotal_cents);
    json_out_number(out, "line_discount_cents", order->line_discount_cents);
    if (order->coupon)
        buf_printf(out, ",\"coupon\":\"%s\"", order->coupon->name);
    json_out_number(out, "coupon_discount_cents", order->coupon_discount_cents);
    json_out_number(out, "discount_cents", discount);
    json_out_number(out, "tax_basis_points", order->region->tax);
    json_out_number(out, "tax_cents", order->tax_cents);
    json_out_number(out, "total_cents", taxed + order->tax_cents);
    buf_add_char(out, '}');
}

enum err_code rule_order_run(const struct rule_input *input, struct buf *ret_result,
                             struct err *err)
{
    static const char *const names[] = { "region", "coupon", "lines", NULL };
    struct rule_fields fields = { .place = "", .err = err };
    struct order order = { 0 };
    enum err_code code = rule_fields_open(&fields, input->payload, names);
    if (code == ERR_OK)
        code = take_region(&fields, &order);
    if (code == ERR_OK)
        code = take_coupon(&fields, &order);
    if (code)
        return code;
    buf_printf(ret_result, "{\"currency\":\"EUR\",\"region\":\"%s\",\"lines\":[",
               order.region->name);
    code = price_lines(&fields, &order, ret_result);
    if (code == ERR_OK)
        code = apply_coupon(&fields, &order);
    if (code)
        return code;
    buf_add_char(ret_result, ']');
    write_totals(&order, ret_result);
    return ERR_OK;
}
