/* Where a job is and why, in one sentence: what is known of it, put into words. A pure function of
 * facts that others have gathered; what is not known is not said.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEMAS_WHY_H
#define SCHEMAS_WHY_H

#include "schemas/buf.h"
#include "schemas/job.h"

#define WHY_UNKNOWN (-1)
#define WHY_PASSED  (-2)

/* Everything is borrowed. */
struct why_facts {
    const struct job_record *record; /* NULL: accepted a moment ago, not in the view yet */
    int64_t now_ms;
    bool cancel_marked;
    bool claimed;       /* a worker has taken its turn */
    bool worker_beats;  /* and shows signs of life */
    struct span worker; /* its name; empty: not known */
    int64_t workers;    /* alive, that serve the job's queue; or WHY_UNKNOWN */
    int64_t before; /* records from the first one of its partition that is not done to its own; or
                       WHY_UNKNOWN, or WHY_PASSED: its own is done */
    int64_t key_before; /* jobs of its key, accepted earlier, that have not ended; or WHY_UNKNOWN */
    bool key_more;      /* there may be more of them */
    struct id key_first; /* the first of them, if there are any */
    enum job_state key_first_state;
};
/* A word that stays what it is: "accepted", "scheduled", "taken", "worker_lost", "no_worker",
 * "behind_key", "behind_others", "next", "passed", "waiting", "running", "retrying", "held",
 * "succeeded", "failed", "cancelled", "expired". */
const char *why_code(const struct why_facts *facts);
/* Appends the sentence, with its full stop. */
void why_sentence(const struct why_facts *facts, struct buf *out);

#endif
