/* Lag: how far consumer groups are behind, in records and in time, and how surely that is known.
 * Pure: what was found in Kafka goes in (lag_look.h finds it), figures come out.
 *
 *   lag      records between where the group goes on and the log's end. Where it goes on is the
 *            committed offset, or the log's start when retention has passed that: what was deleted
 *            is `lost`, and nobody's lag. Offsets are counted, so transaction markers and holes of
 *            compaction count while a record is among them; a stretch without any record is lag 0.
 *   behind   the age of the oldest record without an outcome: of the first record that is there at
 *            or after the place where the group goes on. A worker commits the first offset that is
 *            not done, so it is that offset's record, whatever has finished behind it: late by
 *            worker.commit_interval at most. No interpolation: an idle topic ages nothing, a spike
 *            is as old as its first record, and a consumer that is dead gets older by the second.
 *   how      exact:   lag and behind are what they are.
 *            bounded: they are at least that. Older records were deleted unread, a record's
 *                     time lies in the future, or a part of the sum is not known.
 *            unknown: how old it is cannot be told, or nothing can.
 *   rates    records a second that came in and were done between two looks, without negative ones:
 *            a group that was set back has no rate out.
 *   drain    seconds until the lag is gone at these rates; unknown where it does not shrink.
 *
 * Nothing is ever negative or NaN: -1 is "not known", and JSON says null.
 * THREADS: a look belongs to one thread at a time; a finished one may be read by many.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_LAG_H
#define CONSUMERS_LAG_H

#include "schemas/buf.h"

#include <stdint.h>

#define LAG_SCHEMA "errand.lag/1"

enum lag_how { LAG_UNKNOWN, LAG_BOUNDED, LAG_EXACT };
const char *lag_how_text(enum lag_how how);

struct lag_figures {
    int64_t lag;       /* records; -1 unknown */
    int64_t behind_ms; /* -1 unknown */
    enum lag_how how;
    int64_t lost;             /* records deleted before they were read; 0 none, -1 unknown */
    int64_t margin;           /* records until retention reaches what is not done; -1 unknown */
    double in_rate, out_rate; /* a second; -1 unknown */
    double drain_s;           /* -1 unknown, or never at these rates */
};

enum lag_oldest {
    LAG_OLDEST_UNKNOWN, /* it could not be read */
    LAG_OLDEST_NONE,    /* no record from where the group goes on to the end */
    LAG_OLDEST_RECORD,
};

struct lag_partition {
    int32_t partition;
    int64_t start, end; /* of the log; -1 unknown */
    int64_t committed;  /* -1 nothing, or unknown */
    bool beyond;        /* the log ends before that: it was cut or made anew. Where the group goes
                         * on is not known then */
    enum lag_oldest oldest;
    int64_t oldest_offset, oldest_ms; /* of a record; ms -1: it has no time */
    char *owner;                      /* the member's client id; NULL none, or unknown */
    struct lag_figures figures;
};
struct lag_topic {
    char *name;
    struct lag_partition *partitions; /* rising */
    size_t count;
    struct lag_figures figures;
};
struct lag_group {
    char *name;
    char *queue;       /* whose workers they are; NULL: not a queue's */
    const char *state; /* "Stable", "Empty", ...; NULL unknown. A literal */
    int64_t members;   /* -1 unknown */
    /* Where it begins that has committed nothing: at the log's start (the groups of queues), or who
     * knows. */
    bool from_start;
    struct lag_topic *topics;
    size_t count;
    struct lag_figures figures;
};
struct lag_look {
    int64_t at_ms; /* wall clock, when the log ends were asked for */
    int64_t monotonic_ms;
    int64_t took_us; /* from the first question to the last answer */
    struct lag_group *groups;
    size_t count;
};

/* Accepts NULL. */
void lag_look_free(struct lag_look *look);

/* Where the group goes on: -1 unknown. */
int64_t lag_place(const struct lag_partition *partition, bool from_start);
/* All figures of a look, from what its partitions hold; rates against `before`, an earlier look
 * (NULL: unknown). */
void lag_judge(struct lag_look *look, const struct lag_look *before);
/* The same group, topic and partition of another look; NULL when it has none. `look` may be NULL.
 */
const struct lag_partition *lag_find(const struct lag_look *look, const char *group,
                                     const char *topic, int32_t partition);

/* The look as an errand.lag/1 object. */
void lag_json(const struct lag_look *look, struct buf *out);

struct json;
/* Adds the groups of an errand.lag/1 object to a look that is zeroed or was read so: the figures as
 * they were told, not what they are judged by. False, and nothing added, when it is none. */
bool lag_read(const struct json *json, struct lag_look *look);

/* What a monitor is told: the worst group decides. */
enum lag_state {
    LAG_OK,
    LAG_WARNING,
    LAG_CRITICAL,
    LAG_STATE_UNKNOWN
}; /* exit codes of monitors */
struct lag_limits {
    int64_t warn_ms, crit_ms;
};
/* A group as old as a limit, or older, has reached it; "at least" reaches it too. Records that were
 * lost are a warning at least. What is not known is LAG_STATE_UNKNOWN, unless what is known is
 * critical. */
enum lag_state lag_check(const struct lag_group *group, const struct lag_limits *limits);
/* The worse of two: critical, unknown, warning, ok. */
enum lag_state lag_worse(enum lag_state a, enum lag_state b);
const char *lag_state_text(enum lag_state state);

/* How many workers a queue wants: enough to keep up with what comes in and to drain the lag within
 * drain_s at `worker_rate`, what one worker was seen to do; 0 when there is nothing to do, at most
 * one a partition. Without a known rate those that are there, and one where there is work. -1: the
 * lag is not known, so nothing should change. */
int64_t lag_workers_wanted(const struct lag_group *group, double worker_rate, double drain_s);

#endif
