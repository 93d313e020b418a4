/* See handler.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/handler.h"

#include <stdio.h>

void outcome_fail(struct outcome *outcome, const struct err *err)
{
    *outcome = (struct outcome){ .code = err->code,
                                 .class_ = err_class_of(err->code),
                                 .retry_after_ms = -1 };
    snprintf(outcome->detail, sizeof outcome->detail, "%.*s", (int)sizeof outcome->detail - 1,
             err->text);
}

void outcome_fail_code(struct outcome *outcome, enum err_code code)
{
    struct err err;
    err_set(&err, code, "%s", err_title(code));
    outcome_fail(outcome, &err);
}

enum err_code handler_new(const struct handler_tools *tools, const struct config_type *type,
                          struct handler **ret_handler, struct err *err)
{
    switch (type->handler) {
    case CONFIG_HANDLER_CALL:
        return call_new(tools, type, ret_handler, err);
    case CONFIG_HANDLER_RULES:
        break;
    }
    return rules_handler_new(tools, type, ret_handler, err);
}
