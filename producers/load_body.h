/* The requests of the load generator: cut up once, put together for each job.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_LOAD_BODY_H
#define PRODUCERS_LOAD_BODY_H

#include "producers/load.h"
#include "schemas/buf.h"

struct load_body;

struct load_body *load_body_new(const struct load_options *options);
void load_body_free(struct load_body *body);
/* Appends the whole POST /v1/jobs of job n. */
void load_body_submit(const struct load_body *body, int64_t n, struct buf *out);
/* Appends GET /v1/jobs/ID?wait=. */
void load_body_wait(const struct load_body *body, struct span id, int wait_s, struct buf *out);
/* Appends the text that names job n in this run and in no other: its request id. */
void load_body_name(const struct load_body *body, int64_t n, struct buf *out);
/* Appends the idempotency key of job n; nothing when jobs have none. */
void load_body_key(const struct load_body *body, int64_t n, struct buf *out);

#endif
