/* Putting records on the audit topic. Whoever changes something publishes `begun` and waits for its
 * acknowledgement first, so that nothing is changed that is not told.
 * thread: the producer's loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_AUDIT_H
#define PRODUCERS_AUDIT_H

#include "producers/publish.h"
#include "schemas/audit.h"

/* Returns what kafka_produce returns; on ERR_OK `fn` is called once, later. */
enum err_code audit_publish(const struct publish *publish, const struct audit_entry *entry,
                            kafka_delivery_fn fn, void *arg, struct err *err) MUST_CHECK;

#endif
