/* Whose view it is: the cluster's id and the namespace's generation, which readers and writers of
 * the view need before they may trust or change it. Asked on the thread pool, again and again until
 * both are known.
 * thread: the loop
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONSUMERS_VIEW_IDENTITY_H
#define CONSUMERS_VIEW_IDENTITY_H

#include "infra/config.h"
#include "infra/kafka_admin.h"
#include "infra/loop.h"

struct view_identity;

/* Starts asking. `known` is called once; until then view_identity_text is "". `admin` is borrowed.
 */
struct view_identity *view_identity_new(struct loop *loop, const struct config *config,
                                        struct kafka_admin *admin, void (*known)(void *arg),
                                        void *arg);
/* A question under way ends by itself (the admin waits for it). Accepts NULL. */
void view_identity_free(struct view_identity *identity);
/* "<cluster id>/<generation>" */
const char *view_identity_text(const struct view_identity *identity);
/* Why it is not known yet, for /readyz. */
const char *view_identity_why(const struct view_identity *identity);

#endif
