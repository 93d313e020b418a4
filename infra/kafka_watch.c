/* See kafka_watch.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_watch.h"

#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS   2000 /* between two looks */
#define ANSWER_MS 3000 /* how long one may take */

struct kafka_watch {
    struct kafka_producer *producer;
    struct loop_timer *timer;
    char **topics;
    size_t count;
    size_t asked; /* all of them until they have been found once */
    bool ready;
    char why[256];
    void (*on_look)(void *arg, const char *why);
    void *arg;
};

static void looked(void *arg, enum err_code code, const char *text)
{
    struct kafka_watch *watch = arg;
    watch->ready = code == ERR_OK;
    if (watch->ready)
        watch->asked = 1;
    else
        snprintf(watch->why, sizeof watch->why, "%s", text);
    loop_timer_start(watch->timer, LOOK_MS, 0);
    if (watch->on_look)
        watch->on_look(watch->arg, kafka_watch_why(watch));
}

static void look(void *arg)
{
    struct kafka_watch *watch = arg;
    kafka_producer_warm(watch->producer, (const char *const *)watch->topics, watch->asked,
                        ANSWER_MS, looked, watch);
}

struct kafka_watch *kafka_watch_start(struct loop *loop, struct kafka_producer *producer,
                                      const char *const *topics, size_t count,
                                      void (*on_look)(void *arg, const char *why), void *arg)
{
    struct kafka_watch *watch = MEM_NEW(*watch);
    *watch = (struct kafka_watch){
        .producer = producer,
        .topics = mem_zalloc(count, sizeof *watch->topics),
        .count = count,
        .asked = count,
        .why = "topics are not known yet",
        .on_look = on_look,
        .arg = arg,
    };
    for (size_t i = 0; i < count; i++)
        watch->topics[i] = mem_dup_text(topics[i]);
    watch->timer = loop_timer_new(loop, look, watch);
    look(watch);
    return watch;
}

const char *kafka_watch_why(const struct kafka_watch *watch)
{
    return watch->ready ? NULL : watch->why;
}

void kafka_watch_stop(struct kafka_watch *watch)
{
    if (!watch)
        return;
    loop_timer_free(watch->timer);
    for (size_t i = 0; i < watch->count; i++)
        free(watch->topics[i]);
    free(watch->topics);
    free(watch);
}
