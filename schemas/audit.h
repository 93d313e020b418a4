/* Records of the audit topic: who changed what, why, and with which counts. One JSON object a
 * record, keyed by the action's id; an action that is done step by step has records of the same id,
 * the first of which lies there before anything is changed.
 *
 *   {"schema":"errand.audit/1","id":"...","at":"...","action":"dead.redrive","phase":"begun",
 *    "by":"gateway-1","who":"...","why":"...","what":{...},"counts":{...}}
 *
 * thread: any
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_AUDIT_H
#define SCHEMAS_AUDIT_H

#include "schemas/buf.h"

#define AUDIT_BYTES_MAX ((size_t)64 * 1024)
#define AUDIT_SCHEMA    "errand.audit/1"

struct audit_entry {    /* borrowed */
    struct span id;     /* of the action */
    struct span action; /* "dead.redrive", "dead.purge", "topics.apply", ... */
    struct span phase;  /* "begun": before anything was changed; "done": with what came of it */
    struct span by;     /* the process that wrote it */
    struct span who, why;
    struct span what, counts; /* JSON objects; empty: none */
    int64_t at_ms;
};
void audit_json(const struct audit_entry *entry, struct buf *out);

#endif
