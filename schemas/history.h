/* What clients did and were told, as lines of a file: written by whoever plays a client (`errand
 * load --history`, tests), read by the checker (consumers/verify). One JSON object a line; times
 * are Unix milliseconds; docs/VERIFY.md shows each kind.
 *
 *   submit     a submission begins: `request` is the X-Request-Id it carries, by which its job is
 *              found in the log even when no answer came
 *   submitted  its answer; status 0: none came
 *   read       a job was asked for, and what was told
 *   cancel     a job was called off, and what was told
 *   fault      something was broken, from `begin` to `end`
 *
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_HISTORY_H
#define SCHEMAS_HISTORY_H

#include "schemas/buf.h"
#include "schemas/job.h"

enum history_kind {
    HISTORY_SUBMIT,
    HISTORY_SUBMITTED,
    HISTORY_READ,
    HISTORY_CANCEL,
    HISTORY_FAULT,
    HISTORY_KIND_COUNT
};

#define HISTORY_LINE_BYTES_MAX   4096
#define HISTORY_REQUEST_SIZE_MAX 64 /* as long as an X-Request-Id may be */

struct history_line {
    enum history_kind kind;
    struct span request;
    struct span key; /* Idempotency-Key; empty: none */
    bool has_id;
    struct id id;
    int status;       /* HTTP; 0: no answer came */
    struct span code; /* the problem's, when there was one */
    int64_t begin_ms, end_ms;
    bool has_state;
    enum job_state state;
    int64_t version;  /* the ETag's number; -1: told without one */
    uint64_t digest;  /* history_digest of the body; 0: none */
    struct span what; /* of a fault: "kill", "stop", "flushall", ... */
    struct span name; /* of a fault: what it was done to */
};

/* Appends the line with its newline; members that are not set are left out. */
void history_write(const struct history_line *line, struct buf *out);

struct json;
/* Reads one line, without its newline. Spans borrow from *ret_json, which is to be freed with
 * json_free. ERR_INVALID_JSON, ERR_UNKNOWN_FIELD, ERR_MISSING_FIELD or ERR_INVALID_FIELD. */
enum err_code history_parse(struct span text, struct history_line *ret_line, struct json **ret_json,
                            struct err *err) MUST_CHECK;

/* Tells answers apart (FNV-1a, 64 bits; never 0). */
uint64_t history_digest(struct span body);

#endif
