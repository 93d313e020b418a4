/* The worker: consumes commands of its queues, asks the gate, runs handlers, publishes what became
 * of each attempt, and commits an offset only when every record of its outcome has been
 * acknowledged by Kafka.
 * THREADS: one loop; handlers' blocking work on the thread pool.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_WORKER_H
#define CONSUMERS_WORKER_H

#include "infra/service.h"

struct worker;

/* Opens the clients and joins the groups. Readiness: conditions "kafka", "redis" of the service. */
enum err_code worker_open(struct service *service, struct worker **ret_worker,
                          struct err *err) MUST_CHECK;
/* Starts nothing more, lets what runs finish for worker.drain_ms, commits, leaves the group, then
 * service_drained. */
void worker_drain(struct worker *worker);
/* Frees. Accepts NULL. */
void worker_close(struct worker *worker);

#endif
