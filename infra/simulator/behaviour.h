/* How the simulator misbehaves, asked for in a small grammar: words joined by commas, each with
 * a number: "slow=250", "status=503", "fail=2,status=500,retry-after=3". The words are one table
 * in behaviour.c; a new kind of misbehaviour is a line there, a member here and what simulator.c
 * does about it.
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef INFRA_SIMULATOR_BEHAVIOUR_H
#define INFRA_SIMULATOR_BEHAVIOUR_H

#include "schemas/buf.h"
#include "schemas/err.h"

/* What was asked for. */
struct behaviour {
    int64_t slow_ms;       /* the answer comes this much later */
    int64_t status;        /* 0: the real answer */
    int64_t fail;          /* only so many calls go wrong, then the real answer; -1: all of them */
    int64_t retry_after_s; /* Retry-After on an answer that is not the real one; -1: none */
};
#define BEHAVIOUR_TEXT_MAX 128

/* Reads `text`; the empty text asks for nothing. ERR_INVALID_PARAMETER names the word, its range,
 * and the word that was probably meant. */
enum err_code behaviour_parse(struct span text, struct behaviour *ret_behaviour,
                              struct err *err) MUST_CHECK;

/* What happens to one call. */
struct behaviour_plan {
    int64_t delay_ms;
    int status; /* 0: the real answer */
    int64_t retry_after_s;
};
/* `earlier_calls`: how many came before with the same key. */
struct behaviour_plan behaviour_decide(const struct behaviour *behaviour, int64_t earlier_calls);

/* The grammar as a JSON array of {word, from, to, what}, for GET /control. */
void behaviour_document(struct buf *out);

#endif
