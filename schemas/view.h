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
/* "errand:x:<incarnation>", the channel on which that life is told which jobs are to be cancelled;
 * with the incarnation "" the channel on which all are. */
void view_incarnation_channel(struct buf *out, const char *namespace_, const char *incarnation);
/* "errand:t:<target>", what the workers share about a third party: its breaker and limits. */
void view_target_key(struct buf *out, const char *namespace_, const char *target);
/* "errand:j:<letter>:<tenant>:<type>", where the jobs of that state, tenant and type are listed:
 * the begins of its parts, which are sorted sets of identities (ID_IDENTITY_BYTES bytes) by the
 * time of creation (consumers/list_lua.h). Tenant and type are cut after VIEW_NAME_BYTES_MAX bytes,
 * so that no record makes a key of any length: two may share a set, and who lists looks at the
 * record. */
#define VIEW_NAME_BYTES_MAX 100
void view_list_key(struct buf *out, const char *namespace_, char letter, struct span tenant,
                   struct span type);
/* Tenant or type as it stands in them. */
void view_list_name(struct buf *out, struct span name);
/* "errand:j:": what all of these keys begin with. */
void view_list_prefix(struct buf *out, const char *namespace_);
/* "errand:j:sets", the set of those of them that may have entries; "errand:j:sweep", how far they
 * were swept. */
void view_list_sets_key(struct buf *out, const char *namespace_);
void view_list_sweep_key(struct buf *out, const char *namespace_);
/* "errand:d:<queue>", before what the index of the queue's dead letters is kept under. */
void view_dead_prefix(struct buf *out, const char *namespace_, const char *queue);
/* Fields of the hash: the next offset to apply ("a:<topic>:<partition>"), and the run id under
 * which the partition was certified ("p:<topic>:<partition>"). */
void view_applied_field(struct buf *out, const char *topic, int32_t partition);
void view_certified_field(struct buf *out, const char *topic, int32_t partition);
#define VIEW_CERTIFICATE_FIELD "certificate"
#define VIEW_IDENTITY_FIELD    "identity"
/* What the view has beside its records; one that was begun without them is begun again. */
#define VIEW_PARTS_FIELD "parts"
#define VIEW_PARTS       "list"
/* Whose view this is: "<cluster id>/<generation>". */
void view_identity_join(struct buf *out, const char *cluster_id, const char *generation);
/* What a reader compares: "<run id>/<identity>". */
void view_certificate(struct buf *out, const char *run_id, const char *identity);

#endif
