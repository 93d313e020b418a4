/* Questions and declarations to a cluster: blocking in librdkafka, so they run on the loop's thread
 * pool and answer on the loop (the _sync forms block the caller: for the command line and
 * start-up).
 * THREADS: loop thread; _sync from any.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_KAFKA_ADMIN_H
#define INFRA_KAFKA_ADMIN_H

#include "infra/config.h"
#include "infra/kafka_consumer.h"
#include "infra/loop.h"

struct kafka_admin;

/* Whether librdkafka takes the configuration's own properties: ERR_CONFIG names the one that it
 * does not know, or whose value it refuses. thread: any */
enum err_code kafka_properties_check(const struct config_kafka *config, struct err *err) MUST_CHECK;
/* `config` is borrowed for the admin's life. */
enum err_code kafka_admin_open(const struct config_kafka *config, const char *client_id,
                               struct kafka_admin **ret_admin, struct err *err) MUST_CHECK;
/* What the client reads of partitions. */
enum kafka_reading {
    KAFKA_READ_LOGS,  /* whole logs, to where they ended when the reading began; what
                         kafka_admin_open has */
    KAFKA_READ_ON,    /* and what comes then: the broker holds a fetch until there is something */
    KAFKA_READ_FIRST, /* first records of many partitions (kafka_first.h): small fetches */
    KAFKA_READ_FIRST_COMMITTED, /* the same, and transactions as a consumer with read_committed sees
                                   them: a log ends where its first open one begins, and what was
                                   aborted is no record */
};
enum err_code kafka_admin_open_for(const struct config_kafka *config, const char *client_id,
                                   enum kafka_reading reading, struct kafka_admin **ret_admin,
                                   struct err *err) MUST_CHECK;
/* Around _sync questions on the thread pool: begun on the owner's thread, ended on the pool's.
 * kafka_admin_close makes them end soon, as failed, and waits for that. */
void kafka_admin_begin(struct kafka_admin *admin);
void kafka_admin_end(struct kafka_admin *admin);
/* How many questions are under way or wait for a thread of the pool. */
size_t kafka_admin_asked(struct kafka_admin *admin);
/* Waits for running questions. Accepts NULL. */
void kafka_admin_close(struct kafka_admin *admin);

/* Who gets the answer to a question asked on the thread pool; copied. */
struct kafka_reply {
    struct loop *loop; /* where `done` is called */
    int64_t timeout_ms;
    void (*done)(void *arg, enum err_code code);
    void *arg;
};

struct kafka_topic_spec {
    const char *name;
    int partitions;
    int replication;
    struct config_pairs settings; /* "retention.ms", "cleanup.policy", ... */
};
struct kafka_topic_state {
    char *name;
    int partitions; /* 0: does not exist */
};
/* What exists of the named topics; `states` has `count` entries (name not set). Unknown topics get
 * partitions 0. */
enum err_code kafka_topics_describe_sync(struct kafka_admin *admin, const char *const *names,
                                         size_t count, struct kafka_topic_state *states,
                                         int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Every topic of the cluster whose name begins with `prefix`; free with kafka_topics_free. */
enum err_code kafka_topics_list_sync(struct kafka_admin *admin, const char *prefix,
                                     struct kafka_topic_state **ret_states, size_t *ret_count,
                                     int64_t timeout_ms, struct err *err) MUST_CHECK;
void kafka_topics_free(struct kafka_topic_state *states, size_t count);
/* Creates those that do not exist (ret_created[i] tells) and waits until each has leaders. A topic
 * that exists with another partition count is an error that names it: counts are fixed for a
 * topic's life. */
enum err_code kafka_topics_create_sync(struct kafka_admin *admin,
                                       const struct kafka_topic_spec *specs, size_t count,
                                       bool *ret_created, int64_t timeout_ms,
                                       struct err *err) MUST_CHECK;
/* Raises the retention.ms of topics that exist to what their specs want (ret_raised[i] tells); what
 * is longer stays. The embedded broker, which cannot be asked, is left alone. */
enum err_code kafka_topics_retain_sync(struct kafka_admin *admin,
                                       const struct kafka_topic_spec *specs, size_t count,
                                       bool *ret_raised, int64_t timeout_ms,
                                       struct err *err) MUST_CHECK;
/* Sets each offset to what the group has committed, -1 where there is nothing. */
enum err_code kafka_committed_sync(struct kafka_admin *admin, const char *group,
                                   struct kafka_offset *offsets, size_t count, int64_t timeout_ms,
                                   struct err *err) MUST_CHECK;
/* The same on the thread pool; `group` and `offsets` must live until the answer. */
void kafka_committed(struct kafka_admin *admin, const char *group, struct kafka_offset *offsets,
                     size_t count, const struct kafka_reply *reply);
/* Commits offsets for a group that has no members (for new topics: 0). */
enum err_code kafka_offsets_commit_sync(struct kafka_admin *admin, const char *group,
                                        const struct kafka_offset *offsets, size_t count,
                                        int64_t timeout_ms, struct err *err) MUST_CHECK;
/* The cluster's id, and that a broker answers at all. */
enum err_code kafka_cluster_id_sync(struct kafka_admin *admin, int64_t timeout_ms, char ret_id[64],
                                    struct err *err) MUST_CHECK;

struct kafka_range {
    const char *topic; /* borrowed by the question until its answer */
    int32_t partition;
    int64_t start, end; /* filled; -1 unknown */
};
/* Log starts and ends of many partitions, one request per leader. A topic just made answers -1 for
 * a moment: tried again until the deadline; what is still unknown stays -1 and the code is
 * ERR_KAFKA. */
enum err_code kafka_ranges_sync(struct kafka_admin *admin, struct kafka_range *ranges, size_t count,
                                int64_t timeout_ms, struct err *err) MUST_CHECK;
/* The same of all partitions of one topic, from 0 on. ERR_NOT_FOUND when there is no
 * such topic. *ret_ranges, which borrow `topic`, are the caller's to free; NULL on an error. */
enum err_code kafka_topic_ranges_sync(struct kafka_admin *admin, const char *topic,
                                      int64_t timeout_ms, struct kafka_range **ret_ranges,
                                      size_t *ret_count, struct err *err) MUST_CHECK;
/* The same on the thread pool; `ranges` must live until the answer. */
void kafka_ranges(struct kafka_admin *admin, struct kafka_range *ranges, size_t count,
                  const struct kafka_reply *reply);

/* Sets each offset to that of the first record at or after a time; -1 where none is that young.
 * ERR_KAFKA of the embedded broker, which finds nothing by time. */
enum err_code kafka_offsets_at_sync(struct kafka_admin *admin, int64_t time_ms,
                                    struct kafka_offset *offsets, size_t count, int64_t timeout_ms,
                                    struct err *err) MUST_CHECK;

/* Reads one record by its address (for `errand get --payload`) and appends its value to
 * `ret_value`. ERR_NOT_FOUND when the log does not have it (any more), ERR_LIMIT when `ret_value`
 * is too small. */
enum err_code kafka_read_sync(struct kafka_admin *admin, const struct kafka_offset *address,
                              int64_t timeout_ms, struct buf *ret_value,
                              struct err *err) MUST_CHECK;
struct kafka_fetch {
    const char *topic; /* borrowed by the question until its answer */
    int32_t partition;
    int64_t offset;
    struct buf value; /* given by the caller, who frees it; filled when found */
    bool found;       /* false: the log does not have it (any more) */
};
/* Reads many records by their addresses, which rise within a partition; those that lie near each
 * other are read in one pass. */
enum err_code kafka_fetch_sync(struct kafka_admin *admin, struct kafka_fetch *fetches, size_t count,
                               int64_t timeout_ms, struct err *err) MUST_CHECK;
/* The same on the thread pool; `fetches` must live until the answer. */
void kafka_fetch(struct kafka_admin *admin, struct kafka_fetch *fetches, size_t count,
                 const struct kafka_reply *reply);
struct kafka_scan {
    const char *topic;
    int32_t partition;
    /* Everything is borrowed for the call; false stops the scan. */
    bool (*fn)(void *arg, struct span key, struct span value, int64_t offset);
    void *arg;
    int64_t from; /* where to begin; what lies before the log's start is passed over */
};
/* Reads a partition from its start to its end as of now, record by record. */
enum err_code kafka_scan_sync(struct kafka_admin *admin, const struct kafka_scan *scan,
                              int64_t timeout_ms, struct err *err) MUST_CHECK;
/* Produces one record and waits for its acknowledgement (for the control topic). */
enum err_code kafka_write_sync(struct kafka_admin *admin, const char *topic, struct span key,
                               struct span value, int64_t timeout_ms, struct err *err) MUST_CHECK;

#endif
