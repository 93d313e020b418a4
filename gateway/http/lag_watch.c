/* See lag_watch.h. SPDX-License-Identifier: Apache-2.0 */
#include "gateway/http/lag_watch.h"

#include "consumers/lag_look.h"
#include "gateway/http/lag_metrics.h"
#include "infra/clock.h"
#include "schemas/mem.h"

#include <stdlib.h>

#define ANSWER_MS     5000 /* how long Kafka may take to tell */
#define MEMBERS_EVERY 3    /* looks: every broker is asked for who is in the groups */
#define DRAIN_S       60   /* what the metric of wanted workers is for */

struct asking { /* another group, for one request */
    struct lag_watch *watch;
    struct lag_question_group group;
    struct lag_question question;
    lag_watch_fn answer;
    void *arg;
    struct lag_look *look;
    enum err_code code;
    struct err err;
};

struct lag_watch {
    struct lag_watch_options use;
    struct lag_question_group *groups;
    struct lag_question question;
    struct loop_timer *timer;
    uint64_t look_count;
    struct lag_look *looks[LAG_WATCH_LOOKS]; /* the newest first; NULL none */
    struct {                                 /* thread: pool, until it is there */
        struct lag_look *look;
        enum err_code code;
        struct err err;
    } coming;
    enum err_code code; /* of the last look that ended */
    struct err err;
    struct lag_metrics *metrics;
    bool looking, asking; /* the thread pool has something of ours, which outlives the close */
    bool closed;
};

static void free_now(struct lag_watch *watch)
{
    kafka_admin_close(watch->question.reader);
    for (size_t i = 0; i < LAG_WATCH_LOOKS; i++)
        lag_look_free(watch->looks[i]);
    lag_groups_free(watch->groups, watch->question.count);
    lag_metrics_free(watch->metrics);
    free(watch);
}

/* --- looking --- */

static void keep(struct lag_watch *watch, struct lag_look *look)
{
    struct lag_look *oldest = watch->looks[LAG_WATCH_LOOKS - 1];
    for (size_t i = LAG_WATCH_LOOKS - 1; i > 0; i--)
        watch->looks[i] = watch->looks[i - 1];
    watch->looks[0] = look;
    lag_look_free(oldest);
    for (size_t i = LAG_WATCH_LOOKS - 1; i > 0; i--) {
        if (watch->looks[i]) {
            lag_judge(look, watch->looks[i]);
            break;
        }
    }
}

static void tell(struct lag_watch *watch)
{
    struct err err;
    const struct lag_look *look = lag_watch_find(watch, &err);
    for (size_t i = 0; i < watch->question.count; i++) {
        double worker_rate = 0;
        const struct lag_group *group = look ? &look->groups[i] : NULL;
        int64_t workers = group ? lag_watch_workers(watch, group, DRAIN_S, &worker_rate) : -1;
        lag_metrics_set(watch->metrics, i, group, workers);
    }
}

/* thread: pool */
static void look_now(void *arg)
{
    struct lag_watch *watch = arg;
    watch->coming.code = lag_look_sync(&watch->question, &watch->coming.look, &watch->coming.err);
    kafka_admin_end(watch->use.admin);
}

static void looked(void *arg)
{
    struct lag_watch *watch = arg;
    watch->looking = false;
    watch->code = watch->coming.code;
    watch->err = watch->coming.err;
    if (watch->code == ERR_OK)
        keep(watch, watch->coming.look);
    if (watch->closed) {
        if (!watch->asking)
            free_now(watch);
        return;
    }
    admission_look(watch->use.admission, watch->code == ERR_OK ? watch->looks[0] : NULL);
    tell(watch);
    loop_timer_start(watch->timer, watch->use.config->gateway.backlog_look_ms, 0);
}

static void look(void *arg)
{
    struct lag_watch *watch = arg;
    watch->looking = true;
    watch->question.before = watch->looks[0];
    watch->question.members = watch->look_count++ % MEMBERS_EVERY == 0;
    kafka_admin_begin(watch->use.admin);
    loop_work(watch->use.loop, look_now, looked, watch);
}

const struct lag_look *lag_watch_find(const struct lag_watch *watch, struct err *ret_err)
{
    const struct lag_look *newest = watch->looks[0];
    int64_t age_max_ms = 3 * watch->use.config->gateway.backlog_look_ms + ANSWER_MS;
    if (newest && clock_monotonic_ms() - newest->monotonic_ms <= age_max_ms)
        return newest;
    (void)err_set(ret_err, ERR_KAFKA, "The lag is not known: %s",
                  watch->code ? watch->err.text : "it has not been looked at yet.");
    return NULL;
}

static const struct config_queue *queue_of(const struct lag_watch *watch,
                                           const struct lag_group *group)
{
    return group->queue ? config_find_queue(watch->use.config, span_of(group->queue)) : NULL;
}

int64_t lag_watch_workers(const struct lag_watch *watch, const struct lag_group *group,
                          double drain_s, double *ret_worker_rate)
{
    const struct config_queue *queue = queue_of(watch, group);
    double rate = queue ? admission_rate(watch->use.admission, queue) : 0;
    *ret_worker_rate = group->members > 1 ? rate / (double)group->members : rate;
    return lag_workers_wanted(group, *ret_worker_rate, drain_s);
}

/* --- another group --- */

/* With clients of its own, which go again: one for each name that is ever asked for would be
 * without bounds. thread: pool */
static void ask_now(void *arg)
{
    struct asking *asking = arg;
    struct kafka_admin *admin = NULL;
    asking->code =
        kafka_admin_open_for(&asking->watch->use.config->kafka, asking->watch->use.client_id,
                             KAFKA_READ_FIRST_COMMITTED, &admin, &asking->err);
    asking->question.others = admin;
    asking->question.own = asking->watch->use.admin;
    if (asking->code == ERR_OK)
        asking->code = lag_look_sync(&asking->question, &asking->look, &asking->err);
    kafka_admin_close(admin);
    kafka_admin_end(asking->watch->use.admin);
}

static void asked(void *arg)
{
    struct asking *asking = arg;
    struct lag_watch *watch = asking->watch;
    watch->asking = false;
    /* Of one that has closed the client is gone, and the answer frees what it is given only. */
    bool told = asking->code == ERR_OK && !watch->closed;
    asking->answer(asking->arg, told ? asking->look : NULL, &asking->err);
    if (watch->closed && !watch->looking)
        free_now(watch);
    mem_free_const(asking->group.name);
    lag_look_free(asking->look);
    free(asking);
}

enum err_code lag_watch_ask(struct lag_watch *watch, struct span name, lag_watch_fn answer,
                            void *arg, struct err *err)
{
    if (watch->asking)
        return err_set(err, ERR_OVERLOADED, "Another group is being looked at.");
    struct asking *asking = MEM_NEW(*asking);
    asking->watch = watch;
    asking->group.name = mem_dup(name);
    asking->question = (struct lag_question){
        .groups = &asking->group, .count = 1, .members = true, .timeout_ms = ANSWER_MS
    };
    asking->answer = answer;
    asking->arg = arg;
    watch->asking = true;
    kafka_admin_begin(watch->use.admin);
    loop_work(watch->use.loop, ask_now, asked, asking);
    return ERR_OK;
}

/* --- the whole --- */

enum err_code lag_watch_open(const struct lag_watch_options *options, struct lag_watch **ret_watch,
                             struct err *err)
{
    struct lag_watch *watch = MEM_NEW(*watch);
    watch->use = *options;
    watch->groups = lag_groups_of(options->config, &watch->question.count);
    watch->question.groups = watch->groups;
    watch->question.own = options->admin;
    watch->question.timeout_ms = ANSWER_MS;
    enum err_code code = kafka_admin_open_for(&options->config->kafka, options->client_id,
                                              KAFKA_READ_FIRST, &watch->question.reader, err);
    if (code) {
        free_now(watch);
        return code;
    }
    watch->metrics = lag_metrics_new(options->metrics, options->config, watch->groups);
    watch->timer = loop_timer_new(options->loop, look, watch);
    look(watch);
    *ret_watch = watch;
    return ERR_OK;
}

void lag_watch_close(struct lag_watch *watch)
{
    if (!watch)
        return;
    loop_timer_free(watch->timer);
    watch->closed = true;
    if (!watch->looking && !watch->asking)
        free_now(watch);
}
