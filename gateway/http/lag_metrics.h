/* The lag of the queues' groups as metrics: ours by queue, and those that kafka-lag-exporter has,
 * by the same names and labels, so that dashboards and alarms made for it need no change. THREADS:
 * one loop. SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_LAG_METRICS_H
#define GATEWAY_HTTP_LAG_METRICS_H

#include "consumers/lag_look.h"
#include "infra/metrics.h"

struct lag_metrics;

/* `groups` are those of lag_groups_of(config), one a queue. */
struct lag_metrics *lag_metrics_new(struct metrics *metrics, const struct config *config,
                                    const struct lag_question_group *groups);
/* Accepts NULL; the metrics themselves stay. */
void lag_metrics_free(struct lag_metrics *lag);
/* Tells the figures of the i-th queue; what is unknown is left out. `group` NULL: nothing is known.
 * `workers`: how many it wants, -1 unknown. */
void lag_metrics_set(struct lag_metrics *lag, size_t i, const struct lag_group *group,
                     int64_t workers);

#endif
