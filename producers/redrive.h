/* Redriving dead letters: each becomes a new job, never the old one again. The new job's id is made
 * from the old identity and the batch, so that doing it again, in whatever process, gives the same
 * job; it carries the old effect id, so that a third party that had done the work knows it. Of each
 * item the command comes first, then the resolution on the dead topic: what a crash leaves
 * in between is done again, and is the same job.
 *
 * The states of an item:
 *   command sent -> acknowledged -> resolution sent -> acknowledged: REDRIVE_DONE
 * A purge sends the resolution alone.
 * THREADS: the producer's loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_REDRIVE_H
#define PRODUCERS_REDRIVE_H

#include "infra/config.h"
#include "producers/publish.h"
#include "schemas/dead_letter.h"

#define REDRIVE_NUMBER_MAX 3 /* how often one submission is redriven, unless told */

struct json;

struct redrive_options { /* borrowed until the end */
    const struct config *config;
    const struct publish *publish;
    struct id_minter *minter;
    bool purge;
    struct span batch, who, why;
    struct span edit; /* a merge patch as it was given; empty: none */
    const struct json *edit_json;
    struct span request_id;
    int64_t number_max;
};

enum redrive_outcome {
    REDRIVE_WOULD,       /* dry run: it would be */
    REDRIVE_DONE,        /* there is a new job, or it is purged; the resolution is acknowledged */
    REDRIVE_RESOLVED,    /* somebody has resolved it meanwhile */
    REDRIVE_CLAIMED,     /* another batch is at it */
    REDRIVE_TOO_OFTEN,   /* it has been redriven as often as allowed */
    REDRIVE_UNREADABLE,  /* no command, or of a type that is not configured */
    REDRIVE_GONE,        /* retention has deleted it */
    REDRIVE_EDIT_FAILED, /* the payload cannot be edited so */
    REDRIVE_FAILED,      /* Kafka did not take it; it is as before */
    REDRIVE_UNKNOWN,     /* Kafka may have taken it: do the batch again */
    REDRIVE_OUTCOME_COUNT
};
const char *redrive_outcome_text(enum redrive_outcome outcome, bool purge);

struct redrive_item {
    struct span queue;
    int64_t letter_offset;
    struct span value; /* the letter's bytes; borrowed until the end */
    bool has_id;
    struct id id;  /* of the job that was given up on */
    struct id job; /* the new one */
    enum redrive_outcome outcome;
    char why[320]; /* "" or more than the outcome says */
};

/* The command that a letter becomes, with its payload in `payload` when it was edited; spans borrow
 * from the letter, the options and `payload`. ERR_LIMIT when it has been redriven too often,
 * ERR_UNKNOWN_TYPE, ERR_INVALID_FIELD when the edit does not fit. */
enum err_code redrive_command(const struct redrive_options *options,
                              const struct job_command *letter, int64_t now_ms, struct buf *payload,
                              struct job_command *ret_command, struct err *err) MUST_CHECK;

/* What redrive_start would do: refuses those items whose outcome is REDRIVE_WOULD and which it
 * would refuse. Nothing is sent. */
void redrive_check(const struct redrive_options *options, struct redrive_item *items, size_t count);

/* Does those items whose outcome is REDRIVE_WOULD; sets the outcome of each. True when some are
 * under way: then `done` is called once, later; false: all are decided already. `items` lives until
 * then. */
bool redrive_start(const struct redrive_options *options, struct redrive_item *items, size_t count,
                   void (*done)(void *arg), void *arg) MUST_CHECK;

#endif
