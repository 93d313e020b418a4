/* Drills: a stack of its own beside a deployment, on its brokers and its Redis, in a namespace of
 * its own (NAMESPACE-drill-NAME), in whose jobs nothing real is called. Its folder is
 * FOLDER/drill/NAME: a stack's (gateway/cli/stack.h), with the plan of the replay that it was made
 * for, and the report. Its processes get an environment of a few harmless variables and no other:
 * what the deployment's own is told by its environment does not reach them.
 * thread: the main thread
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CLI_DRILL_H
#define GATEWAY_CLI_DRILL_H

#include "gateway/cli/replay_cmd.h"

#define DRILL_NAME_MAX     32
#define DRILL_NAME_ALLOWED "a name has 1 to 32 of a-z, 0-9 and -, and begins with a letter"

bool drill_name_is_good(const char *name);
/* "FOLDER/drill/NAME"; free with free(). */
char *drill_folder(const char *folder, const char *name);
/* Free with free(). */
char *drill_namespace(const struct config *config, const char *name);

/* Whether the topic or group is of this namespace. */
bool drill_owns(const char *namespace_, const char *name);

/* Makes what its folder lacks, and starts it unless it runs; an exit code, having said what is
 * wrong. `config` is the deployment's. */
int drill_up(const struct config *config, const char *folder, const char *name);
/* Stops it; nothing when it does not run. */
int drill_down(const char *folder, const char *name);
/* Stops every drill of the stack's folder that runs. */
void drill_down_all(const char *folder);
/* Mints the drill's ids. */
int drill_minter(const char *folder, const char *name, struct id_minter **ret_minter);

/* `errand replay --into drill/NAME --execute`: starts the drill, replays, waits for the jobs' ends
 * and prints the report. */
int drill_replay(struct replay_cmd *cmd);
/* Compares the drill's jobs with their originals and prints it; waits `wait_ms` for jobs that have
 * not ended. */
int drill_report_print(const struct args *args, const struct kafka_look *look,
                       const struct replay_plan *plan, int64_t wait_ms);

#endif
