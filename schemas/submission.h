/* What a client submits: the body of POST /v1/jobs, checked. The JSON is parsed once; the payload
 * is the client's own bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_SUBMISSION_H
#define SCHEMAS_SUBMISSION_H

#include "schemas/buf.h"
#include "schemas/job.h"

struct submission_limits {
    size_t depth_max;
    size_t tokens_max;
    size_t labels_max;
};

/* The farthest that a job may be put off. */
#define SUBMISSION_DELAY_MS_MAX (INT64_C(7) * 24 * 3600 * 1000)
/* The farthest deadline that is given as a duration. */
#define SUBMISSION_DEADLINE_MS_MAX (INT64_C(3650) * 24 * 3600 * 1000)

#define SUBMISSION_LABEL_NAME_MAX  63
#define SUBMISSION_LABEL_VALUE_MAX 255
#define SUBMISSION_KEY_MAX         255 /* bytes */

/* Borrows from the body, except for what `json` keeps. */
struct submission {
    struct span type;
    struct span payload; /* the bytes of the member's value, untouched */
    struct job_label labels[JOB_LABELS_MAX];
    size_t label_count;
    int64_t delay_ms;          /* -1: none; else run_at_ms is 0 */
    int64_t run_at_ms;         /* 0: none; else a time that a command can carry */
    int64_t deadline_ms;       /* 0: none */
    int64_t deadline_after_ms; /* the same as a duration from acceptance; 0: none */
    struct span key;           /* the ordering key; empty: none */
    struct json *json;
};

/* A job that goes beyond the limits, a member that does not exist, a wrong type: each an error that
 * names the field. */
enum err_code submission_parse(struct span body, const struct submission_limits *limits,
                               struct submission *ret_submission, struct err *err) MUST_CHECK;
void submission_clear(struct submission *submission);
/* What an ordered queue asks for, and what another one does not take: a key is needed there and
 * refused here; a job of an ordered queue cannot be put off. */
enum err_code submission_check_order(const struct submission *submission, const char *queue,
                                     bool ordered, struct err *err) MUST_CHECK;
/* The fingerprint of the canonical body (RFC 8785 in spirit: members sorted, no white space): equal
 * for bodies that mean the same. */
void submission_fingerprint(const struct submission *submission, uint8_t ret[JOB_FINGERPRINT_SIZE]);

/* The value of an Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header: a
 * structured-field string; the bare form is taken too): 1 to 255 printable ASCII characters.
 * `store` gets the key with its quotes and escapes undone. */
enum err_code submission_idempotency_key(struct span header, struct buf *store,
                                         struct err *err) MUST_CHECK;

#endif
