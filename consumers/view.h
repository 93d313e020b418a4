/* Reading the view: the record of a job together with whether the view may be believed. A terminal
 * record is always true; anything else only while the view is certified under the very Redis that
 * was asked (run id), this cluster and this generation.
 * THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VIEW_H
#define CONSUMERS_VIEW_H

#include "consumers/view_identity.h"
#include "infra/redis.h"
#include "schemas/job.h"

struct view;

struct view_options { /* all borrowed for the view's life */
    struct loop *loop;
    const struct config *config;
    struct redis *redis;
    struct kafka_admin *admin;
    const struct view_identity *identity;
};
struct view *view_new(const struct view_options *options);
/* Close the Redis client first: open reads are answered by it, open checks here (unavailable).
 * Whoever is answered must not ask again. Accepts NULL. */
void view_free(struct view *view);

struct view_answer {                 /* borrowed for the callback */
    enum err_code code;              /* ERR_OK, or ERR_VIEW_UNAVAILABLE: then nothing else is set */
    const struct job_record *record; /* NULL: there is none */
    bool certified;
    bool claimed; /* an idempotency key's claim exists */
    int64_t claimed_at_ms;
    bool claim_accepted; /* Kafka acknowledged the job of the claim */
    uint8_t claim_fingerprint[JOB_FINGERPRINT_SIZE];
};
typedef void (*view_fn)(void *arg, const struct view_answer *answer);
/* Reads the record and the claim of `id`, then the certificate, in one round trip. */
void view_read(struct view *view, const struct id *id, view_fn fn, void *arg);

/* Claims an idempotency key: sets the claim if there is none, and reads as view_read does. `ours`
 * tells whether the claim was set by this call; if not, the claim that was there is in the answer.
 * A claim never outlives the record of its job, or the key would stand for a job that is no more.
 */
typedef void (*view_claim_fn)(void *arg, bool ours, const struct view_answer *answer);
struct view_claim {
    const uint8_t *fingerprint; /* JOB_FINGERPRINT_SIZE bytes */
    int64_t now_ms, forget_at_ms;
};
void view_claim(struct view *view, const struct id *id, const struct view_claim *claim,
                view_claim_fn fn, void *arg);
/* After the delivery report: the claim of claimed_at_ms is accepted, and says since when
 * (accepted_at_ms), or (0: certainly not stored) given up. One that has changed is left alone. */
void view_claim_settle(struct view *view, const struct id *id,
                       const uint8_t fingerprint[JOB_FINGERPRINT_SIZE], int64_t claimed_at_ms,
                       int64_t accepted_at_ms);

/* Whether the view is certified and has applied everything up to the log ends as they are after
 * this call, or does so soon. ERR_OK, ERR_VIEW_BEHIND or ERR_VIEW_UNAVAILABLE. Questions that come
 * while one is under way share the next one. */
void view_check_caught_up(struct view *view, void (*fn)(void *arg, enum err_code code), void *arg);

/* Whether this is the certificate of the very Redis that was asked (run id), this cluster and this
 * generation. */
bool view_is_certified(const struct view_options *use, struct span certificate);

/* Decodes the record that rides in a wake-up; NULL when none does. Free with envelope_record_free.
 */
struct envelope_record;
struct envelope_record *view_wake_record(struct span message);

#endif
