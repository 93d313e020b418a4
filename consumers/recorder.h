/* The recorder: the only writer of job records. It folds commands and events into the view (Redis),
 * batch by batch, and keeps beside the records how far it has come, so that the view can tell by
 * itself whether it is whole.
 * THREADS: one loop; questions to Kafka's admin on the thread pool.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_RECORDER_H
#define CONSUMERS_RECORDER_H

#include "infra/service.h"

struct recorder;

enum err_code recorder_open(struct service *service, struct recorder **ret_recorder,
                            struct err *err) MUST_CHECK;
/* Finishes the batches under way, leaves the group, then service_drained. */
void recorder_drain(struct recorder *recorder);
/* Frees. Accepts NULL. */
void recorder_close(struct recorder *recorder);

#endif
