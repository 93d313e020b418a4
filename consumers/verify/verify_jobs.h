/* What the judge keeps of each job, compactly: a million jobs with an attempt, a read and a call
 * each fit into 256 MB. Entries of fixed size lie in pages that never move; a job is found by its
 * identity through a table of numbers. Every byte is counted, and past the limit nothing is taken
 * any more (sticky: `full`), so that whoever fills checks once.
 * thread: the owner's
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_JOBS_H
#define CONSUMERS_VERIFY_VERIFY_JOBS_H

#include "schemas/job.h"

/* One attempt of a job, or one wait of it for the same due time. Those of a job form a list. */
struct verify_leg {
    int64_t due_ms;        /* not to begin earlier; 0: at once */
    int64_t first_call_ms; /* of the attempt, in its first leg; 0: none */
    int64_t outcome_ms;    /* its first event beyond progress; 0: none */
    uint32_t path_hash;    /* of the first call */
    uint32_t next;
    uint32_t turn;    /* the first with this due time */
    uint16_t attempt; /* saturates, as do all counts of 16 bits here */
    uint16_t calls;   /* of the attempt, in its first leg */
};

/* How far a job was told to be, and when the first such answer had come: what a read that begins
 * later may at least be told. */
struct verify_step {
    int64_t rank; /* 1 + version while it is under way, VERIFY_RANK_ENDED once it has ended */
    int64_t end_ms;
    uint32_t next; /* the step below */
    uint32_t line : 27;
    uint32_t state : 4;
    uint32_t found : 1; /* the log has that very event */
};
#define VERIFY_RANK_ENDED INT64_MAX
#define VERIFY_LINES_MAX  ((uint32_t)1 << 27)

enum verify_flag {
    VERIFY_ACCEPTED = 1 << 0, /* a submission was told so */
    VERIFY_POSSIBLE = 1 << 1, /* one was told nothing, or that it is not known */
    VERIFY_REFUSED = 1 << 2,  /* one was told: certainly not */
    VERIFY_SEEN = 1 << 3,     /* a read told of it */
    VERIFY_COMMAND = 1 << 4,  /* the log has a command of it */
    VERIFY_EVENT = 1 << 5,    /* the log has an event of it */
    VERIFY_CALLS = 1 << 6,    /* its type calls a third party that keeps a ledger */
    VERIFY_DEAD = 1 << 7,     /* it has a dead letter */
    VERIFY_PASSED = 1 << 8,   /* every copy of its newest command lies below a committed offset */
    VERIFY_FOREIGN = 1 << 9,  /* its first command lies before what was read */
    VERIFY_ENDED = 1 << 10,   /* a terminal event was seen */
    VERIFY_ORDERED = 1 << 12, /* it has an ordering key: its retries are no commands */
    VERIFY_HEIR = 1 << 11,    /* its calls carry another job's id, and are counted there */
};

struct verify_job {
    uint8_t identity[ID_IDENTITY_BYTES];
    uint32_t line;                        /* of the history: its first submission or read */
    uint32_t legs, steps;                 /* lists; 0: empty */
    int64_t told_ms;                      /* from when on it was known to exist; 0: never */
    int64_t absent_ms;                    /* when a 404 or 410 after that had come; 0: none */
    int64_t not_after_ms, forget_ms;      /* 0: not known */
    int64_t origin_offset, newest_offset; /* its first command, and that of its latest turn */
    int64_t end_offset, ended_ms;         /* its first terminal event */
    int64_t started_ms;                   /* the earliest start that events or calls tell; 0 */
    int64_t read_version;                 /* of the first terminal answer; -1: none told */
    uint64_t read_digest;                 /* 0: none told */
    uint32_t read_line, absent_line;      /* 0: none */
    uint32_t newest_turn;
    uint16_t origin_topic, origin_partition;
    uint16_t newest_topic, newest_partition;
    uint16_t end_topic, end_partition;
    uint16_t flags; /* enum verify_flag */
    uint16_t found; /* set of kinds of findings: each is told once a job */
    uint16_t end_attempt;
    uint16_t heirs; /* other jobs that carry its id as their effect id */
    uint16_t type;  /* a number of the owner's */
    uint8_t end_state, read_state;
    uint32_t next_life; /* the job that came after it with the same identity; 0: none */
};

/* A submission whose job is not known by its id (yet). */
struct verify_submission {
    uint64_t request_hash; /* 0: an empty slot */
    uint32_t line;
    uint32_t flags; /* VERIFY_POSSIBLE while nothing was told, or what was told */
};

/* A job with an ordering key. */
struct verify_ordered {
    uint64_t key_hash;
    uint32_t job;
};

struct verify_jobs;
struct verify_jobs *verify_jobs_new(size_t bytes_max);
/* Accepts NULL. */
void verify_jobs_free(struct verify_jobs *jobs);
bool verify_jobs_full(const struct verify_jobs *jobs);
/* Counts bytes that the owner keeps of a job elsewhere; false when full. A negative size gives them
 * back. */
bool verify_jobs_charge(struct verify_jobs *jobs, int64_t size);
/* The most that was taken. */
size_t verify_jobs_peak(const struct verify_jobs *jobs);

/* Numbers are from 1 on; 0 stands for none. Pointers stay valid. */
uint32_t verify_jobs_count(const struct verify_jobs *jobs);
struct verify_job *verify_jobs_at(const struct verify_jobs *jobs, uint32_t number);
/* NULL: there is none. */
struct verify_job *verify_jobs_find(const struct verify_jobs *jobs, const struct id *id,
                                    uint32_t *ret_number);
/* The same, made when there is none; NULL when full. */
struct verify_job *verify_jobs_take(struct verify_jobs *jobs, const struct id *id,
                                    uint32_t *ret_number);
/* Another job of the same identity, found through `next_life` of this one; NULL when full. */
struct verify_job *verify_jobs_add_life(struct verify_jobs *jobs, struct verify_job *job,
                                        uint32_t *ret_number);
/* An id of the job (its checksum is not kept: 0). */
void verify_jobs_identity(const struct verify_job *job, struct id *ret_id);

struct verify_leg *verify_jobs_leg(const struct verify_jobs *jobs, uint32_t number);
/* 0 when full. */
uint32_t verify_jobs_leg_new(struct verify_jobs *jobs);
struct verify_step *verify_jobs_step(const struct verify_jobs *jobs, uint32_t number);
uint32_t verify_jobs_step_new(struct verify_jobs *jobs);

/* Submissions by the hash of their request id. NULL when there is none, or when full. */
struct verify_submission *verify_jobs_submission(struct verify_jobs *jobs, uint64_t request_hash);
struct verify_submission *verify_jobs_submission_new(struct verify_jobs *jobs,
                                                     uint64_t request_hash);
void verify_jobs_submission_remove(struct verify_jobs *jobs, struct verify_submission *submission);

void verify_jobs_ordered_add(struct verify_jobs *jobs, uint64_t key_hash, uint32_t job);
/* Sorted by key, then by the place of the job's first command. */
const struct verify_ordered *verify_jobs_ordered(struct verify_jobs *jobs, size_t *ret_count);

#endif
