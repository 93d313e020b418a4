/* See kafka_groups.h. SPDX-License-Identifier: Apache-2.0 */
#include "infra/kafka_groups.h"

#include "infra/clock.h"
#include "infra/kafka_admin_internal.h"
#include "schemas/mem.h"

#include <stdio.h>
#include <stdlib.h>

void kafka_places_free(struct kafka_place *places, size_t count)
{
    for (size_t i = 0; places && i < count; i++)
        free(places[i].topic);
    free(places);
}

void kafka_groups_free(struct kafka_group *groups, size_t count)
{
    for (size_t i = 0; groups && i < count; i++) {
        for (size_t k = 0; k < groups[i].member_count; k++) {
            struct kafka_member *member = &groups[i].members[k];
            kafka_places_free(member->places, member->place_count);
            free(member->id);
            free(member->client_id);
            free(member->host);
        }
        free(groups[i].members);
        free(groups[i].name);
        free(groups[i].assignor);
        free(groups[i].coordinator);
    }
    free(groups);
}

bool kafka_group_is_active(const struct kafka_group *group)
{
    return group->member_count > 0 ||
           (strcmp(group->state, "Empty") != 0 && strcmp(group->state, "Dead") != 0);
}

static int places_by_name(const void *a, const void *b)
{
    const struct kafka_place *one = a;
    const struct kafka_place *other = b;
    int order = strcmp(one->topic, other->topic);
    return order ? order
                 : (one->partition > other->partition) - (one->partition < other->partition);
}

static enum err_code check_broker(const struct kafka_admin *admin, struct err *err)
{
    if (admin->config->kind != BROKER_EMBEDDED)
        return ERR_OK;
    return err_set(err, ERR_KAFKA,
                   "the embedded broker tells nothing of consumer groups; Apache Kafka does "
                   "(errand up --broker apache)");
}

/* --- which there are --- */

static int groups_by_name(const void *a, const void *b)
{
    return strcmp(((const struct kafka_group *)a)->name, ((const struct kafka_group *)b)->name);
}

/* A broker that does not answer hides its groups: then the list is not known. */
static enum err_code take_list(rd_kafka_event_t *event, struct kafka_group **ret_groups,
                               size_t *ret_count, struct err *err)
{
    const rd_kafka_ListConsumerGroups_result_t *result =
        rd_kafka_event_ListConsumerGroups_result(event);
    size_t count = 0;
    const rd_kafka_error_t **errors = rd_kafka_ListConsumerGroups_result_errors(result, &count);
    if (count)
        return err_set(err, ERR_KAFKA, "list of groups: %s", rd_kafka_error_string(errors[0]));
    const rd_kafka_ConsumerGroupListing_t **listings =
        rd_kafka_ListConsumerGroups_result_valid(result, &count);
    struct kafka_group *groups = mem_zalloc(count, sizeof *groups);
    for (size_t i = 0; i < count; i++) {
        groups[i].name = mem_dup_text(rd_kafka_ConsumerGroupListing_group_id(listings[i]));
        groups[i].state =
            rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(listings[i]));
    }
    qsort(groups, count, sizeof *groups, groups_by_name);
    *ret_groups = groups;
    *ret_count = count;
    return ERR_OK;
}

enum err_code kafka_groups_list_sync(struct kafka_admin *admin, struct kafka_group **ret_groups,
                                     size_t *ret_count, int64_t timeout_ms, struct err *err)
{
    enum err_code code = check_broker(admin, err);
    if (code)
        return code;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->client->rk);
    rd_kafka_AdminOptions_t *options =
        kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, timeout_ms);
    rd_kafka_ListConsumerGroups(admin->client->rk, options, queue);
    rd_kafka_event_t *event = kafka_admin_answer(queue, timeout_ms, "list of groups", err);
    code = event ? take_list(event, ret_groups, ret_count, err) : ERR_KAFKA;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return code;
}

/* --- who is in them --- */

/* The bytes of an assignment, as consumers of all languages write them (Kafka's
 * ConsumerProtocolAssignment): a version, then topics, each with its partitions; big-endian. They
 * are a member's own, so nothing is believed of them. */
struct bytes {
    const unsigned char *next;
    size_t left;
};

static bool take_number(struct bytes *bytes, size_t size, int64_t *ret_value)
{
    uint64_t value = 0;
    if (bytes->left < size)
        return false;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes->next[i];
    bytes->next += size;
    bytes->left -= size;
    *ret_value = size == 2 ? (int16_t)value : (int32_t)value;
    return true;
}

static bool take_topic(struct bytes *bytes, struct kafka_member *member)
{
    int64_t length = 0;
    int64_t count = 0;
    if (!take_number(bytes, 2, &length) || length < 0 || (size_t)length > bytes->left)
        return false;
    struct span topic = { bytes->next, (size_t)length };
    bytes->next += length;
    bytes->left -= (size_t)length;
    if (!take_number(bytes, 4, &count) || count < 0 || (size_t)count > bytes->left / 4)
        return false;
    member->places =
        mem_resize(member->places, member->place_count + (size_t)count + 1, sizeof *member->places);
    for (int64_t i = 0; i < count; i++) {
        int64_t partition = 0;
        if (!take_number(bytes, 4, &partition))
            return false;
        member->places[member->place_count++] = (struct kafka_place){
            .topic = mem_dup(topic), .partition = (int32_t)partition, .offset = -1
        };
    }
    return true;
}

static void take_assignment(const void *data, int size, struct kafka_member *member)
{
    struct bytes bytes = { data, size > 0 ? (size_t)size : 0 };
    int64_t version = 0;
    int64_t topics = 0;
    bool good = take_number(&bytes, 2, &version) && take_number(&bytes, 4, &topics);
    for (int64_t i = 0; i < topics && good; i++)
        good = take_topic(&bytes, member);
    if (member->place_count)
        qsort(member->places, member->place_count, sizeof *member->places, places_by_name);
}

static const char *state_of(const char *told)
{
    static const char *const states[] = { "Stable", "Empty", "Dead", "PreparingRebalance",
                                          "CompletingRebalance" };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(told, states[i]) == 0)
            return states[i];
    }
    return "Unknown";
}

static void take_group(const struct rd_kafka_group_info *told, struct kafka_group *group)
{
    char coordinator[512];
    (void)snprintf(coordinator, sizeof coordinator, "%s:%d", told->broker.host, told->broker.port);
    group->state = state_of(told->state);
    free(group->assignor);
    free(group->coordinator);
    group->assignor = mem_dup_text(told->protocol);
    group->coordinator = mem_dup_text(coordinator);
    group->member_count = told->member_cnt > 0 ? (size_t)told->member_cnt : 0;
    group->members = mem_zalloc(group->member_count, sizeof *group->members);
    for (size_t i = 0; i < group->member_count; i++) {
        const struct rd_kafka_group_member_info *from = &told->members[i];
        struct kafka_member *member = &group->members[i];
        const char *host = from->client_host;
        member->id = mem_dup_text(from->member_id);
        member->client_id = mem_dup_text(from->client_id);
        member->host = mem_dup_text(*host == '/' ? host + 1 : host); /* as Java writes addresses */
        take_assignment(from->member_assignment, from->member_assignment_size, member);
    }
}

static enum err_code describe(rd_kafka_t *rk, const char *name, int64_t timeout_ms,
                              struct kafka_group *ret_group, struct err *err)
{
    const struct rd_kafka_group_list *list = NULL;
    rd_kafka_resp_err_t e = rd_kafka_list_groups(rk, name, &list, (int)timeout_ms);
    bool found = false;
    *ret_group = (struct kafka_group){ .name = mem_dup_text(name),
                                       .state = "Dead",
                                       .assignor = mem_dup_text(""),
                                       .coordinator = mem_dup_text("") };
    for (int i = 0; list && i < list->group_cnt && !found; i++) {
        if (strcmp(list->groups[i].group, name) != 0)
            continue;
        found = true;
        e = list->groups[i].err;
        if (!e)
            take_group(&list->groups[i], ret_group);
    }
    if (list)
        rd_kafka_group_list_destroy(list);
    return e ? err_set(err, ERR_KAFKA, "group %s: %s", name, rd_kafka_err2str(e)) : ERR_OK;
}

/* Not DescribeConsumerGroups: it goes the way of those questions to a group's broker that make
 * librdkafka abort the process when this broker goes away meanwhile (kafka_committed_sync). */
enum err_code kafka_groups_describe_sync(struct kafka_admin *admin, const char *const *names,
                                         size_t count, struct kafka_group **ret_groups,
                                         int64_t timeout_ms, struct err *err)
{
    enum err_code code = check_broker(admin, err);
    if (code)
        return code;
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct kafka_group *groups = mem_zalloc(count, sizeof *groups);
    for (size_t i = 0; i < count && !code; i++) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        code = describe(admin->client->rk, names[i], left_ms > 1 ? left_ms : 1, &groups[i], err);
    }
    if (code)
        kafka_groups_free(groups, count);
    else
        *ret_groups = groups;
    return code;
}

/* --- what they have committed --- */

/* Every partition of the cluster is asked for: the question for all that a group has committed is
 * again one that may abort the process. */
static struct kafka_offset *all_partitions(const struct kafka_topic_state *states, size_t count,
                                           size_t *ret_count)
{
    size_t partitions = 0;
    for (size_t i = 0; i < count; i++)
        partitions += (size_t)states[i].partitions;
    struct kafka_offset *offsets = mem_zalloc(partitions, sizeof *offsets);
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < states[i].partitions; k++)
            offsets[next++] = (struct kafka_offset){ states[i].name, k, -1 };
    }
    *ret_count = partitions;
    return offsets;
}

enum err_code kafka_group_places_sync(struct kafka_admin *admin, const char *group,
                                      struct kafka_place **ret_places, size_t *ret_count,
                                      int64_t timeout_ms, struct err *err)
{
    struct kafka_topic_state *states = NULL;
    size_t state_count = 0;
    enum err_code code = check_broker(admin, err);
    if (!code)
        code = kafka_topics_list_sync(admin, "", &states, &state_count, timeout_ms, err);
    if (code)
        return code;
    size_t count = 0;
    struct kafka_offset *offsets = all_partitions(states, state_count, &count);
    if (count)
        code = kafka_committed_sync(admin, group, offsets, count, timeout_ms, err);
    if (!code) {
        struct kafka_place *places = mem_zalloc(count, sizeof *places);
        size_t found = 0;
        for (size_t i = 0; i < count; i++) {
            if (offsets[i].offset >= 0)
                places[found++] = (struct kafka_place){ mem_dup_text(offsets[i].topic),
                                                        offsets[i].partition, offsets[i].offset };
        }
        qsort(places, found, sizeof *places, places_by_name);
        *ret_places = places;
        *ret_count = found;
    }
    free(offsets);
    kafka_topics_free(states, state_count);
    return code;
}
