/* Names in the view (Redis): keys, fields and the certificate. docs/PROTOCOL.md lists them for
 * readers of Redis.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_VIEW_H
#define SCHEMAS_VIEW_H

#include "schemas/buf.h"
#include "schemas/id.h"

enum view_kind {
    VIEW_COMMAND = 'c', /* record made by the job's first command */
    VIEW_RECORD = 'r',  /* record made by its events */
    VIEW_GATE = 'g',    /* which turn of the job a worker has claimed */
    VIEW_KEY = 'k',     /* claim of an idempotency key */
    VIEW_WAKE = 'w',    /* channel: the record has changed */
};

/* "errand:r:0193c0de..." */
void view_key(struct buf *out, const char *namespace_, enum view_kind kind, const struct id *id);
/* "errand:view", the hash that holds the applied offsets and the certificate. */
void view_hash_key(struct buf *out, const char *namespace_);
/* "errand:e:<topic>:<partition>", the epoch of a partition's assignment. */
void view_epoch_key(struct buf *out, const char *namespace_, const char *topic, int32_t partition);
/* "errand:i:<incarnation>", while that life of a process beats and after it left cleanly. */
void view_incarnation_key(struct buf *out, const char *namespace_, const char *incarnation);
/* "errand:workers", the set of those lives, by the Unix time in ms at which each was last heard. */
void view_workers_key(struct buf *out, const char *namespace_);
/* "errand:x:<incarnation>", the channel on which that life is told which jobs are to be cancelled.
 */
void view_incarnation_channel(struct buf *out, const char *namespace_, const char *incarnation);
/* "errand:t:<target>", what the workers share about a third party: its breaker and limits. */
void view_target_key(struct buf *out, const char *namespace_, const char *target);
/* Fields of the hash: the next offset to apply ("a:<topic>:<partition>"), and the run id under
 * which the partition was certified ("p:<topic>:<partition>"). */
void view_applied_field(struct buf *out, const char *topic, int32_t partition);
void view_certified_field(struct buf *out, const char *topic, int32_t partition);
#define VIEW_CERTIFICATE_FIELD "certificate"
#define VIEW_IDENTITY_FIELD    "identity"
/* Whose view this is: "<cluster id>/<generation>". */
void view_identity_join(struct buf *out, const char *cluster_id, const char *generation);
/* What a reader compares: "<run id>/<identity>". */
void view_certificate(struct buf *out, const char *run_id, const char *identity);

#endif
