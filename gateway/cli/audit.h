/* Telling the audit topic what a verb that talks to Kafka itself has changed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_AUDIT_H
#define GATEWAY_CLI_AUDIT_H

#include "gateway/cli/kafka_look.h"
#include "schemas/span.h"

/* What is done: "topics.apply", "groups.seek", ...; and since when (Unix time), which tells it from
 * others of its kind: its records have one id. */
struct audit_action {
    const char *name;
    int64_t began_ms;
    const char *why; /* NULL: that of --why */
};

/* Writes one record and waits for its acknowledgement: `phase` is "begun" before anything is
 * changed, "done" with what came of it; `what` and `counts` are JSON objects, or empty. Who is
 * --who, else the user; why is --why, where the verb has these options. What is too long for a
 * record is left out, and `counts` stay. False, having said so, when Kafka did not take it. */
bool audit_write(const struct args *args, const struct kafka_look *look,
                 const struct audit_action *action, const char *phase, struct span what,
                 struct span counts);

#endif
