/* See lag_look.h. SPDX-License-Identifier: Apache-2.0 */
#include "consumers/lag_look.h"

#include "infra/clock.h"
#include "infra/kafka_first.h"
#include "infra/kafka_groups.h"
#include "schemas/mem.h"
#include "schemas/mutant.h"
#include "schemas/topic.h"

#include <stdint.h>
#include <stdlib.h>

#define ALL_GROUPS SIZE_MAX

/* --- which groups a configuration has --- */

struct lag_question_group *lag_groups_of(const struct config *config, size_t *ret_count)
{
    struct lag_question_group *groups = mem_zalloc(config->queue_count, sizeof *groups);
    struct lag_question_topic *topics = mem_zalloc(config->queue_count, sizeof *topics);
    for (size_t i = 0; i < config->queue_count; i++) {
        const struct config_queue *queue = &config->queues[i];
        struct buf group = BUF_INIT(TOPIC_NAME_MAX);
        topic_group_worker(&group, config->namespace_, queue->name);
        topics[i].name = topic_name_dup(config->namespace_, TOPIC_COMMANDS, queue->name);
        topics[i].partitions = (int)queue->partitions;
        groups[i] = (struct lag_question_group){
            .name = buf_take(&group), .queue = queue->name, .topics = &topics[i], .topic_count = 1
        };
    }
    *ret_count = config->queue_count;
    return groups;
}

void lag_groups_free(struct lag_question_group *groups, size_t count)
{
    const struct lag_question_topic *topics = groups && count ? groups[0].topics : NULL;
    for (size_t i = 0; groups && i < count; i++) {
        mem_free_const(topics[i].name);
        mem_free_const(groups[i].name);
    }
    mem_free_const(topics);
    free(groups);
}

/* --- a look --- */

struct looking {
    const struct lag_question *question;
    struct lag_look *look;
    struct err *err;
    int64_t until_ms;
    size_t failed, asked; /* questions, to tell "some" from "none" */
};

static int64_t left_ms(const struct looking *looking)
{
    int64_t left = looking->until_ms - clock_monotonic_ms();
    return left > 1 ? left : 1;
}

/* Nothing was answered so far: nothing else will be. */
static bool is_hopeless(const struct looking *looking)
{
    return looking->asked && looking->failed == looking->asked;
}

static void count_answer(struct looking *looking, enum err_code code)
{
    looking->asked++;
    looking->failed += code != ERR_OK;
}

static struct kafka_admin *admin_of(const struct looking *looking, size_t group)
{
    return looking->question->groups[group].queue ? looking->question->own
                                                  : looking->question->others;
}

static bool is_wanted(const struct looking *looking, const char *topic)
{
    const char *only = looking->question->topic;
    return !only || strcmp(only, topic) == 0;
}

static struct lag_topic *add_topic(struct lag_group *group, const char *name, size_t partitions)
{
    group->topics = mem_resize(group->topics, group->count + 1, sizeof *group->topics);
    struct lag_topic *topic = &group->topics[group->count++];
    *topic = (struct lag_topic){ .name = mem_dup_text(name), .count = partitions };
    topic->partitions = mem_zalloc(partitions, sizeof *topic->partitions);
    for (size_t i = 0; i < partitions; i++)
        topic->partitions[i] = (struct lag_partition){ .partition = (int32_t)i,
                                                       .start = -1,
                                                       .end = -1,
                                                       .committed = -1,
                                                       .oldest_offset = -1,
                                                       .oldest_ms = -1 };
    return topic;
}

/* Every partition of the topics in which another group has committed, also those in which it has
 * not. Another group's topics are known by its commits only: these come first then. */
static enum err_code find_topics(struct looking *looking, size_t index)
{
    struct kafka_admin *admin = admin_of(looking, index);
    struct lag_group *group = &looking->look->groups[index];
    struct kafka_place *places = NULL;
    struct kafka_topic_state *states = NULL;
    size_t place_count = 0;
    size_t state_count = 0;
    enum err_code code = kafka_group_places_sync(admin, group->name, &places, &place_count,
                                                 left_ms(looking), looking->err);
    if (!code && place_count)
        code = kafka_topics_list_sync(admin, "", &states, &state_count, left_ms(looking),
                                      looking->err);
    for (size_t i = 0; i < place_count && !code; i++) {
        bool seen = i && strcmp(places[i].topic, places[i - 1].topic) == 0;
        for (size_t k = 0; k < state_count && !seen; k++) {
            if (strcmp(states[k].name, places[i].topic) == 0 && states[k].partitions &&
                is_wanted(looking, places[i].topic))
                add_topic(group, places[i].topic, (size_t)states[k].partitions);
        }
    }
    kafka_topics_free(states, state_count);
    kafka_places_free(places, place_count);
    return code;
}

static void open_groups(struct looking *looking)
{
    const struct lag_question *question = looking->question;
    looking->look->groups = mem_zalloc(question->count, sizeof *looking->look->groups);
    looking->look->count = question->count;
    for (size_t i = 0; i < question->count; i++) {
        const struct lag_question_group *from = &question->groups[i];
        looking->look->groups[i] =
            (struct lag_group){ .name = mem_dup_text(from->name),
                                .queue = from->queue ? mem_dup_text(from->queue) : NULL,
                                .members = -1,
                                .from_start = from->queue != NULL };
        for (size_t k = 0; k < from->topic_count; k++) {
            if (is_wanted(looking, from->topics[k].name))
                add_topic(&looking->look->groups[i], from->topics[k].name,
                          (size_t)from->topics[k].partitions);
        }
        if (from->topic_count == 0)
            count_answer(looking, find_topics(looking, i));
    }
}

/* --- each partition of all groups that one client asks for --- */

typedef void (*partition_fn)(void *arg, struct lag_group *group, const struct lag_topic *topic,
                             struct lag_partition *partition);

/* Of one group, or of ALL_GROUPS. */
static void each(const struct looking *looking, const struct kafka_admin *admin, size_t only,
                 partition_fn fn, void *arg)
{
    for (size_t i = 0; i < looking->look->count; i++) {
        struct lag_group *group = &looking->look->groups[i];
        if (admin_of(looking, i) != admin || (only != ALL_GROUPS && only != i))
            continue;
        for (size_t k = 0; k < group->count; k++) {
            for (size_t n = 0; n < group->topics[k].count; n++)
                fn(arg, group, &group->topics[k], &group->topics[k].partitions[n]);
        }
    }
}

static void count_one(void *arg, struct lag_group *group, const struct lag_topic *topic,
                      struct lag_partition *partition)
{
    (void)group;
    (void)topic;
    (void)partition;
    ++*(size_t *)arg;
}

struct ranges {
    struct kafka_range *items;
    size_t next;
};

static void put_range(void *arg, struct lag_group *group, const struct lag_topic *topic,
                      struct lag_partition *partition)
{
    (void)group;
    struct ranges *ranges = arg;
    ranges->items[ranges->next++] =
        (struct kafka_range){ .topic = topic->name, .partition = partition->partition };
}

static void take_range(void *arg, struct lag_group *group, const struct lag_topic *topic,
                       struct lag_partition *partition)
{
    (void)group;
    (void)topic;
    struct ranges *ranges = arg;
    partition->start = ranges->items[ranges->next].start;
    partition->end = ranges->items[ranges->next++].end;
}

/* Asks about what `put` puts, and gives it to `take` in the same order. `asked` is best one that
 * sees the ends whatever transactions are open, where that counts. */
static void ask_ranges(struct looking *looking, const struct kafka_admin *admin,
                       struct kafka_admin *asked, partition_fn put, partition_fn take)
{
    struct ranges ranges = { 0 };
    size_t count = 0;
    each(looking, admin, ALL_GROUPS, count_one, &count);
    if (count == 0)
        return;
    ranges.items = mem_zalloc(count, sizeof *ranges.items);
    each(looking, admin, ALL_GROUPS, put, &ranges);
    if (ranges.next) {
        count_answer(looking, kafka_ranges_sync(asked, ranges.items, ranges.next, left_ms(looking),
                                                looking->err));
        ranges.next = 0;
        each(looking, admin, ALL_GROUPS, take, &ranges);
    }
    free(ranges.items);
}

/* --- what was committed --- */

static void ask_committed(struct looking *looking, size_t index)
{
    struct lag_group *group = &looking->look->groups[index];
    size_t count = 0;
    for (size_t k = 0; k < group->count; k++)
        count += group->topics[k].count;
    if (count == 0)
        return;
    struct kafka_offset *offsets = mem_zalloc(count, sizeof *offsets);
    size_t next = 0;
    for (size_t k = 0; k < group->count; k++) {
        for (size_t n = 0; n < group->topics[k].count; n++)
            offsets[next++] =
                (struct kafka_offset){ .topic = group->topics[k].name,
                                       .partition = group->topics[k].partitions[n].partition };
    }
    enum err_code code = kafka_committed_sync(admin_of(looking, index), group->name, offsets, count,
                                              left_ms(looking), looking->err);
    count_answer(looking, code);
    next = 0;
    for (size_t k = 0; k < group->count; k++) {
        for (size_t n = 0; n < group->topics[k].count; n++, next++) {
            struct lag_partition *partition = &group->topics[k].partitions[n];
            partition->committed = code ? -1 : offsets[next].offset;
            if (code)
                partition->end = -1; /* nothing is known of it, also not that it begins at 0 */
        }
    }
    free(offsets);
}

/* The ends came first, so a group may have gone beyond them since. Where it is beyond what is the
 * end now, the log was cut or made anew. */
static void put_beyond(void *arg, struct lag_group *group, const struct lag_topic *topic,
                       struct lag_partition *partition)
{
    if (partition->end >= 0 && partition->committed > partition->end)
        put_range(arg, group, topic, partition);
}

static void take_beyond(void *arg, struct lag_group *group, const struct lag_topic *topic,
                        struct lag_partition *partition)
{
    (void)group;
    (void)topic;
    struct ranges *ranges = arg;
    if (partition->end >= 0 && partition->committed > partition->end)
        partition->beyond = partition->committed > ranges->items[ranges->next++].end;
}

/* --- who is in the groups --- */

static void take_owner(struct lag_group *group, const struct kafka_member *member,
                       const struct kafka_place *place)
{
    for (size_t k = 0; k < group->count; k++) {
        struct lag_topic *topic = &group->topics[k];
        if (strcmp(topic->name, place->topic) != 0 || place->partition < 0 ||
            (size_t)place->partition >= topic->count)
            continue;
        free(topic->partitions[place->partition].owner);
        topic->partitions[place->partition].owner = mem_dup_text(member->client_id);
    }
}

/* Where it cannot be told (the embedded broker), it stays unknown: no figure rests on it. */
static void ask_members(struct looking *looking)
{
    struct lag_look *look = looking->look;
    const struct lag_question *question = looking->question;
    struct kafka_group *told = NULL;
    const char **names = mem_zalloc(look->count, sizeof *names);
    for (size_t i = 0; i < look->count; i++)
        names[i] = look->groups[i].name;
    enum err_code code =
        kafka_groups_describe_sync(question->own ? question->own : question->others, names,
                                   look->count, &told, left_ms(looking), NULL);
    for (size_t i = 0; i < look->count && !code; i++) {
        look->groups[i].state = told[i].state;
        look->groups[i].members = (int64_t)told[i].member_count;
        for (size_t k = 0; k < told[i].member_count; k++) {
            for (size_t n = 0; n < told[i].members[k].place_count; n++)
                take_owner(&look->groups[i], &told[i].members[k], &told[i].members[k].places[n]);
        }
    }
    if (!code)
        kafka_groups_free(told, look->count);
    free(names);
}

/* Who was in them at the earlier look, which had the same groups in the same order. */
static void keep_members(struct looking *looking)
{
    const struct lag_look *before = looking->question->before;
    for (size_t i = 0; before && i < looking->look->count; i++) {
        struct lag_group *group = &looking->look->groups[i];
        group->state = before->groups[i].state;
        group->members = before->groups[i].members;
        for (size_t k = 0; k < group->count; k++) {
            for (size_t n = 0; n < group->topics[k].count; n++) {
                struct lag_partition *partition = &group->topics[k].partitions[n];
                const struct lag_partition *earlier =
                    lag_find(before, group->name, group->topics[k].name, partition->partition);
                if (earlier && earlier->owner)
                    partition->owner = mem_dup_text(earlier->owner);
            }
        }
    }
}

/* --- the oldest records --- */

/* What an earlier look has read holds as long as the group goes on from within the stretch of which
 * it was the first record, or has found none in it. */
static bool is_known(struct lag_partition *partition, const struct lag_partition *before,
                     int64_t place, bool from_start)
{
    int64_t from = before ? lag_place(before, from_start) : -1;
    if (from < 0 || place < from || before->oldest == LAG_OLDEST_UNKNOWN)
        return false;
    if (before->oldest == LAG_OLDEST_RECORD ? place > before->oldest_offset && !MUTANT(oldest_kept)
                                            : partition->end != before->end)
        return false;
    partition->oldest = before->oldest;
    partition->oldest_offset = before->oldest_offset;
    partition->oldest_ms = before->oldest_ms;
    return true;
}

struct firsts {
    const struct looking *looking;
    struct kafka_first *items;
    struct lag_partition **owners;
    size_t count;
};

static void put_first(void *arg, struct lag_group *group, const struct lag_topic *topic,
                      struct lag_partition *partition)
{
    struct firsts *firsts = arg;
    int64_t place = lag_place(partition, group->from_start);
    if (place < 0 || partition->end < 0 || place >= partition->end)
        return;
    const struct lag_partition *before =
        lag_find(firsts->looking->question->before, group->name, topic->name, partition->partition);
    if (is_known(partition, before, place, group->from_start))
        return;
    firsts->owners[firsts->count] = partition;
    firsts->items[firsts->count++] = (struct kafka_first){ .topic = topic->name,
                                                           .partition = partition->partition,
                                                           .from = place,
                                                           .end = partition->end };
}

static void take_firsts(const struct firsts *firsts)
{
    for (size_t i = 0; i < firsts->count; i++) {
        struct lag_partition *partition = firsts->owners[i];
        const struct kafka_first *first = &firsts->items[i];
        partition->oldest = first->found == KAFKA_FIRST_RECORD ? LAG_OLDEST_RECORD
                            : first->found == KAFKA_FIRST_NONE ? LAG_OLDEST_NONE
                                                               : LAG_OLDEST_UNKNOWN;
        partition->oldest_offset = first->offset;
        partition->oldest_ms = first->timestamp_ms;
    }
}

static void ask_firsts(struct looking *looking, const struct kafka_admin *admin,
                       struct kafka_admin *reader, size_t only)
{
    struct firsts firsts = { .looking = looking };
    size_t count = 0;
    each(looking, admin, only, count_one, &count);
    if (count == 0)
        return;
    firsts.items = mem_zalloc(count, sizeof *firsts.items);
    firsts.owners = mem_zalloc(count, sizeof(struct lag_partition *));
    each(looking, admin, only, put_first, &firsts);
    if (firsts.count) {
        count_answer(looking, kafka_first_sync(reader, firsts.items, firsts.count, left_ms(looking),
                                               looking->err));
        take_firsts(&firsts);
    }
    free(firsts.owners);
    free(firsts.items);
}

/* A client reads a partition once at a time. No two queues share one, so theirs are read together;
 * other groups may be behind in the same. */
static void ask_all_firsts(struct looking *looking)
{
    const struct lag_question *question = looking->question;
    if (question->own)
        ask_firsts(looking, question->own, question->reader, ALL_GROUPS);
    for (size_t i = 0; i < question->count; i++) {
        if (!question->groups[i].queue)
            ask_firsts(looking, question->others, question->others, i);
    }
}

enum err_code lag_look_sync(const struct lag_question *question, struct lag_look **ret_look,
                            struct err *err)
{
    struct looking looking = { .question = question, .look = MEM_NEW(*looking.look), .err = err };
    looking.until_ms = clock_monotonic_ms() + question->timeout_ms;
    int64_t began_us = clock_monotonic_us();
    open_groups(&looking);
    looking.look->at_ms = clock_wall_ms();
    looking.look->monotonic_ms = clock_monotonic_ms();
    if (question->own)
        ask_ranges(&looking, question->own, question->own, put_range, take_range);
    if (question->others)
        ask_ranges(&looking, question->others, question->others, put_range, take_range);
    for (size_t i = 0; i < question->count && !is_hopeless(&looking); i++)
        ask_committed(&looking, i);
    if (question->own && !is_hopeless(&looking))
        ask_ranges(&looking, question->own, question->own, put_beyond, take_beyond);
    if (question->others && !is_hopeless(&looking))
        ask_ranges(&looking, question->others, question->own ? question->own : question->others,
                   put_beyond, take_beyond);
    if (!question->members)
        keep_members(&looking);
    else if (!is_hopeless(&looking))
        ask_members(&looking);
    if (!is_hopeless(&looking))
        ask_all_firsts(&looking);
    if (is_hopeless(&looking)) {
        lag_look_free(looking.look);
        return ERR_KAFKA;
    }
    looking.look->took_us = clock_monotonic_us() - began_us;
    lag_judge(looking.look, question->before);
    *ret_look = looking.look;
    return ERR_OK;
}
