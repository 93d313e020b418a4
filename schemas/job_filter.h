/* Which jobs a list is asked for, and where in it: newest first, by (time of creation, identity).
 * Pure functions over what was asked; a place is text that clients hand back as they got it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JOB_FILTER_H
#define SCHEMAS_JOB_FILTER_H

#include "schemas/buf.h"
#include "schemas/job.h"

#define JOB_FILTER_LABELS_MAX 8

/* A job must fit all that is set. Spans borrow from whoever made it. */
struct job_filter {
    struct span tenant;                             /* always compared */
    struct span type;                               /* data NULL: any */
    unsigned states;                                /* set of 1 << enum job_state; 0: any */
    int64_t since_ms;                               /* created then or later; 0: any */
    struct job_label labels[JOB_FILTER_LABELS_MAX]; /* value.data NULL: the name is enough */
    size_t label_count;
};

/* Adds "failed" or "failed,expired"; ERR_INVALID_PARAMETER names the word and the states. */
enum err_code job_filter_add_states(struct job_filter *filter, struct span text,
                                    struct err *err) MUST_CHECK;
/* Adds "name=value", or "name" alone. */
enum err_code job_filter_add_label(struct job_filter *filter, struct span text,
                                   struct err *err) MUST_CHECK;
/* RFC 3339, or how long ago ("1h"). */
enum err_code job_filter_set_since(struct job_filter *filter, struct span text, int64_t now_ms,
                                   struct err *err) MUST_CHECK;
/* Whether the job is one of them as it is told at `now_ms` (a scheduled one whose time has come is
 * queued). */
bool job_filter_fits(const struct job_filter *filter, const struct job_record *record,
                     int64_t now_ms);
/* The states that records of such jobs may have: `queued` is also what was scheduled. */
unsigned job_filter_record_states(const struct job_filter *filter);
/* Whether the index by state and type alone does not decide. */
bool job_filter_looks_inside(const struct job_filter *filter);

/* A place in the list: behind this job. */
struct job_place {
    int64_t created_at_ms; /* -1: before the first */
    struct id id;          /* its identity */
};
#define JOB_PLACE_TEXT_SIZE 48
void job_place_text(const struct job_place *place, char ret[JOB_PLACE_TEXT_SIZE]);
bool job_place_parse(struct span text, struct job_place *ret_place);

#endif
