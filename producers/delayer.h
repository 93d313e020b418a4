/* The delayer: holds commands that are due later and hands them on when their time in a tier is
 * over. Each delay topic has one constant delay, so that its records fall due in the order in which
 * they lie; a long delay walks down the tiers. What is left at the end (a few seconds) is a timer
 * in the worker, so that a job begins to the millisecond, and never early. THREADS: one loop.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PRODUCERS_DELAYER_H
#define PRODUCERS_DELAYER_H

#include "infra/service.h"

struct delayer;

enum err_code delayer_open(struct service *service, struct delayer **ret_delayer,
                           struct err *err) MUST_CHECK;
/* Hands on nothing more, waits for what is under way, commits, leaves the group, then
 * service_drained. */
void delayer_drain(struct delayer *delayer);
/* Frees. Accepts NULL. */
void delayer_close(struct delayer *delayer);

#endif
