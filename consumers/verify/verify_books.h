/* clang-format off: it would make one paragraph of the lists */
/* The books: of every job that was accepted, what became of it, by the log alone; and the view held
 * against that, record by record. Pure: no I/O, no clock. Facts are given in this order: commands
 * (delay topics after the others), events (each partition in the order of its offsets), what was
 * read, verify_books_finish, what the view has.
 *
 *   accepted = succeeded + failed + cancelled + expired + live + residual      per type
 *
 *   accepted   its first command (turn 0) is in the log, and its created_at in the window
 *   succeeded, failed, cancelled, expired
 *              by the first terminal event of its replies partition
 *   live       not ended, and a copy of the command of its highest turn lies at or beyond the
 *              offset that its group had committed before anything was read: somebody will do it
 *   residual   what is left over; 0 in books that balance
 *
 * What counts as a finding, each with the place where it is:
 *
 *   lost       not ended, and its group has committed beyond every copy of that command (+1)
 *   phantom    events or later turns, and no first command where they say that it lies (-1 if
 *              ended)
 *   flip       a later terminal event tells another end, or events lie in two partitions. Not when
 *              one of the two ends is `cancelled`: that race the protocol allows (P-22a), and the
 *              first end wins
 *   absent     the view has no record of the job, before its forget_at
 *   differs    its record is not, byte for byte and with its expiry, what a fresh fold of the log
 *              makes of it
 *   stray      the view has a record that nothing in the log accounts for
 *   behind     the view has not applied what was read: it could not be compared
 *
 * A later end that is the same, or `cancelled`, is counted as `superseded`. An id of an idempotency
 * key may have several lives (fold.h): each is a job of its own.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
/* clang-format on */
#ifndef CONSUMERS_VERIFY_VERIFY_BOOKS_H
#define CONSUMERS_VERIFY_VERIFY_BOOKS_H

#include "schemas/job.h"

enum verify_books_kind {
    VERIFY_BOOKS_LOST,
    VERIFY_BOOKS_PHANTOM,
    VERIFY_BOOKS_FLIP,
    VERIFY_BOOKS_ABSENT,
    VERIFY_BOOKS_DIFFERS,
    VERIFY_BOOKS_STRAY,
    VERIFY_BOOKS_BEHIND,
    VERIFY_BOOKS_KIND_COUNT
};
/* "lost", ... */
const char *verify_books_kind_text(enum verify_books_kind kind);

#define VERIFY_BOOKS_BYTES_MAX    ((size_t)1024 * 1024 * 1024)
#define VERIFY_BOOKS_FINDINGS_MAX 1000 /* kept; the others are counted */
#define VERIFY_BOOKS_TYPES_MAX    1000 /* those beyond share the last one, "(others)" */

struct verify_books_options {
    size_t bytes_max;
    int64_t from_ms, to_ms; /* created_at of the jobs that count: from <= t < to */
};

/* A partition, and what was read of it. */
struct verify_books_range {
    char *topic;
    int32_t partition;
    bool replies;
    int64_t from, to;  /* offsets: from <= o < to */
    int64_t committed; /* by its group; -1: nothing */
    uint64_t records;
};

/* Where a record lies. */
struct verify_books_place {
    uint16_t range; /* number of the partition (verify_books_range_add) */
    int64_t offset; /* -1: nowhere in the log */
};

struct verify_books_finding {
    enum verify_books_kind kind;
    struct id job; /* without its checksum */
    bool has_job;
    struct verify_books_place place;
    char text[200];
};

/* How many jobs; in `view` by the states that the view's records tell. */
struct verify_books_sums {
    uint64_t accepted, succeeded, failed, cancelled, expired, live;
    uint64_t lost, phantom;
    int64_t residual; /* accepted less the five after it */
    struct {
        uint64_t succeeded, failed, cancelled, expired, live;
        uint64_t none; /* no record: forgotten, or absent */
    } view;
};

struct verify_books_counts {
    uint64_t commands, events;
    uint64_t before, beyond; /* records of jobs whose first command lies outside of what was read */
    uint64_t superseded;
    uint64_t compared; /* jobs held against the view */
    uint64_t moved;    /* of these, whose record has gone on since the log was read */
    uint64_t forgotten;
    uint64_t keys; /* records that the view has */
    uint64_t by_kind[VERIFY_BOOKS_KIND_COUNT];
    uint64_t findings;
    size_t bytes_peak;
};

struct verify_books;
struct verify_books *verify_books_new(const struct verify_books_options *options);
/* Accepts NULL. */
void verify_books_free(struct verify_books *books);
const struct verify_books_options *verify_books_window(const struct verify_books *books);

/* --- the log --- */
/* A partition, before the first record of it; returns its number. */
uint16_t verify_books_range_add(struct verify_books *books, const char *topic, int32_t partition,
                                bool replies);
/* To be set when it has been read. */
struct verify_books_range *verify_books_range_at(const struct verify_books *books, uint16_t range);
size_t verify_books_range_count(const struct verify_books *books);
/* `committed`: the partition's group had committed an offset beyond it. */
void verify_books_command(struct verify_books *books, const struct verify_books_place *place,
                          const struct job_command *command, bool committed);
void verify_books_event(struct verify_books *books, const struct verify_books_place *place,
                        const struct job_event *event);
/* A record of a job whose first command lies before, or beyond, what is read. */
void verify_books_outside(struct verify_books *books, bool beyond);
/* The log is whole. ERR_LIMIT when not everything could be taken. */
enum err_code verify_books_finish(struct verify_books *books, struct err *err) MUST_CHECK;

/* --- the view, after verify_books_finish --- */
/* Jobs are numbered from 1 to this. */
uint32_t verify_books_job_count(const struct verify_books *books);
/* Whether the view ought to tell of the job: it is in the window, and the last of its identity. */
bool verify_books_is_viewed(const struct verify_books *books, uint32_t number, struct id *ret_id);
struct verify_books_found {
    struct span record, command; /* what is under r: and c:; empty: nothing */
    int64_t record_expires_ms, command_expires_ms;
    int64_t now_ms;
};
void verify_books_compare(struct verify_books *books, uint32_t number,
                          const struct verify_books_found *found);
/* Counts a record of the view; true when the log knows the identity, whatever the window. */
bool verify_books_knows(struct verify_books *books, const struct id *id);
/* A record of the view that the log does not account for. */
void verify_books_stray(struct verify_books *books, const struct id *id, const char *why);
/* The view has applied only what lies below `applied` of a partition (-1: nothing). */
void verify_books_behind(struct verify_books *books, uint16_t range, int64_t applied);
/* The view says itself that it is not whole. */
void verify_books_uncertified(struct verify_books *books);

/* --- the books --- */
bool verify_books_balance(const struct verify_books *books);
const struct verify_books_counts *verify_books_counts(const struct verify_books *books);
/* The i-th type, in the order of their names after verify_books_finish; NULL past the last one. */
const struct verify_books_sums *verify_books_type(const struct verify_books *books, size_t i,
                                                  struct span *ret_name);
void verify_books_total(const struct verify_books *books, struct verify_books_sums *ret_sums);
/* The i-th of those kept; NULL past the last one. */
const struct verify_books_finding *verify_books_finding(const struct verify_books *books, size_t i);

#endif
