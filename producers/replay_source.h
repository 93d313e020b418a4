/* What a replay takes: the commands of a topic's ranges that fit, decoded, in the order of their
 * times over all partitions; within a partition in the order in which they lie, whatever their
 * times say. A topic of commands has several records of a job that was retried or put off: its
 * first one counts, the copies are passed over. Of dead letters each command counts; the records
 * that say what became of a letter are none.
 *
 * To merge partitions by time some of what was read waits in memory, at most
 * REPLAY_WAITING_BYTES_MAX; beyond it the oldest goes on at once, so that the order of partitions
 * among each other is then only near to that of the times.
 * THREADS: any; it blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_REPLAY_SOURCE_H
#define PRODUCERS_REPLAY_SOURCE_H

#include "infra/kafka_tail.h"
#include "schemas/job.h"
#include "schemas/where.h"

#define REPLAY_WAITING_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct replay_range {
    int32_t partition;
    int64_t from, to; /* from <= offset < to */
};

/* Which records; a bit for each offset of the ranges (replay.h). */
struct replay_seen;

struct replay_source { /* all borrowed */
    struct kafka_admin *admin;
    const char *topic;
    const struct replay_range *ranges;
    size_t range_count;
    bool letters;              /* the topic is one of dead letters */
    struct span type, key;     /* empty: any; `key` is the ordering key, or the record's */
    const struct where *where; /* NULL: any */
    int64_t limit;             /* the first so many; 0: all */
    const struct replay_seen
        *resolved; /* letters that are told as such, and not chosen; NULL: none */
};

struct replay_record { /* borrowed for the call */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* the record's; of one without, when its job was created */
    struct span key;
    size_t bytes;  /* of key and value */
    bool resolved; /* it would be chosen, but for that */
    const struct job_command *command;
};

struct replay_tally {
    int64_t read;       /* records in the ranges */
    int64_t chosen;     /* given to the callback, without those that are resolved */
    int64_t copies;     /* later commands of a job */
    int64_t others;     /* that do not fit */
    int64_t unreadable; /* no command, or one of a newer version */
};

/* False ends the reading. `record` is NULL when a moment passed without one. */
typedef bool (*replay_record_fn)(void *arg, const struct replay_record *record);
/* *ret_tally is set in any case. ERR_KAFKA when the records do not come. */
enum err_code replay_source_read(const struct replay_source *source, replay_record_fn fn, void *arg,
                                 struct replay_tally *ret_tally, struct err *err) MUST_CHECK;

#endif
