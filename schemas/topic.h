/* The topics: their names, what each is for, its key, its retention, the delay tiers, the consumer
 * groups and the names of the record headers. Everything here is the contract with clients and
 * workers in other languages: change it only together with docs/PROTOCOL.md, and never the meaning
 * of a name that is in use.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_TOPIC_H
#define SCHEMAS_TOPIC_H

#include "schemas/buf.h"

/* Kafka's limit is 249 characters; with the NUL. */
#define TOPIC_NAME_MAX 250
/* The largest record, headers included: an envelope of 1 MiB and room for what travels beside it.
 */
#define TOPIC_RECORD_BYTES_MAX 1114112

enum topic_kind {
    TOPIC_COMMANDS,
    TOPIC_REPLIES,
    TOPIC_DELAY,
    TOPIC_DEAD,
    TOPIC_CONTROL,
    TOPIC_AUDIT,
    TOPIC_KIND_COUNT,
};

enum topic_key {
    TOPIC_KEY_ORDERING, /* the ordering key, else the job id */
    TOPIC_KEY_JOB,
    TOPIC_KEY_NAME,
    TOPIC_KEY_ACTION,
};

/* Which retention of the configuration a topic has. */
enum topic_retention {
    TOPIC_RETENTION_COMMANDS,
    TOPIC_RETENTION_REPLIES,
    TOPIC_RETENTION_DELAY, /* that of commands, and the tier's delay on top */
    TOPIC_RETENTION_DEAD,
    TOPIC_RETENTION_AUDIT,
    TOPIC_RETENTION_COMPACT, /* none: the newest record of each key is kept for ever */
};

/* What comes after the kind's word and a dot. */
enum topic_suffix {
    TOPIC_SUFFIX_NONE,
    TOPIC_SUFFIX_QUEUE,
    TOPIC_SUFFIX_TIER,
};

struct topic_traits {
    const char *word; /* "commands" */
    enum topic_suffix suffix;
    enum topic_key key;
    enum topic_retention retention;
    bool log_append_time; /* stamped by the broker: a delay is measured on its clock, not the
                             producer's */
    int partitions;       /* 0: as many as the queue has */
};
const struct topic_traits *topic_traits_of(enum topic_kind kind);

/* A topic of constant delay: records in it fall due in the order in which they lie. */
struct topic_tier {
    const char *name; /* the topic's suffix */
    int64_t delay_ms;
};
/* The tier in which a command waits next that is due in `left_ms`: the longest that leaves the
 * worker a moment's notice. NULL when what is left is the worker's own timer. `tiers` rise. */
const struct topic_tier *topic_tier_for(const struct topic_tier *tiers, size_t count,
                                        int64_t left_ms);

/* Appends "<namespace>.<word>" or "<namespace>.<word>.<suffix>"; `suffix` is the queue's or the
 * tier's name, and NULL or "" for a kind without one. */
void topic_name(struct buf *out, const char *namespace_, enum topic_kind kind, const char *suffix);
/* The same, given away: free with free(). */
char *topic_name_dup(const char *namespace_, enum topic_kind kind, const char *suffix);
/* The reverse. False when `name` is no topic of this namespace.
 * *ret_suffix borrows from `name` and is empty for a kind without one. */
bool topic_parse(struct span name, const char *namespace_, enum topic_kind *ret_kind,
                 struct span *ret_suffix);

/* Appends a consumer group's name: "<namespace>.worker.<queue>", "<namespace>.recorder" (of replies
 * and dead letters), "<namespace>.recorder.commands", "<namespace>.delayer". */
void topic_group_worker(struct buf *out, const char *namespace_, const char *queue);
void topic_group_recorder(struct buf *out, const char *namespace_);
void topic_group_recorder_commands(struct buf *out, const char *namespace_);
void topic_group_delayer(struct buf *out, const char *namespace_);

/* The namespace's generation lies in the control topic under this key: TOPIC_GENERATION_SIZE
 * hexadecimal digits. */
#define TOPIC_GENERATION_KEY  "generation"
#define TOPIC_GENERATION_SIZE 32

/* Record headers: CloudEvents 1.0 Kafka binding, binary mode. */
#define TOPIC_HEADER_CE_ID          "ce_id"
#define TOPIC_HEADER_CE_TYPE        "ce_type"
#define TOPIC_HEADER_CE_SOURCE      "ce_source"
#define TOPIC_HEADER_CE_SPECVERSION "ce_specversion"
#define TOPIC_HEADER_CE_TIME        "ce_time"
#define TOPIC_HEADER_CE_SUBJECT     "ce_subject"
#define TOPIC_HEADER_CONTENT_TYPE   "content-type"
/* W3C Trace Context. */
#define TOPIC_HEADER_TRACEPARENT "traceparent"
#define TOPIC_HEADER_TRACESTATE  "tracestate"
/* On dead records: why, and where the command was. */
#define TOPIC_HEADER_REASON           "errand-reason"
#define TOPIC_HEADER_DETAIL           "errand-detail"
#define TOPIC_HEADER_TARGET           "errand-target"
#define TOPIC_HEADER_STATUS           "errand-status"
#define TOPIC_HEADER_TURN             "errand-turn"
#define TOPIC_HEADER_SOURCE_TOPIC     "errand-source-topic"
#define TOPIC_HEADER_SOURCE_PARTITION "errand-source-partition"
#define TOPIC_HEADER_SOURCE_OFFSET    "errand-source-offset"
/* On a command that was replayed: by which replay, and the time and key that the record had; where
 * it was is told as on dead records. */
#define TOPIC_HEADER_REPLAY      "errand-replay"
#define TOPIC_HEADER_SOURCE_TIME "errand-source-time"
#define TOPIC_HEADER_SOURCE_KEY  "errand-source-key"
/* On what became of a dead letter: how, and the letter's offset on the same topic. */
#define TOPIC_HEADER_RESOLUTION "errand-resolution"
#define TOPIC_HEADER_LETTER     "errand-letter"

#endif
