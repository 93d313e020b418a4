/* A look at the lag for people and for monitors.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_LAG_PRINT_H
#define GATEWAY_CLI_LAG_PRINT_H

#include "consumers/lag.h"
#include "gateway/cli/table.h"

enum lag_print_by { LAG_PRINT_TOPIC, LAG_PRINT_GROUP, LAG_PRINT_PARTITION };

/* A table with one line a group, topic or partition; free with table_free. */
struct table *lag_print_table(const struct lag_look *look, enum lag_print_by by);
/* Whether a figure is less than exact, so that the signs in the table want an explanation. */
bool lag_print_is_exact(const struct lag_look *look);
/* One line as monitors read it ("LAG OK - ... | behind_seconds=0.000;30;300 lag=0"), and the state
 * of the worst group. */
enum lag_state lag_print_check(const struct lag_look *look, const struct lag_limits *limits,
                               struct buf *out);
/* The same as the members of an errand.lag.check/1 object. */
enum lag_state lag_print_check_json(const struct lag_look *look, const struct lag_limits *limits,
                                    struct buf *out);

#endif
