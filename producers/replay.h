/* Replaying commands: each chosen record becomes a new job (producers/redrive.h: its id is made
 * from the old one and the replay, so that a repeat is the same job), on the command topic of its
 * queue in the namespace it goes to, at the rate or in the rhythm asked for. The records carry
 * where they come from: the replay, topic, partition, offset, time and key of the original; its
 * trace goes on.
 *
 * Dead letters that are replayed into where they lie are resolved, as a redrive does it
 * (producers/redrive.h): the command first, then the resolution; what is broken off in between is
 * made good when the replay goes on.
 *
 * What has been done is read from Kafka itself, from those headers, so that no other book can
 * disagree with it: a replay that was broken off, however, goes on with what is not there, and at
 * the end the same reading tells what is missing or there twice.
 * THREADS: one, which it blocks; it turns a loop of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_REPLAY_H
#define PRODUCERS_REPLAY_H

#include "producers/redrive.h"
#include "producers/replay_source.h"

#define REPLAY_SPEED_ONE 1000 /* of `speed_milli`: as fast as it was */

/* Where a replay's records go: partitions of its command topics, from where they ended when it
 * began. */
struct replay_place {
    char topic[TOPIC_NAME_MAX];
    int32_t partition;
    int64_t from;
};

/* Where a job that was replayed comes from, by its command's headers. */
struct replay_origin {
    struct span replay, topic; /* borrowed from the record; empty: there is none */
    int64_t partition, offset; /* -1: none */
};
struct replay_origin replay_origin_of(const struct kafka_tail_record *record);

/* Which source records have arrived; a bit for each offset of the ranges. */
struct replay_seen *replay_seen_new(const struct replay_range *ranges, size_t count);
/* Accepts NULL. */
void replay_seen_free(struct replay_seen *seen);
bool replay_seen_has(const struct replay_seen *seen, int32_t partition, int64_t offset);
/* Different records, and how many more of the same there were. */
int64_t replay_seen_count(const struct replay_seen *seen);
int64_t replay_seen_repeats(const struct replay_seen *seen);
struct replay_arrivals { /* borrowed */
    const char *replay, *source_topic;
    const struct replay_place *places; /* those of a topic beside each other */
    size_t place_count;
};
/* Reads the places to their present ends for records of this replay of this topic. */
enum err_code replay_seen_read(struct replay_seen *seen, struct kafka_admin *admin,
                               const struct replay_arrivals *arrivals, struct err *err) MUST_CHECK;

/* Letters of these ranges that are resolved, as the dead topic itself tells: by this replay, and by
 * whatever else; the first resolution of a letter counts. */
struct replay_resolved {
    struct replay_seen *ours, *others;
};
enum err_code replay_resolved_read(struct replay_resolved *ret_resolved, struct kafka_admin *admin,
                                   const struct replay_source *source, const char *replay,
                                   struct err *err) MUST_CHECK;
void replay_resolved_clear(struct replay_resolved *resolved);

struct replay_report {
    int64_t sent; /* handed to the producer */
    int64_t acknowledged;
    int64_t before;   /* chosen, but there already */
    int64_t resolved; /* letters that are resolved by this replay, those from before with them */
    int64_t passed;   /* letters that somebody else has resolved */
    int64_t elapsed_us;
};

struct replay_options { /* borrowed */
    const struct replay_source *source;
    const struct redrive_options *redrive; /* config, minter, batch (the replay), number_max */
    const char *namespace_;                /* where the jobs go */
    const struct replay_seen *seen;        /* not sent again; NULL: nothing */
    /* Letters are resolved when their jobs are acknowledged; NULL: they stay as they are. */
    const struct replay_seen *resolved; /* those that this replay has resolved already */
    struct span queue, who, why;        /* for the resolutions */
    int64_t rate_milli;                 /* thousandths a second; 0: as fast as it goes */
    int64_t speed_milli;                /* of the original times; 0: not by them */
    /* False stops it; called every moment. */
    bool (*on_progress)(void *arg, const struct replay_report *report);
    void *arg;
};
/* *ret_report is set in any case. ERR_CANCELLED when it was stopped, ERR_KAFKA_UNAVAILABLE or
 * ERR_OUTCOME_UNKNOWN when Kafka did not take a record: begun again it goes on. */
enum err_code replay_run(const struct replay_options *options, struct replay_report *ret_report,
                         struct err *err) MUST_CHECK;

#endif
