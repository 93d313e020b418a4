/* Consumer groups, any of the cluster: which there are, who is in them, what they have committed.
 * The embedded broker tells of none (ERR_KAFKA says so) but for the offsets of partitions that are
 * named.
 * THREADS: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_GROUPS_H
#define INFRA_KAFKA_GROUPS_H

#include "infra/kafka_admin.h"

struct kafka_place {
    char *topic;
    int32_t partition;
    int64_t offset; /* -1 none */
};
struct kafka_member {
    char *id, *client_id, *host;
    struct kafka_place *places; /* assigned to it; offsets are -1 */
    size_t place_count;
};
struct kafka_group {
    char *name;
    const char *state; /* "Stable", "Empty", "PreparingRebalance", ...; "Dead": there is none */
    char *assignor;    /* "" without members; NULL in a listing */
    char *coordinator; /* "HOST:PORT"; NULL in a listing */
    struct kafka_member *members;
    size_t member_count;
};
void kafka_groups_free(struct kafka_group *groups, size_t count);
void kafka_places_free(struct kafka_place *places, size_t count);
/* Whether the group has members now, so that its offsets are theirs to set. */
bool kafka_group_is_active(const struct kafka_group *group);

/* Every group of the cluster, by name; members are not told. */
enum err_code kafka_groups_list_sync(struct kafka_admin *admin, struct kafka_group **ret_groups,
                                     size_t *ret_count, int64_t timeout_ms,
                                     struct err *err) MUST_CHECK;
/* The named groups, in this order; one that does not exist is "Dead". */
enum err_code kafka_groups_describe_sync(struct kafka_admin *admin, const char *const *names,
                                         size_t count, struct kafka_group **ret_groups,
                                         int64_t timeout_ms, struct err *err) MUST_CHECK;
/* What the group has committed, anywhere in the cluster, by topic and partition. */
enum err_code kafka_group_places_sync(struct kafka_admin *admin, const char *group,
                                      struct kafka_place **ret_places, size_t *ret_count,
                                      int64_t timeout_ms, struct err *err) MUST_CHECK;

#endif
