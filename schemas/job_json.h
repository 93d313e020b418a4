/* The job as clients see it (docs/PROTOCOL.md): one JSON object, absent members left out, times RFC
 * 3339 UTC with milliseconds.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_JOB_JSON_H
#define SCHEMAS_JOB_JSON_H

#include "schemas/buf.h"
#include "schemas/job.h"

/* Appends the job. `namespace_` names the topic that the command's address is on. A scheduled job
 * whose time has come at `now_ms` is shown as queued. */
void job_json(const struct job_record *record, const char *namespace_, int64_t now_ms,
              struct buf *out);
/* The same without its result, which may be large: a job among many. */
void job_json_listed(const struct job_record *record, const char *namespace_, int64_t now_ms,
                     struct buf *out);
/* A job that is known to be accepted while nothing else of it can be read yet: id, state, links. */
void job_json_accepted(const struct id *id, struct buf *out);
/* The member "redrive" of a job that was made from a dead letter; nothing of any other. */
void job_json_redrive(struct buf *out, const struct job_redrive *redrive);
/* The state as shown at `now_ms`. */
enum job_state job_json_state(const struct job_record *record, int64_t now_ms);

#endif
