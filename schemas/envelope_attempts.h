/* The codec of what a worker and its child processes say to each other (attempts.proto): messages,
 * each behind its size. What is decoded is checked like an envelope, though both ends are one
 * program: a child that is about to crash may write anything.
 * thread: any; a decoded object belongs to its caller
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_ENVELOPE_ATTEMPTS_H
#define SCHEMAS_ENVELOPE_ATTEMPTS_H

#include "schemas/envelope.h"

/* Of one message, without its size: an envelope and what stands beside it. */
#define ATTEMPT_MESSAGE_BYTES_MAX (ENVELOPE_BYTES_MAX + (size_t)4096)
#define ATTEMPT_DETAIL_BYTES_MAX  ((size_t)1024)

struct attempt_request {
    uint64_t ticket;
    struct span command; /* an encoded envelope; empty: the attempt is called off */
    struct span topic;
    int32_t partition;
    int64_t offset;
    struct envelope_arena *arena; /* of a decoded one */
};
struct attempt_outcome {
    uint64_t ticket;        /* 0: the child is ready */
    int64_t retry_after_ms; /* -1 none */
    struct span detail;     /* at most ATTEMPT_DETAIL_BYTES_MAX */
    struct span result;
    enum job_result_kind result_kind;
    enum err_code code; /* ERR_OK: `result` is set */
    enum err_class class_;
    uint32_t status;
    struct envelope_arena *arena; /* of a decoded one */
};

/* Append size and message; ERR_LIMIT when it would be longer than a message may be, or than `out`.
 */
enum err_code attempt_encode_request(const struct attempt_request *request, struct buf *out,
                                     struct err *err) MUST_CHECK;
enum err_code attempt_encode_outcome(const struct attempt_outcome *outcome, struct buf *out,
                                     struct err *err) MUST_CHECK;

/* The first message of `bytes`: how many bytes it takes with its size, and the message itself; 0
 * while it has not all come. ERR_ENVELOPE_INVALID when it would be longer than one may be. */
enum err_code attempt_next_message(struct span bytes, size_t *ret_used, struct span *ret_message,
                                   struct err *err) MUST_CHECK;
/* ERR_ENVELOPE_INVALID, or a decoded message, to be freed. */
enum err_code attempt_decode_request(struct span message, struct attempt_request **ret_request,
                                     struct err *err) MUST_CHECK;
enum err_code attempt_decode_outcome(struct span message, struct attempt_outcome **ret_outcome,
                                     struct err *err) MUST_CHECK;
/* Accept NULL. */
void attempt_request_free(struct attempt_request *request);
void attempt_outcome_free(struct attempt_outcome *outcome);

#endif
