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
