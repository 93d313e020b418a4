/* Metadata of topics fetched before the first record goes out: a topic met cold costs its first
 * record 0.5 to 1 s. And fetched anew when records are stuck: what is learned here, librdkafka
 * follows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_internal.h"

#include "infra/clock.h"
#include "schemas/mem.h"
#include "schemas/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SLICE_MS 500 /* one question; between two of them the client may be left */
#define PAUSE_MS 50

struct kafka_warm {
    struct kafka_warm *next, **link; /* in the owner's list; link NULL once forgotten */
    struct kafka_client *client;
    char **topics;
    size_t count;
    int64_t until_ms;
    enum err_code code;
    char text[TOPIC_NAME_MAX + 128];
    void (*done)(void *arg, enum err_code code, const char *text);
    void *arg;
};

/* NULL when every partition has a leader, else why not. */
static const char *topic_trouble(const struct rd_kafka_metadata *metadata)
{
    if (metadata->topic_cnt != 1)
        return "no answer";
    const struct rd_kafka_metadata_topic *topic = &metadata->topics[0];
    if (topic->err)
        return rd_kafka_err2str(topic->err);
    if (topic->partition_cnt == 0)
        return "it has no partitions yet";
    for (int i = 0; i < topic->partition_cnt; i++) {
        if (topic->partitions[i].leader < 0)
            return "a partition has no leader";
    }
    return NULL;
}

static bool warm_topic(struct kafka_warm *warm, const char *name)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(warm->client->rk, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    const char *trouble;
    rd_kafka_resp_err_t e = topic
                                ? rd_kafka_metadata(warm->client->rk, 0, topic, &metadata, SLICE_MS)
                                : rd_kafka_last_error();
    trouble = e || !metadata ? rd_kafka_err2str(e) : topic_trouble(metadata);
    if (trouble)
        snprintf(warm->text, sizeof warm->text, "topic %s: %s", name, trouble);
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (topic)
        rd_kafka_topic_destroy(topic);
    return !trouble;
}

/* All topics that the client knows, in one question. */
static void ask_anew(struct kafka_warm *warm)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t e = rd_kafka_metadata(warm->client->rk, 0, NULL, &metadata, SLICE_MS);
    if (!e)
        rd_kafka_metadata_destroy(metadata);
    else
        warm->code = ERR_KAFKA;
}

/* thread: pool */
static void work(void *arg)
{
    struct kafka_warm *warm = arg;
    size_t i = 0;
    if (warm->count == 0)
        ask_anew(warm);
    while (i < warm->count) {
        if (warm_topic(warm, warm->topics[i])) {
            i++;
            continue;
        }
        if (atomic_load(&warm->client->stopping) || clock_monotonic_ms() >= warm->until_ms) {
            warm->code = ERR_KAFKA;
            break;
        }
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
    }
    kafka_client_end(warm->client);
}

static void leave_list(struct kafka_warm *warm)
{
    if (!warm->link)
        return;
    *warm->link = warm->next;
    if (warm->next)
        warm->next->link = warm->link;
    warm->link = NULL;
}

static void finished(void *arg)
{
    struct kafka_warm *warm = arg;
    leave_list(warm);
    if (warm->done)
        warm->done(warm->arg, warm->code, warm->code ? warm->text : "");
    for (size_t i = 0; i < warm->count; i++)
        free(warm->topics[i]);
    free(warm->topics);
    free(warm);
}

void kafka_warm_start(struct kafka_warm **list, const struct kafka_warm_spec *spec)
{
    struct kafka_warm *warm = MEM_NEW(*warm);
    *warm = (struct kafka_warm){
        .next = *list,
        .link = list,
        .client = spec->client,
        .topics = mem_zalloc(spec->count, sizeof *warm->topics),
        .count = spec->count,
        .until_ms = clock_monotonic_ms() + spec->deadline_ms,
        .done = spec->done,
        .arg = spec->arg,
    };
    for (size_t i = 0; i < spec->count; i++)
        warm->topics[i] = mem_dup_text(spec->topics[i]);
    if (warm->next)
        warm->next->link = &warm->next;
    *list = warm;
    kafka_client_begin(spec->client);
    loop_work(spec->loop, work, finished, warm);
}

void kafka_warm_forget(struct kafka_warm **list)
{
    while (*list) {
        (*list)->done = NULL;
        leave_list(*list);
    }
}
