/* Looking at the lag: one question to Kafka for all log starts, one for all log ends, one a group
 * for what it has committed, one for who is in the groups; and the oldest records of the partitions
 * that are behind, unless an earlier look has seen them (what lies at an offset never changes).
 * The ends come first: a lag is of what was there then.
 * THREADS: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_LAG_LOOK_H
#define CONSUMERS_LAG_LOOK_H

#include "consumers/lag.h"
#include "infra/config.h"
#include "infra/kafka_admin.h"

struct lag_question_topic {
    const char *name;
    int partitions; /* 0..partitions-1 */
};
struct lag_question_group {
    const char *name;
    const char *queue; /* of a queue's workers; NULL: another group, whose transactions are looked
                          at as a read_committed consumer sees them */
    const struct lag_question_topic *topics; /* none: every topic in which it has committed */
    size_t topic_count;
};
struct lag_question {
    /* For groups of queues: who is asked, and by whom first records are read (opened with
     * KAFKA_READ_FIRST; may be the same). NULL where there are none of them. */
    struct kafka_admin *own, *reader;
    struct kafka_admin *others; /* for other groups, opened with KAFKA_READ_FIRST_COMMITTED */
    const struct lag_question_group *groups;
    size_t count;
    const char *topic;  /* only this topic of each group; NULL: all */
    bool members;       /* ask who is in the groups, where that can be told; else as in `before` */
    int64_t timeout_ms; /* for all of the questions together */
    const struct lag_look *before; /* an earlier answer to the same question; NULL: none */
};

/* The groups of the configuration's queues; free with lag_groups_free. */
struct lag_question_group *lag_groups_of(const struct config *config, size_t *ret_count);
void lag_groups_free(struct lag_question_group *groups, size_t count);

/* The look with its figures; free with lag_look_free. What could not be found out is unknown in it;
 * ERR_KAFKA only when nothing could. A group that is not there is one without topics. */
enum err_code lag_look_sync(const struct lag_question *question, struct lag_look **ret_look,
                            struct err *err) MUST_CHECK;

#endif
