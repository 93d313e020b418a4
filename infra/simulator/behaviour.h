/* How the simulator misbehaves, asked for in a small grammar: words joined by commas, some with a
 * value: "slow=250", "status=503", "fail=2,hang", "redirect=private". The words are one table in
 * behaviour.c; a new kind of misbehaviour is a line there, a way or a member here and what
 * simulator.c or delivery.c does about it.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_BEHAVIOUR_H
#define INFRA_SIMULATOR_BEHAVIOUR_H

#include "schemas/buf.h"
#include "schemas/err.h"

#define BEHAVIOUR_TEXT_MAX 128

/* A call goes wrong in one of these ways. */
enum behaviour_way {
    BEHAVIOUR_REAL, /* not at all */
    BEHAVIOUR_STATUS,
    BEHAVIOUR_REDIRECT,
    BEHAVIOUR_HANG,
    BEHAVIOUR_EXECUTE_THEN_HANG,
    BEHAVIOUR_RESET,
    BEHAVIOUR_OVERSIZE,
    BEHAVIOUR_MALFORMED,
    BEHAVIOUR_WRONG_LENGTH,
};

/* What was asked for. */
struct behaviour {
    enum behaviour_way way;
    int64_t slow_ms;        /* the answer comes this much later */
    int64_t status;         /* 0: the real one */
    int64_t fail;           /* only so many calls go wrong, then the real answer; -1: all of them */
    int64_t retry_after_s;  /* Retry-After on an answer that is not the real one; -1: none */
    int64_t oversize_bytes; /* size of an answer of filler */
    int64_t drip_ms;        /* time before each byte of the body; 0: all at once */
    int64_t chunked;        /* 1: without Content-Length */
    char redirect[BEHAVIOUR_TEXT_MAX + 1];
};

/* Reads `text`; the empty text asks for nothing. ERR_INVALID_PARAMETER names the word, its range,
 * and the word that was probably meant. */
enum err_code behaviour_parse(struct span text, struct behaviour *ret_behaviour,
                              struct err *err) MUST_CHECK;

/* What happens to one call of that behaviour. `earlier_calls`: how many came before with the same
 * key. What is left of a call that does not go wrong (any more) is to come late, and in chunks. */
struct behaviour behaviour_decide(const struct behaviour *behaviour, int64_t earlier_calls);

/* The grammar as a JSON array of {word, what} and for numbers {from, to}, for GET /control. */
void behaviour_document(struct buf *out);

#endif
