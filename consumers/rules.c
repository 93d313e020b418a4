/* The table of business rules. See rules.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "consumers/rules.h"

static const struct rule rules[] = {
    { "colour.mix", false, rule_colour_run },
    { "drill.crash", true, rule_crash_run },
    { "order.price", false, rule_order_run },
    { "sentence.make", false, rule_sentence_run },
};
#define RULE_COUNT (sizeof rules / sizeof *rules)

const struct rule *rule_find(struct span name)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (span_is(name, rules[i].name))
            return &rules[i];
    }
    return NULL;
}

const struct rule *rule_at(size_t i)
{
    return i < RULE_COUNT ? &rules[i] : NULL;
}
