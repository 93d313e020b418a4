/* Reading the index of dead letters that the recorder folds, and claiming letters in it. The index
 * is believed as the rest of the view is: each dead topic must have been folded whole under the
 * very Redis that was asked, of this cluster and generation (`certified`).
 *
 * Letters are in the order of their queue in the configuration, then of their offset; a page begins
 * behind a place in that order, so it neither repeats nor leaves out what others resolve meanwhile.
 * A page costs what it holds: without a filter one range of a sorted set, with one a range of each
 * group that matches.
 * THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_DEAD_INDEX_H
#define CONSUMERS_DEAD_INDEX_H

#include "consumers/view_identity.h"
#include "infra/redis.h"
#include "schemas/dead_letter.h"

#define DEAD_PAGE_MAX  1000
#define DEAD_BATCH_MAX 500 /* the newest jobs of a batch that are looked at */

struct dead_index { /* all borrowed */
    const struct config *config;
    struct redis *redis;
    const struct view_identity *identity;
};

struct dead_filter { /* empty: any. Copied. */
    char queue[250], type[256], reason[64], fingerprint[DEAD_FINGERPRINT_SIZE];
    bool resolved; /* those that have been resolved; then only `queue` counts */
};

/* Where a letter lies. */
struct dead_place {
    const char *queue; /* the configuration's; NULL: nowhere */
    int64_t offset;
};

struct dead_item {
    const char *queue; /* the configuration's */
    int64_t offset;
    char *line;            /* owned */
    struct dead_line read; /* of `line` */
    char *resolution;      /* JSON, owned; NULL: open */
};
void dead_items_free(struct dead_item *items, size_t count);

struct dead_page {
    enum err_code code; /* ERR_OK, or ERR_VIEW_UNAVAILABLE: then nothing else is set */
    bool certified;
    struct dead_item *items; /* the callback's to take (set it to NULL) */
    size_t count;
    bool more; /* the page is full: there may be more behind it */
};
typedef void (*dead_page_fn)(void *arg, struct dead_page *page);
/* At most `limit` letters behind `after`; nowhere: from the start. */
void dead_index_page(const struct dead_index *index, const struct dead_filter *filter,
                     struct dead_place after, size_t limit, dead_page_fn fn, void *arg);
/* One letter by its place, or, with queue NULL, the newest ones of a job by its id. */
void dead_index_letter(const struct dead_index *index, const char *queue, int64_t offset,
                       const struct id *id, dead_page_fn fn, void *arg);

struct dead_counts {
    enum err_code code;
    bool certified;
    int64_t open, resolved; /* of the queues asked for; `resolved` whatever else the filter says */
    int64_t matching;       /* open ones that the filter takes */
    struct buf groups;      /* JSON array of the groups that the filter takes, largest first */
};
typedef void (*dead_counts_fn)(void *arg, struct dead_counts *counts);
void dead_index_counts(const struct dead_index *index, const struct dead_filter *filter,
                       dead_counts_fn fn, void *arg);

/* Marks open letters of one queue as this batch's, so that two redrives never take the same one; a
 * mark goes with the letter's resolution, or after a week. `verdicts` has an entry for each offset.
 */
enum dead_claim { DEAD_CLAIM_OURS, DEAD_CLAIM_RESOLVED, DEAD_CLAIM_OTHER, DEAD_CLAIM_UNKNOWN };
typedef void (*dead_claims_fn)(void *arg, const enum dead_claim *verdicts, size_t count);
struct dead_claims {
    const char *queue, *batch;
    bool look; /* mark nothing, only tell */
    const int64_t *offsets;
    size_t count;
};
void dead_index_claim(const struct dead_index *index, const struct dead_claims *claims,
                      dead_claims_fn fn, void *arg);

/* What a batch has resolved, the newest of it, and what became of the jobs that it made. */
struct dead_made {
    const char *queue;
    int64_t offset; /* of the letter */
    bool has_job;   /* redriven; else purged */
    struct id job;
};
struct dead_batch {
    enum err_code code;
    bool certified;
    int64_t made;              /* by the batch, in all */
    int64_t seen;              /* of those that were looked at: */
    int64_t succeeded, failed; /* ended well; ended otherwise, or an attempt failed again */
    int64_t undecided;
    const struct dead_made *items; /* until the callback returns */
    size_t count;
};
typedef void (*dead_batch_fn)(void *arg, const struct dead_batch *batch);
void dead_index_batch(const struct dead_index *index, const char *batch, dead_batch_fn fn,
                      void *arg);

#endif
