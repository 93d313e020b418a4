/* Business rules: C functions from a payload to a result, in one table (rules.c). To add one:
 * write consumers/rule_NAME.c, declare its function below, add a line to the table, and
 * configure a type with `handler: rules` and `rule: NAME`.
 * A rule is pure but for what its input gives it: the same input has the same result, so an
 * attempt that is repeated after a crash changes nothing.
 * thread: any (a rule marked blocking runs on the thread pool)
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_RULES_H
#define CONSUMERS_RULES_H

#include "schemas/buf.h"
#include "schemas/err.h"

struct json;

/* Borrowed for the call. */
struct rule_input {
    const struct json *payload;
    struct span payload_bytes; /* the payload as the client wrote it */
    int64_t now_ms;            /* Unix time at the attempt's start */
    const char *job_id;
    bool drills; /* rules that do harm are allowed (worker.drill_rules) */
};

/* Appends the result, JSON text, to `ret_result`; the caller checks its overflow. A payload that
 * does not fit is ERR_PAYLOAD_INVALID; err->field names the member ("lines[2].quantity"), the text
 * its limit. */
typedef enum err_code (*rule_fn)(const struct rule_input *input, struct buf *ret_result,
                                 struct err *err);

struct rule {
    const char *name;
    bool blocking; /* may take more than a few hundred microseconds */
    rule_fn run;
};

/* NULL when there is none of that name. */
const struct rule *rule_find(struct span name);
/* The i-th rule; NULL past the end. */
const struct rule *rule_at(size_t i);

/* The price of an order: rule_order.c */
enum err_code rule_order_run(const struct rule_input *input, struct buf *ret_result,
                             struct err *err) MUST_CHECK;
/* A mixture of colours: rule_colour.c */
enum err_code rule_colour_run(const struct rule_input *input, struct buf *ret_result,
                              struct err *err) MUST_CHECK;
/* A sentence from a small grammar: rule_sentence.c */
enum err_code rule_sentence_run(const struct rule_input *input, struct buf *ret_result,
                                struct err *err) MUST_CHECK;
/* A crash, for drills and tests: rule_crash.c */
enum err_code rule_crash_run(const struct rule_input *input, struct buf *ret_result,
                             struct err *err) MUST_CHECK;

#endif
