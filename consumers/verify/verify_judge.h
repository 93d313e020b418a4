/* The judge: what clients were told, the log and the third party's ledger go in, findings come
 * out. Pure: no I/O, no clock. Facts are given in this order: the history (verify_judge_told, in
 * the order of the file), the log (commands and delays, then replies, then dead letters, each
 * partition in the order of its offsets), the ledger, verify_judge_finish.
 *
 * What counts as a finding (each at most once a job):
 *
 *   lost       accepted, or in the log, and no terminal event
 *   commit     the same, and every copy of the command of its highest turn lies below the offset
 *              that its group has committed: nobody will do it any more
 *   ghost      in the log, and no submission may have put it there: unknown, or told "not accepted"
 *   doubled    a later terminal event was told to a client, or lies in another partition
 *   flipped    two terminal answers differ (state, version, bytes), or two of the same version do
 *   went_back  read A ended before read B began, and B's rank is lower. Rank: not begun, then the
 *              version, then ended. 503 and broken connections say nothing
 *   unfounded  a state was told that no event of the job at that version has
 *   absent     404 or 410 for a job known before the read began, and before its forget_at
 *   early      an attempt began (event's started_at, call's arrival) before its due time or run_at
 *   late       an attempt began after its not_after
 *   order      of one ordering key, a job began before one submitted earlier had ended
 *   repeated   n calls of an attempt, more than announced + excused (below); or a call of an
 *              attempt that nothing in the log asks for
 *   uncalled   succeeded at attempt a, of a type that calls the third party, and no call of it
 *   unburied   failed or expired, and no dead letter
 *   view       its record in Redis is not, byte for byte, what the fold makes of the log
 *
 * The bound of repeats, derived from the log alone. For each attempt that was called:
 *
 *   announced = distinct due times among the commands of that attempt number (a wait is handed on
 *               with the same due time, a hold with a later one), times the jobs that carry the
 *               effect id; of ordered jobs the due times are those of `retrying` and `held`
 *   excused   = faults f with f.begin - ack_ms <= outcome and f.end + grace_ms >= first call
 *
 * where `outcome` is the time in the attempt's first event beyond progress (none: for ever). That
 * is: one repeat for each fault at which the attempt had started and Kafka had not acknowledged its
 * outcome. Faults of gateways, recorders and delayers alone (by their names), and a `third-party`
 * that misbehaves, excuse none. ack_ms covers that an event bears the time at which it was made,
 * not acknowledged; grace_ms that a fault is followed by a rebalance, which hands on what runs
 * then. The bound of the whole history is the sum of `excused`.
 *
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_JUDGE_H
#define CONSUMERS_VERIFY_VERIFY_JUDGE_H

#include "schemas/history.h"

enum verify_kind {
    VERIFY_LOST,
    VERIFY_COMMIT,
    VERIFY_GHOST,
    VERIFY_DOUBLED,
    VERIFY_FLIPPED,
    VERIFY_WENT_BACK,
    VERIFY_UNFOUNDED,
    VERIFY_ABSENT,
    VERIFY_EARLY,
    VERIFY_LATE,
    VERIFY_ORDER,
    VERIFY_REPEATED,
    VERIFY_UNCALLED,
    VERIFY_UNBURIED,
    VERIFY_VIEW,
    VERIFY_KIND_COUNT
};
/* "lost", ... */
const char *verify_kind_text(enum verify_kind kind);

#define VERIFY_BYTES_MAX    ((size_t)1024 * 1024 * 1024)
#define VERIFY_FINDINGS_MAX 1000  /* kept; the others are counted */
#define VERIFY_FAULTS_MAX   10000 /* of one history */
#define VERIFY_TOPICS_MAX   1000
#define VERIFY_ACK_MS       2000
#define VERIFY_GRACE_MS     15000

struct verify_options {
    size_t bytes_max;
    int64_t ack_ms, grace_ms;
    bool partial; /* the log is not read from its beginning: jobs from before are not judged */
    bool ledger;  /* every call of the jobs is given */
    bool told;    /* only jobs of which the history tells: there are other clients */
};

/* Where a record lies. */
struct verify_place {
    uint16_t topic; /* verify_judge_topic */
    uint16_t partition;
    int64_t offset;
};

struct verify_finding {
    enum verify_kind kind;
    struct id job; /* without its checksum */
    uint32_t line; /* of the history; 0: none */
    bool has_place;
    struct verify_place place;
    char text[200];
};

struct verify_counts {
    uint64_t submissions, accepted, reads, cancels, faults;
    uint64_t jobs, commands, events, dead, calls;
    uint64_t calls_judged; /* those of jobs that are judged */
    uint64_t foreign;      /* records and calls of jobs that are not judged */
    uint64_t repeats;      /* calls above those announced */
    uint64_t bound;        /* the most that the faults excuse */
    uint64_t by_kind[VERIFY_KIND_COUNT];
    uint64_t findings;
    size_t bytes_peak;
};

struct verify_judge;
struct verify_judge *verify_judge_new(const struct verify_options *options);
/* Accepts NULL. */
void verify_judge_free(struct verify_judge *judge);

/* --- the history --- */
/* `number` from 1 on. ERR_INVALID_FIELD when the line does not fit those before it, ERR_LIMIT when
 * the judge is full: its verdict would be worth nothing. */
enum err_code verify_judge_told(struct verify_judge *judge, const struct history_line *line,
                                uint32_t number, struct err *err) MUST_CHECK;

/* --- the log --- */
/* The log turned out not to be whole: as `partial` in the options. */
void verify_judge_set_partial(struct verify_judge *judge);
/* The topic's number; copied. Topics beyond VERIFY_TOPICS_MAX share the last one. */
uint16_t verify_judge_topic(struct verify_judge *judge, const char *name);
const char *verify_judge_topic_name(const struct verify_judge *judge, uint16_t topic);
struct verify_told_command {
    struct verify_place place;
    const struct job_command *command;
    bool committed; /* the topic's group has committed an offset beyond it */
    bool calls;     /* its type calls a third party whose ledger is given */
    bool foreign;   /* the job's first command lies before what is read */
};
void verify_judge_command(struct verify_judge *judge, const struct verify_told_command *told);
/* True when it is the job's first terminal event: the one that counts. */
bool verify_judge_event(struct verify_judge *judge, const struct verify_place *place,
                        const struct job_event *event, bool foreign);
/* A dead letter; NULL: one that does not tell whose (it excuses one that is missing). */
void verify_judge_dead(struct verify_judge *judge, const struct id *id);
/* What a comparison with the view found wrong. */
void verify_judge_view(struct verify_judge *judge, const struct id *id,
                       const struct verify_place *place, const char *text);

/* --- the ledger --- */
struct verify_call {
    struct id effect;
    int64_t attempt; /* 0: not told */
    int64_t started_ms;
    int64_t seq;
    struct span path;
};
void verify_judge_call(struct verify_judge *judge, const struct verify_call *call);
/* The ledger was not whole: nothing follows from a call that it has not. */
void verify_judge_forget_calls(struct verify_judge *judge);

/* --- the verdict --- */
/* ERR_LIMIT when not everything could be taken. */
enum err_code verify_judge_finish(struct verify_judge *judge, struct err *err) MUST_CHECK;
const struct verify_counts *verify_judge_counts(const struct verify_judge *judge);
/* The i-th of those kept; NULL past the last one. */
const struct verify_finding *verify_judge_finding(const struct verify_judge *judge, size_t i);

#endif
