/* The fold: how commands and events become the record that clients read. Pure functions; the one
 * place where it is decided what a job's state is.
 *
 * A record is a function of one replies partition alone (the events of a job lie in one, in the
 * order that counts):
 *   - events are ordered by (turn, attempt, phase); one that is not newer than the record changes
 * nothing; a job that was held where it is goes on within its attempt, when the hold has ended,
 *   - the first terminal event wins, whatever its turn; after it nothing changes.
 *   - a job that is created later, when the record is to be forgotten already, is another one, with
 * the same idempotency key: it begins anew, and what still comes of the one before changes nothing.
 *
 * The job's first command gives a record of its own (state queued or scheduled) for the time before
 * any event. A reader merges the two: whatever the order in which they were written, the answer is
 * the same. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_FOLD_H
#define SCHEMAS_FOLD_H

#include "schemas/job.h"

/* What `event` at `offset` of the replies partition makes of `record` (NULL: there is none yet).
 * True when *ret_record was set to something new; its spans borrow from `event` and `record`. */
bool fold_event(const struct job_record *record, const struct job_event *event, int64_t offset,
                struct job_record *ret_record);
/* The record that a job's first command makes, where `record` (NULL: none) is what commands before
 * it made. Commands of later turns make none, nor does the same job's command once more (false). */
bool fold_command(const struct job_record *record, const struct job_command *command,
                  int32_t partition, int64_t offset, struct job_record *ret_record);
/* The state of that record: what a job is before any event. */
enum job_state fold_command_state(const struct job_facts *facts);
/* What a reader is told: `from_events` if there is one, else `from_command`; NULL when neither is.
 */
const struct job_record *fold_merge(const struct job_record *from_command,
                                    const struct job_record *from_events);

#endif
