/* What `errand replay` has in hand, private to replay_cmd.c (what was asked, and the dry run) and
 * replay_execute.c (carrying it out).
 * thread: the main thread
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_REPLAY_CMD_H
#define GATEWAY_CLI_REPLAY_CMD_H

#include "gateway/cli/replay_plan.h"

struct replay_cmd {
    const struct args *args;
    struct kafka_look look;
    struct replay_plan plan;
    char *folder;      /* the stack's */
    const char *drill; /* its name; NULL: into live */
    char *path;        /* of the plan's file */
    bool resumed;      /* the plan was there already */
    int64_t began_ms;
    int64_t rate_milli, speed_milli;
};

/* What came of it. */
struct replay_result {
    struct replay_report report;
    int64_t arrived; /* different records of it that lie on the topic */
    int64_t repeats, missing;
};

/* Sends what is not there yet, and looks whether all has arrived; an exit code, having said what
 * is wrong. */
int replay_execute(struct replay_cmd *cmd, struct replay_result *ret_result);
/* Prints the plan, and when `result` is not NULL what came of it. */
int replay_cmd_print(const struct replay_cmd *cmd, const struct replay_result *result);

#endif
