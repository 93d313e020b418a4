/* The lag of the queues' groups, looked at every gateway.backlog_look on the thread pool: for the
 * admission, GET /v1/lag, GET /v1/autoscale and the metrics. Rates are those of the last
 * LAG_WATCH_LOOKS looks. Any other group is looked at when it is asked for, one at a time. THREADS:
 * one loop. SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HTTP_LAG_WATCH_H
#define GATEWAY_HTTP_LAG_WATCH_H

#include "consumers/lag.h"
#include "gateway/http/admission.h"

#define LAG_WATCH_LOOKS 5

struct lag_watch;

struct lag_watch_options { /* all borrowed for the watch's life */
    struct loop *loop;
    const struct config *config;
    const char *client_id;
    struct kafka_admin *admin;   /* closed after the watch */
    struct admission *admission; /* is given each look; knows how fast queues drain */
    struct metrics *metrics;
};
enum err_code lag_watch_open(const struct lag_watch_options *options, struct lag_watch **ret_watch,
                             struct err *err) MUST_CHECK;
/* A look under way ends by itself, soon; answers that were not given are not given any more.
 * Accepts NULL. */
void lag_watch_close(struct lag_watch *watch);

/* The newest look, valid until the loop turns; NULL while there is none that is young enough to be
 * told, and then *ret_err says so. */
const struct lag_look *lag_watch_find(const struct lag_watch *watch, struct err *ret_err);
/* How many workers the queue wants (lag.h); -1 unknown. *ret_worker_rate: what one of them was seen
 * to do, a second; 0 unknown. */
int64_t lag_watch_workers(const struct lag_watch *watch, const struct lag_group *group,
                          double drain_s, double *ret_worker_rate);

/* Looks at any group of the cluster; `name` is copied. `answer` is called once, on the loop:
 * `look` is borrowed, NULL with `err` when it could not be told. ERR_OVERLOADED at once when
 * another one is being looked at. */
typedef void (*lag_watch_fn)(void *arg, const struct lag_look *look, const struct err *err);
enum err_code lag_watch_ask(struct lag_watch *watch, struct span name, lag_watch_fn answer,
                            void *arg, struct err *err) MUST_CHECK;

#endif
