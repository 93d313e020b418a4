/* The namespace's topics, read from Kafka: commands and delays, then replies, then dead letters,
 * each partition from its start (or a given offset) to its end as of when its turn came. The
 * groups' committed offsets are read first: what lies below one of them has its outcome in what is
 * read afterwards, or it was committed unsafely. thread: any; everything here blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_SCAN_H
#define CONSUMERS_VERIFY_VERIFY_SCAN_H

#include "consumers/verify/verify_notes.h"
#include "infra/kafka_admin.h"
#include "schemas/envelope.h"
#include "schemas/topic.h"

#include <stdatomic.h>

struct json;

/* A partition that is read. */
struct verify_part {
    char *topic;
    enum topic_kind kind;
    struct span suffix; /* in topic: the queue's or the tier's name */
    int32_t number;
    uint16_t tag;      /* whoever reads may set it in `begin` */
    int64_t from;      /* the first offset that is read */
    int64_t to;        /* the one behind the last that was */
    int64_t committed; /* by its group, before anything was read; -1: nothing */
    uint64_t records;  /* read */
    bool over;         /* its turn has come */
};

/* Where a job's first command lies, by what the record says. */
enum verify_reach {
    VERIFY_WITHIN, /* in what is read, or it is not told */
    VERIFY_BEFORE, /* below what is read of its topic, or its topic is no more */
    VERIFY_BEYOND, /* it came after its partition had been read */
};

struct verify_scanned {
    const struct verify_part *part;
    int64_t offset;
    const struct envelope *envelope; /* NULL: a dead letter that does not tell whose it is */
    bool committed;                  /* the part's group has committed an offset beyond it */
    enum verify_reach reach;
};

struct verify_scan {
    struct kafka_admin *admin;
    const struct config *config;
    const struct json *since; /* as verify_scan_mark writes it; NULL: from the beginning */
    struct verify_notes *notes;
    uint64_t records_max;    /* 0: no limit. More in the topics is ERR_LIMIT, before any is read */
    int64_t until_ms;        /* monotonic: when it has to be over; 0: no limit */
    const atomic_bool *stop; /* true: ERR_CANCELLED soon. May be NULL */
    void *arg;
    /* Before the first record; `partial`: something before `from` is not read. May be NULL. */
    void (*begin)(void *arg, struct verify_part *parts, size_t count, bool partial);
    /* A command, an event or a dead letter, where it belongs; all borrowed. */
    void (*record)(void *arg, const struct verify_scanned *record);
    /* When all is read: the parts, with what was read of each. May be NULL. */
    void (*end)(void *arg, const struct verify_part *parts, size_t count);
};
/* ERR_KAFKA when the topics cannot be read to their ends, ERR_NOT_FOUND when there are none. */
enum err_code verify_scan_run(const struct verify_scan *scan, struct err *err) MUST_CHECK;
/* {"<topic>/<partition>": <end>, ...}: where a later run is to begin. */
enum err_code verify_scan_mark(struct kafka_admin *admin, const struct config *config,
                               struct buf *out, struct err *err) MUST_CHECK;

#endif
