/* The books' inside: verify_books.c (the log), verify_books_compare.c (the view). Jobs are kept in
 * verify_jobs, of whose members the books use: told_ms (when the job was created), origin_* and
 * newest_* (its commands), end_* (its first end, before that its last event), read_version and
 * read_digest (of the record that the fold makes), steps (a live record's bytes), VERIFY_ACCEPTED
 * (its first command was seen). A topic's number stands for one partition here (a range), so that
 * the partitions' members are not used.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VERIFY_VERIFY_BOOKS_INTERNAL_H
#define CONSUMERS_VERIFY_VERIFY_BOOKS_INTERNAL_H

#include "consumers/verify/verify_books.h"
#include "consumers/verify/verify_jobs.h"
#include "schemas/buf.h"

struct verify_books_type {
    char *name;
    struct verify_books_sums sums;
};

/* The record of a job that has not ended, as far as it has been folded. */
struct verify_books_live {
    char *bytes;
    size_t size;
    uint32_t next_free;
};

struct verify_books {
    struct verify_books_options options;
    struct verify_jobs *jobs;
    struct verify_books_counts counts;
    struct verify_books_finding *findings;
    size_t finding_count;
    struct verify_books_range *ranges;
    uint16_t range_count;
    struct verify_books_type *types;
    uint16_t type_count;
    uint16_t *sorted; /* types by their names */
    struct verify_books_live *lives;
    uint32_t live_count, free_live; /* 0: none */
    struct buf record;              /* being made */
};

/* Counts and keeps a finding. */
void verify_books_find(struct verify_books *books, enum verify_books_kind kind, const struct id *id,
                       const struct verify_books_place *place, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The same for a job, unless it has one of this kind or is not in the window. */
void verify_books_find_of(struct verify_books *books, struct verify_job *job,
                          enum verify_books_kind kind, const struct verify_books_place *place,
                          const char *text);
bool verify_books_is_in_window(const struct verify_books *books, const struct verify_job *job);
/* What tells records apart: 64 bits of their SHA-256. */
uint64_t verify_books_digest(struct span bytes);
/* Counts an end; nothing for a state that is not terminal. */
void verify_books_add_end(struct verify_books_sums *sums, enum job_state state);

#endif
