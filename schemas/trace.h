/* W3C Trace Context (Recommendation, level 1): the headers traceparent and tracestate, by which a
 * job stays within the trace of the request that submitted it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_TRACE_H
#define SCHEMAS_TRACE_H

#include "schemas/span.h"

#include <stdint.h>

#define TRACE_TEXT_SIZE 56 /* "00-<32 hex>-<16 hex>-<2 hex>" and NUL */
#define TRACE_SAMPLED   0x01

struct trace {
    char trace_id[33]; /* lower-case hex and NUL */
    char span_id[17];
    uint8_t flags;
};

/* To the letter of the standard: lower-case hex, ids not all zero, version ff never; of versions
 * above 00 the part that 00 defines. thread: any, as all of this */
bool trace_parse(struct span traceparent, struct trace *ret);
/* Where a traceparent has its trace id, unlooked at; empty when it is too short for one. */
struct span trace_id_in(struct span traceparent);
/* As version 00. */
void trace_format(const struct trace *trace, char ret[TRACE_TEXT_SIZE]);
/* A new trace, sampled: nobody decided before us, and a job's trace is wanted. */
void trace_start(struct trace *ret, const uint8_t random[24]);
/* A new span of the parent's trace; `ret` may be `parent`. Flags that level 1 does not know are
 * cleared. */
void trace_child(const struct trace *parent, const uint8_t random[8], struct trace *ret);
/* At most 512 bytes and 32 members by the grammar, no key twice. A tracestate that is not valid is
 * not passed on; the traceparent still is. */
bool trace_state_valid(struct span tracestate);

#endif
